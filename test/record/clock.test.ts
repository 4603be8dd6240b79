import { describe, expect, it } from 'vitest'
import { closestShift } from '../../src/record/clock.ts'

describe('the shift between two clocks', () => {
  it('is that of the pair of readings that nothing came between', () => {
    let nowMs = 1_000
    let reading = 0
    const own = () => (nowMs += 0.001)
    const other = () => {
      // Everything but the seventh reading is preempted, by less and less.
      nowMs += ++reading === 7 ? 0 : 5 / reading
      return nowMs + 250
    }
    expect(closestShift(own, other)).toBeCloseTo(250, 3)
  })

  it('is exact where clocks stand still', () => {
    expect(
      closestShift(
        () => 3,
        () => 10,
      ),
    ).toBe(7)
  })
})
