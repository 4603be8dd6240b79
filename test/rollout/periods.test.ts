import { describe, expect, test } from 'vitest'
import {
  type AppliedRoute,
  appliedRoute,
  compareDigest,
  currentPeriods,
  limitsOf,
  nextPeriods,
  RoutePeriods,
  stepStartedAt,
} from '../../src/rollout/periods.ts'
import { adopted, digestsOf, routeOf, save } from './route.ts'

const candidate = { version: '1.1.0', digest: 'candidate', weight: 0, mirrored: true, cleared: 0 }
const route: AppliedRoute = {
  name: 'm',
  live: { version: '1.0.0', digest: 'baseline', weight: 100 },
  candidates: [candidate],
  compareDigest: 'compare',
  limits: { disagreement: 0.01 },
  salt: 'salt',
}
const at = (weight: number, more: Partial<AppliedRoute> = {}): AppliedRoute => ({
  ...route,
  live: { ...route.live, weight: 100 - weight },
  candidates: [{ ...candidate, weight }],
  ...more,
})
const attemptsOf = (all: RoutePeriods) => currentPeriods(all, '1.1.0').at(-1)?.attempt

describe('a period', () => {
  test('is not begun for a version without traffic and without a shadow, nor for live', () => {
    expect(nextPeriods(undefined, { ...route, candidates: [] }, 1).periods).toEqual([])
    expect(nextPeriods(undefined, { ...route, candidates: [{ ...candidate, mirrored: false }] }, 1).periods).toEqual([])
    expect(nextPeriods(undefined, { ...route, candidates: [{ ...candidate, version: '1.0.0' }] }, 1).periods).toEqual(
      [],
    )
  })

  test('goes on while nothing about it changes', () => {
    const first = nextPeriods(undefined, route, 1)
    expect(first.periods).toMatchObject([
      { version: '1.1.0', stage: 'shadow', step: 0, share: 0, attempt: 1, startedAt: 1 },
    ])
    expect(nextPeriods(first, route, 2)).toEqual(first)
    expect(RoutePeriods.parse(JSON.parse(JSON.stringify(first)))).toEqual(first)
  })

  test('ends and a new one begins with the stage, the step and the share of the arms', () => {
    let all = nextPeriods(undefined, route, 1)
    all = nextPeriods(all, at(5), 2)
    all = nextPeriods(all, at(25), 3)
    all = nextPeriods(all, { ...at(25), live: { ...route.live, weight: 50 } }, 4)
    const periods = currentPeriods(all, '1.1.0')
    expect(periods.map(({ stage, step, share, endedAt }) => ({ stage, step, share, endedAt }))).toEqual([
      { stage: 'shadow', step: 0, share: 0, endedAt: 2 },
      { stage: 'canary', step: 5, share: 0.05, endedAt: 3 },
      { stage: 'canary', step: 25, share: 0.25, endedAt: 4 },
      { stage: 'canary', step: 25, share: 1 / 3, endedAt: undefined },
    ])
    expect(new Set(periods.map(({ key }) => key)).size).toBe(4)
    expect(periods.every(({ attempt }) => attempt === 1)).toBe(true)
    expect(stepStartedAt(periods)).toBe(3)
  })

  test('at a share that was there before is a period of its own', () => {
    let all = nextPeriods(undefined, at(5), 1)
    all = nextPeriods(all, at(25), 2)
    all = nextPeriods(all, at(5), 3)
    expect(stepStartedAt(currentPeriods(all, '1.1.0'))).toBe(3)
    expect(currentPeriods(all, '1.1.0')).toHaveLength(3)
  })

  test('ends when the candidate leaves', () => {
    const all = nextPeriods(nextPeriods(undefined, route, 1), { ...route, candidates: [] }, 2)
    expect(all.periods[0]?.endedAt).toBe(2)
    expect(currentPeriods(all, '1.1.0')).toEqual([])
    expect(stepStartedAt([])).toBeUndefined()
  })

  test('has a key that is no prefix of another, so that counters can be read by prefix', () => {
    let all: RoutePeriods | undefined
    for (let turn = 0; turn < 12; turn++) all = nextPeriods(all, at(turn % 2 === 0 ? 5 : 25), turn)
    const keys = all!.periods.map(({ key }) => key)
    for (const key of keys) expect(keys.filter(other => other.startsWith(key))).toEqual([key])
  })
})

describe('an attempt', () => {
  test('is begun by another name of the same bytes, whether the first one is gone or judged too, and not by coming back', () => {
    const named = (...names: string[]) => ({ ...route, candidates: names.map(version => ({ ...candidate, version })) })
    const first = nextPeriods(undefined, named('1.1.0'), 1)
    const renamed = nextPeriods(first, named('1.1.1'), 2)
    const both = nextPeriods(renamed, named('1.1.2', '1.1.1', '1.1.0'), 3)
    const attempts = (all: RoutePeriods) => all.periods.filter(({ endedAt }) => endedAt === undefined)
    expect(attempts(renamed).map(({ attempt }) => attempt)).toEqual([2])
    expect(attempts(both).map(({ version, attempt }) => [version, attempt])).toEqual([
      ['1.1.1', 2],
      ['1.1.2', 3],
      ['1.1.0', 1],
    ])
    expect(currentPeriods(both, '1.1.0').map(({ startedAt }) => startedAt)).toEqual([1, 3])
    expect(nextPeriods(both, named('1.1.2', '1.1.1', '1.1.0'), 4)).toEqual(both)
  })

  const first = nextPeriods(undefined, route, 1)
  const changes: [string, AppliedRoute][] = [
    ['baseline digest', { ...route, live: { ...route.live, digest: 'other' } }],
    ['compare digest', { ...route, compareDigest: 'other' }],
    ['salt', { ...route, salt: 'other' }],
    ['clearing', { ...route, candidates: [{ ...candidate, cleared: 1 }] }],
    ['loosened limit', { ...route, limits: { disagreement: 0.02 } }],
    ['new limit', { ...route, limits: { disagreement: 0.01, margin: 0.1 } }],
  ]
  test.each(changes)('is a new one with another %s, and leaves the old evidence behind', (_, changed) => {
    const second = nextPeriods(first, changed, 2)
    expect(attemptsOf(second)).toBe(2)
    expect(currentPeriods(second, '1.1.0')).toHaveLength(1)
  })

  test('stays when a limit is tightened, and is a new one when that is taken back', () => {
    const tight = nextPeriods(first, { ...route, limits: { disagreement: 0.005 } }, 2)
    expect(attemptsOf(tight)).toBe(1)
    expect(attemptsOf(nextPeriods(tight, route, 3))).toBe(2)
  })

  test('that comes back has its old number and its old evidence', () => {
    const away = nextPeriods(first, { ...route, live: { ...route.live, digest: 'other' } }, 2)
    const back = nextPeriods(away, route, 3)
    expect(attemptsOf(back)).toBe(1)
    expect(currentPeriods(back, '1.1.0')).toHaveLength(2)
  })

  test('of other bytes is their first, whatever the name has had before', () => {
    const other = nextPeriods(first, { ...route, candidates: [{ ...candidate, digest: 'rebuilt' }] }, 2)
    expect(attemptsOf(other)).toBe(1)
    expect(currentPeriods(other, '1.1.0')).toHaveLength(1)
  })

  test('never numbers lower for trying again', () => {
    let all: RoutePeriods | undefined
    for (let turn = 1; turn <= 10; turn++) {
      all = nextPeriods(all, { ...route, compareDigest: `try ${turn}` }, turn)
      expect(attemptsOf(all)).toBe(turn)
    }
  })

  test('keeps the salt out of what is stored', () => {
    expect(JSON.stringify(nextPeriods(undefined, { ...route, salt: 'a secret salt' }, 1))).not.toContain(
      'a secret salt',
    )
  })
})

describe('the compare digest', () => {
  const plain = routeOf('1.0.0', { '1.0.0': 100 })
  const same = (more: Record<string, unknown>) =>
    compareDigest(routeOf('1.0.0', { '1.0.0': 100 }, more)) === compareDigest(plain)

  test('is one for settings that say the same, in any order and with defaults written out', () => {
    expect(same({ compare: { tolerance: {} }, expect: 'same', gate: { latency: { slack: '1ms', p50: 1.1 } } })).toBe(
      true,
    )
    const [a, b] = [
      { absolute: 1, relative: 2 },
      { relative: 2, absolute: 1 },
    ].map(tolerance => compareDigest(routeOf('1.0.0', { '1.0.0': 100 }, { compare: { tolerance } })))
    expect(a).toBe(b)
  })

  test('changes with what decides how an observation is counted, and with nothing else', () => {
    for (const more of [
      { compare: { output: 'p' } },
      { compare: { kind: 'number' } },
      { compare: { tolerance: { absolute: 0.1 } } },
      { expect: 'change' },
      { labels: { loss: 'brier' } },
      { gate: { latency: { p99: 1.5 } } },
      { gate: { difference: 0.5 } },
      { gate: { blocks: '1m' } },
    ])
      expect(same(more)).toBe(false)
    for (const more of [
      { gate: { disagreement: 0.5 } },
      { compare: { segments: ['origin'] } },
      { compare: { again: 5 } },
      { gate: { paired: 50 } },
      { gate: { distribution: 0.2 } },
      { versions: { '1.0.0': { onnx: 'm', override: { metrics: ['errors'], reason: 'r', until: '2030-01-01' } } } },
      { force: 'x-version' },
      { rollout: { steps: [100] } },
    ])
      expect(same(more)).toBe(true)
  })

  test('changes with how late a label may come only where each arm has labels of its own', () => {
    const digest = (affectedByAnswer: boolean, within: string) =>
      compareDigest(routeOf('1.0.0', { '1.0.0': 100 }, { labels: { loss: 'brier', affectedByAnswer, within } }))
    expect(digest(false, '1d')).toBe(digest(false, '2d'))
    expect(digest(true, '1d')).not.toBe(digest(true, '2d'))
    expect(digest(true, '1d')).not.toBe(digest(false, '1d'))
  })

  test('limits grow when they are loosened', () => {
    const loose = limitsOf(
      routeOf(
        '1.0.0',
        { '1.0.0': 100 },
        {
          gate: {
            disagreement: 0.5,
            distribution: 0.2,
            exposure: { for: '1s', requests: 1 },
            errors: { ratio: 3 },
          },
        },
      ),
    )
    const strict = limitsOf(plain)
    for (const name of ['disagreement', 'distribution', 'exposureFor', 'exposureRequests', 'errorRatio'])
      expect(loose[name]!).toBeGreaterThan(strict[name]!)
  })

  test('that labels which the answer affects come to count is a loosened limit', () => {
    const limits = (affectedByAnswer: boolean) =>
      limitsOf(routeOf('1.0.0', { '1.0.0': 100 }, { labels: { loss: 'brier', affectedByAnswer } }))
    expect(limits(false).labelsCount!).toBeGreaterThan(limits(true).labelsCount!)
  })
})

test('an applied route is what the lock resolved, without versions that do not load; none when live does not', () => {
  const state = adopted('1.0.0', { '1.0.0': 75, '1.1.0': 25, '1.2.0': 0 })
  const file = routeOf('1.0.0', { '1.0.0': 50, '1.1.0': 50, '1.2.0': 0 })
  const resolution = save(file, { ...state, clears: { 'digest of 1.1.0': 2 } })
  const applied = appliedRoute('m', file, resolution, digestsOf('1.0.0', '1.1.0'), 'salt')!
  expect(applied.live).toEqual({ version: '1.0.0', digest: 'digest of 1.0.0', weight: 75 })
  expect(applied.candidates).toEqual([
    { version: '1.1.0', digest: 'digest of 1.1.0', weight: 25, mirrored: false, cleared: 2 },
  ])
  expect(appliedRoute('m', file, resolution, digestsOf('1.1.0'), 'salt')).toBeUndefined()
})
