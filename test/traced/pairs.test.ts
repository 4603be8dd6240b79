import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { accountOf, droppedOf, failedOf } from '../../src/evidence/accounting.ts'
import { addAll, type Counters } from '../../src/evidence/counters.ts'
import type { EpochDelta } from '../../src/evidence/epochPost.ts'
import { type PairBounds, type SpanOutcome, TracePairs } from '../../src/traced/pairs.ts'
import { predicted, type Told, tracedRoute, traceIdOf } from './route.ts'

const BOUNDS: PairBounds = { openTraces: 1_000, knownTraces: 1_000, bytes: 1e6, answerBytes: 1024 }
const WITHIN_MS = 60_000
const EPOCH_MS = 250
const THREE = {
  '1.0.0': { traced: true, weight: 100 },
  '1.1.0': { traced: true, shadow: 100 },
  '2.0.0': { traced: true, shadow: 100 },
}

async function pairsOf(keys: Record<string, unknown> = {}, bounds: Partial<PairBounds> = {}) {
  const route = await tracedRoute(keys)
  // Long before: what is lost now is no start.
  const pairs = new TracePairs(route, { ...BOUNDS, ...bounds }, -10 * WITHIN_MS)
  const at = (nowMs: number) => ({ nowMs, epoch: Math.floor(nowMs / EPOCH_MS), unixMs: 1_790_000_000_000 + nowMs })
  return {
    pairs,
    route,
    take: (nowMs: number, trace: number, version: string, prediction: number | string | undefined = 1, told?: Told) =>
      pairs.take(predicted(trace, version, prediction, told), version, at(nowMs)),
    release: (nowMs: number) => pairs.release(at(nowMs).epoch - 1, nowMs),
  }
}

function totals(epochs: readonly EpochDelta[]): Map<string, Counters> {
  const all = new Map<string, Counters>()
  for (const { counters } of epochs) {
    for (const [key, slots] of counters) {
      if (!all.has(key)) all.set(key, new Map())
      addAll(all.get(key)!, slots)
    }
  }
  return all
}
const slotsOf = (epochs: readonly EpochDelta[], key = '1.1.0') => totals(epochs).get(key) ?? new Map<string, number>()

describe('the pairs of a route', () => {
  it('are none without spans, and none where there is nothing to compare with', async () => {
    const { release, take, pairs } = await pairsOf({ versions: { '1.0.0': { traced: true, weight: 100 } } })
    expect(release(10 * WITHIN_MS)).toEqual([])
    expect(take(0, 0, '1.0.0')).toBe('idle')
    expect([...pairs.end()]).toEqual([])
  })

  it('are counted when both spans are there, in whichever order they came', async () => {
    const { take, release, pairs } = await pairsOf()
    expect(take(0, 0, '1.0.0', 1)).toBe('taken')
    expect(pairs.inFlight('1.1.0')).toBe(1)
    expect(take(10, 0, '1.1.0', 1)).toBe('taken')
    expect(take(20, 1, '1.1.0', 1)).toBe('taken')
    expect(take(30, 1, '1.0.0', 2)).toBe('taken')
    expect(pairs.inFlight('1.1.0')).toBe(0)
    expect(release(100), 'the epoch is not over').toEqual([])
    const slots = slotsOf(release(300))
    expect(Object.fromEntries(slots)).toMatchObject({
      'mirror.eligible': 2,
      'mirror.compared': 2,
      'pair.ok': 2,
      'pair.match': 1,
      'pair.mismatch': 1,
    })
  })

  it('come out in the order in which traces began, however late a span is', async () => {
    const { take, release } = await pairsOf()
    take(0, 0, '1.0.0')
    for (let trace = 1; trace <= 3; trace++) {
      take(trace * 1_000, trace, '1.0.0')
      take(trace * 1_000, trace, '1.1.0')
    }
    expect(release(5_000), 'the first trace is still open').toEqual([])
    take(5_000, 0, '1.1.0', 2)
    const epochs = release(5_300)
    expect(epochs.map(({ epoch }) => epoch)).toEqual([0, 4, 8, 12])
    expect(slotsOf(epochs.slice(0, 1)).get('pair.mismatch')).toBe(1)
  })

  it('that lack a span in time are dropped as unpaired, whichever side it is; a late span counts for nothing', async () => {
    const { take, release, pairs } = await pairsOf()
    take(0, 0, '1.0.0')
    take(0, 1, '1.1.0')
    expect(release(WITHIN_MS - 1)).toEqual([])
    const slots = slotsOf(release(WITHIN_MS))
    expect(Object.fromEntries(slots)).toEqual({ 'mirror.eligible': 2, 'mirror.dropped.unpaired': 2 })
    expect(pairs.inFlight('1.1.0')).toBe(0)
    expect(take(WITHIN_MS, 0, '1.1.0')).toBe('late')
    expect(pairs.end()).toEqual([])
  })

  it('owe nothing to a candidate of which no side was seen', async () => {
    const { take, release } = await pairsOf({ versions: THREE })
    take(0, 0, '2.0.0')
    const all = totals(release(WITHIN_MS + 300))
    expect(Object.fromEntries(all.get('2.0.0')!)).toEqual({ 'mirror.eligible': 1, 'mirror.dropped.unpaired': 1 })
    expect(all.get('1.1.0')).toBeUndefined()
  })

  it('that may have lost their other span to a start count as not sampled', async () => {
    const route = await tracedRoute()
    const pairs = new TracePairs(route, BOUNDS, 0)
    const at = (nowMs: number) => ({ nowMs, epoch: Math.floor(nowMs / EPOCH_MS), unixMs: nowMs })
    pairs.take(predicted(0, '1.1.0', 1), '1.1.0', at(WITHIN_MS - 1))
    pairs.take(predicted(1, '1.1.0', 1), '1.1.0', at(WITHIN_MS))
    const slots = slotsOf(pairs.release(1e9, 2 * WITHIN_MS))
    expect(Object.fromEntries(slots)).toEqual({
      'mirror.eligible': 2,
      'mirror.not_sampled': 1,
      'mirror.dropped.unpaired': 1,
    })
  })

  it('are counted once when spans are sent again, and the first span of a version counts', async () => {
    const { take, release } = await pairsOf()
    const once = (): SpanOutcome[] => [take(0, 0, '1.0.0', 1), take(0, 0, '1.1.0', 1)]
    expect(once()).toEqual(['taken', 'taken'])
    expect(once()).toEqual(['repeated', 'repeated'])
    take(0, 1, '1.1.0', 5)
    expect(take(0, 1, '1.1.0', 1)).toBe('repeated')
    take(0, 1, '1.0.0', 1)
    const slots = slotsOf(release(300))
    expect(slots.get('mirror.eligible')).toBe(2)
    expect(slots.get('pair.mismatch')).toBe(1)
  })

  it('beyond the traces and the bytes that are kept drop the oldest as evicted', async () => {
    const few = await pairsOf({}, { openTraces: 10 })
    for (let trace = 0; trace < 25; trace++) few.take(0, trace, '1.0.0')
    expect(few.take(0, 0, '1.1.0')).toBe('late')
    expect(few.take(0, 24, '1.1.0')).toBe('taken')
    expect(Object.fromEntries(slotsOf(few.release(WITHIN_MS + 300)))).toMatchObject({
      'mirror.eligible': 25,
      'mirror.dropped.evicted': 15,
      'mirror.dropped.unpaired': 9,
      'mirror.compared': 1,
    })

    const small = await pairsOf({}, { bytes: 10_000 })
    for (let trace = 0; trace < 50; trace++) small.take(0, trace, '1.0.0', JSON.stringify(new Array(200).fill(0)))
    expect(small.pairs.inFlight('1.1.0')).toBeLessThan(7)
    const slots = slotsOf(small.pairs.end())
    expect(slots.get('mirror.eligible')).toBe(50)
    expect(slots.get('mirror.dropped.evicted')! + slots.get('mirror.lost')!).toBe(50)
    // One that alone is too much is evicted at once.
    const tiny = await pairsOf({}, { bytes: 100 })
    expect(tiny.take(0, 0, '1.0.0')).toBe('taken')
    expect(slotsOf(tiny.release(300)).get('mirror.dropped.evicted')).toBe(1)
  })

  it('of a part of the traces are the same part for both sides; mirroring that is off takes none', async () => {
    const versions = { '1.0.0': { traced: true, weight: 100 }, '1.1.0': { traced: true, shadow: 30 } }
    const { take, release } = await pairsOf({ versions })
    const outcomes = Array.from({ length: 500 }, (_, trace) => [take(0, trace, '1.0.0'), take(0, trace, '1.1.0')])
    for (const [first, second] of outcomes) expect(second).toBe(first)
    const { eligible, notSampled, compared } = accountOf(slotsOf(release(300)))
    expect([eligible, notSampled + compared]).toEqual([500, 500])
    expect(Math.abs(compared - 150)).toBeLessThan(5 * Math.sqrt(500 * 0.3 * 0.7))

    const off = await pairsOf()
    off.pairs.apply({ ...off.route, mirrored: false }, BOUNDS, 0)
    expect(off.take(0, 0, '1.0.0')).toBe('not_sampled')
    expect(accountOf(slotsOf(off.release(300)))).toMatchObject({ eligible: 1, notSampled: 1 })
  })

  it('end under the configuration that their trace began under', async () => {
    const { pairs, route, take, release } = await pairsOf()
    take(0, 0, '1.0.0', 1)
    const versions = route.versions.map(each =>
      each.evidenceKey === undefined ? each : { ...each, evidenceKey: 'next' },
    )
    pairs.apply({ ...route, versions }, BOUNDS, 0)
    take(10, 0, '1.1.0', 1)
    take(20, 1, '1.0.0', 1)
    take(20, 1, '1.1.0', 1)
    const all = totals(release(300))
    expect(all.get('1.1.0')!.get('mirror.compared')).toBe(1)
    expect(all.get('next')!.get('mirror.compared')).toBe(1)
  })

  it('have latencies after the first hundred, and exceedances once there are enough of them', async () => {
    const { take, release } = await pairsOf()
    const epochs: EpochDelta[] = []
    for (let trace = 0; trace < 1_000; trace++) {
      const ms = trace * 10
      take(ms, trace, '1.0.0', 1, { durationMs: 10 + (trace % 7) })
      take(ms, trace, '1.1.0', 1, { durationMs: 2 * (10 + (trace % 7)) })
      epochs.push(...release(ms))
    }
    epochs.push(...release(20_000))
    const slots = slotsOf(epochs)
    const sum = (prefix: string) =>
      [...slots].reduce((all, [slot, amount]) => (slot.startsWith(prefix) ? all + amount : all), 0)
    expect([sum('plat.b.'), sum('plat.c.')]).toEqual([900, 900])
    expect(sum('pair.late.p50.')).toBeGreaterThan(500)
    expect(slots.get('pair.late.p50.plus')).toBeGreaterThan(200)
  })

  it('wait for their label under the request id, or else the trace id', async () => {
    const labels = { loss: 'brier' }
    const { take, release } = await pairsOf({ labels })
    take(0, 0, '1.0.0', 0.25, { attributes: { request: 'r-7' } })
    take(0, 0, '1.1.0', 0.5)
    take(0, 1, '1.0.0', 0.25)
    take(0, 1, '1.1.0', undefined, { isError: true })
    const pending = release(300).flatMap(epoch => epoch.pending)
    expect(pending.map(({ scope, id }) => [scope, id])).toEqual([
      ['churn/1.1.0', 'r-7'],
      ['churn/1.1.0', traceIdOf(1)],
    ])
    expect(pending.map(({ body }) => JSON.parse(body))).toEqual([
      { key: '1.1.0', b: 0.25, c: 0.5, s: [] },
      { key: '1.1.0', b: 0.25, c: null, s: [] },
    ])
  })

  it('account for every trace once, whatever comes, is lost or is repeated', async () => {
    const event = fc.record({
      trace: fc.nat(30),
      version: fc.constantFrom('1.0.0', '1.1.0', '2.0.0'),
      wait: fc.nat(9_000),
      prediction: fc.constantFrom(1, 2, 'x'.repeat(2_000), undefined),
      isError: fc.boolean(),
    })
    const route = await tracedRoute({ versions: THREE })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), fc.integer({ min: 1, max: 8 }), (events, openTraces) => {
        const pairs = new TracePairs(route, { ...BOUNDS, openTraces }, -WITHIN_MS)
        const epochs: EpochDelta[] = []
        const seen = { '1.1.0': new Set<number>(), '2.0.0': new Set<number>() }
        let nowMs = 0
        for (const { trace, version, wait, prediction, isError } of events) {
          nowMs += wait
          const epoch = Math.floor(nowMs / EPOCH_MS)
          epochs.push(...pairs.release(epoch - 1, nowMs))
          const span = predicted(trace, version, prediction, { isError })
          if (pairs.take(span, version, { nowMs, epoch, unixMs: nowMs }) === 'late') continue
          for (const [candidate, traces] of Object.entries(seen)) {
            if (version === '1.0.0' || version === candidate) traces.add(trace)
          }
        }
        epochs.push(...pairs.end())
        expect(pairs.isEmpty).toBe(true)
        expect(epochs.map(({ epoch }) => epoch)).toEqual([...epochs.map(({ epoch }) => epoch)].sort((a, b) => a - b))
        for (const [candidate, traces] of Object.entries(seen)) {
          expect(pairs.inFlight(candidate)).toBe(0)
          const account = accountOf(slotsOf(epochs, candidate))
          expect(account.eligible).toBe(traces.size)
          expect(account.notSampled + droppedOf(account) + failedOf(account) + account.compared + account.lost).toBe(
            account.eligible,
          )
        }
      }),
      { numRuns: 300 },
    )
  })
})
