import { describe, expect, test } from 'vitest'
import { Route } from '../../src/config/schema.ts'
import { type Counters, SLOT } from '../../src/evidence/counters.ts'
import { differenceBin, latencyBin } from '../../src/evidence/histogram.ts'
import { declineReason, declineStreams, isDeclineSlot } from '../../src/gate/decline.ts'
import { type DetectorState, declineNeeded, FRESH, levelOf, observe } from '../../src/gate/detector.ts'

const policyOf = (more: Record<string, unknown> = {}) =>
  Route.parse({ live: '2.0.0', versions: { '2.0.0': { onnx: 'm/2.0.0', weight: 100 } }, ...more })
/** Counters as the holdback's key has them: `b` is live, `c` the holdback. */
const counted = (slots: Record<string, number>): Counters => new Map(Object.entries(slots))
const period = (slots: Record<string, number>, share = 0.1) => ({ share, counters: counted(slots) })
const none: Counters = new Map()
const latency = (arm: 'b' | 'c', ms: number, amount: number) => ({ [`lat.${arm}.${latencyBin(ms)}`]: amount })
const statesOf = (
  policy: Route,
  epochs: readonly { periods: ReturnType<typeof period>[]; earlier: Counters }[],
): { state: DetectorState; log: number; worst: string } => {
  let state = FRESH
  let streams: ReturnType<typeof declineStreams> = []
  for (const [index, epoch] of epochs.entries()) {
    streams = declineStreams(policy, epoch, undefined)
    state = observe(state, streams, index)
  }
  const { log, byStream } = levelOf(state, streams)
  const worst = Object.entries(byStream).sort((a, b) => b[1] - a[1])[0]?.[0] ?? ''
  return { state, log, worst }
}
const times = <T>(count: number, value: T): T[] => new Array<T>(count).fill(value)

describe('the streams of an epoch', () => {
  test('are none without anything to hold live against', () => {
    expect(declineStreams(policyOf(), undefined, undefined)).toEqual([])
  })

  test('share the detector by the policy alone, and never more than all of it', () => {
    const labels = { labels: { loss: 'brier' } }
    for (const more of [{}, labels, { ...labels, expect: 'change' }, { expect: 'change' }]) {
      const empty = { periods: [], earlier: none }
      for (const answers of [undefined, { n: 0, errors: 0, p0: 0.01 }]) {
        const sum = declineStreams(policyOf(more), empty, answers).reduce((total, { share }) => total + share, 0)
        expect(sum).toBeCloseTo(1, 12)
      }
    }
    const ids = (more: Record<string, unknown>) =>
      declineStreams(policyOf(more), { periods: [], earlier: none }, undefined).map(({ id }) => id)
    expect(ids(labels)).toContain('labels')
    expect(ids({ expect: 'change' })).not.toContain('disagreement')
  })

  test('hold live, which is the baseline of the key, against the holdback, and not the other way round', () => {
    const bad = period({
      [SLOT.armBaseline]: 900,
      [SLOT.armBaselineError]: 90,
      [SLOT.armCandidate]: 100,
      [SLOT.armCandidateError]: 0,
    })
    const good = period({
      [SLOT.armBaseline]: 900,
      [SLOT.armBaselineError]: 0,
      [SLOT.armCandidate]: 100,
      [SLOT.armCandidateError]: 10,
    })
    const declined = statesOf(policyOf(), times(10, { periods: [bad], earlier: none }))
    expect(declined.log).toBeGreaterThan(declineNeeded())
    expect(declined.worst).toBe('errors')
    expect(statesOf(policyOf(), times(10, { periods: [good], earlier: none })).log).toBeLessThan(Math.log(11))
  })

  test('see that live has become slow, by the quantiles that the holdback had before', () => {
    const earlier = counted(latency('c', 10, 1_000))
    const slow = period({ ...latency('b', 20, 900), ...latency('c', 10, 100) })
    const even = period({ ...latency('b', 10, 900), ...latency('c', 10, 100) })
    const declined = statesOf(policyOf(), times(5, { periods: [slow], earlier }))
    expect(declined.log).toBeGreaterThan(declineNeeded())
    expect(declined.worst).toMatch(/^latency\./)
    expect(statesOf(policyOf(), times(20, { periods: [even], earlier })).log).toBeLessThan(Math.log(21))
    // Both became slow: the world has changed.
    const both = period({ ...latency('b', 20, 900), ...latency('c', 20, 100) })
    expect(statesOf(policyOf(), times(20, { periods: [both], earlier })).log).toBeLessThan(Math.log(21))
    // Nothing to compare with yet.
    expect(statesOf(policyOf(), times(5, { periods: [slow], earlier: none })).log).toBe(Number.NEGATIVE_INFINITY)
  })

  test('see that live costs more than the holdback, by the labels of pairs', () => {
    const policy = policyOf({ labels: { loss: 'brier' }, expect: 'change' })
    const loss = (live: number, amount: number) => period({ [`loss.${differenceBin(-live)}`]: amount })
    const declined = statesOf(policy, times(40, { periods: [loss(0.2, 6), loss(-0.1, 4)], earlier: none }))
    expect(declined.log).toBeGreaterThan(declineNeeded())
    expect(declined.worst).toBe('labels')
    const better = statesOf(policy, times(40, { periods: [loss(-0.2, 6), loss(0.1, 4)], earlier: none }))
    expect(better.log).toBeLessThan(Math.log(41))
  })

  test('see it by the labels of each arm where the answer changes the outcome, and by no pair then', () => {
    const policy = policyOf({ labels: { loss: 'zero-one', affectedByAnswer: true }, expect: 'change' })
    const bin = (arm: 'b' | 'c', loss: number, amount: number) => ({
      [`arm.${arm}.loss.${differenceBin(loss)}`]: amount,
    })
    const epoch = (live: number, held: number) =>
      period({
        ...bin('b', 1, 90 * live),
        ...bin('b', 0, 90 * (1 - live)),
        ...bin('c', 1, 10 * held),
        ...bin('c', 0, 10 * (1 - held)),
      })
    const declined = statesOf(policy, times(60, { periods: [epoch(0.5, 0.1)], earlier: none }))
    expect(declined.log).toBeGreaterThan(declineNeeded())
    expect(declined.worst).toBe('labels.arms')
    expect(statesOf(policy, times(60, { periods: [epoch(0.5, 0.5)], earlier: none })).log).toBeLessThan(Math.log(61))
    expect(statesOf(policy, times(60, { periods: [epoch(0.1, 0.5)], earlier: none })).log).toBeLessThan(Math.log(61))
    const pairs = period({ [`loss.${differenceBin(-0.5)}`]: 100 })
    expect(statesOf(policy, times(60, { periods: [pairs], earlier: none })).log).toBe(Number.NEGATIVE_INFINITY)
  })

  test('see that pairs differ by more than they may', () => {
    const differs = period({ [SLOT.mismatch]: 5, [SLOT.match]: 95 })
    const declined = statesOf(
      policyOf({ gate: { disagreement: 0.01 } }),
      times(40, { periods: [differs], earlier: none }),
    )
    expect(declined.log).toBeGreaterThan(declineNeeded())
    expect(declined.worst).toBe('disagreement')
    const may = statesOf(policyOf({ gate: { disagreement: 0.1 } }), times(40, { periods: [differs], earlier: none }))
    expect(may.log).toBeLessThan(declineNeeded())
  })

  test('are judged by the share of their own period', () => {
    const half = period(
      { [SLOT.armBaseline]: 500, [SLOT.armBaselineError]: 50, [SLOT.armCandidate]: 500, [SLOT.armCandidateError]: 50 },
      0.5,
    )
    const tenth = {
      [SLOT.armBaseline]: 900,
      [SLOT.armBaselineError]: 90,
      [SLOT.armCandidate]: 100,
      [SLOT.armCandidateError]: 10,
    }
    const both = { periods: [half, period(tenth, 0.1)], earlier: none }
    expect(statesOf(policyOf(), times(20, both)).log).toBeLessThan(Math.log(21))
    // As many errors, with the shares mixed up: live would have failed nine times as often.
    expect(statesOf(policyOf(), [{ periods: [period(tenth, 0.5)], earlier: none }]).log).toBeGreaterThan(
      declineNeeded(),
    )
  })

  test('read whole traffic, not segments', () => {
    expect(isDeclineSlot('arm.b.n')).toBe(true)
    expect(isDeclineSlot('lat.c.12')).toBe(true)
    expect(isDeclineSlot('loss.-3')).toBe(true)
    expect(isDeclineSlot('loss.-3@origin=JFK')).toBe(false)
    expect(isDeclineSlot('time.ms')).toBe(false)
  })
})

describe('an alarm in words', () => {
  const live = { n: 2_300, sum: 94.3 }
  test.each([
    ['errors', 'errors', 'errors: 4.1 % of 2,300 answers failed, 0.2 % of 500 of the holdback 1.0.0'],
    [
      'errors.reference',
      'errors',
      'errors: 4.1 % of 2,300 answers failed, 0.2 % is the most that was possible at its promotion',
    ],
    ['labels.arms', 'labels', 'labels: mean loss is 0.041 by 2,300 labels, that of the holdback 1.0.0 0.002 by 500'],
    ['labels', 'labels', 'labels: loss is 0.041 above that of the holdback 1.0.0 on average, by 2,300 labels'],
  ] as const)('of %s', (id, metric, text) => {
    expect(declineReason({ id, metric }, { live, reference: { n: 500, sum: 1 } }, '1.0.0')).toBe(text)
  })

  test('of a holdback without any answer says so', () => {
    const said = declineReason({ id: 'errors', metric: 'errors' }, { live, reference: { n: 0, sum: 0 } }, '1.0.0')
    expect(said).toContain('none of 0 of the holdback')
  })
})
