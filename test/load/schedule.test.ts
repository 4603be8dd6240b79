import { describe, expect, it } from 'vitest'
import { Schedule, type ScheduleOptions } from '../../src/load/schedule.ts'

function timesOf(options: ScheduleOptions): number[] {
  const schedule = new Schedule(options)
  const times: number[] = []
  for (let dueMs = schedule.nextMs; dueMs !== undefined; dueMs = schedule.nextMs) {
    times.push(dueMs)
    schedule.advance()
  }
  return times
}

describe('a schedule', () => {
  it('has equal gaps that do not drift over a million requests', () => {
    const times = timesOf({ rate: 3000, seconds: 400, arrivals: 'uniform', seed: 1 })
    expect(times).toHaveLength(1_200_000)
    expect(times[0]).toBe(0)
    expect(times[3000]).toBe(1000)
    expect(times[1_197_000]).toBe(399_000)
  })

  it('has Poisson arrivals of the rate asked for, whose gaps vary as much as they last', () => {
    const times = timesOf({ rate: 1000, seconds: 100, arrivals: 'poisson', seed: 7 })
    // 100,000 expected, standard deviation 316.
    expect(Math.abs(times.length - 100_000)).toBeLessThan(4 * 316)
    const gaps = times.slice(1).map((time, index) => time - times[index]!)
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
    const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length)
    expect(deviation / mean).toBeGreaterThan(0.97)
    expect(deviation / mean).toBeLessThan(1.03)
    expect(times.at(-1)).toBeLessThan(100_000)
  })

  it('is the same for the same seed, and another one for another', () => {
    const options = { rate: 500, seconds: 2, arrivals: 'poisson', seed: 3 } as const
    expect(timesOf(options)).toEqual(timesOf(options))
    expect(timesOf({ ...options, seed: 4 })).not.toEqual(timesOf(options))
  })

  it('is empty when it is shorter than its first gap', () => {
    expect(timesOf({ rate: 0.001, seconds: 0.001, arrivals: 'poisson', seed: 1 })).toEqual([])
  })
})
