// The command `explain`: what became of one request, from a gateway's memory or from recorded spans.
import { type Command, InvalidArgumentError } from 'commander'
import { UnderstudyError } from '../errors.ts'
import { explainText } from '../report/explainText.ts'
import { cleanRequestId, REQUEST_ID_FORM } from '../serving/headers.ts'
import type { Found } from '../shadow/explanation.ts'
import { type AdminOptions, type CommandContext, withAdmin, withClient } from './context.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { jsonText, type Terminal } from './terminal.ts'

interface ExplainOptions extends AdminOptions {
  readonly route?: string
  readonly traces?: string
  readonly json?: boolean
}

/** What is printed: `memory` is null where spans were read. */
type Told = Omit<Found, 'memory'> & { readonly memory: Found['memory'] | null }

export const EXPLAIN_VERSION = 1

const DESCRIPTION = [
  'Tells of one request: its input, which version it was assigned to and why, what every version answered, how the answers differ, latencies and the trace id. The id is what `x-request-id` of the answer says.',
  'A gateway keeps the newest 10,000 requests (24 MiB at most, nothing over a restart) of those that were mirrored (not to shadows that all give no answer) or scored twice, wait for a label, were sampled for a trace, failed or were slow. Of one kind (failed, slow, different, failed in a shadow, sampled) and route 2,000 are kept at once and then 100 a second, of what is none of these as many of all routes.',
  'Exit codes: 0 found, 1 not found, 2 usage, 5 no gateway answers.',
].join('\n')
const EXAMPLES = `
Examples:
  understudy explain order-17
  understudy explain order-17 --route churn --json
  understudy explain order-17 --traces spans.jsonl
`

export function addExplain(program: Command, { terminal }: CommandContext): void {
  withAdmin(
    program
      .command('explain')
      .summary('one request: assignment and why, every answer, the differences')
      .description(DESCRIPTION)
      .argument('<request-id>', 'x-request-id of the answer', parseRequestId)
      .option('--route <name>', 'of this route only')
      .option('--traces <file>', 'look in recorded spans (OTLP, JSON lines) and ask no gateway'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (requestId: string, options: ExplainOptions) => {
      const told =
        options.traces === undefined
          ? await askGateway(requestId, options, terminal)
          : await readTraces(requestId, options.traces, options.route)
      terminal.out(
        options.json === true
          ? jsonText({ explainVersion: EXPLAIN_VERSION, requestId, ...told })
          : explainText(told.explanations, told.seen, { colour: terminal.colour }),
      )
    })
}

async function askGateway(requestId: string, options: ExplainOptions, terminal: Terminal): Promise<Told> {
  const query = options.route === undefined ? '' : `?${new URLSearchParams({ route: options.route })}`
  try {
    const path = `/v1/requests/${encodeURIComponent(requestId)}${query}`
    // The gateway's own words.
    return (await withClient(options, terminal, client => client.get(path))) as Found
  } catch (error) {
    if (error instanceof UnderstudyError && error.code === 'UNKNOWN_REQUEST')
      throw new CommandFailure(EXIT.error, error.message, { cause: error })
    throw error
  }
}

async function readTraces(requestId: string, file: string, route: string | undefined): Promise<Told> {
  // The conventions' names take a while to load, and only this needs them.
  const { requestsInSpans } = await import('./recordedSpans.ts')
  const found = await requestsInSpans(file, requestId, route)
  if (found.seen === 0) {
    const of = route === undefined ? '' : ` of route ${route}`
    throw new CommandFailure(EXIT.error, `${file} holds no span of a request ${requestId}${of}`)
  }
  return { ...found, memory: null }
}

function parseRequestId(text: string): string {
  const requestId = cleanRequestId(text)
  if (requestId !== undefined) return requestId
  throw new InvalidArgumentError(`Expected ${REQUEST_ID_FORM}.`)
}
