import { describe, expect, test } from 'vitest'
import { type AutomaticInput, decideAutomatic, waitOfRoute } from '../../src/rollout/automatic.ts'
import type { RouteState } from '../../src/rollout/state.ts'
import { adopted, digestsOf, promoteAt, routeOf } from './route.ts'

const NOW = Date.parse('2026-11-23T12:00:00Z')
const MINUTE = 60_000
const AUTO = { rollout: { mode: 'auto' } }
const isReady = (step: number) => ({ ...promoteAt(step), reason: 'all safe' })
const isNot = (step: number, decision: 'continue' | 'hold' | 'invalid' | 'abort' = 'continue') => ({
  ...isReady(step),
  decision,
  reason: 'labels: about 1,900 more',
})

/** A route that adopted these weights, with verdicts as told. */
function decide(
  weights: Record<string, number>,
  verdicts: AutomaticInput['verdicts'],
  { state = {}, ...more }: { state?: Partial<RouteState>; rollout?: object; digests?: Record<string, string> } = {},
) {
  const route = routeOf('1.0.0', weights, { rollout: { mode: 'auto', ...more.rollout } })
  return decideAutomatic({
    route,
    state: { ...adopted('1.0.0', weights, AUTO), ...state },
    digests: { ...digestsOf(...Object.keys(weights)), ...more.digests },
    verdicts,
    nowMs: NOW,
  })
}

describe('nobody is raised', () => {
  test('without candidates, and there is nothing to wait for', () => {
    expect(decide({ '1.0.0': 100 }, {})).toEqual({ wait: undefined })
    // One without evidence is no candidate.
    expect(decide({ '1.0.0': 100, '1.1.0': 0 }, {})).toEqual({ wait: undefined })
  })

  test.each(['continue', 'hold', 'invalid', 'abort'] as const)(
    'on %s, and the verdict says what is missing',
    decision => {
      expect(decide({ '1.0.0': 95, '1.1.0': 5 }, { '1.1.0': isNot(5, decision) })).toEqual({
        wait: { reason: '1.1.0: labels: about 1,900 more' },
      })
    },
  )

  test('by a verdict that is about another stage or step', () => {
    for (const step of [0, 25])
      expect(decide({ '1.0.0': 95, '1.1.0': 5 }, { '1.1.0': isReady(step) })).toMatchObject({ wait: {} })
  })

  test('that is latched, does not load, was live before, or is live by its bytes', () => {
    const weights = { '1.0.0': 100, '1.1.0': 0 }
    const verdicts = { '1.1.0': isReady(0) }
    const digest = 'digest of 1.1.0'
    expect(decide(weights, verdicts)).toEqual({ raise: { version: '1.1.0', from: 0 } })
    for (const state of [
      { latches: { [digest]: { version: '1.1.0', kind: 'abort' as const, reason: 'r', at: 1 } } },
      { previous: [{ version: '1.1.0', digest, proven: true }] },
      { live: { version: '1.0.0', digest, proven: true } },
    ])
      expect(decide(weights, verdicts, { state })).toEqual({ wait: undefined })
    expect(decide(weights, verdicts, { digests: { '1.1.0': undefined as unknown as string } })).toEqual({
      wait: undefined,
    })
  })

  test('while the route is paused, and that is said even where nothing is ready', () => {
    const state = { paused: { who: 'ann', reason: 'a holiday', at: NOW } }
    const wait = { reason: 'paused by ann: a holiday' }
    expect(decide({ '1.0.0': 95, '1.1.0': 5 }, { '1.1.0': isReady(5) }, { state })).toEqual({ wait })
    expect(decide({ '1.0.0': 95, '1.1.0': 5 }, { '1.1.0': isNot(5) }, { state })).toEqual({ wait })
    expect(decide({ '1.0.0': 100 }, {}, { state })).toEqual({ wait })
  })
})

describe('time', () => {
  const weights = { '1.0.0': 95, '1.1.0': 5 }
  const verdicts = { '1.1.0': isReady(5) }

  test('passes between two raises', () => {
    const rollout = { every: '10m' }
    const raised = (ago: number) => decide(weights, verdicts, { rollout, state: { raisedAt: NOW - ago } })
    expect(raised(10 * MINUTE)).toEqual({ raise: { version: '1.1.0', from: 5 } })
    expect(raised(10 * MINUTE - 1)).toEqual({
      wait: { reason: 'the last raise is less than `rollout.every` ago', until: NOW + 1 },
    })
    // Nothing was raised yet.
    expect(decide(weights, verdicts, { rollout })).toEqual({ raise: { version: '1.1.0', from: 5 } })
  })

  test('that was set back over a restart keeps nobody waiting for the old one to come again', () => {
    const state = { raisedAt: NOW + 1000 * MINUTE }
    expect(decide(weights, verdicts, { rollout: { every: '10m' }, state })).toMatchObject({ raise: {} })
  })

  test('outside the window raises nobody, and says when it opens', () => {
    const rollout = { window: 'Mon-Fri 13:00-17:00 UTC', every: '10m' }
    expect(decide(weights, verdicts, { rollout })).toEqual({
      wait: { reason: 'raises happen Mon-Fri 13:00-17:00 UTC only', until: NOW + 60 * MINUTE },
    })
    expect(decide(weights, verdicts, { rollout: { window: 'Mon 11:00-13:00 UTC' } })).toMatchObject({ raise: {} })
    // The next raise is due after the window: then, when it opens again.
    const late = routeOf('1.0.0', weights, { rollout: { mode: 'auto', every: '2h', window: 'daily 11:00-13:00 UTC' } })
    const state = { ...adopted('1.0.0', weights), raisedAt: NOW }
    expect(waitOfRoute(late, state, NOW)).toMatchObject({ until: NOW + 23 * 60 * MINUTE })
  })
})

test('in mode manual nothing happens by itself', () => {
  const route = routeOf('1.0.0', { '1.0.0': 100 })
  expect(waitOfRoute(route, adopted('1.0.0', { '1.0.0': 100 }), NOW)).toEqual({ reason: 'rollout.mode is manual' })
})

describe('one candidate at a time', () => {
  test('is raised: the one that stands highest', () => {
    expect(decide({ '1.0.0': 70, '1.1.0': 25, '1.2.0': 5 }, { '1.1.0': isReady(25), '1.2.0': isReady(5) })).toEqual({
      raise: { version: '1.1.0', from: 25 },
    })
  })

  test('and of equals the newest version', () => {
    const verdicts = { '1.9.0': isReady(0), '1.10.0': isReady(0), '1.10.0-rc.1': isReady(0) }
    expect(decide({ '1.0.0': 100, '1.9.0': 0, '1.10.0': 0, '1.10.0-rc.1': 0 }, verdicts)).toEqual({
      raise: { version: '1.10.0', from: 0 },
    })
  })

  test('and while it has earned a share the others wait for it', () => {
    expect(decide({ '1.0.0': 95, '1.1.0': 5, '1.2.0': 0 }, { '1.1.0': isNot(5), '1.2.0': isReady(0) })).toEqual({
      wait: { reason: '1.1.0: labels: about 1,900 more; 1.2.0 is ready and comes after it' },
    })
  })

  test('but one that stands in no more than what is unproven stops nobody', () => {
    const granted = {
      '1.1.0': { digest: 'digest of 1.1.0', weight: 1, proven: false },
      '1.2.0': { digest: 'digest of 1.2.0', weight: 0, proven: false },
    }
    expect(
      decide(
        { '1.0.0': 99, '1.1.0': 1, '1.2.0': 0 },
        { '1.1.0': isNot(1), '1.2.0': isReady(0) },
        { state: { granted } },
      ),
    ).toEqual({ raise: { version: '1.2.0', from: 0 } })
  })
})
