// The command `schema`: what may stand in routes.yaml, for editors.
import type { Command } from 'commander'
import { routesSchemaText } from '../config/routesSchema.ts'
import type { CommandContext } from './context.ts'

export function addSchema(program: Command, { terminal }: CommandContext): void {
  program
    .command('schema')
    .summary('print the JSON schema of routes.yaml')
    .description(
      'Prints the JSON schema (draft 2020-12) of routes.yaml: every key with its type, default and meaning. Editors check and complete by it when the first line of routes.yaml names it:\n  # yaml-language-server: $schema=./routes.schema.json',
    )
    .option('--json', 'print JSON, as always')
    .action(() => terminal.out(routesSchemaText()))
}
