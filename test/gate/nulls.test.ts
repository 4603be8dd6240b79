// Exact enumeration of what streams do with one more request: E[factor] ≤ 1 under their nulls.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { differenceBin, highDifference, lowDifference } from '../../src/evidence/histogram.ts'
import { distributionHarm } from '../../src/gate/answerStreams.ts'
import { armLossesHarm, armLossesSafe } from '../../src/gate/armLabels.ts'
import {
  type Bet,
  bettingHarm,
  bettingSafe,
  binnedHarm,
  binnedInterval,
  binnedSafe,
  confidenceSequence,
  errorOddsHarm,
  LOSS_FRACTIONS,
  labelOddsSafe,
  latencyOddsHarm,
  logMean,
  SAFE_RATIOS_LATENCY,
  shareSafe,
} from '../../src/gate/eprocess.ts'
import { type Disagreement, noiseFloorHarm, noiseFloorSafe } from '../../src/gate/noiseFloor.ts'
import { segmentWeight, withSegments } from '../../src/gate/stream.ts'

const unit = (min: number, max: number) => fc.double({ min, max, noNaN: true })
const ONE = 1 + 1e-9

/** E of every bet over outcomes of one observation. */
function expectations(outcomes: readonly (readonly [chance: number, bets: readonly Bet[]])[]): number[] {
  return outcomes[0]![1].map((_, bet) =>
    outcomes.reduce((sum, [chance, bets]) => (chance > 0 ? sum + chance * Math.exp(bets[bet]!.log) : sum), 0),
  )
}

describe('P1 as streams use it', () => {
  const request = (w: number, c: number, b: number, bets: (arm: Parameters<typeof errorOddsHarm>[0]) => Bet[]) => {
    const one = (candidate: number, baseline: number, candidateEvents: number, baselineEvents: number) =>
      bets([{ share: w, candidate, baseline, candidateEvents, baselineEvents }])
    return expectations([
      [w * c, one(1, 0, 1, 0)],
      [w * (1 - c), one(1, 0, 0, 0)],
      [(1 - w) * b, one(0, 1, 0, 1)],
      [(1 - w) * (1 - b), one(0, 1, 0, 0)],
    ])
  }

  it('errors and exceedances: any rates, the candidate at most as high', () => {
    fc.assert(
      fc.property(unit(1e-6, 1 - 1e-6), unit(0, 1), unit(0, 1), (w, p, q) => {
        const [c, b] = p < q ? [p, q] : [q, p]
        for (const bets of [
          errorOddsHarm,
          (arms: Parameters<typeof errorOddsHarm>[0]) => latencyOddsHarm(arms, true),
          (arms: Parameters<typeof errorOddsHarm>[0]) => latencyOddsHarm(arms, false),
        ]) {
          for (const mean of request(w, c, b, bets)) expect(mean).toBeLessThanOrEqual(ONE)
        }
      }),
    )
  })

  it('proof of latency: the candidate exceeds at least as often', () => {
    fc.assert(
      fc.property(unit(1e-6, 1 - 1e-6), unit(0, 1), unit(0, 1), fc.constantFrom(0, 0.5), (w, p, q, p0) => {
        const [b, c] = p < q ? [p, q] : [q, p]
        for (const mean of request(w, c, b, arms => labelOddsSafe(arms, 1, p0, SAFE_RATIOS_LATENCY)))
          expect(mean).toBeLessThanOrEqual(ONE)
      }),
    )
  })

  it('weights of every mixture sum to 1', () => {
    const arms = [{ share: 0.3, candidate: 1, baseline: 1, candidateEvents: 0, baselineEvents: 0 }]
    for (const bets of [
      errorOddsHarm(arms),
      latencyOddsHarm(arms, true),
      labelOddsSafe(arms, 1.5),
      shareSafe(1, 9, 0.01),
    ])
      expect(bets.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12)
  })
})

describe('P2 as streams use it', () => {
  it('a share that is at or above the limit is not proved below it', () => {
    fc.assert(
      fc.property(unit(1e-6, 0.99), unit(0, 1), (limit, more) => {
        const p = limit + more * (1 - limit)
        for (const mean of expectations([
          [p, shareSafe(1, 1, limit)],
          [1 - p, shareSafe(0, 1, limit)],
        ]))
          expect(mean).toBeLessThanOrEqual(ONE)
      }),
    )
  })

  it('bins are read at the edges: never more evidence than the exact values give, and little less', () => {
    const values = fc.array(unit(-1, 1), { minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(values, unit(-0.5, 0.9), fc.constantFrom(1 as const, -1 as const), (xs, m, sign) => {
        const bins = xs.map(x => [differenceBin(x), 1] as const)
        const low = xs.map(x => {
          const bin = differenceBin(x)
          return [sign === 1 ? lowDifference(bin) : -highDifference(bin), 1] as const
        })
        const exact = bettingHarm(
          xs.map(x => [sign * x, 1] as const),
          m,
          LOSS_FRACTIONS,
        )
        const edges = bettingHarm(low, m, LOSS_FRACTIONS)
        for (const [index, bet] of binnedHarm(bins, m, LOSS_FRACTIONS, sign).entries()) {
          expect(bet.log).toBeCloseTo(edges[index]!.log, 8)
          expect(bet.log).toBeLessThanOrEqual(exact[index]!.log + 1e-9)
        }
        const high = bins.map(([bin]) => [highDifference(bin), 1] as const)
        const safe = bettingSafe(high, m, LOSS_FRACTIONS)
        for (const [index, bet] of binnedSafe(bins, m, LOSS_FRACTIONS).entries())
          expect(bet.log).toBeCloseTo(safe[index]!.log, 8)
      }),
    )
  })

  it('the confidence sequence of bins is that of their edges', () => {
    const bins = [-900, -3, 0, 0, 5, 900].map(bin => [bin, 40] as const)
    const at = (edge: (bin: number) => number) => bins.map(([bin, amount]) => [edge(bin), amount] as const)
    const [low, high] = binnedInterval(bins, 0.05)
    const edges = confidenceSequence(at(lowDifference), at(highDifference), 0.05)
    expect(low).toBeCloseTo(edges[0], 9)
    expect(high).toBeCloseTo(edges[1], 9)
    expect(low).toBeLessThan(high)
  })

  it('a margin of 1, which nothing can exceed, is no division by zero', () => {
    for (const bets of [binnedSafe([[differenceBin(1), 3]], 1, LOSS_FRACTIONS), bettingSafe([[1, 3]], 1)])
      expect(logMean(bets)).toBeLessThanOrEqual(1e-9)
    expect(Number.isFinite(logMean(binnedSafe([[0, 100]], 1, LOSS_FRACTIONS)))).toBe(true)
  })
})

describe('mean difference', () => {
  const points = fc.array(fc.tuple(unit(-1, 1), unit(0.01, 1)), { minLength: 1, maxLength: 5 })

  it('harm and both proofs, read from bins, have expectation at most 1 under their nulls', () => {
    fc.assert(
      fc.property(points, unit(0, 0.5), (support, slack) => {
        const total = support.reduce((sum, [, p]) => sum + p, 0)
        const mean = support.reduce((sum, [x, p]) => sum + (x * p) / total, 0)
        const one = (bets: (x: number) => Bet[]) => expectations(support.map(([x, p]) => [p / total, bets(x)] as const))
        for (const sign of [1, -1] as const) {
          const bins = (x: number) => [[differenceBin(x), 1]] as const
          const [beyond, within] = [sign * mean + slack, sign * mean - slack]
          if (beyond < 1)
            for (const e of one(x => binnedHarm(bins(x), beyond, [0.9, 0.3], sign))) expect(e).toBeLessThanOrEqual(ONE)
          if (within > -1)
            for (const e of one(x => binnedSafe(bins(x), within, [0.9, 0.3], sign))) expect(e).toBeLessThanOrEqual(ONE)
        }
      }),
    )
  })
})

describe('score distribution', () => {
  it('no decile moves by more than the limit: every bet has expectation at most 1', () => {
    const cells = fc.array(fc.nat(50), { minLength: 100, maxLength: 100 })
    fc.assert(
      fc.property(cells, unit(0, 0.3), (amounts, slack) => {
        const total = amounts.reduce((sum, amount) => sum + amount, 0)
        fc.pre(total > 0)
        const chance = (i: number, j: number) => amounts[10 * i + j]! / total
        let m = 0
        for (let decile = 0; decile < 10; decile += 1) {
          let moved = 0
          for (let i = 0; i < 10; i += 1) moved += chance(i, decile) - chance(decile, i)
          m = Math.max(m, Math.abs(moved))
        }
        m = Math.min(0.999, Math.max(1e-6, m + slack))
        const unitCells = Array.from({ length: 100 }, (_, cell) => {
          const joint = Array.from({ length: 10 }, () => new Array<number>(10).fill(0))
          joint[Math.floor(cell / 10)]![cell % 10] = 1
          return [amounts[cell]! / total, distributionHarm(joint, m)] as const
        })
        for (const mean of expectations(unitCells)) expect(mean).toBeLessThanOrEqual(ONE)
        expect(unitCells[0]![1].reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12)
      }),
      { numRuns: 40 },
    )
  })
})

describe('labels by arms', () => {
  const losses = fc.array(fc.tuple(unit(0, 1), unit(0.01, 1)), { minLength: 1, maxLength: 4 })
  const meanOf = (points: readonly (readonly [number, number])[]) =>
    points.reduce((sum, [l, p]) => sum + l * p, 0) / points.reduce((sum, [, p]) => sum + p, 0)
  const outcomes = (
    w: number,
    c: readonly (readonly [number, number])[],
    b: readonly (readonly [number, number])[],
    bets: typeof armLossesHarm,
    delta: number,
  ) => {
    const [cs, bs] = [c, b].map(points => points.reduce((sum, [, p]) => sum + p, 0)) as [number, number]
    return [
      ...c.map(
        ([l, p]) =>
          [(w * p) / cs, bets([{ share: w, candidate: [[differenceBin(l), 1]], baseline: [] }], delta)] as const,
      ),
      ...b.map(
        ([l, p]) =>
          [((1 - w) * p) / bs, bets([{ share: w, candidate: [], baseline: [[differenceBin(l), 1]] }], delta)] as const,
      ),
    ]
  }

  it('harm: the mean loss is at most δ above the baseline’s, at any share', () => {
    fc.assert(
      fc.property(unit(0.001, 0.999), losses, losses, unit(0, 0.2), (w, c, b, slack) => {
        const delta = Math.max(0, meanOf(c) - meanOf(b)) + slack
        fc.pre(delta < 1)
        for (const mean of expectations(outcomes(w, c, b, armLossesHarm, delta))) expect(mean).toBeLessThanOrEqual(ONE)
      }),
    )
  })

  it('safe: it is at least δ above', () => {
    fc.assert(
      fc.property(unit(0.001, 0.999), losses, losses, unit(0, 0.2), (w, c, b, slack) => {
        const delta = meanOf(c) - meanOf(b) - slack
        for (const mean of expectations(outcomes(w, c, b, armLossesSafe, delta))) expect(mean).toBeLessThanOrEqual(ONE)
      }),
    )
  })

  it('finds a mean loss of 0.3 against 0.2 in ten thousand labels of a 10 % share', () => {
    const period = (c: number, b: number) => ({
      share: 0.1,
      candidate: [
        [differenceBin(1), 1000 * c],
        [0, 1000 * (1 - c)],
      ] as const,
      baseline: [
        [differenceBin(1), 9000 * b],
        [0, 9000 * (1 - b)],
      ] as const,
    })
    expect(logMean(armLossesHarm([period(0.3, 0.2)], 0))).toBeGreaterThan(Math.log(500))
    expect(logMean(armLossesSafe([period(0.2, 0.2)], 0.1))).toBeGreaterThan(Math.log(40))
    expect(logMean(armLossesHarm([period(0.2, 0.2)], 0))).toBeLessThan(Math.log(2))
  })
})

describe('noise floor', () => {
  const none: Disagreement = { n: 0, differing: 0, plus: 0, minus: 0, zero: 0, differs: 0 }

  /** All outcomes of four requests, of which every one or every other is run twice. */
  function walk(q: number, eta: number, joint: number, twiceEvery: number, value: (counts: Disagreement) => number) {
    let total = 0
    const step = (depth: number, chance: number, counts: Disagreement): void => {
      if (chance === 0) return
      if (depth === 4) {
        total += chance * Math.exp(value(counts))
        return
      }
      const isTwice = depth % twiceEvery === 0
      // P(both) = joint; P(candidate differs) = q; P(second run differs) = eta.
      for (const [c, s, p] of [
        [1, 1, joint],
        [1, 0, q - joint],
        [0, 1, eta - joint],
        [0, 0, 1 - q - eta + joint],
      ] as const)
        step(depth + 1, chance * p, {
          n: counts.n + 1,
          differing: counts.differing + c,
          plus: counts.plus + Number(isTwice && c > s),
          minus: counts.minus + Number(isTwice && c < s),
          zero: counts.zero + Number(isTwice && c === s),
          differs: counts.differs + Number(isTwice && s === 1),
        })
    }
    step(0, 1, none)
    return total
  }

  it('harm has expectation at most 1 whatever the noise, while the excess is within the budget', () => {
    fc.assert(
      fc.property(
        unit(0, 0.5),
        unit(0, 1),
        unit(0.01, 0.4),
        unit(0, 1),
        fc.constantFrom(1, 2),
        (eta, part, budget, overlap, every) => {
          const q = Math.min(1, eta + part * budget)
          const joint = Math.max(0, q + eta - 1) + overlap * (Math.min(q, eta) - Math.max(0, q + eta - 1))
          expect(walk(q, eta, joint, every, counts => noiseFloorHarm(counts, budget))).toBeLessThanOrEqual(1 + 1e-6)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('proof has expectation at most 1 while the excess is at the budget or beyond', () => {
    fc.assert(
      fc.property(unit(0, 0.5), unit(0.01, 0.4), unit(0, 0.1), unit(0, 1), (eta, budget, more, overlap) => {
        const q = Math.min(1, eta + budget + more)
        const joint = Math.max(0, q + eta - 1) + overlap * (Math.min(q, eta) - Math.max(0, q + eta - 1))
        const value = (counts: Disagreement) => logMean(noiseFloorSafe(counts, budget))
        expect(walk(q, eta, joint, 2, value)).toBeLessThanOrEqual(1 + 1e-6)
      }),
      { numRuns: 60 },
    )
  })

  const seen = (n: number, differing: number, runs: number, differs: number, plus = 0): Disagreement => ({
    n,
    differing,
    plus,
    minus: 0,
    zero: runs - plus,
    differs,
  })
  const guilty = Math.log(500)

  it('is the absolute budget where nothing was run twice, and nearly so once live has shown that it repeats itself', () => {
    expect(noiseFloorHarm(seen(5000, 150, 0, 0), 0.01)).toBeGreaterThan(guilty)
    expect(noiseFloorHarm(seen(5000, 150, 2000, 0), 0.01)).toBeGreaterThan(guilty)
  })

  it('accuses nobody of what could be noise: a few second runs exclude little', () => {
    expect(noiseFloorHarm(seen(5000, 150, 50, 0), 0.01)).toBeLessThan(0)
    // 10 % differ, and live differs from itself as often.
    expect(noiseFloorHarm(seen(50_000, 5000, 5000, 500, 0), 0.01)).toBeLessThan(0)
  })

  it('accuses nobody before the first second run, where some are to come', () => {
    const waiting = { ...seen(200, 20, 0, 0), sampled: { n: 200, differing: 20 } }
    expect(noiseFloorHarm(seen(200, 20, 0, 0), 0.01)).toBeGreaterThan(guilty)
    expect(noiseFloorHarm(waiting, 0.01)).toBeLessThanOrEqual(0)
    // Comparisons from before second runs were asked for have no noise to be held against.
    expect(noiseFloorHarm({ ...seen(5000, 150, 2000, 0), sampled: { n: 2000, differing: 0 } }, 0.01)).toBeLessThan(0)
  })

  it('does not take a noise that is gone for none: second runs are all late ones once live has contradicted itself', () => {
    // 10 % of the first 1,000 requests, of which ten were run twice; then all of the next 5,000, without any noise.
    const { plus, minus, zero } = seen(6000, 100, 5010, 1)
    expect(noiseFloorHarm({ n: 6000, differing: 100, plus, minus: minus + 1, zero, differs: 1 }, 0.01)).toBeLessThan(0)
    expect(noiseFloorHarm(seen(2000, 100, 1010, 1), 0.01)).toBeLessThan(0)
  })

  it('still finds a candidate that differs more than live from itself', () => {
    expect(noiseFloorHarm(seen(5000, 750, 5000, 250, 500), 0.01)).toBeGreaterThan(guilty)
  })

  it('proves the candidate by all comparisons, or above the noise', () => {
    expect(logMean(noiseFloorSafe(seen(2000, 0, 200, 0), 0.01))).toBeGreaterThan(Math.log(40))
    expect(logMean(noiseFloorSafe({ ...seen(8000, 800, 8000, 800), plus: 0 }, 0.01))).toBeGreaterThan(Math.log(40))
  })
})

describe('segments', () => {
  it('have weights that sum to 1 over all that a route can declare, and none beyond', () => {
    const weights = Array.from({ length: 260 }, (_, index) => segmentWeight(index))
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12)
    expect(weights[0]).toBeGreaterThan(weights[259]!)
    expect(segmentWeight(260)).toBe(0)
  })

  it('that appear later add nothing by appearing', () => {
    fc.assert(
      fc.property(fc.array(unit(-30, 30), { minLength: 1, maxLength: 64 }), unit(-30, 30), (logs, overall) => {
        const names = logs.map((_, index) => `s=${index}`)
        const harms = logs.map((logHarm, index) => ({ logHarm, weight: segmentWeight(index) }))
        const before = withSegments({ segments: names }, overall, harms)
        const after = withSegments({ segments: [...names, 's=new'] }, overall, [
          ...harms,
          { logHarm: 0, weight: segmentWeight(names.length) },
        ])
        expect(after).toBeCloseTo(before, 9)
      }),
    )
  })

  it('mix to an e-value: the mean over independent segments at E[E_k] = 1 is 1', () => {
    // Every segment doubles or dies.
    const ways = [0, 1, 2, 3].map(bits => [Math.log(bits & 1 ? 2 : 1e-12), Math.log(bits & 2 ? 2 : 1e-12)] as const)
    const mean =
      ways.reduce(
        (sum, [a, b]) =>
          sum +
          Math.exp(
            withSegments({ segments: ['s=a', 's=b'] }, 0, [
              { logHarm: a, weight: segmentWeight(0) },
              { logHarm: b, weight: segmentWeight(1) },
            ]),
          ),
        0,
      ) / 4
    expect(mean).toBeCloseTo(1, 9)
  })
})
