import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Latencies } from '../../src/load/latencies.ts'

function summaryOf(values: readonly number[]) {
  const latencies = new Latencies()
  for (const value of values) latencies.add(value)
  return latencies.summary()
}

describe('latencies', () => {
  it('have no quantiles without data', () => {
    expect(summaryOf([])).toEqual({
      n: 0,
      meanMs: null,
      p50Ms: null,
      p90Ms: null,
      p99Ms: null,
      p999Ms: null,
      maxMs: null,
      bins: [],
    })
  })

  it('give quantiles within 2 % of the exact ones, and never above the largest', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.01, max: 10_000, noNaN: true }), { minLength: 1 }), values => {
        const sorted = [...values].sort((a, b) => a - b)
        const { p50Ms, p99Ms, maxMs } = summaryOf(values)
        const exact = (p: number) => sorted[Math.ceil(p * sorted.length) - 1]!
        expect(p50Ms).toBeGreaterThan(exact(0.5) / 1.02)
        expect(p50Ms).toBeLessThan(exact(0.5) * 1.02)
        expect(p99Ms).toBeGreaterThan(exact(0.99) / 1.02)
        expect(p99Ms).toBeLessThanOrEqual(sorted.at(-1)! * (1 + 1e-12))
        expect(maxMs).toBe(sorted.at(-1))
      }),
    )
  })

  it('merge to what one histogram of everything would be', () => {
    const [left, right] = [
      [1, 2, 3, 400],
      [0.5, 2, 90],
    ] as const
    const merged = new Latencies()
    merged.merge(summaryOf(left))
    merged.merge(summaryOf(right))
    const { meanMs, ...rest } = merged.summary()
    const { meanMs: exactMean, ...exact } = summaryOf([...left, ...right])
    expect(rest).toEqual(exact)
    expect(meanMs).toBeCloseTo(exactMean!, 9)
  })
})
