import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ALPHA_DECLINE,
  DECLINE_EPOCH_MS,
  type DetectorState,
  declineNeeded,
  type EpochStream,
  errorDecline,
  FRESH,
  latencyDecline,
  leadingBet,
  levelOf,
  lossDecline,
  mixtureLog,
  nextLogs,
  observe,
  REFERENCE_RATIOS,
  referenceBets,
  referenceDecline,
  referenceRate,
} from '../../src/gate/detector.ts'
import type { ArmCounts, Bet } from '../../src/gate/eprocess.ts'

const one = [{ weight: 1 }]
/** M after each epoch of one bet with these factors. */
const run = (factors: readonly number[]) => {
  let logs: number[] = []
  return factors.map(factor => {
    logs = nextLogs(logs, [{ log: Math.log(factor) }])
    return Math.exp(mixtureLog(logs, one))
  })
}
const errors = (parts: Partial<EpochStream>): EpochStream => ({
  id: 'errors',
  metric: 'errors',
  share: 1,
  guard: [],
  bets: [],
  live: { n: 1, sum: 0 },
  reference: { n: 1, sum: 0 },
  ...parts,
})
const isAlarm = (state: DetectorState, streams: readonly EpochStream[]) =>
  levelOf(state, streams).log >= declineNeeded()

describe('the recursion', () => {
  test('gives the values of GATE.md: a share of .6 against .5 on 1, 1, 0, 1', () => {
    const seen = run([1.2, 1.2, 0.8, 1.2])
    for (const [index, value] of [1.2, 2.64, 2.912, 4.6944].entries()) expect(seen[index]).toBeCloseTo(value, 12)
  })

  test('has a mean of n after n epochs under the null, by every outcome there is', () => {
    const p0 = 0.3
    const bets = { hit: referenceBets(1, 1, p0), miss: referenceBets(0, 1, p0) }
    const depth = 10
    for (const p of [p0, 0.2, 0.05]) {
      let mean = 0
      for (let outcome = 0; outcome < 2 ** depth; outcome++) {
        let logs: number[] = []
        let probability = 1
        for (let epoch = 0; epoch < depth; epoch++) {
          const hit = (outcome >> epoch) & 1
          probability *= hit ? p : 1 - p
          logs = nextLogs(logs, hit ? bets.hit : bets.miss)
        }
        mean += probability * Math.exp(mixtureLog(logs, bets.hit))
      }
      if (p === p0) expect(mean).toBeCloseTo(depth, 8)
      else expect(mean).toBeLessThan(depth)
    }
  })

  test('neither overflows nor forgets: a thousand epochs of strong evidence, then as many against it', () => {
    let logs: number[] = []
    for (let epoch = 0; epoch < 1000; epoch++) logs = nextLogs(logs, [{ log: 50 }])
    expect(mixtureLog(logs, one)).toBeCloseTo(50_000, 6)
    for (let epoch = 0; epoch < 1000; epoch++) logs = nextLogs(logs, [{ log: -60 }])
    expect(Math.exp(mixtureLog(logs, one))).toBeCloseTo(Math.exp(-60), 12)
    expect(mixtureLog([], one)).toBe(Number.NEGATIVE_INFINITY)
    expect(Number.isFinite(nextLogs([0], [{ log: -1e6 }])[0])).toBe(true)
  })

  test('is what the plain formula gives, wherever that can be computed', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.2, max: 3, noNaN: true }), { minLength: 1, maxLength: 20 }), factors => {
        let m = 0
        for (const [index, value] of run(factors).entries()) {
          m = factors[index]! * (m + 1)
          expect(value).toBeCloseTo(m, Math.max(0, 9 - Math.ceil(Math.log10(m + 1))))
        }
      }),
    )
  })
})

describe('an epoch', () => {
  const arms = (live: number, liveErrors: number, held: number, heldErrors: number, share = 0.9): ArmCounts => ({
    share,
    candidate: live,
    candidateEvents: liveErrors,
    baseline: held,
    baselineEvents: heldErrors,
  })

  test.each([0.5, 0.9, 0.98])('of P1 is worth at most 1 on average while live is no worse, at a share of %d', share => {
    for (const rate of [0.01, 0.2, 0.6]) {
      const outcomes = [
        [share * rate, arms(1, 1, 0, 0, share)],
        [share * (1 - rate), arms(1, 0, 0, 0, share)],
        [(1 - share) * rate, arms(0, 0, 1, 1, share)],
        [(1 - share) * (1 - rate), arms(0, 0, 1, 0, share)],
      ] as const
      const meanOf = (bets: (arm: ArmCounts) => readonly Pick<Bet, 'log'>[]) =>
        bets(outcomes[0][1]).map((_, k) =>
          outcomes.reduce((sum, [probability, arm]) => sum + probability * Math.exp(bets(arm)[k]!.log), 0),
        )
      for (const value of meanOf(arm => errorDecline([arm], 0.001).bets)) expect(value).toBeLessThanOrEqual(1 + 1e-12)
      for (const value of meanOf(arm => latencyDecline([arm], 0.5).bets)) expect(value).toBeLessThanOrEqual(1 + 1e-12)
    }
  })

  test('is the same however its requests came together from replicas', () => {
    const parts = [arms(90, 3, 10, 0), arms(900, 1, 100, 2), arms(0, 0, 5, 1)]
    const sum = parts.reduce((a, b) =>
      arms(
        a.candidate + b.candidate,
        a.candidateEvents + b.candidateEvents,
        a.baseline + b.baseline,
        a.baselineEvents + b.baselineEvents,
      ),
    )
    const logs = (list: readonly ArmCounts[]) => nextLogs([], errorDecline(list, 0.001).bets)
    for (const [k, log] of logs([sum]).entries()) expect(logs(parts)[k]).toBeCloseTo(log, 9)
  })

  test('of silence changes nothing, so that a night without traffic is no evidence', () => {
    const nothing = { n: 0, sum: 0 }
    const before = observe(FRESH, [errors(referenceDecline(3, 100, 0.01))], 10_000)
    const silent = errors({ ...referenceDecline(0, 0, 0.01), live: nothing, reference: nothing })
    expect(observe(before, [silent], 20_000)).toBe(before)
    expect(observe(FRESH, [], 1)).toBe(FRESH)
  })

  test('survives being kept as JSON', () => {
    const state = observe(FRESH, [errors(errorDecline([arms(900, 9, 100, 0)], 0.001))], 10_000)
    expect(JSON.parse(JSON.stringify(state))).toEqual(state)
  })

  test('with another grid than before starts that stream anew', () => {
    const state = observe(FRESH, [errors(referenceDecline(90, 100, 0.01))], 10_000)
    const other = errors({ ...referenceDecline(0, 100, 0.01), bets: [{ weight: 1, log: 0 }] })
    expect(observe(state, [other], 20_000).streams.errors?.bets.map(({ log }) => log)).toEqual([Math.LN2])
  })
})

describe('the alarm', () => {
  const p0 = 0.01
  /** Epochs until the alarm with these counts, an epoch each; undefined: none. */
  const alarmAfter = (epochs: Iterable<EpochStream>): number | undefined => {
    let state = FRESH
    let count = 0
    for (const stream of epochs) {
      state = observe(state, [stream], ++count * DECLINE_EPOCH_MS)
      if (isAlarm(state, [stream])) return count
    }
    return undefined
  }
  const frozen = (rates: readonly number[], size: number) =>
    rates.map(rate => errors({ id: 'errors.reference', ...referenceDecline(Math.round(rate * size), size, p0) }))

  test('stays away for hours at the reference, and comes once the rate has doubled', () => {
    expect(alarmAfter(frozen(new Array(3_000).fill(p0), 1000))).toBeUndefined()
    const at = alarmAfter(frozen([...new Array(3_000).fill(p0), ...new Array(20).fill(2 * p0)], 1000))
    expect(at! - 3_000).toBeLessThanOrEqual(6)
  })

  test('comes for a decline that takes all day, which a reference that is adapted would follow', () => {
    const ramp = Array.from({ length: 8_640 }, (_, epoch) => p0 * (1 + (2 * epoch) / 8_640))
    const at = alarmAfter(frozen(ramp, 1000))!
    // The rate at the alarm: well below the double of what was promised.
    expect(ramp[at - 1]! / p0).toBeLessThan(1.4)
  })

  test('comes within an epoch where live fails altogether and the holdback does not', () => {
    const stream = errors(
      errorDecline([{ share: 0.98, candidate: 980, candidateEvents: 980, baseline: 20, baselineEvents: 0 }], 0.001),
    )
    expect(alarmAfter([stream])).toBe(1)
  })

  test('does not come where the holdback fails as often: the world has changed, not the version', () => {
    const both = errors(
      errorDecline([{ share: 0.9, candidate: 900, candidateEvents: 450, baseline: 100, baselineEvents: 50 }], 0.001),
    )
    expect(alarmAfter(new Array(500).fill(both))).toBeUndefined()
  })

  test('does not come for an error rate that is always fine, however much better the holdback is', () => {
    const fine = errors(
      errorDecline(
        [{ share: 0.5, candidate: 20_000, candidateEvents: 18, baseline: 20_000, baselineEvents: 1 }],
        0.001,
      ),
    )
    expect(alarmAfter(new Array(100).fill(fine))).toBeUndefined()
    const bad = errors(
      errorDecline(
        [{ share: 0.5, candidate: 20_000, candidateEvents: 60, baseline: 20_000, baselineEvents: 1 }],
        0.001,
      ),
    )
    expect(alarmAfter(new Array(100).fill(bad))).toBeLessThan(5)
  })

  test('comes for losses that live has above the holdback, and not for those below', () => {
    const worse = errors({
      id: 'labels',
      metric: 'labels',
      ...lossDecline([
        [0.1, 60],
        [-0.1, 40],
      ]),
    })
    const better = errors({
      id: 'labels',
      metric: 'labels',
      ...lossDecline([
        [0.1, 40],
        [-0.1, 60],
      ]),
    })
    expect(alarmAfter(new Array(200).fill(worse))).toBeLessThan(150)
    expect(alarmAfter(new Array(200).fill(better))).toBeUndefined()
  })

  test('says since when: from the last moment that nothing spoke for a decline', () => {
    let state = FRESH
    const epochs = frozen([...new Array(50).fill(0.002), ...new Array(5).fill(0.05)], 1000)
    for (const [index, stream] of epochs.entries()) state = observe(state, [stream], (index + 1) * DECLINE_EPOCH_MS)
    const stream = state.streams['errors.reference']!
    const { since, live } = stream.bets[leadingBet(stream)]!
    expect(since).toBe(50 * DECLINE_EPOCH_MS)
    expect(live).toEqual({ n: 5_000, sum: 250 })
  })

  test('names a stream by its share of the sum', () => {
    const bad = errors(referenceDecline(100, 1000, p0))
    const good = { ...errors(referenceDecline(0, 1000, p0)), id: 'latency.p50' }
    const { log, byStream } = levelOf(observe(FRESH, [bad, good], 1), [
      { ...bad, share: 0.5 },
      { ...good, share: 0.5 },
    ])
    expect(byStream.errors!).toBeGreaterThan(byStream['latency.p50']!)
    expect(log).toBeGreaterThanOrEqual(byStream.errors!)
  })
})

describe('the frozen reference', () => {
  test('is above every rate that the counts leave possible, by the margin', () => {
    expect(referenceRate(0, 0, 0.001)).toBe(0.95)
    expect(referenceRate(0, 1_000, 0.001)).toBeLessThan(0.01)
    expect(referenceRate(0, 100_000, 0.001)).toBeLessThan(0.0012)
    expect(referenceRate(100, 10_000, 0.001)).toBeGreaterThan(0.011)
    expect(referenceRate(1_000, 1_000, 0.001)).toBe(0.95)
  })

  test('bets only on rates that exist, and has a bet left where live fails half of the time', () => {
    expect(referenceBets(1, 10, 0.01)).toHaveLength(REFERENCE_RATIOS.length)
    expect(referenceBets(1, 10, 0.9)).toHaveLength(1)
    for (const p0 of [0.001, 0.3, 0.9])
      for (const [k, { log }] of referenceBets(1, 1, p0).entries())
        expect(p0 * Math.exp(log) + (1 - p0) * Math.exp(referenceBets(0, 1, p0)[k]!.log)).toBeCloseTo(1, 12)
  })

  test('finds a step as fast as the optimum ln(ARL)/KL of GATE.md, request by request', () => {
    // A seeded generator (mulberry32), so that the figures stand still.
    let seed = 7
    const random = () => {
      seed = (seed + 0x6d2b79f5) | 0
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
    }
    const p1 = 0.02
    const [hit, miss] = [referenceBets(1, 1, 0.01), referenceBets(0, 1, 0.01)]
    const optimum = -Math.log(ALPHA_DECLINE) / (p1 * Math.log(2) + (1 - p1) * Math.log((1 - p1) / 0.99))
    const delays = Array.from({ length: 40 }, () => {
      let logs: number[] = []
      let requests = 0
      while (mixtureLog(logs, hit) < declineNeeded()) {
        logs = nextLogs(logs, random() < p1 ? hit : miss)
        requests++
      }
      return requests
    })
    expect(delays.reduce((a, b) => a + b) / delays.length).toBeLessThan(1.05 * optimum)
  })
})
