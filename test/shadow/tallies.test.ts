import { describe, expect, it } from 'vitest'
import type { SnapshotVersion } from '../../src/rollout/snapshot.ts'
import { bump, Tallies } from '../../src/shadow/tallies.ts'

/** The same version in another revision is another object. */
const version = (name: string) => ({ version: name }) as SnapshotVersion

const outcomesOf = (tallies: Tallies) =>
  tallies.takeDeltas().map(({ route, version, outcomes }) => [route, version, Object.fromEntries(outcomes)])

describe('what versions did in the shadow', () => {
  it('is counted by route and version, from one revision to the next, and starts over when it is taken', () => {
    const tallies = new Tallies()
    const first = version('2.0.0')
    bump(tallies.of('m', first).outcomes, 'ok')
    bump(tallies.of('m', first).outcomes, 'ok')
    bump(tallies.of('m', version('2.0.0')).outcomes, 'ok')
    bump(tallies.of('other', version('2.0.0')).outcomes, 'dropped')
    expect(outcomesOf(tallies)).toEqual([
      ['m', '2.0.0', { ok: 3 }],
      ['other', '2.0.0', { dropped: 1 }],
    ])
    bump(tallies.of('m', first).outcomes, 'ok')
    expect(outcomesOf(tallies)).toEqual([
      ['m', '2.0.0', { ok: 1 }],
      ['other', '2.0.0', {}],
    ])
  })

  it('is forgotten with the version, and told again where a late answer of it is counted', () => {
    const tallies = new Tallies()
    const gone = version('1.1.0')
    bump(tallies.of('m', gone).outcomes, 'ok')
    tallies.keep(new Set(['m/2.0.0']))
    expect(outcomesOf(tallies)).toEqual([])
    bump(tallies.of('m', gone).outcomes, 'ok')
    expect(outcomesOf(tallies)).toEqual([['m', '1.1.0', { ok: 1 }]])
  })

  it('is kept while something is under way', () => {
    const tallies = new Tallies()
    const gone = version('1.1.0')
    tallies.of('m', gone).inFlight++
    tallies.keep(new Set())
    tallies.of('m', gone).inFlight--
    expect(tallies.takeDeltas().map(({ inFlight }) => inFlight)).toEqual([0])
    tallies.keep(new Set())
    expect(tallies.takeDeltas()).toEqual([])
  })
})
