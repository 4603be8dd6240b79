// The command `mirror`.
import { Argument, type Command } from 'commander'
import type { ChangeOptions } from './change.ts'
import { type CommandContext, newIdempotencyKey, withChange, withClient } from './context.ts'
import { jsonText } from './terminal.ts'

export function addMirror(program: Command, { terminal }: CommandContext): void {
  withChange(
    program
      .command('mirror')
      .summary('switch mirroring to shadows on or off')
      .description(
        'Switches mirroring on or off, for one route or for all, until it is switched again. Live answers are not touched.',
      )
      .addArgument(new Argument('<state>', 'on or off').choices(['on', 'off']))
      .argument('[route]', 'route name; all routes by default'),
  ).action(async (state: 'on' | 'off', route: string | undefined, { reason, dryRun, ...options }: ChangeOptions) => {
    const on = state === 'on'
    const answer = await withClient(options, terminal, client =>
      client.post('/v1/mirror', { on, route, reason, dryRun }, newIdempotencyKey()),
    )
    const where = route === undefined ? 'all routes' : route
    const would = dryRun === true ? 'dry run, nothing is changed: ' : ''
    terminal.out(options.json === true ? jsonText(answer) : `${would}mirroring is ${state} for ${where}\n`)
  })
}
