import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  binsOf,
  differenceBin,
  highDifference,
  LARGEST_DIFFERENCE_BIN,
  LARGEST_MAGNITUDE_BIN,
  latencyBin,
  latencyQuantile,
  lowDifference,
  lowerMs,
  magnitudeBin,
  magnitudeEdge,
  quantileBin,
  quantileIndex,
  ratioBins,
  upperMs,
} from '../../src/evidence/histogram.ts'

describe('latency bins', () => {
  it('hold what their edges say, at every height', () => {
    fc.assert(
      fc.property(fc.double({ min: -1, max: 1e9, noNaN: true }), ms => {
        const bin = latencyBin(ms)
        if (ms >= 0) expect(ms).toBeGreaterThanOrEqual(lowerMs(bin))
        expect(ms).toBeLessThan(upperMs(bin))
      }),
    )
    for (let bin = 1; bin < 1208; bin += 1) {
      expect(latencyBin(lowerMs(bin))).toBe(bin)
      expect(upperMs(bin)).toBe(lowerMs(bin + 1))
    }
  })

  it('put NaN, negatives and zero in the first bin and the endless in the last', () => {
    expect([Number.NaN, -1, 0].map(latencyBin)).toEqual([0, 0, 0])
    expect(upperMs(latencyBin(Number.POSITIVE_INFINITY))).toBe(Number.POSITIVE_INFINITY)
  })

  it('are five to a factor of 1.1, and twelve or eleven to 1.25', () => {
    expect(ratioBins(1.1)).toEqual({ atMost: 5, atLeast: 5 })
    expect(ratioBins(1.25)).toEqual({ atMost: 11, atLeast: 12 })
    expect(lowerMs(305) / lowerMs(300)).toBeCloseTo(1.1, 12)
  })

  it('give quantiles within a bin', () => {
    const counters = new Map<string, number>()
    for (let i = 1; i <= 1000; i += 1) {
      const slot = `lat.b.${latencyBin(i / 10)}`
      counters.set(slot, (counters.get(slot) ?? 0) + 1)
    }
    counters.set('lat.b.3@origin=JFK', 7)
    expect(latencyQuantile(binsOf(counters, 'lat.b'), 0.95)! / 95).toBeCloseTo(1, 1)
    expect(latencyQuantile(binsOf(counters, 'lat.c'), 0.5)).toBeUndefined()
    expect(binsOf(counters, 'lat.b').reduce((sum, [, n]) => sum + n, 0)).toBe(1000)
    expect(quantileBin([[4, 1]], 0)).toBe(4)
  })

  it('are the same of counts by bin as of pairs', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5)), fc.double({ min: 0, max: 1, noNaN: true }), (counts, p) => {
        const pairs = [...counts.entries()]
        expect(quantileIndex(Float64Array.from(counts), p)).toBe(quantileBin(pairs, p))
      }),
    )
  })

  it('have edges at every height that are 2 % apart, also past the last', () => {
    for (let bin = 1; bin <= LARGEST_MAGNITUDE_BIN + 1; bin++)
      expect(magnitudeEdge(bin + 1) / magnitudeEdge(bin)).toBeCloseTo(1.02, 12)
    expect(magnitudeEdge(0)).toBe(0)
  })
})

describe('difference bins', () => {
  it('hold what their edges say, 1 % wide at most', () => {
    fc.assert(
      fc.property(fc.double({ min: -1, max: 1, noNaN: true }), x => {
        const bin = differenceBin(x)
        expect(Math.abs(bin)).toBeLessThanOrEqual(LARGEST_DIFFERENCE_BIN)
        expect(lowDifference(bin)).toBeLessThanOrEqual(x)
        expect(highDifference(bin)).toBeGreaterThanOrEqual(x)
        const width = highDifference(bin) - lowDifference(bin)
        expect(width).toBeLessThanOrEqual(Math.max(1e-5, 0.0101 * Math.abs(x)))
      }),
      { numRuns: 2000 },
    )
  })

  it('keep −1, 0 and 1 exact and clip beyond', () => {
    for (const x of [-1, 0, 1])
      expect([lowDifference(differenceBin(x)), highDifference(differenceBin(x))]).toEqual([x, x])
    expect(differenceBin(-7)).toBe(differenceBin(-1))
    expect(() => differenceBin(Number.NaN)).toThrow(RangeError)
    expect(differenceBin(-0.3)).toBe(-differenceBin(0.3))
  })

  it('of unbounded magnitude stay finite', () => {
    expect(magnitudeBin(0)).toBe(0)
    expect(magnitudeEdge(magnitudeBin(5)) / 5).toBeCloseTo(1, 1)
    expect(Number.isFinite(magnitudeBin(Number.POSITIVE_INFINITY))).toBe(true)
  })
})
