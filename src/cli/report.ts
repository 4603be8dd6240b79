// The command `report`: one candidate against live, everything that is known of it.
import { writeFileSync } from 'node:fs'
import { type Command, InvalidArgumentError } from 'commander'
import { messageOf } from '../errors.ts'
import { reportHtml } from '../report/html/page.ts'
import { reportMarkdown } from '../report/markdown.ts'
import type { Report } from '../report/status.ts'
import { reportText } from '../report/text.ts'
import { type AdminOptions, type CommandContext, withAdmin, withClient } from './context.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { candidatePath } from './gate.ts'
import { jsonText } from './terminal.ts'
import { reportFromTraces } from './traces.ts'

const FORMATS = ['text', 'markdown', 'html', 'json', 'evidence'] as const
type Format = (typeof FORMATS)[number]

interface ReportOptions extends AdminOptions {
  readonly traces?: readonly string[]
  readonly routes: string
  readonly labels?: readonly string[]
  readonly format: Format
  readonly json?: boolean
  readonly out?: string
}

export function addReport(program: Command, { terminal }: CommandContext): void {
  withAdmin(
    program
      .command('report')
      .summary('one candidate against live, everything that is known of it')
      .description(
        'Everything that is known of one candidate against live. A running gateway is asked, or with --traces the spans that it wrote: then verdict and report are made anew from what each span counted, and license nothing.',
      )
      .argument('<route>', 'route name')
      .argument('[candidate]', 'version; may be left out where there is one candidate')
      .option(
        '--format <format>',
        'text, markdown, html (one file with plots), json, or evidence: what `judge` reads',
        parseFormat,
        'text',
      )
      .option('--out <file>', 'write it to a file instead')
      .option('--traces <file>', 'recompute it from spans, OTLP JSON lines; may be repeated', collect)
      .option('--routes <file>', 'with --traces: the routes file whose policy judges', './routes.yaml')
      .option(
        '--labels <file>',
        'with --traces: labels, JSON lines as POST /v1/labels takes them; may be repeated',
        collect,
      ),
  ).action(async (route: string, candidate: string | undefined, options: ReportOptions) => {
    const { out } = options
    const format = options.json === true ? 'json' : options.format
    const what = format === 'evidence' ? 'evidence' : 'report'
    if (options.traces === undefined && options.labels !== undefined)
      throw new CommandFailure(EXIT.usage, '--labels goes with --traces: a gateway has its own')
    const answer =
      options.traces === undefined
        ? await withClient(options, terminal, client => client.get(candidatePath(route, what, candidate)))
        : (await reportFromTraces({ ...options, traces: options.traces, route, candidate }, terminal))[what]
    // The gateway's own words.
    const text =
      format === 'evidence' ? jsonText(answer) : written(answer as Report, format, out === undefined && terminal.colour)
    if (out === undefined) return terminal.out(text)
    try {
      writeFileSync(out, text)
    } catch (error) {
      throw new CommandFailure(EXIT.error, `${out} cannot be written: ${messageOf(error)}`, { cause: error })
    }
    terminal.err(`written to ${out}\n`)
  })
}

function written(report: Report, format: Exclude<Format, 'evidence'>, colour: boolean): string {
  switch (format) {
    case 'json':
      return jsonText(report)
    case 'html':
      return reportHtml(report)
    case 'markdown':
      return reportMarkdown(report)
    case 'text':
      return reportText(report, { colour })
  }
}

function collect(file: string, before: readonly string[] = []): string[] {
  return [...before, file]
}

function parseFormat(text: string): Format {
  const format = FORMATS.find(known => known === text)
  if (format !== undefined) return format
  throw new InvalidArgumentError(`Expected ${FORMATS.join(', ')}.`)
}
