// The command `clear`.
import type { Command } from 'commander'
import { type ChangeOptions, change } from './change.ts'
import { type CommandContext, withChange } from './context.ts'

export function addClear(program: Command, context: CommandContext): void {
  withChange(
    program
      .command('clear')
      .summary('lift the latch of an aborted or rolled back version')
      .description(
        'Lets a version that was aborted or rolled back try again, on record. Its evidence starts anew, judged more strictly than before.',
      )
      .argument('<route>', 'route name')
      .argument('<version>', 'the latched version'),
    'required',
  ).action((route: string, version: string, options: ChangeOptions) =>
    change(route, 'clear', { version }, options, context),
  )
}
