import { describe, expect, it } from 'vitest'
import type { Book } from '../../src/record/epochs.ts'
import { OUTCOME } from '../../src/record/format.ts'
import { createDoorbell, createRing, RingConsumer, RingProducer } from '../../src/record/ring.ts'
import { type Admitted, account, countAssigned, countGone, type ServingBook } from '../../src/serving/account.ts'
import type { Answer } from '../../src/serving/answer.ts'
import type { Runtime, RuntimeRoute, RuntimeVersion } from '../../src/serving/runtime.ts'
import { DurationCounts, INFERENCE_BUCKETS_S } from '../../src/telemetry/durations.ts'

/** A route with live at 90 %, a canary at 10 % that is mirrored to as well. */
function world({ sticky = false, arms = 2, mirrored = true } = {}) {
  const version = (index: number, name: string, weight: number): RuntimeVersion =>
    ({
      index,
      snapshot: { version: name, weight, shadow: { percent: 100 }, evidenceKey: index === 0 ? undefined : 'key' },
      engine: { scored: 1_000 },
      answered: new Map(),
      inference: new DurationCounts(INFERENCE_BUCKETS_S),
    }) as unknown as RuntimeVersion
  const live = version(0, '1.0.0', 90)
  const canary = version(1, '1.1.0', 10)
  const route = {
    index: 0,
    snapshot: {
      salts: { split: 's', mirror: 'm', count: 'c' },
      mirrored,
      seenUnits: sticky ? new SharedArrayBuffer(1024) : undefined,
    },
    versions: [live, canary],
    live,
    arms: [live, canary].slice(0, arms).map(({ snapshot }) => snapshot),
    candidates: [canary],
  } as unknown as RuntimeRoute
  const book: Book<ServingBook> = { epoch: 0, counts: new Map(), underWay: 0 }
  const ring = createRing(1 << 16)
  const producer = new RingProducer(ring, createDoorbell())
  const consumer = new RingConsumer(ring)
  const records = () => consumer.drain(() => {})
  const runtime = {
    snapshot: { revision: 1, traces: { ratio: 0, slow: 1e9 }, mirror: { bodyBytes: 100 } },
  } as unknown as Runtime
  const admit = (choice: Partial<Admitted> & { version: RuntimeVersion }, body = Buffer.from('{}')): Admitted => {
    const chosen = { forced: false, unit: undefined, cohorts: 0, ...choice }
    return {
      ...chosen,
      runtime,
      route,
      book,
      startMs: 0,
      requestId: 'r',
      trace: { traceId: '1'.repeat(32), spanId: '2'.repeat(16), parentSpanId: '', flags: 0, tracestate: '' } as never,
      inferSpanId: '3'.repeat(16),
      body,
      counts: countAssigned(book, route, chosen, chosen.cohorts),
    }
  }
  const counts = () => book.counts.get(route)
  return { live, canary, admit, counts, producer, records }
}

const answer = (change: Partial<Answer> = {}): Answer => ({
  status: 200,
  headers: [],
  body: '{}',
  outcome: OUTCOME.ok,
  errorType: '',
  inferMs: 2,
  queueMs: 0,
  ...change,
})

describe('what a serving thread counts', () => {
  it('is nothing of a request whose version a tester picked, and it is mirrored to nobody', () => {
    const { live, canary, admit, counts, producer, records } = world()
    for (const version of [live, canary]) account(producer, admit({ version, forced: true }), answer())
    expect(counts()?.arms.map(arm => arm.requests) ?? [0, 0]).toEqual([0, 0])
    expect(counts()?.intake[1]?.eligible ?? 0).toBe(0)
    expect(records()).toBe(0)
  })

  it('is every assigned request in its arm, whatever becomes of it', () => {
    const { canary, admit, counts, producer } = world()
    account(producer, admit({ version: canary }), answer())
    account(producer, admit({ version: canary }), answer({ status: 400, outcome: OUTCOME.clientError }))
    account(producer, admit({ version: canary }), answer({ status: 503, outcome: OUTCOME.unreachable }))
    countGone(admit({ version: canary }))
    const arm = counts()!.arms[1]!
    expect(arm).toMatchObject({ requests: 4, errors: 1 })
    expect([...arm.latency.values()], 'the answer and the client that went away').toEqual([1, 1])
  })

  it('is a sticky unit once, and none before there is a second arm', () => {
    const one = world({ sticky: true, arms: 1 })
    expect(one.admit({ version: one.live, unit: 'anna' }).counts).toBeDefined()
    expect(one.admit({ version: one.live, unit: 'anna' }).counts).toBeDefined()
    const two = world({ sticky: true })
    expect(two.admit({ version: two.live, unit: 'anna' }).counts).toBeDefined()
    expect(two.admit({ version: two.live, unit: 'anna' }).counts).toBeUndefined()
    expect(two.admit({ version: two.live, unit: 'ben' }).counts).toBeDefined()
    expect(two.counts()!.arms[0]!.requests).toBe(2)
  })

  it('is an eligible request for each candidate of what live answered, dropped when its body is too large', () => {
    const { live, canary, admit, counts, producer, records } = world()
    account(producer, admit({ version: live }), answer())
    account(producer, admit({ version: live }, Buffer.alloc(101)), answer())
    account(producer, admit({ version: live }), answer({ status: 400, outcome: OUTCOME.clientError }))
    account(producer, admit({ version: canary }), answer())
    expect(counts()!.intake[1]).toEqual({ eligible: 2, notSampled: 0, ringFull: 0, tooLarge: 1 })
    expect(records()).toBe(1)
  })

  it('is not sampled while mirroring is switched off', () => {
    const { live, admit, counts, producer, records } = world({ mirrored: false })
    account(producer, admit({ version: live }), answer())
    expect(counts()!.intake[1]).toMatchObject({ eligible: 1, notSampled: 1 })
    expect(records()).toBe(0)
  })
})
