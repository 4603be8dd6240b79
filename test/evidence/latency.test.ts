import { describe, expect, it } from 'vitest'
import type { Counters } from '../../src/evidence/counters.ts'
import {
  commitEpoch,
  countLatency,
  latencyThresholds,
  pairedExceedances,
  unpairedExceedances,
} from '../../src/evidence/latency.ts'

const limits = { p50: 1.1, p95: 1.1, p99: 1.25, slack: 0 }
const spread = (prefix: string, n: number, ms: (i: number) => number): Counters => {
  const counters: Counters = new Map()
  for (let i = 0; i < n; i += 1) countLatency(counters, prefix, ms(i))
  return counters
}
const ramp = (i: number) => 10 + (i % 100) / 10

describe('exceedances', () => {
  it('need 200 earlier baseline answers', () => {
    expect(unpairedExceedances(new Map(), spread('lat.c', 50, ramp), limits)).toEqual(new Map())
    expect(latencyThresholds(spread('lat.b', 199, ramp), 'lat.b', limits)).toBeUndefined()
    expect(latencyThresholds(spread('lat.b', 200, ramp), 'lat.b', limits)).toBeDefined()
  })

  it('count about half the baseline above its median and a slower candidate as often', () => {
    const committed = spread('lat.b', 1000, ramp)
    const delta = new Map([...spread('lat.b', 1000, ramp), ...spread('lat.c', 1000, i => 1.1 * ramp(i))])
    const late = unpairedExceedances(committed, delta, limits)
    expect(late.get('late.b.n')).toBe(1000)
    expect(late.get('late.c.n')).toBe(1000)
    expect(late.get('late.p50.b')).toBeGreaterThan(450)
    expect(late.get('late.p50.b')).toBeLessThan(550)
    expect(Math.abs(late.get('late.p50.c')! - late.get('late.p50.b')!)).toBeLessThan(60)
    expect(late.get('late.p99.c') ?? 0).toBeLessThanOrEqual(late.get('late.p99.c.may') ?? 0)
  })

  it('ignore a candidate that is slower by less than the slack', () => {
    const delta = spread('lat.c', 100, i => 1.3 * ramp(i))
    const late = unpairedExceedances(spread('lat.b', 1000, ramp), delta, { ...limits, slack: 50 })
    expect(late.get('late.p50.c')).toBeUndefined()
    expect(late.get('late.c.n')).toBe(100)
  })

  it('of an epoch do not depend on its own baseline', () => {
    const delta = spread('lat.b', 1000, () => 1)
    const late = unpairedExceedances(spread('lat.b', 1000, ramp), delta, limits)
    expect(late.get('late.p50.b')).toBeUndefined()
    const committed = spread('lat.b', 1000, ramp)
    commitEpoch(committed, delta, limits)
    expect(committed.get('late.b.n')).toBe(1000)
  })

  it('of pairs come from exact times', () => {
    const thresholds = latencyThresholds(spread('plat.b', 400, ramp), 'plat.b', limits)!
    expect(pairedExceedances(thresholds, 100, 1)).toContain('pair.late.p50.minus')
    expect(pairedExceedances(thresholds, 1, 100)).toContain('pair.late.p99.plus')
    expect(pairedExceedances(thresholds, 100, 100)).toContain('pair.late.p95.zero')
  })
})
