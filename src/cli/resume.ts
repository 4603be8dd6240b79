// The command `resume`.
import type { Command } from 'commander'
import { type ChangeOptions, change } from './change.ts'
import { type CommandContext, withChange } from './context.ts'

export function addResume(program: Command, context: CommandContext): void {
  withChange(
    program
      .command('resume')
      .summary('let a paused route raise by itself again')
      .description('Lets a route that was paused go on where it stands. What became ready meanwhile may rise at once.')
      .argument('<route>', 'route name'),
  ).action((route: string, options: ChangeOptions) => change(route, 'resume', {}, options, context))
}
