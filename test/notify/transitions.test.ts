import { describe, expect, it } from 'vitest'
import type { Verdict } from '../../src/gate/evidence.ts'
import { noticeOf } from '../../src/notify/notice.ts'
import {
  firstTold,
  REPEAT_AFTER_MS,
  type RouteNow,
  readTold,
  rolloutChanges,
  type Told,
  verdictChange,
} from '../../src/notify/transitions.ts'
import { verdict as sample } from '../report/sample.ts'

const now = (change: Partial<RouteNow> = {}): RouteNow => ({
  route: 'm',
  live: { version: '1.0.0', digest: 'a' },
  previous: undefined,
  holdback: 2,
  granted: { '1.1.0': { digest: 'b', weight: 5, proven: true } },
  latches: {},
  held: [],
  weights: { '1.0.0': 95, '1.1.0': 5 },
  ...change,
})
const events = (told: Told, next: RouteNow) =>
  rolloutChanges(told, next).happenings.map(({ event, version }) => `${event} ${version}`)
/** Each state in turn; what is told at each. */
function story(...states: RouteNow[]): string[][] {
  let told = firstTold(states[0]!, 'o')
  return states.map(state => {
    const list = events(told, state)
    told = rolloutChanges(told, state).told
    // As a restart between any two of them would.
    told = readTold(JSON.stringify(told))!
    return list
  })
}
const latch = (kind: 'abort' | 'rollback', version: string, at = 7) => ({ version, kind, reason: 'worse', at })
const hold = (version: string, wanted: number) => ({
  version,
  key: 'weight' as const,
  wanted,
  allowed: 1,
  reason: 'unproven',
})

describe('what happens to a route', () => {
  it('is no news where it stood before anybody looked', () => {
    expect(story(now({ latches: { c: latch('abort', '0.9.0') } }))).toEqual([[]])
  })

  it('is told once when a version is latched, and again when it is latched again', () => {
    const aborted = now({ granted: {}, latches: { b: latch('abort', '1.1.0') }, weights: { '1.0.0': 100, '1.1.0': 0 } })
    const again = now({ granted: {}, latches: { b: latch('abort', '1.1.0', 9) } })
    expect(story(now(), aborted, aborted, now({ granted: {} }), again)).toEqual([
      [],
      ['abort 1.1.0'],
      [],
      [],
      ['abort 1.1.0'],
    ])
  })

  it('is told when a share grows by licence, and not when it falls or grows without one', () => {
    const at = (weight: number, proven = true) => now({ granted: { '1.1.0': { digest: 'b', weight, proven } } })
    expect(story(at(5), at(25), at(25), at(10), at(25))).toEqual([[], ['promoted 1.1.0'], [], [], ['promoted 1.1.0']])
    expect(story(now({ granted: {} }), at(1, false), at(2, false), at(2, true))).toEqual([
      [],
      [],
      [],
      ['promoted 1.1.0'],
    ])
  })

  it('is told as one promotion when live changes, whatever the one before keeps as a holdback', () => {
    const promoted = now({
      live: { version: '1.1.0', digest: 'b' },
      previous: '1.0.0',
      granted: { '1.0.0': { digest: 'a', weight: 2, proven: true } },
      weights: { '1.1.0': 98, '1.0.0': 2 },
    })
    expect(story(now(), promoted, promoted)).toEqual([[], ['promoted 1.1.0'], []])
    const [happening] = rolloutChanges(firstTold(now(), 'o'), promoted).happenings
    expect(happening).toMatchObject({ baseline: '1.0.0', stage: 'live', step: 98 })
  })

  it('is told of the version that was live before only where it gets more than the holdback', () => {
    const at = (weight: number) =>
      now({ previous: '0.9.0', granted: { '0.9.0': { digest: 'z', weight, proven: true } } })
    expect(story(at(0), at(2), at(5))).toEqual([[], [], ['promoted 0.9.0']])
  })

  it('is told as one rollback of the version that lost live, with a latch or by the file', () => {
    const before = now({ live: { version: '1.1.0', digest: 'b' }, previous: '1.0.0', granted: {} })
    const latched = now({ granted: {}, latches: { b: latch('rollback', '1.1.0') } })
    expect(story(before, latched)).toEqual([[], ['rolledback 1.1.0']])
    expect(story(before, now({ granted: {} }))).toEqual([[], ['rolledback 1.1.0']])
  })

  it('is told when a raise in the file is held, once for each wish, and not where a latch has just said it', () => {
    const wish = (wanted: number, latches = {}) => now({ held: [hold('1.1.0', wanted)], latches })
    expect(story(wish(50), wish(50), wish(60), now(), wish(60))).toEqual([
      ['held 1.1.0'],
      [],
      ['held 1.1.0'],
      [],
      ['held 1.1.0'],
    ])
    const latches = { b: latch('abort', '1.1.0') }
    expect(story(now(), wish(5, latches), wish(5, latches), wish(25, latches))).toEqual([
      [],
      ['abort 1.1.0'],
      [],
      ['held 1.1.0'],
    ])
  })
})

describe('what a verdict says', () => {
  const verdict = (decision: Verdict['decision'], step = 0): Verdict => ({ ...sample, decision, step })
  /** Decisions with the seconds they were looked at; the words that were told, with the second. */
  function words(...looks: (readonly [at: number, Verdict['decision'], step?: number, key?: string])[]): string[] {
    let told = firstTold(now(), 'o')
    let lastTrue = 0
    return looks.flatMap(([at, decision, step = 0, key = 'k']) => {
      const known = told.words[sample.candidate]?.word
      if (known === (decision === 'promote' ? 'ready' : decision)) lastTrue = at * 1000
      const next = verdictChange(told, verdict(decision, step), key, at * 1000, lastTrue)
      told = readTold(JSON.stringify(next.told))!
      if (next.happening !== undefined) lastTrue = at * 1000
      return next.happening === undefined ? [] : [`${at} ${next.happening.event}`]
    })
  }
  const later = REPEAT_AFTER_MS / 1000

  it('is told once while it stays, also where it flickers at its border', () => {
    expect(words([1, 'continue'], [2, 'promote'], [3, 'promote'], [4, 'continue'], [5, 'promote'])).toEqual(['2 ready'])
    expect(words([1, 'invalid'], [2, 'promote'], [3, 'invalid'], [4, 'promote'])).toEqual(['1 invalid', '2 ready'])
  })

  it('is told again at the next step, on a new evidence key, and after it was untrue for ten minutes', () => {
    expect(words([1, 'promote'], [2, 'continue', 5], [3, 'promote', 5])).toEqual(['1 ready', '3 ready'])
    expect(words([1, 'promote'], [2, 'promote', 0, 'k2'])).toEqual(['1 ready', '2 ready'])
    expect(words([1, 'promote'], [2 + later, 'continue'], [3 + later, 'promote'])).toEqual([
      '1 ready',
      `${3 + later} ready`,
    ])
  })

  it('is told late rather than never where it came back too soon and stayed', () => {
    expect(words([1, 'invalid'], [2, 'promote'], [3, 'invalid'], [1 + later, 'invalid'])).toEqual([
      '1 invalid',
      '2 ready',
      `${1 + later} invalid`,
    ])
  })

  it('of hold, continue and abort there is none: an abort is told when it is latched', () => {
    expect(words([1, 'hold'], [2, 'continue'], [3, 'abort'])).toEqual([])
  })
})

it('the same event has the same id after a crash, and the next one another', () => {
  const [happening] = rolloutChanges(firstTold(now(), 'o'), now({ latches: { b: latch('abort', '1.1.0') } })).happenings
  const id = (origin: string, serial: number, at: number) => noticeOf(happening!, origin, serial, at).id
  expect(id('o', 3, 1)).toBe(id('o', 3, 2))
  expect(new Set([id('o', 3, 1), id('o', 4, 1), id('p', 3, 1)]).size).toBe(3)
})

it('what cannot be read as told is begun anew', () => {
  expect(readTold('{')).toBeUndefined()
  expect(readTold('{"live":1}')).toBeUndefined()
  expect(readTold(undefined)).toBeUndefined()
})
