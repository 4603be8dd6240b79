import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addDuration,
  boundsOf,
  DurationCounts,
  durationNumbers,
  INFERENCE_BUCKETS_S,
  REQUEST_BUCKETS_S,
  takeGrowth,
} from '../../src/telemetry/durations.ts'

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

  it('are read on another thread as they were counted, each once', () => {
    const bounds = [0.001, 0.01, 0.1]
    const seconds = fc.array(fc.constantFrom(0, 0.001, 0.005, 0.05, 0.5, 100), { maxLength: 20 })
    fc.assert(
      fc.property(fc.array(seconds, { maxLength: 5 }), readings => {
        const count = durationNumbers(bounds)
        // Something before and behind it, which must not be touched.
        const memory = new Float64Array(count + 2).fill(7)
        const numbers = memory.subarray(1, 1 + count).fill(0)
        const seen = new Float64Array(count)
        for (const each of readings) {
          const all = new DurationCounts(bounds)
          for (const value of each) {
            addDuration(memory, 1, boundsOf(bounds), value)
            all.add(value)
          }
          const [grown, wanted] = [takeGrowth(numbers, seen), all.takeDelta()]
          expect(grown?.buckets).toEqual(wanted?.buckets)
          expect(grown?.count).toBe(wanted?.count)
          expect(grown?.sumSeconds ?? 0).toBeCloseTo(wanted?.sumSeconds ?? 0, 9)
        }
        expect([memory[0], memory.at(-1)]).toEqual([7, 7])
      }),
    )
  })

  it('has the sum with the count that it belongs to, where it is read between the two', () => {
    const [numbers, seen] = [new Float64Array([0.5, 0, 0]), new Float64Array(3)]
    expect(takeGrowth(numbers, seen)).toBeUndefined()
    numbers[1] = 1
    expect(takeGrowth(numbers, seen)).toEqual({ buckets: [1, 0], count: 1, sumSeconds: 0.5 })
    expect(takeGrowth(numbers, seen)).toBeUndefined()
  })

  it('may be more than 32 bits hold, where nobody takes them for days', () => {
    const numbers = new Float64Array([30, 2 ** 32, 0])
    addDuration(numbers, 0, boundsOf([1]), 0.5)
    expect([...numbers]).toEqual([30.5, 2 ** 32 + 1, 0])
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
