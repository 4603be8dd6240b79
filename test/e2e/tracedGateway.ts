// A gateway whose spans are all written to a file, and traffic with everything that evidence is counted of.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  inParallel,
  postJson,
  predict,
  routesOf,
  scratch,
  startGateway,
  type TestGateway,
  TUMOUR_ROWS,
  tumourRequest,
} from './gateway.ts'
import { answerHalf, modelServer } from './upstream.ts'

export interface TracedGateway extends TestGateway {
  readonly spanFile: string
}

/** Export often and drop nothing: the SDK's queue is for a collector that cannot keep up. */
const BATCHING = { OTEL_BSP_MAX_QUEUE_SIZE: '200000', OTEL_BSP_SCHEDULE_DELAY: '100' }

/**
 * Live and a canary, both embedded; one shadow that is embedded, and one behind HTTP that differs always and fails for
 * every seventh request id.
 */
export async function tracedGateway({
  ratio = 1,
  folder,
  threads = 1,
  tolerance = 0.05,
  differing = 100,
  canary = '1.1.0',
  shadow = '2.0.0',
}: {
  readonly ratio?: number
  readonly folder?: string
  readonly threads?: number
  readonly tolerance?: number
  /** Percent of requests that the one that differs always gets. */
  readonly differing?: number
  /** Which of the shipped tumour-risk models they are. */
  readonly canary?: string
  readonly shadow?: string
} = {}): Promise<TracedGateway> {
  const at = folder ?? (await scratch())
  const spanFile = join(at, 'spans.jsonl')
  const failing = await modelServer((received, response) => {
    const number = Number(String(received.headers['x-request-id']).replace(/^\D+/, ''))
    if (number % 7 !== 0) return answerHalf(received, response)
    response.writeHead(500, { 'content-type': 'application/json' })
    response.end('{"error":"every seventh"}')
  })
  const gateway = await startGateway({
    args: ['--adopt'],
    folder: at,
    threads,
    env: BATCHING,
    routes: routesOf(
      {
        risk: {
          live: '1.0.0',
          versions: {
            '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 70 },
            '1.1.0': { onnx: `tumour-risk/${canary}`, weight: 30 },
            '2.0.0': { onnx: `tumour-risk/${shadow}`, shadow: { percent: 80, batch: 1 } },
            '3.0.0': { url: failing.url, mirrorable: true, repeatable: true, shadow: { percent: differing, batch: 1 } },
          },
          force: 'x-pick',
          compare: {
            output: 'probabilities',
            tolerance: { absolute: tolerance },
            segments: [{ bucket: 'features[0]', by: 5 }],
            again: 20,
          },
          expect: 'change',
          labels: { loss: 'brier', margin: 0.05 },
          gate: { paired: 50, blocks: '500ms', drops: 1 },
        },
      },
      { traces: { ratio, file: spanFile, slow: '1h' }, mirror: { bodyBytes: '64KiB' } },
    ),
  })
  return { ...gateway, spanFile }
}

/** Sent with `traffic`: predictions that count in an arm. */
export const ODD = { forced: 11, broken: 23, large: 97 } as const

/**
 * `count` requests: some with a version that a tester picked, some that are no JSON, some too large to be mirrored. Trace
 * ids are spread evenly and always the same, so that a sample of them is too.
 */
export async function traffic(gateway: TestGateway, count: number, from = 0): Promise<void> {
  await inParallel(count, 8, async at => {
    const index = from + at
    const row = TUMOUR_ROWS[index % TUMOUR_ROWS.length]!.slice(0, 30)
    const headers: Record<string, string> = { 'x-request-id': `id-${index}`, traceparent: traceparentOf(index) }
    if (index % ODD.forced === 0) headers['x-pick'] = '1.1.0'
    const request = tumourRequest(row)
    const body =
      index % ODD.broken === 0
        ? 'no JSON'
        : index % ODD.large === 0
          ? { ...request, parameters: { padding: 'x'.repeat(80_000) } }
          : request
    await predict(gateway, 'risk', body, { headers, timeoutMs: 60_000 })
  })
}

/** The golden ratio's multiples fill an interval evenly, and in no order. */
export function traceparentOf(index: number): string {
  const low = BigInt(Math.floor(((index * 0.618033988749895) % 1) * 2 ** 52))
  const traceId = `${(index + 1).toString(16).padStart(16, '0')}00${low.toString(16).padStart(13, '0')}0`
  return `00-${traceId}-${(index + 1).toString(16).padStart(16, '0')}-01`
}

/** Labels of these requests, posted to the gateway and written to a file; returns the file. */
export async function labelAll(gateway: TracedGateway, count: number): Promise<string> {
  const labels = Array.from({ length: count }, (_, index) => ({
    request_id: `id-${index}`,
    label: TUMOUR_ROWS[index % TUMOUR_ROWS.length]![30]!,
  }))
  const { status } = await postJson(`${gateway.predictions}/v1/labels`, labels)
  if (status !== 200) throw new Error(`labels were answered with ${status}`)
  const file = join(gateway.folder, 'labels.jsonl')
  await writeFile(file, labels.map(label => `${JSON.stringify(label)}\n`).join(''))
  return file
}
