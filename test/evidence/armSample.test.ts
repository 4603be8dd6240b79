import { describe, expect, it } from 'vitest'
import { ArmSample } from '../../src/evidence/armSample.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** Answers at a steady rate through a room, a minute at a time; each stays for `withinMs`. Answers taken in, by hour. */
function run(room: number, perSecond: number, withinMs: number, hours: number) {
  const sample = new ArmSample(room)
  const taken: { at: number; count: number }[] = []
  let waiting = 0
  let most = 0
  const byHour = new Array<number>(hours).fill(0)
  for (let minute = 0; minute < hours * 60; minute++) {
    const at = minute * 60_000
    while (taken.length > 0 && at - taken[0]!.at > withinMs) waiting -= taken.shift()!.count
    const came = perSecond * 60
    const count = came * sample.share(waiting, withinMs)
    sample.offered(came, at)
    taken.push({ at, count })
    waiting += count
    most = Math.max(most, waiting)
    byHour[Math.floor(minute / 60)]! += count
  }
  return { byHour, most }
}

describe('the sample of live answers that wait for labels', () => {
  it('is all of them where they have room', () => {
    const { byHour } = run(1_000_000, 1, 7 * DAY, 72)
    expect(new Set(byHour)).toEqual(new Set([3_600]))
    expect(new ArmSample(10).share(0, DAY)).toBe(1)
  })

  it('never fills the room, and still takes some in every hour of every day', () => {
    const { byHour, most } = run(1_000_000, 500, 7 * DAY, 21 * 24)
    expect(most).toBeLessThan(1_000_000)
    expect(Math.min(...byHour)).toBeGreaterThan(100)
    // The first day alone gives enough for a verdict.
    expect(byHour.slice(0, 24).reduce((a, b) => a + b, 0)).toBeGreaterThan(400_000)
  })

  it('takes in nobody when the room is full, or was made smaller', () => {
    expect([new ArmSample(10).share(10, DAY), new ArmSample(10).share(50, DAY)]).toEqual([0, 0])
  })

  it('shrinks before a flood has filled the room, and grows back after it', () => {
    const sample = new ArmSample(10_000)
    const at = (nowMs: number, came: number) => {
      sample.offered(came, nowMs)
      return sample.share(0, HOUR)
    }
    for (let second = 0; second < 60; second++) expect(at(second * 1_000, 1)).toBe(1)
    for (let second = 60; second < 120; second++) at(second * 1_000, 1_000)
    expect(sample.share(0, HOUR)).toBeLessThan(0.05)
    for (let second = 120; second < 900; second++) at(second * 1_000, 1)
    expect(sample.share(0, HOUR)).toBe(1)
  })

  it('believes no rate that it has watched for a moment only, and no clock that goes back', () => {
    const sample = new ArmSample(100)
    sample.offered(1e6, 1_000)
    expect(sample.share(0, DAY)).toBe(1)
    sample.offered(10, 500)
    expect(sample.share(0, DAY)).toBe(1)
  })
})
