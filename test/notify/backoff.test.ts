import { expect, it } from 'vitest'
import { backoffMs, GIVE_UP_AFTER_MS, isGivenUp } from '../../src/notify/backoff.ts'

it('waits twice as long after each failure, ten minutes at most, spread by a quarter', () => {
  expect([1, 2, 3, 10].map(failures => backoffMs(failures, 0.5))).toEqual([1000, 2000, 4000, 512_000])
  expect(backoffMs(10_000, 0.5)).toBe(600_000)
  expect([backoffMs(1, 0), backoffMs(1, 0.999)]).toEqual([750, expect.closeTo(1250, -1)])
})

it('tries about fourteen times in the hour', () => {
  let [age, tries] = [0, 1]
  while (!isGivenUp(age)) age += backoffMs(tries++, 0.5)
  expect(tries).toBeGreaterThanOrEqual(13)
  expect(tries).toBeLessThanOrEqual(17)
  expect(isGivenUp(GIVE_UP_AFTER_MS - 1)).toBe(false)
})
