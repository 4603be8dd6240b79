// What a request leaves behind must be gone at the next young collection: what outlives it costs a full one, later and on
// all threads. Bytes are asserted and never times.
import { expect, it } from 'vitest'
import { flightRequests } from '../../bench/load/rows.ts'
import { Generator } from '../../src/load/generator.ts'
import { atEnd, routesOf, startGateway, type TestGateway, tumourRequest } from './gateway.ts'
import { modelServer } from './upstream.ts'

const REQUESTS = 12_000
/** Of what was allocated. A hundredth outlives a collection because it is in use then; a chain of old objects keeps a quarter. */
const MOST_KEPT = 0.15

const generator = new Generator()
atEnd(() => generator.close())

it('keeps nothing of the requests that it passes on, beyond the next young collection', async () => {
  const [live, shadow] = [await modelServer(), await modelServer()]
  const gateway = await startTraced({
    live: '1.0.0',
    versions: { '1.0.0': { url: live.url, weight: 100 }, '2.0.0': { url: shadow.url, shadow: 100, mirrorable: true } },
    compare: { output: 'probabilities', tolerance: { absolute: 0.02 } },
  })
  expectYoung(await traceOf(gateway, [JSON.stringify(tumourRequest())]))
})

it('keeps nothing of the requests that embedded models answer, one served and one in the shadow', async () => {
  const gateway = await startTraced({
    live: '1.0.0',
    versions: {
      '1.0.0': { onnx: 'flight-delay/1.0.0', weight: 100 },
      // What waits for a shadow that is behind outlives collections too, so it is asked no faster than it scores.
      '2.0.0': { onnx: 'flight-delay/2.0.0', shadow: 30 },
    },
  })
  expectYoung(await traceOf(gateway, flightRequests(200)))
})

function startTraced(route: object): Promise<TestGateway> {
  return startGateway({ routes: routesOf({ m: route }), nodeFlags: ['--trace-gc'] })
}

/** What its collector said while it answered; what it did at the start is another matter. */
async function traceOf(gateway: TestGateway, bodies: string[]): Promise<string> {
  const url = `${gateway.predictions}/v2/models/m/infer`
  const { length } = gateway.out()
  const { statuses } = await generator.run({ mode: 'closed', url, bodies, connections: 8, requests: REQUESTS })
  expect(statuses).toEqual({ 200: REQUESTS })
  return gateway.out().slice(length)
}

/** Of every thread that was collected often enough to tell: the serving thread and the shadow thread at least. */
function expectYoung(trace: string): void {
  const shares = [...collectionsOf(trace).values()].map(keptShare).filter(share => share !== undefined)
  expect(shares.length).toBeGreaterThanOrEqual(2)
  for (const share of shares) expect(share).toBeLessThan(MOST_KEPT)
}

interface Collection {
  readonly isYoung: boolean
  readonly beforeMiB: number
  readonly afterMiB: number
}

/** By the address of a thread's heap, from lines like `[7:0x1a2b] 12 ms: Scavenge 34.0 (48.9) -> 21.4 (48.9) MB, …`. */
function collectionsOf(trace: string): Map<string, Collection[]> {
  const collections = new Map<string, Collection[]>()
  for (const [, heap, kind, before, after] of trace.matchAll(LINE)) {
    const known = collections.get(heap!) ?? []
    collections.set(heap!, known)
    known.push({ isYoung: kind === 'Scavenge', beforeMiB: Number(before), afterMiB: Number(after) })
  }
  return collections
}

const LINE = /^\[\d+:(0x\w+)\] +\d+ ms: ([\w -]+?)(?: \(\w+\))? ([\d.]+) \([\d.]+\) -> ([\d.]+) \([\d.]+\) MB/gm

/** How much of what was allocated between two young collections outlived the second; the median of all pairs. */
function keptShare(collections: readonly Collection[]): number | undefined {
  const shares: number[] = []
  for (const [index, { isYoung, beforeMiB, afterMiB }] of collections.entries()) {
    const previous = collections[index - 1]
    if (previous?.isYoung && isYoung) shares.push((afterMiB - previous.afterMiB) / (beforeMiB - previous.afterMiB))
  }
  return shares.length < 4 ? undefined : shares.sort((a, b) => a - b)[shares.length >> 1]
}
