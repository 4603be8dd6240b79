import { describe, expect, it } from 'vitest'
import { MIRROR } from '../../src/evidence/accounting.ts'
import { PLAIN_JSON } from '../../src/protocols/content.ts'
import type { Book } from '../../src/record/epochs.ts'
import { OUTCOME, type RequestRecord, readRecord } from '../../src/record/format.ts'
import { Pieces } from '../../src/record/pieces.ts'
import { createDoorbell, createRing, RingConsumer, RingProducer } from '../../src/record/ring.ts'
import {
  type Admitted,
  account,
  countAssigned,
  countGone,
  recordEnd,
  type ServingBook,
} from '../../src/serving/account.ts'
import type { Answer, Incoming } from '../../src/serving/answer.ts'
import { addRouteCounts } from '../../src/serving/counts.ts'
import type { Runtime, RuntimeRoute, RuntimeVersion } from '../../src/serving/runtime.ts'
import { counting } from './counting.ts'

/** A route with live at 90 %, a canary at 10 % that is mirrored to as well. */
function world({
  sticky = false,
  arms = 2,
  mirrored = true,
  paired = 0,
  isLabelled = false,
  ringBytes = 1 << 16,
  isJudged = true,
  candidates = 1,
} = {}) {
  const stalled = new Int32Array(new SharedArrayBuffer(4))
  const counted = counting('1.0.0')
  const version = (index: number, name: string, weight: number): RuntimeVersion =>
    ({
      index,
      snapshot: { version: name, weight, shadow: { percent: 100 }, evidenceKey: index === 0 ? undefined : 'key' },
      engine: { scored: 1_000 },
      stalled: name === '1.1.0' ? stalled : undefined,
      counted: index === 0 ? counted.counts : counting(name).counts,
    }) as unknown as RuntimeVersion
  const live = version(0, '1.0.0', 90)
  const canary = version(1, '1.1.0', 10)
  const shadows = [canary, version(2, '2.0.0', 0)].slice(0, candidates)
  const route = {
    index: 0,
    snapshot: {
      salts: { split: 's', mirror: 'm', count: 'c' },
      mirrored,
      limits: { mirrored: 100 },
      paired,
      seenUnits: sticky ? new SharedArrayBuffer(1024) : undefined,
    },
    versions: [live, ...shadows],
    live,
    arms: [live, canary].slice(0, arms).map(({ snapshot }) => snapshot),
    candidates: shadows,
    cohorts: [],
    isLabelled,
    isJudged,
  } as unknown as RuntimeRoute
  const book: Book<ServingBook> = { epoch: 0, counts: new Map(), underWay: 0 }
  const ring = createRing(ringBytes)
  const producer = new RingProducer(ring, createDoorbell())
  const consumer = new RingConsumer(ring)
  const told: RequestRecord[] = []
  const records = () => consumer.drain(packed => told.push(readRecord(packed)))
  const runtime = {
    snapshot: { revision: 1, traces: { ratio: 0, slow: 1e9 } },
  } as unknown as Runtime
  const admit = (choice: Partial<Admitted> & { version: RuntimeVersion }, bytes = Buffer.from('{}')): Admitted => {
    const chosen = { forced: false, unit: undefined, cohorts: 0, ...choice }
    return {
      ...chosen,
      runtime,
      route,
      book,
      startMs: 0,
      incoming: {
        asked: { protocol: 'v2', model: 'm', version: undefined, path: '', query: '', verb: 'infer' },
        requestId: 'r',
        ownId: false,
        trace: { traceId: '1'.repeat(32), spanId: '2'.repeat(16), parentSpanId: '', flags: 0, tracestate: '' },
        inferSpanId: '3'.repeat(16),
        form: PLAIN_JSON,
        body: Pieces.of(bytes),
      } as unknown as Incoming,
      counts: countAssigned(book, route, chosen, chosen.cohorts),
    }
  }
  const counts = () => book.counts.get(route)
  return {
    live,
    canary,
    stalled,
    admit,
    counts,
    producer,
    records,
    told,
    assigned: counted.assigned,
    codes: counted.codes,
  }
}

const answer = (change: Partial<Answer> = {}): Answer => ({
  status: 200,
  headers: [],
  body: '{}',
  form: PLAIN_JSON,
  streamedBytes: undefined,
  outcome: OUTCOME.ok,
  errorType: '',
  inferMs: 2,
  queueMs: 0,
  ...change,
})

describe('what a serving thread counts', () => {
  it('is nothing of a request whose version a tester picked, and it is mirrored to nobody', () => {
    const { live, canary, admit, counts, producer, records, assigned, codes } = world()
    for (const version of [live, canary]) account(producer, admit({ version, forced: true }), answer())
    expect(counts()?.arms.map(arm => arm.requests) ?? [0, 0]).toEqual([0, 0])
    expect(counts()?.intake[1]?.eligible ?? 0).toBe(0)
    expect(records()).toBe(0)
    account(producer, admit({ version: live, forced: true }), answer({ status: 500, outcome: OUTCOME.failed }))
    expect(assigned(), 'nor is live watched for it').toEqual({ n: 0, errors: 0 })
    expect(codes(), 'but its answers were given').toEqual([
      [200, 1],
      [500, 1],
    ])
    account(producer, admit({ version: live }), answer({ status: 429, outcome: OUTCOME.failed }))
    account(producer, admit({ version: live }), answer({ status: 400, outcome: OUTCOME.clientError }))
    expect(assigned()).toEqual({ n: 2, errors: 1 })
  })

  it('is kept for nobody where no version gathers evidence', () => {
    const { live, admit, counts, producer, assigned } = world({ isJudged: false, mirrored: false, arms: 1 })
    account(producer, admit({ version: live }), answer())
    account(producer, admit({ version: live }), answer({ status: 503, outcome: OUTCOME.unreachable }))
    expect(counts()).toBeUndefined()
    expect(assigned(), 'but its answers are').toEqual({ n: 2, errors: 1 })
  })

  it('is every assigned request in its arm, whatever becomes of it', () => {
    const { canary, admit, counts, producer } = world()
    account(producer, admit({ version: canary }), answer())
    account(producer, admit({ version: canary }), answer({ status: 400, outcome: OUTCOME.clientError }))
    account(producer, admit({ version: canary }), answer({ status: 503, outcome: OUTCOME.unreachable }))
    countGone(producer, admit({ version: canary }))
    const arm = counts()!.arms[1]!
    expect(arm).toMatchObject({ requests: 4, errors: 1 })
    expect([...arm.latency.values()], 'the answer and the client that went away').toEqual([1, 1])
  })

  it('is the latency of those alone that are timed, and who is not says so to the shadow', () => {
    const { live, canary, admit, counts, producer, records, told } = world()
    for (const version of [live, canary]) {
      account(producer, admit({ version }), answer())
      account(producer, admit({ version }), answer({ untimed: true }))
    }
    expect(counts()!.arms.map(({ requests, latency }) => [requests, [...latency.values()]])).toEqual([
      [2, [1]],
      [2, [1]],
    ])
    records()
    expect(told.map(({ timed, untimed }) => [timed, untimed])).toEqual([
      [true, false],
      [false, true],
    ])
  })

  it('is the latency of no arm while one of them is cold', () => {
    const { live, canary, admit, counts, producer } = world()
    canary.engine!.scored = 0
    const latencies = () => counts()!.arms.map(({ latency }) => [...latency.values()].reduce((sum, n) => sum + n, 0))
    for (let n = 0; n < 300; n++) account(producer, admit({ version: live }), answer())
    for (let n = 0; n < 100; n++) account(producer, admit({ version: canary }), answer())
    countGone(producer, admit({ version: live }))
    expect(latencies()).toEqual([0, 0])
    for (const version of [canary, live, live]) account(producer, admit({ version }), answer())
    expect(latencies()).toEqual([2, 1])
  })

  it('is the latency of a canary that nobody waits for to the end', () => {
    const { canary, admit, counts, producer } = world()
    canary.engine!.scored = 0
    for (let n = 0; n < 103; n++) countGone(producer, admit({ version: canary }))
    expect([...counts()!.arms[1]!.latency.values()].reduce((sum, n) => sum + n, 0)).toBe(3)
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
    expect(counts()!.intake[1]).toEqual({
      eligible: 2,
      notSampled: 0,
      ringFull: 0,
      tooLarge: 1,
      incomplete: 0,
      stalled: 0,
    })
    expect(records()).toBe(1)
  })

  it('is dropped as stalled here, and nothing is handed over, while the candidate gives no answer', () => {
    const { live, stalled, admit, counts, producer, records } = world()
    const say = (isStalled: boolean) => Atomics.store(stalled, 0, isStalled ? 1 : 0)
    say(true)
    account(producer, admit({ version: live }), answer())
    account(producer, admit({ version: live }, Buffer.alloc(101)), answer())
    expect(records()).toBe(0)
    expect(counts()!.intake[1]).toMatchObject({ eligible: 2, tooLarge: 1, stalled: 1 })
    say(false)
    account(producer, admit({ version: live }), answer())
    expect(records(), 'again as soon as it may be asked').toBe(1)
    expect(counts()!.intake[1]).toMatchObject({ eligible: 3, stalled: 1 })
    const route = {
      live: '1.0.0',
      versions: [
        { version: '1.0.0', weight: 90 },
        { version: '1.1.0', weight: 10, evidenceKey: 'key' },
      ],
    }
    const deltas = new Map()
    addRouteCounts(deltas, route as never, counts()!)
    expect(
      Object.fromEntries(deltas.get('key')!),
      'in the same evidence as those that the shadow thread drops',
    ).toMatchObject({
      [MIRROR.eligible]: 3,
      [MIRROR.dropped('stalled')]: 1,
    })
  })

  it('is handed over all the same where somebody else wants it, or a span tells what became of it', () => {
    const { live, canary, stalled, admit, counts, producer, records } = world({ paired: 100 })
    Atomics.store(stalled, 0, 1)
    account(producer, admit({ version: canary }), answer())
    account(producer, admit({ version: live }), answer({ status: 500, outcome: OUTCOME.failed }))
    const sampled = admit({ version: live })
    Object.assign(sampled.incoming.trace, { headSampled: true })
    account(producer, sampled, answer())
    expect(records()).toBe(3)
    expect(counts()!.intake[1], 'the shadow thread counts these').toMatchObject({ eligible: 3, stalled: 0 })
  })

  it('is handed over for its label, whoever gives no answer', () => {
    const { live, stalled, admit, counts, producer, records, told } = world({ isLabelled: true })
    Atomics.store(stalled, 0, 1)
    account(producer, admit({ version: live }), answer())
    expect(records()).toBe(1)
    expect(told[0]!.labelled).toBe(true)
    expect(counts()!.intake[1]).toMatchObject({ eligible: 1, stalled: 0 })
  })

  it('is handed over where only one of two candidates gives no answer', () => {
    const { live, stalled, admit, counts, producer, records, told } = world({ candidates: 2 })
    Atomics.store(stalled, 0, 1)
    account(producer, admit({ version: live }), answer())
    expect(records()).toBe(1)
    expect(told[0]!.candidates, 'of both, so that each drop is counted once').toBe(0b110)
    expect(counts()!.intake.map(intake => intake.stalled)).toEqual([0, 0, 0])
  })

  it('is not sampled while mirroring is switched off', () => {
    const { live, admit, counts, producer, records } = world({ mirrored: false })
    account(producer, admit({ version: live }), answer())
    expect(counts()!.intake[1]).toMatchObject({ eligible: 1, notSampled: 1 })
    expect(records()).toBe(0)
  })

  it('is an eligible request for the canary of each of its own that live is to score, and of no others', () => {
    const { live, canary, admit, counts, producer, records, told } = world({ paired: 100 })
    account(producer, admit({ version: canary }), answer())
    account(producer, admit({ version: canary }), answer({ status: 400, outcome: OUTCOME.clientError }))
    account(producer, admit({ version: canary }), answer({ status: 500, outcome: OUTCOME.failed }))
    expect(counts()!.intake[1]).toEqual({
      eligible: 3,
      notSampled: 0,
      ringFull: 0,
      tooLarge: 0,
      incomplete: 0,
      stalled: 0,
    })
    // What may be anybody's fault is left out on both sides.
    account(producer, admit({ version: canary }), answer({ status: 504, outcome: OUTCOME.deadline }))
    account(producer, admit({ version: canary }), answer({ status: 503, outcome: OUTCOME.unreachable }))
    account(producer, admit({ version: canary, forced: true }), answer())
    expect(counts()!.intake[1]!.eligible).toBe(3)
    account(producer, admit({ version: canary }, Buffer.alloc(101)), answer())
    expect(counts()!.intake[1]).toMatchObject({ eligible: 4, tooLarge: 1 })
    account(producer, admit({ version: live }), answer())
    records()
    expect(told.map(({ paired, candidates }) => [paired, candidates]).filter(([paired]) => paired)).toEqual([
      [true, 0],
      [true, 0],
      [true, 0],
    ])
    expect(told.at(-1)).toMatchObject({ paired: false, candidates: 0b10 })
  })

  it('is a dropped pair of the canary where the ring is full', () => {
    const { canary, admit, counts, producer } = world({ paired: 100, ringBytes: 4096 })
    for (let request = 0; request < 100; request++) account(producer, admit({ version: canary }), answer())
    const { eligible, ringFull } = counts()!.intake[1]!
    expect(eligible).toBe(100)
    expect(ringFull).toBeGreaterThan(50)
  })

  it("is every counted answer of both arms where labels are the arms', and what of them is dropped, by arm", () => {
    const { live, canary, admit, counts, producer, records, told } = world({ isLabelled: true, mirrored: false })
    account(producer, admit({ version: live }), answer())
    account(producer, admit({ version: canary }), answer())
    account(producer, admit({ version: canary }), answer({ status: 504, outcome: OUTCOME.deadline }))
    account(producer, admit({ version: canary, forced: true }), answer())
    account(producer, admit({ version: canary }, Buffer.alloc(101)), answer())
    expect(counts()!.records).toEqual([
      { answers: 1, ringFull: 0, tooLarge: 0, incomplete: 0 },
      { answers: 3, ringFull: 0, tooLarge: 1, incomplete: 0 },
    ])
    records()
    expect(told.filter(({ labelled }) => labelled).map(({ version }) => version)).toEqual([0, 1, 1])
    const counters = new Map()
    const { snapshot } = { snapshot: { live: '1.0.0', versions: [live.snapshot, canary.snapshot] } }
    addRouteCounts(counters, snapshot as never, counts()!)
    expect(Object.fromEntries(counters.get('key')!)).toMatchObject({
      'record.b.n': 1,
      'record.c.n': 3,
      'record.c.dropped.too_large': 1,
    })
  })

  it('is a request and its error in every cohort that it is compared in', () => {
    const { live, canary, admit, counts, producer } = world()
    const broken = answer({ status: 500, outcome: OUTCOME.failed })
    account(producer, admit({ version: live, cohorts: 0b10 }), broken)
    account(producer, admit({ version: live, cohorts: 0b10 }), answer())
    account(producer, admit({ version: live, cohorts: 0 }), broken)
    account(producer, admit({ version: canary, cohorts: 0b10 }), broken)
    expect(counts()!.controls[1]).toEqual({ requests: 2, errors: 1 })
    expect(counts()!.thinned[1]).toEqual({ requests: 1, errors: 1 })
  })
})

describe('what a serving thread tells of a request that no version answered', () => {
  it('is its end, so that the spans of an arm have all of the arm', () => {
    const { canary, admit, producer, records, told } = world()
    const sampled = (forced: boolean) => {
      const admitted = admit({ version: canary, forced, cohorts: 2 })
      const trace = { ...admitted.incoming.trace, headSampled: true }
      return { ...admitted, incoming: { ...admitted.incoming, trace } }
    }
    countGone(producer, sampled(false))
    recordEnd(producer, sampled(true), { status: 400, errorType: 'BAD_JSON' })
    recordEnd(producer, admit({ version: canary }), { status: 400, errorType: 'BAD_JSON' })
    records()
    expect(told, 'nothing of a request that is not in the sample').toHaveLength(2)
    expect(told[0]).toMatchObject({ status: 0, errorType: 'CLIENT_GONE', counted: true, timed: true, cohorts: 2 })
    expect(told[0]!.inferMs).toBeGreaterThan(0)
    const nothing = { candidates: 0, paired: false, labelled: false }
    expect(told[1]).toMatchObject({ ...nothing, errorType: 'BAD_JSON', counted: false, timed: false, cohorts: 0 })
  })

  it('is whose id it has', () => {
    const { live, admit, producer, records, told } = world()
    const admitted = admit({ version: live })
    account(producer, admitted, answer())
    account(producer, { ...admitted, incoming: { ...admitted.incoming, ownId: true } }, answer())
    records()
    expect(told.map(({ requestId, ownId }) => [requestId, ownId])).toEqual([
      ['r', false],
      ['r', true],
    ])
  })

  it('is what was wanted of it, though its bodies are too large to be told', () => {
    const { live, admit, producer, records, told } = world()
    account(producer, admit({ version: live }, Buffer.alloc(200)), answer({ status: 500, outcome: OUTCOME.failed }))
    records()
    expect(told).toMatchObject([{ withheld: 'too_large', candidates: 2, counted: true, timed: false }])
    expect(told[0]!.request).toHaveLength(0)
  })
})
