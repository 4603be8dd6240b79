// The command `set-weight`.
import { type Command, InvalidArgumentError } from 'commander'
import { type ChangeOptions, change } from './change.ts'
import { type CommandContext, withChange } from './context.ts'

export function addSetWeight(program: Command, context: CommandContext): void {
  withChange(
    program
      .command('set-weight')
      .summary('change the share of a version in routes.yaml')
      .description(
        'Writes the weight of a version; live takes or gives what differs. Lowering applies at once; raising is held to what the gate allows.',
      )
      .argument('<route>', 'route name')
      .argument('<version>', 'the version')
      .argument('<percent>', 'percent of live traffic, 0 to below 100', parsePercent),
  ).action((route: string, version: string, weight: number, options: ChangeOptions) =>
    change(route, 'weight', { version, weight }, options, context),
  )
}

function parsePercent(text: string): number {
  const weight = Number(text.replace(/\s*%$/, ''))
  if (!/^\d/.test(text) || !(weight >= 0 && weight < 100))
    throw new InvalidArgumentError('Expected a percentage from 0 to below 100; promote makes a version live.')
  return weight
}
