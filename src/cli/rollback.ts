// The command `rollback`.
import type { Command } from 'commander'
import { type ChangeOptions, change } from './change.ts'
import { type CommandContext, withChange } from './context.ts'

export function addRollback(program: Command, context: CommandContext): void {
  withChange(
    program
      .command('rollback')
      .summary('go back to the previous live version at once')
      .description(
        'Makes the previous live version live again, with its whole entry as it was, even if routes.yaml has lost it. The version that is left stays at 0 until it is cleared.',
      )
      .argument('<route>', 'route name'),
  ).action((route: string, options: ChangeOptions) => change(route, 'rollback', {}, options, context))
}
