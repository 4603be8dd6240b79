// The command `pause`.
import type { Command } from 'commander'
import { type ChangeOptions, change } from './change.ts'
import { type CommandContext, withChange } from './context.ts'

export function addPause(program: Command, context: CommandContext): void {
  withChange(
    program
      .command('pause')
      .summary('stop what a route raises by itself')
      .description(
        'Raises nobody by itself in a route with rollout.mode auto, until it is resumed, over restarts too. Shares stay as they are, promote works, and what is worse is still aborted.',
      )
      .argument('<route>', 'route name'),
    'required',
  ).action((route: string, options: ChangeOptions) => change(route, 'pause', {}, options, context))
}
