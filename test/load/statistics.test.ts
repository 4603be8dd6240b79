import { describe, expect, it } from 'vitest'
import { judgeTarget, pairedRatio, quantile, shuffled, spreadOf } from '../../bench/load/statistics.ts'
import { seededRandom } from '../../src/load/schedule.ts'

describe('the statistics of windows', () => {
  it('interpolate between order statistics', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5)
    expect(quantile([7], 0.99)).toBe(7)
    expect(spreadOf([1, 2, 3, 4, 5])).toEqual({ median: 3, low: 2, high: 4, windows: 5 })
    expect(() => quantile([], 0.5)).toThrow(RangeError)
  })

  it('pair the windows of a round, so that noise that both share cancels', () => {
    const noise = [1, 5, 2, 40, 3, 9, 1, 2]
    const ratio = pairedRatio(
      noise.map(each => each * 1.1),
      noise,
    )
    expect(ratio.median).toBeCloseTo(1.1, 9)
    expect(ratio.high - ratio.low).toBeLessThan(1e-9)
    expect(ratio.pairs).toBe(8)
  })

  it('give an interval that holds the median and is the same for the same seed', () => {
    const random = seededRandom(5)
    const over = Array.from({ length: 30 }, () => 1 + random())
    const under = over.map(() => 1 + random())
    const ratio = pairedRatio(over, under)
    expect(ratio.low).toBeLessThanOrEqual(ratio.median)
    expect(ratio.high).toBeGreaterThanOrEqual(ratio.median)
    expect(pairedRatio(over, under)).toEqual(ratio)
  })

  it('call a target met, missed or unresolved by the whole interval', () => {
    const ratio = { median: 1.1, low: 1.05, high: 1.14, pairs: 20 }
    expect(judgeTarget(ratio, 1.15)).toBe('met')
    expect(judgeTarget(ratio, 1.1)).toBe('unresolved')
    expect(judgeTarget(ratio, 1.02)).toBe('missed')
  })

  it('shuffle without losing any', () => {
    expect(shuffled([1, 2, 3, 4, 5], seededRandom(1)).toSorted()).toEqual([1, 2, 3, 4, 5])
  })
})
