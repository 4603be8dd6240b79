import { describe, expect, it } from 'vitest'
import type { RuntimeRoute, RuntimeVersion } from '../../src/serving/runtime.ts'
import { cohortsOf, isPaired } from '../../src/serving/samples.ts'

const live = { index: 0 } as RuntimeVersion
const canary = { index: 1 } as RuntimeVersion
const route = (control: number, own: number, snapshot: object = {}) =>
  ({
    live,
    cohorts: [{ index: 1, version: '2.0.0', control, own }],
    snapshot: { salts: { mirror: 'salt' }, mirrored: true, paired: 10, ...snapshot },
  }) as unknown as RuntimeRoute
const N = 20_000
const share = (is: (id: string) => boolean) =>
  Array.from({ length: N }, (_, id) => is(String(id))).filter(Boolean).length / N

describe('the cohorts of blocks', () => {
  const shareOf = (of: RuntimeRoute, version: RuntimeVersion) =>
    share(id => cohortsOf(of, { version, unit: undefined }, id) === 0b10)

  it("hold as many of live's requests as the canary has", () => {
    expect(shareOf(route(25, 100), live)).toBeCloseTo(0.25, 1)
    expect(shareOf(route(25, 100), canary), 'its own are all in arm.c').toBe(0)
  })

  it('hold a part of the canary where it has the larger arm', () => {
    expect(shareOf(route(100, 40), canary)).toBeCloseTo(0.4, 1)
    expect(shareOf(route(100, 40), live)).toBe(1)
  })

  it('are none of another canary, and none without blocks', () => {
    expect(shareOf(route(100, 40), { index: 2 } as RuntimeVersion)).toBe(0)
    expect(cohortsOf({ ...route(100, 40), cohorts: [] }, { version: live, unit: undefined }, '1')).toBe(0)
  })

  it('stay the same for a sticky unit, whatever the request', () => {
    const first = cohortsOf(route(50, 100), { version: live, unit: 'anna' }, '0')
    for (let id = 1; id < 50; id++) {
      expect(cohortsOf(route(50, 100), { version: live, unit: 'anna' }, String(id))).toBe(first)
    }
  })
})

describe("the sample of a canary's requests that live scores too", () => {
  it('is the percent that the route says', () => {
    expect(share(id => isPaired(route(0, 0), id))).toBeCloseTo(0.1, 1)
    expect(share(id => isPaired(route(0, 0, { paired: 0 }), id))).toBe(0)
  })

  it('is none while mirroring is switched off', () => {
    expect(share(id => isPaired(route(0, 0, { mirrored: false, paired: 100 }), id))).toBe(0)
  })
})
