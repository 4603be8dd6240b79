// The command `report`: one candidate against live, everything that is known of it.
import { type Command, InvalidArgumentError } from 'commander'
import { reportMarkdown } from '../report/markdown.ts'
import type { Report } from '../report/status.ts'
import { reportText } from '../report/text.ts'
import { type AdminOptions, type CommandContext, withAdmin, withClient } from './context.ts'
import { candidatePath } from './gate.ts'
import { jsonText } from './terminal.ts'

const FORMATS = ['text', 'markdown', 'json'] as const
type Format = (typeof FORMATS)[number]

export function addReport(program: Command, { terminal }: CommandContext): void {
  withAdmin(
    program
      .command('report')
      .summary('one candidate against live, everything that is known of it')
      .argument('<route>', 'route name')
      .argument('[candidate]', 'version; may be left out where there is one candidate')
      .option('--format <format>', 'text, markdown or json', parseFormat, 'text'),
  ).action(
    async (
      route: string,
      candidate: string | undefined,
      options: AdminOptions & { format: Format; json?: boolean },
    ) => {
      const answer = await withClient(options, terminal, client =>
        client.get(candidatePath(route, 'report', candidate)),
      )
      // The gateway's own words.
      const report = answer as Report
      const format = options.json === true ? 'json' : options.format
      if (format === 'json') terminal.out(jsonText(report))
      else
        terminal.out(format === 'markdown' ? reportMarkdown(report) : reportText(report, { colour: terminal.colour }))
    },
  )
}

function parseFormat(text: string): Format {
  const format = FORMATS.find(known => known === text)
  if (format !== undefined) return format
  throw new InvalidArgumentError(text === 'html' ? 'html is not supported yet.' : `Expected ${FORMATS.join(', ')}.`)
}
