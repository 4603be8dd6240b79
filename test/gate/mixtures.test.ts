import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Bet,
  bestRho,
  halfNormalMixture,
  labelOddsHarm,
  logMean,
  normalMixture,
  symmetricHarm,
} from '../../src/gate/eprocess.ts'

/** The s at which a mixture that rises in s reaches ln(1/α). */
function boundOf(log: (s: number) => number, alpha: number): number {
  let [below, above] = [0, 1000]
  for (let step = 0; step < 100; step += 1) {
    const middle = (below + above) / 2
    if (log(middle) < Math.log(1 / alpha)) below = middle
    else above = middle
  }
  return below
}

describe('published vectors of confseq, tuned for V = 100 at α = 0.05', () => {
  it('best ρ, two-sided', () => expect(bestRho(100, 0.05)).toBeCloseTo(12.60056, 5))

  it('one-sided normal mixture and its bound', () => {
    const rho = bestRho(100, 2 * 0.05)
    expect(halfNormalMixture(10, 100, rho)).toBeCloseTo(-0.06502391, 5)
    expect(boundOf(s => halfNormalMixture(s, 100, rho), 0.05)).toBeCloseTo(27.66071, 4)
  })

  /** One event of g·h·n = 100 with n_c − g·n = s: the candidate's share of the arms is g = 0.2 of 1. */
  const eventsAt = (s: number) => ({
    share: 0.2,
    candidateEvents: 125 + s,
    baselineEvents: 500 - s,
    candidate: 0,
    baseline: 0,
  })
  /** P1's bets on a fine grid of θ, weighed by a beta prior around 0.2, cut to θ > `from`: the mixture in its definition. */
  function betaMixture(rho: number, from: number) {
    const r = rho - 0.16
    const [a, b] = [r / 0.8, r / 0.2]
    const steps = 20_000
    const grid = Array.from({ length: steps }, (_, index) => from + ((1 - from) * (index + 0.5)) / steps)
    const prior = grid.map(theta => Math.exp((a - 1) * Math.log(theta) + (b - 1) * Math.log1p(-theta)))
    const total = prior.reduce((sum, weight) => sum + weight, 0)
    const bets = grid.map((theta, index) => ({
      ratio: (theta / (1 - theta)) * 4,
      weight: prior[index]! / total,
    }))
    return (s: number) => logMean(labelOddsHarm([eventsAt(s)], [0], bets))
  }

  it('two-sided beta-binomial mixture as a mixture of P1 bets, and its bound', () => {
    const log = betaMixture(bestRho(100, 0.05), 0)
    expect(log(10)).toBeCloseTo(-0.6941012, 4)
    expect(boundOf(log, 0.05)).toBeCloseTo(31.4308, 3)
  })

  it('one-sided beta-binomial mixture as a mixture of P1 bets, and its bound', () => {
    const log = betaMixture(bestRho(100, 2 * 0.05), 0.2)
    expect(log(10)).toBeCloseTo(-0.07134019, 4)
    expect(boundOf(log, 0.05)).toBeCloseTo(28.41238, 3)
  })
})

describe('normal mixtures', () => {
  it('are no evidence without data', () => {
    expect(normalMixture(0, 0, 5)).toBe(0)
    expect(halfNormalMixture(0, 0, 5)).toBeCloseTo(0, 12)
    expect(logMean(symmetricHarm(0, 0, 0, 0.01))).toBeCloseTo(0, 12)
  })

  it('stay finite far out in either tail', () => {
    for (const s of [-1e9, -1e5, -50, 50, 1e5, 1e9])
      expect(Number.isFinite(halfNormalMixture(s, 100, 5)), String(s)).toBe(true)
    expect(halfNormalMixture(-1e4, 100, 5)).toBeLessThan(0)
  })
})

describe('P3', () => {
  const value = (bets: readonly Bet[]) => Math.exp(logMean(bets))

  it('has expectation at most 1 over the signs of any differences, after each of them (enumerated)', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 10 })
    fc.assert(
      fc.property(sizes, differences => {
        const V = differences.reduce((sum, d) => sum + d * d, 0)
        let total = 0
        for (let signs = 0; signs < 2 ** differences.length; signs += 1) {
          const S = differences.reduce((sum, d, index) => sum + ((signs >> index) & 1 ? d : -d), 0)
          total += value(symmetricHarm(S, V, differences.length, 0.01))
        }
        expect(total / 2 ** differences.length).toBeLessThanOrEqual(1 + 1e-9)
      }),
    )
  })

  it('has increments of expectation at most 1 whatever came before', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -500, max: 500 }),
        fc.integer({ min: 0, max: 500_000 }),
        fc.integer({ min: 1, max: 2000 }),
        (S, V, d) => {
          const before = symmetricHarm(S, V, 1, 0.01)
          const after = [d, -d].map(step => symmetricHarm(S + step, V + d * d, 2, 0.01))
          for (const [bet, { log }] of before.entries())
            expect((Math.exp(after[0]![bet]!.log - log) + Math.exp(after[1]![bet]!.log - log)) / 2).toBeLessThanOrEqual(
              1 + 1e-9,
            )
        },
      ),
    )
  })

  it('finds 20 more errors a block among noise of 30 within 50 blocks, and nothing in a single outage', () => {
    expect(logMean(symmetricHarm(50 * 20, 50 * (20 ** 2 + 30 ** 2), 50, 0.01))).toBeGreaterThan(Math.log(100))
    expect(logMean(symmetricHarm(5000, 5000 ** 2, 200, 0.01))).toBeLessThan(Math.log(20))
  })
})
