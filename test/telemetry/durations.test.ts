import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DurationCounts, INFERENCE_BUCKETS_S, REQUEST_BUCKETS_S } from '../../src/telemetry/durations.ts'
import { NumberBuffer } from '../../src/telemetry/numberBuffer.ts'

describe('counting durations', () => {
  it('has nothing to tell when nothing was counted', () => {
    expect(new DurationCounts([1]).takeDelta()).toBeUndefined()
  })

  it('puts a duration on a bound into that bound’s bucket, and one above all bounds into the last', () => {
    const durations = new DurationCounts([0.001, 0.01])
    for (const seconds of [0, 0.001, 0.0010001, 0.01, 0.5, 1e9]) durations.add(seconds)
    expect(durations.takeDelta()?.buckets).toEqual([2, 2, 2])
  })

  it('starts over after each delta', () => {
    const durations = new DurationCounts([1])
    durations.add(0.25)
    durations.add(0.5)
    expect(durations.takeDelta()).toEqual({ buckets: [2, 0], count: 2, sumSeconds: 0.75 })
    durations.add(3)
    expect(durations.takeDelta()).toEqual({ buckets: [0, 1], count: 1, sumSeconds: 3 })
    expect(durations.takeDelta()).toBeUndefined()
  })

  it('counts a negative or endless duration and NaN as 0, so that the sum stays a number', () => {
    const durations = new DurationCounts([1])
    durations.add(-5)
    durations.add(Number.NaN)
    durations.add(Number.POSITIVE_INFINITY)
    expect(durations.takeDelta()).toEqual({ buckets: [3, 0], count: 3, sumSeconds: 0 })
  })

  it('are added on another thread as they were counted, and start over here', () => {
    const bounds = [0.001, 0.01, 0.1]
    const seconds = fc.array(fc.constantFrom(0, 0.001, 0.005, 0.05, 0.5, 100), { maxLength: 20 })
    fc.assert(
      fc.property(fc.array(seconds, { maxLength: 5 }), moves => {
        const told = new DurationCounts(bounds)
        const sums = new DurationCounts(bounds)
        const all = new DurationCounts(bounds)
        const numbers = new NumberBuffer()
        for (const each of moves) {
          for (const value of each) {
            told.add(value)
            all.add(value)
          }
          expect(told.isEmpty).toBe(each.length === 0)
          // Something before and behind it, which must not be looked at.
          numbers.push(7)
          told.moveTo(numbers)
          expect(told.isEmpty).toBe(true)
          numbers.push(7)
          const taken = numbers.take()
          expect(sums.addFrom(taken, 1)).toBe(taken.length - 1)
        }
        const [sum, whole] = [sums.takeDelta(), all.takeDelta()]
        expect(sum?.buckets).toEqual(whole?.buckets)
        expect(sum?.count).toBe(whole?.count)
        expect(sum?.sumSeconds ?? 0).toBeCloseTo(whole?.sumSeconds ?? 0, 9)
      }),
    )
  })

  it('may be more than 32 bits hold, where they are added for days and nobody takes them', () => {
    const sums = new DurationCounts([1])
    for (let day = 0; day < 3; day++) sums.addFrom(Float64Array.from([10, 1, 0, 2e9]), 0)
    expect(sums.takeDelta()).toEqual({ buckets: [6e9, 0], count: 6e9, sumSeconds: 30 })
  })

  it.each([
    ['requests', REQUEST_BUCKETS_S, 0.0005],
    ['inference', INFERENCE_BUCKETS_S, 0.0001],
  ])('has rising bounds for %s', (_, bounds, lowest) => {
    expect(bounds[0]).toBe(lowest)
    expect([...bounds].sort((a, b) => a - b)).toEqual(bounds)
    expect(new Set(bounds).size).toBe(bounds.length)
  })
})
