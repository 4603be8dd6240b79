// The command `promote`.
import type { Command } from 'commander'
import { type ChangeOptions, change } from './change.ts'
import { type CommandContext, withChange } from './context.ts'

export function addPromote(program: Command, context: CommandContext): void {
  withChange(
    program
      .command('promote')
      .summary('give a proven version its next step, or the promotion')
      .description(
        'Raises a candidate to the next of rollout.steps, or makes it live after the last, if its verdict is promote at this moment, and edits routes.yaml to say so. Exit code 4 when the gate, the file or somebody else is in the way; where the file cannot be written the patch is printed.',
      )
      .argument('<route>', 'route name')
      .argument('[candidate]', 'version; may be left out where there is one candidate'),
  ).action((route: string, candidate: string | undefined, options: ChangeOptions) =>
    change(route, 'promote', { candidate }, options, context),
  )
}
