import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Decimated, decimated, MOST_FRAMES, NONE, VerdictHistory } from '../../src/control/history.ts'
import type { MetricVerdict, Verdict } from '../../src/gate/evidence.ts'

const scope = { attemptKey: 'a1', candidateDigest: 'd1' }
const row: MetricVerdict = {
  metric: 'errors',
  what: 'error rate',
  unit: 'requests',
  n: 10,
  estimate: 0.123456789,
  interval: [0.1, 0.2],
  limit: 0.5,
  logHarm: 1,
  logHarmNeeded: 6,
  logSafe: Number.NEGATIVE_INFINITY,
  logSafeNeeded: 3,
  state: 'open',
  needed: null,
}
const verdict = (metrics: readonly MetricVerdict[] = [row]): Verdict => ({
  route: 'm',
  candidate: '1.1.0',
  baseline: '1.0.0',
  decision: 'continue',
  stage: 'canary',
  step: 5,
  reason: '',
  missing: [],
  metrics,
  guilty: [],
  exposure: { requests: 0, requestsNeeded: 0, elapsedMs: 0, neededMs: 0 },
  evidenceDigest: '',
})

/** A store that keeps what it is told, and counts how often. */
function storeOf() {
  const values = new Map<string, string>()
  const writes: string[] = []
  const keeper = {
    keepValue: (key: string, value: string) => {
      values.set(key, value)
      writes.push(key)
    },
  }
  return { values, writes, open: () => new VerdictHistory(keeper, key => values.get(key)) }
}

describe('decimation', () => {
  const after = (count: number, most: number) => {
    let series: Decimated<number> = NONE
    for (let index = 0; index < count; index += 1) series = decimated(series, () => index, most)
    return series
  }

  test('keeps every 2^k-th sample from the first on, with the least k that fits', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 1, max: 40 }), (count, most) => {
        const { every, seen, kept } = after(count, most)
        expect(seen).toBe(count)
        expect(Math.log2(every) % 1).toBe(0)
        expect(kept).toEqual(Array.from({ length: Math.ceil(count / every) }, (_, index) => index * every))
        expect(kept.length).toBeLessThanOrEqual(most)
        if (every > 1) expect(Math.ceil(count / (every / 2))).toBeGreaterThan(most)
      }),
    )
  })

  test('makes no sample that it would not keep', () => {
    let made = 0
    let series: Decimated<number> = NONE
    for (let index = 0; index < 100_000; index += 1) series = decimated(series, () => ++made, 8)
    expect(made).toBeLessThan(8 * 16)
  })
})

test('each metric comes with time, step, figures and the present as its last point', () => {
  const history = storeOf().open()
  history.sample(verdict(), scope, 1000)
  const [only] = history.of(verdict([{ ...row, n: 12 }]), scope, 2000)
  expect(only).toEqual({
    metric: 'errors',
    what: 'error rate',
    points: [
      [1000, 5, 10, 0.12346, 0.1, 0.2, 0.5, 1, null],
      [2000, 5, 12, 0.12346, 0.1, 0.2, 0.5, 1, null],
    ],
  })
})

test('two streams of one metric go their own ways', () => {
  const history = storeOf().open()
  const paired = { ...row, what: 'paired', n: 1 }
  history.sample(verdict([paired]), scope, 0)
  history.sample(verdict([row, paired]), scope, 1000)
  const ways = history.of(verdict([row, paired]), scope, 2000)
  expect(ways.map(({ what, points }) => [what, ...points.map(([at, , n]) => [at, n])])).toEqual([
    ['paired', [0, 1], [1000, 1], [2000, 1]],
    ['error rate', [1000, 10], [2000, 10]],
  ])
})

test('rows of segments, and figures that JSON lacks, are left out', () => {
  const history = storeOf().open()
  const nan = { ...row, estimate: Number.NaN, logHarm: Number.POSITIVE_INFINITY }
  expect(history.of(verdict([nan, { ...row, segment: 'origin=JFK' }]), scope, 5)).toEqual([
    { metric: 'errors', what: 'error rate', points: [[5, 5, 10, null, 0.1, 0.2, 0.5, null, null]] },
  ])
  expect(history.of(verdict([]), scope, 5)).toEqual([])
})

test('a restarted gateway goes on where the last one was kept', () => {
  const store = storeOf()
  const first = store.open()
  for (let at = 0; at < 20; at += 1) first.sample(verdict(), scope, at * 1000)
  first.keepAll()
  const second = store.open()
  second.sample(verdict(), scope, 60_000)
  const points = second.of(verdict(), scope, 61_000)[0]!.points
  expect(points.map(([at]) => at / 1000)).toEqual([...Array.from({ length: 20 }, (_, index) => index), 60, 61])
})

test('another attempt, or other bytes, begin anew', () => {
  const store = storeOf()
  const history = store.open()
  for (let at = 0; at < 20; at += 1) history.sample(verdict(), scope, at * 1000)
  for (const next of [
    { ...scope, attemptKey: 'a2' },
    { ...scope, candidateDigest: 'd2' },
  ]) {
    expect(history.of(verdict(), next, 30_000)[0]!.points).toHaveLength(1)
    history.sample(verdict(), next, 30_000)
    expect(history.of(verdict(), next, 31_000)[0]!.points).toHaveLength(2)
  }
  expect(store.open().of(verdict(), scope, 1)[0]!.points).toHaveLength(1)
})

test('the store is written every ten seconds at most, and not at all while nothing new is kept', () => {
  const store = storeOf()
  const history = store.open()
  const seconds = 4 * MOST_FRAMES * 10
  for (let at = 0; at < seconds; at += 1) history.sample(verdict(), scope, at * 1000)
  // Once every 32nd second is kept, once every 32 seconds is written.
  expect(store.writes.length).toBeLessThan(seconds / 10 / 1.5)
  expect(store.writes.length).toBeGreaterThan(MOST_FRAMES / 2)
  const before = store.writes.length
  history.keepAll()
  history.keepAll()
  expect(store.writes.length - before).toBeLessThanOrEqual(1)
})

test('a kept value that cannot be read begins anew', () => {
  for (const text of ['', '{', '{"scope":"d1/a1","every":1,"seen":1,"kept":[{"at":1}]}', 'null']) {
    const store = storeOf()
    store.values.set('verdicts/m/1.1.0', text)
    const history = store.open()
    history.sample(verdict(), scope, 7)
    expect(history.of(verdict(), scope, 8)[0]!.points).toHaveLength(2)
  }
})

test('a candidate that left is forgotten, and found in the store when it comes back', () => {
  const store = storeOf()
  const history = store.open()
  history.sample(verdict(), scope, 0)
  history.forgetOthers(new Set(['m/1.1.0']))
  expect(history.of(verdict(), scope, 1)[0]!.points).toHaveLength(2)
  history.forgetOthers(new Set(['m/1.2.0']))
  expect(history.of(verdict(), scope, 1)[0]!.points).toHaveLength(1)
  history.sample(verdict(), scope, 1)
  expect(history.of(verdict(), scope, 2)[0]!.points).toHaveLength(3)
})
