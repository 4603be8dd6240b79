// The command `abort`.
import type { Command } from 'commander'
import { type ChangeOptions, change } from './change.ts'
import { type CommandContext, withChange } from './context.ts'

export function addAbort(program: Command, context: CommandContext): void {
  withChange(
    program
      .command('abort')
      .summary('take a candidate off live traffic at once')
      .description(
        'Gives a candidate weight 0 at once, whatever routes.yaml says, until it is cleared. It stays mirrored.',
      )
      .argument('<route>', 'route name')
      .argument('<version>', 'the version to stop'),
    'required',
  ).action((route: string, version: string, options: ChangeOptions) =>
    change(route, 'abort', { version }, options, context),
  )
}
