import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AdminListener, startAdmin } from '../../src/admin/server.ts'
import { explainText } from '../../src/report/explainText.ts'
import { fakeControl } from '../admin/fakeControl.ts'
import { explanation, found } from '../report/explained.ts'
import { runHere } from './runHere.ts'

let listener: AdminListener
let folder: string
let file: string
const here = (...args: string[]) => runHere(['explain', ...args, '--admin', `http://127.0.0.1:${listener.port}`])

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const attribute = ([key, value]: [string, unknown]) => ({
  key,
  value: typeof value === 'number' ? { doubleValue: value } : { stringValue: value },
})
const span = (spanId: string, parentSpanId: string, at: number, attributes: object, traceId = TRACE) => ({
  traceId,
  spanId: spanId.repeat(16),
  parentSpanId: parentSpanId.repeat(16),
  startTimeUnixNano: `${1_790_000_000_000 + at}000000`,
  endTimeUnixNano: `${1_790_000_000_002 + at}000000`,
  attributes: Object.entries(attributes).map(attribute),
})
const line = (...spans: object[]) => JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] })
const infer = (role: string, version: string, more: object = {}) => ({
  'understudy.role': role,
  'understudy.model.version': version,
  'understudy.route': 'risk',
  ...more,
})
const server = {
  'understudy.request.id': 'orders/17',
  'understudy.route': 'risk',
  'understudy.config.revision': 4,
  'feature_flag.result.reason': 'split',
  'feature_flag.result.variant': '1.0.0',
  'http.response.status_code': 200,
}
const compare = {
  'understudy.request.id': 'orders/17',
  'understudy.route': 'risk',
  'understudy.compare.result': 'mismatch',
  'understudy.compare.kind': 'number',
  'understudy.compare.max_abs_diff': 0.25,
  'understudy.baseline.version': '1.0.0',
  'understudy.candidate.version': '2.0.0',
  'understudy.baseline.value': 0.5,
  'understudy.candidate.label': 'NaN',
  'understudy.sample.weight': 1,
  'understudy.sample.reason': 'mismatch',
}

beforeAll(async () => {
  listener = await startAdmin({ host: '127.0.0.1', port: 0, token: undefined, control: fakeControl().control })
  folder = await mkdtemp(join(tmpdir(), 'understudy-explain-'))
  file = join(folder, 'spans.jsonl')
  const lines = [
    // A version's span stands before the one that names the request, in another batch.
    line(span('b', 'a', 1, infer('live', '1.0.0', { 'understudy.queue.duration_ms': 0.5 }))),
    '{"resourceSpans": [ half a li',
    line(
      span('c', 'a', 3, infer('shadow', '2.0.0', { 'error.type': 'VERSION_FAILED' })),
      span('d', 'a', 5, compare),
      span('e', 'f', 5, infer('shadow', '9.9.9')),
    ),
    'null',
    line(span('a', '9', 0, server)).replaceAll('orders/17', 'orders\\/17'),
    line(span('a', '', 60_000, { ...server, 'understudy.route': 'other' }, 'f'.repeat(32))),
    line(span('a', '', 0, { ...server, 'understudy.request.id': 'orders/18' }, 'e'.repeat(32))),
  ]
  await writeFile(file, lines.join('\n'))
})
afterAll(async () => {
  await listener.close()
  await rm(folder, { recursive: true, force: true })
})

describe('explain', () => {
  it('prints what the gateway knows, as text and as JSON', async () => {
    const { code, out } = await here('order-17')
    expect([code, out]).toEqual([0, explainText([explanation], 1)])
    const json = await here('order-17', '--json')
    expect(JSON.parse(json.out)).toEqual({ explainVersion: 1, requestId: 'order-17', ...found })
  })

  it('ends with 1 for a request that is not kept, 2 for wrong usage, 5 without a gateway', async () => {
    expect(await here('order-18')).toMatchObject({ code: 1, out: '', err: 'request "order-18" is not kept\n' })
    expect(await here('order-17', '--route', 'nope')).toMatchObject({ code: 2, err: 'unknown route "nope"\n' })
    for (const id of ['a b', '', 'x'.repeat(129), 'a\u001b[2J']) {
      const { code, err } = await here(id)
      expect([id, code, err]).toEqual([id, 2, expect.stringContaining('Expected 1 to 128 letters')])
    }
    expect((await runHere(['explain', 'x', '--admin', 'http://127.0.0.1:1'])).code).toBe(5)
  })

  it('has help with examples', async () => {
    const { code, out } = await runHere(['explain', '--help'])
    expect(code).toBe(0)
    expect(out).toContain('understudy explain order-17 --traces spans.jsonl')
  })
})

describe('explain --traces', () => {
  it('finds a request in recorded spans, whatever the order of lines, and asks no gateway', async () => {
    const args = ['explain', 'orders/17', '--route', 'risk', '--traces', file, '--admin', 'http://127.0.0.1:1']
    const { code, out } = await runHere([...args, '--json'])
    expect(code).toBe(0)
    const { explanations, seen, memory } = JSON.parse(out)
    expect({ seen, memory }).toEqual({ seen: 1, memory: null })
    expect(explanations).toMatchObject([
      {
        source: 'spans',
        route: 'risk',
        traceId: TRACE,
        spanId: 'a'.repeat(16),
        parentSpanId: '9'.repeat(16),
        revision: 4,
        live: '1.0.0',
        input: null,
        assignment: { version: '1.0.0', reason: 'split', weights: null },
        answered: { status: 200, durationMs: expect.closeTo(2, 2) },
        versions: [
          { version: '1.0.0', role: 'live', state: 'answered', queueMs: 0.5, latencyMs: expect.closeTo(2, 2) },
          { version: '2.0.0', role: 'shadow', state: 'failed', reason: 'VERSION_FAILED' },
        ],
        comparisons: [
          {
            result: 'mismatch',
            maxAbsDiff: 0.25,
            outputs: [{ kind: 'number', baselineValue: 0.5, candidateValue: 'NaN' }],
          },
        ],
        spans: { reason: 'mismatch', weight: 1 },
      },
    ])
    expect((await runHere(args)).out).toContain('answers: mismatch as number; apart by up to 0.25; 0.5 → NaN')
  })

  it('finds every request with the id where no route is named, the newest first', async () => {
    const { out } = await runHere(['explain', 'orders/17', '--traces', file, '--json'])
    const { explanations, seen } = JSON.parse(out)
    expect(seen).toBe(2)
    expect(explanations.map(({ route }: { route: string }) => route)).toEqual(['other', 'risk'])
  })

  it('ends with 1 where it is not there, and 2 where the file cannot be read', async () => {
    const missing = await runHere(['explain', 'orders/1', '--traces', file])
    expect(missing).toMatchObject({ code: 1, out: '', err: `${file} holds no span of a request orders/1\n` })
    const { code, err } = await runHere(['explain', 'x', '--traces', join(folder, 'nowhere.jsonl')])
    expect(code).toBe(2)
    expect(err).toMatch(/nowhere\.jsonl cannot be read: ENOENT/)
    expect((await runHere(['explain', 'x', '--traces', folder])).code).toBe(2)
  })
})
