import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type BlockCounts, blockHarm, logMean, symmetricHarm } from '../../src/gate/eprocess.ts'

const NONE: BlockCounts = { blocks: 0, plus: 0, minus: 0, squares: 0, more: 0, less: 0 }
/** One more block with the difference d, as the gateway counts it. */
const next = (counts: BlockCounts, d: number): BlockCounts => ({
  blocks: counts.blocks + 1,
  plus: counts.plus + Math.max(d, 0),
  minus: counts.minus + Math.max(-d, 0),
  squares: counts.squares + d * d,
  more: counts.more + (d > 0 ? 1 : 0),
  less: counts.less + (d < 0 ? 1 : 0),
})
const countsOf = (differences: readonly number[]) => differences.reduce(next, NONE)
const logOf = (counts: BlockCounts) => logMean(blockHarm(counts, 0.01))
const ONE = 1 + 1e-9

describe('harm by blocks', () => {
  it('is no evidence without blocks, and none without a difference in any', () => {
    expect(logOf(NONE)).toBeCloseTo(0, 12)
    expect(logOf(countsOf([0, 0, 0]))).toBeCloseTo(0, 12)
  })

  it('is a mixture: weights sum to 1 with signs and without', () => {
    for (const counts of [NONE, countsOf([3, -2, 0]), { ...countsOf([3, -2, 0]), more: 0, less: 0 }])
      expect(blockHarm(counts, 0.01).reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12)
  })

  it('has expectation at most 1 and crosses 1/α ever with at most α, over the signs of any differences (enumerated)', () => {
    const size = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 3000 }))
    fc.assert(
      fc.property(fc.array(size, { minLength: 1, maxLength: 10 }), fc.constantFrom(0.05, 0.2), (sizes, alpha) => {
        let [total, crossed] = [0, 0]
        for (let signs = 0; signs < 2 ** sizes.length; signs += 1) {
          let counts = NONE
          let most = Number.NEGATIVE_INFINITY
          for (const [index, d] of sizes.entries()) {
            counts = next(counts, (signs >> index) & 1 ? d : -d)
            most = Math.max(most, logOf(counts))
          }
          total += Math.exp(logOf(counts))
          if (most >= Math.log(1 / alpha)) crossed += 1
        }
        expect(total / 2 ** sizes.length).toBeLessThanOrEqual(ONE)
        expect(crossed / 2 ** sizes.length).toBeLessThanOrEqual(alpha)
      }),
      { seed: 3 },
    )
  })

  it('has increments of expectation at most 1 where differences are symmetric or lean to the baseline', () => {
    const before = fc.array(fc.integer({ min: -400, max: 400 }), { minLength: 1, maxLength: 20 })
    const size = fc.integer({ min: 1, max: 2000 })
    const chance = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(before, fc.tuple(size, size), chance, chance, chance, (past, sizes, first, other, lean) => {
        fc.pre(past.some(d => d !== 0))
        // Two sizes and no difference at all; of each size the candidate has `lean` of half the chance.
        const [a, b] = [first, (1 - first) * other]
        const outcomes = [
          [sizes[0], (a * lean) / 2],
          [-sizes[0], a * (1 - lean / 2)],
          [sizes[1], (b * lean) / 2],
          [-sizes[1], b * (1 - lean / 2)],
          [0, 1 - a - b],
        ] as const
        const counts = countsOf(past)
        for (const [bet, { log }] of blockHarm(counts, 0.01).entries()) {
          let mean = 0
          for (const [d, p] of outcomes) mean += p * Math.exp(blockHarm(next(counts, d), 0.01)[bet]!.log - log)
          expect(mean).toBeLessThanOrEqual(ONE)
        }
      }),
      { seed: 3 },
    )
  })

  it('finds a candidate that fails more between incidents, where sizes alone are drowned by one', () => {
    // 40 blocks: mostly some errors more, one in ten alike and one better, and one in which either arm failed as a whole.
    for (const incident of [600, -600]) {
      const counts = countsOf([
        incident,
        ...Array.from({ length: 39 }, (_, index) => [2, 3, 0, 1, 2, 2, 1, -1, 3, 1][index % 10]!),
      ])
      expect(logOf(counts)).toBeGreaterThan(Math.log(500))
      expect(logOf({ ...counts, more: 0, less: 0 })).toBeLessThan(Math.log(20))
    }
  })

  it('finds one that is a little worse in large blocks by their sizes too', () => {
    // Signs: 54 of 100. Sizes: the better blocks are hardly better.
    const counts = countsOf(Array.from({ length: 100 }, (_, index) => (index < 54 ? 20 : -5)))
    expect(logOf(counts)).toBeGreaterThan(Math.log(500))
  })

  it('of evidence from before signs were counted is what it was', () => {
    const old = { ...countsOf([5, 9, -3, 0, 7]), more: 0, less: 0 }
    expect(blockHarm(old, 0.01)).toEqual(symmetricHarm(18, 25 + 81 + 9 + 49, 5, 0.01))
  })

  it('stays the mixture where none of the signs may be bet on', () => {
    const counts = countsOf([5, 9, -3, 0, 7])
    const bets = blockHarm(counts, 0.01, { more: 0, less: 0 })
    expect(bets.length).toBe(blockHarm(counts, 0.01).length)
    expect(bets.slice(4).map(({ log }) => log)).toEqual([0, 0, 0, 0, 0, 0])
  })

  it('gives blocks from before signs were counted no sign', () => {
    const later = [1, 2, -1]
    const both = { ...countsOf([...Array.from({ length: 50 }, () => 4), ...later]), more: 2, less: 1 }
    const signs = (counts: BlockCounts) =>
      blockHarm(counts, 0.01)
        .slice(4)
        .map(({ log }) => log)
    expect(signs(both)).toEqual(signs(countsOf(later)))
  })
})
