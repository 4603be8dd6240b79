import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { holdbackLimit, holdbackOf, liveSince } from '../../src/rollout/holdback.ts'
import { appliedRoute, currentPeriods, nextPeriods } from '../../src/rollout/periods.ts'
import { promote, setWeight } from '../../src/rollout/promote.ts'
import { abort, rollback } from '../../src/rollout/rollback.ts'
import { grantedWeights, type RouteState } from '../../src/rollout/state.ts'
import { assign } from '../../src/routing/assign.ts'
import { Gateway, ROUTES } from './gateway.ts'
import { adopted, continueAt, digestsOf, promoteAt, routeOf, save } from './route.ts'

const ROLLOUT = { rollout: { steps: [50, 100], holdback: 2 } }
const routes = (rollout = '{ steps: [50, 100], holdback: 2 }') => ROUTES.replace('{ steps: [50, 100] }', rollout)

let gateway: Gateway
const gateways: Gateway[] = []
afterEach(() => {
  for (const each of gateways.splice(0)) each.remove()
})
const started = async (text: string) => {
  gateway = new Gateway(text)
  gateways.push(gateway)
  gateway.decisions['1.1.0'] = 'promote'
  await gateway.start()
}
const who = { route: 'm', who: 'a tester', reason: 'to see' }
const up = { ...who, version: '1.1.0' }
/** 1.1.0 is live with 98, 1.0.0 is the holdback. */
const promoted = async (text = routes()) => {
  await started(text)
  await promote(gateway.ports, up)
  await promote(gateway.ports, up)
}

describe('a promotion with a holdback', () => {
  test('leaves the old live its percent, in traffic and in the file', async () => {
    await promoted()
    expect(gateway.live).toBe('1.1.0')
    expect(gateway.weights).toEqual({ '1.0.0': 2, '1.1.0': 98 })
    expect(gateway.text).toContain('1.0.0: { onnx: m/1.0.0, weight: 2 } # old')
    expect(gateway.text).toContain('weight: 98')
    expect(gateway.held).toEqual([])
    expect(gateway.entries.at(-1)).toMatchObject({ kind: 'promote', from: '1.0.0', to: '1.1.0' })
  })

  test('leaves it nothing without the setting', async () => {
    await promoted(routes('{ steps: [50, 100] }'))
    expect(gateway.weights).toEqual({ '1.0.0': 0, '1.1.0': 100 })
  })

  test('leaves nothing to an old live that does not load, or whose bytes are not the promoted ones', async () => {
    await started(routes())
    await promote(gateway.ports, up)
    gateway.digests['1.0.0'] = 'rebuilt'
    await gateway.reread()
    await promote(gateway.ports, up)
    expect(gateway.weights).toEqual({ '1.0.0': 0, '1.1.0': 100 })
  })

  test('takes the share of the holdback before it: there is one at a time', async () => {
    await promoted()
    await gateway.edit(text => text.replace('versions:', 'versions:\n      1.2.0: { onnx: m/1.2.0, shadow: 100 }'))
    gateway.decisions['1.2.0'] = 'promote'
    const next = { ...who, version: '1.2.0' }
    await promote(gateway.ports, next)
    expect(gateway.weights).toEqual({ '1.0.0': 2, '1.1.0': 48, '1.2.0': 50 })
    await promote(gateway.ports, next)
    expect(gateway.weights).toEqual({ '1.0.0': 0, '1.1.0': 2, '1.2.0': 98 })
  })

  test('survives a restart, and a crash between its two writes', async () => {
    await promoted()
    await gateway.start()
    expect(gateway.weights).toEqual({ '1.0.0': 2, '1.1.0': 98 })

    await started(routes())
    await promote(gateway.ports, up)
    gateway.before.apply = () => gateway.crash()
    gateway.before.append = body => body.includes('abandoned') && gateway.crash()
    gateway.before.write = text => text.includes('live: 1.0.0') && gateway.crash()
    await expect(promote(gateway.ports, up)).rejects.toThrow()
    await gateway.start()
    expect(gateway.weights).toEqual({ '1.0.0': 2, '1.1.0': 98 })
  })
})

describe('the end of a holdback', () => {
  test('gives its share to live, in the file too, on record, without a verdict', async () => {
    await promoted()
    gateway.decisions = {}
    await setWeight(gateway.ports, { route: 'm', version: '1.0.0', weight: 0, who: 'holdback', reason: 'it is over' })
    expect(gateway.weights).toEqual({ '1.0.0': 0, '1.1.0': 100 })
    expect(gateway.text).toContain('weight: 0')
    expect(gateway.entries.at(-1)).toMatchObject({ kind: 'set-weight', who: 'holdback', from: '2 %', to: '0 %' })
  })

  test('is counted from the promotion, which the log knows', async () => {
    await started(routes())
    expect(liveSince(gateway.entries)).toBeUndefined()
    gateway.now = 5_000_000
    await promote(gateway.ports, up)
    gateway.now = 6_000_000
    await promote(gateway.ports, up)
    gateway.now = 7_000_000
    await setWeight(gateway.ports, { ...who, version: '1.0.0', weight: 1 })
    expect(liveSince(gateway.entries)).toBe(6_000_000)
    gateway.now = 8_000_000
    await rollback(gateway.ports, who)
    expect(liveSince(gateway.entries)).toBe(8_000_000)
  })
})

describe('rollback with a holdback', () => {
  test('gives the previous live everything back and latches the one that was left', async () => {
    await promoted()
    await rollback(gateway.ports, who)
    expect(gateway.live).toBe('1.0.0')
    expect(gateway.weights).toEqual({ '1.0.0': 100, '1.1.0': 0 })
    expect(gateway.state.latches).toMatchObject({ 'digest of 1.1.0': { kind: 'rollback' } })
  })

  test('keeps what it goes back to: the holdback is neither aborted nor rolled back', async () => {
    await promoted()
    await expect(abort(gateway.ports, { ...who, version: '1.0.0' })).rejects.toThrow(/is the holdback/)
    await expect(rollback(gateway.ports, { ...who, version: '1.0.0' })).rejects.toThrow(/is the holdback/)
    expect(gateway.state.latches).toEqual({})
  })
})

describe('the lock', () => {
  /** 1.1.0 is live, 1.0.0 was before it and has this share. */
  const served = (weight: number): RouteState =>
    save(
      routeOf('1.1.0', { '1.0.0': weight, '1.1.0': 100 - weight }, ROLLOUT),
      adopted('1.0.0', { '1.0.0': 50, '1.1.0': 50 }),
      {
        verdicts: { '1.1.0': promoteAt(50) },
      },
    ).state

  test('keeps the holdback whatever versions without evidence have taken', () => {
    const state = served(2)
    const file = routeOf('1.1.0', { '1.0.0': 2, '1.1.0': 97, '2.0.0': 1 }, { ...ROLLOUT, gate: { unproven: 1 } })
    expect(save(file, state).weights).toEqual({ '1.0.0': 2, '1.1.0': 97, '2.0.0': 1 })
  })

  test('gives it back at a save, without a licence, and no more than the setting', () => {
    const state = served(0)
    expect(grantedWeights(state)).toMatchObject({ '1.0.0': 0 })
    expect(save(routeOf('1.1.0', { '1.0.0': 2, '1.1.0': 98 }, ROLLOUT), state).weights['1.0.0']).toBe(2)
    const more = save(routeOf('1.1.0', { '1.0.0': 10, '1.1.0': 90 }, ROLLOUT), state)
    expect(more.weights['1.0.0']).toBe(2)
    expect(more.held).toMatchObject([{ version: '1.0.0', wanted: 10, allowed: 2 }])
    expect(more.held[0]?.reason).toContain('may have 2 % as the holdback')
    // A read of the same file is no occasion.
    const reread = save(routeOf('1.1.0', { '1.0.0': 2, '1.1.0': 98 }, ROLLOUT), state, { fileHash: state.fileHash })
    expect(reread.weights['1.0.0']).toBe(0)
  })

  test('gives nothing to other bytes under its name, nor to another version, nor to latched bytes', () => {
    const state = served(0)
    const file = routeOf('1.1.0', { '1.0.0': 2, '1.1.0': 96, '2.0.0': 2 }, { ...ROLLOUT, gate: { unproven: 0 } })
    const digests = { ...digestsOf('1.1.0', '2.0.0'), '1.0.0': 'rebuilt' }
    expect(save(file, state, { digests }).weights).toMatchObject({ '1.0.0': 0, '2.0.0': 0 })
    expect(save(file, served(2), { digests }).weights).toMatchObject({ '1.0.0': 0 })
    const latch = { version: '1.0.0', kind: 'abort' as const, reason: 'bad', at: 1 }
    const latched = { ...state, latches: { 'digest of 1.0.0': latch } }
    expect(save(file, latched).weights).toMatchObject({ '1.0.0': 0 })
  })

  test('does not raise another version because the holdback is raised', () => {
    const state = served(0)
    const file = routeOf('1.1.0', { '1.0.0': 2, '1.1.0': 68, '2.0.0': 30 }, { ...ROLLOUT, gate: { unproven: 1 } })
    expect(save(file, state, { verdicts: { '2.0.0': continueAt(0) } }).weights).toMatchObject({
      '1.0.0': 2,
      '2.0.0': 0,
    })
  })

  test('bounds the share by the setting alone', () => {
    const previous = { version: '1.0.0', digest: 'd', proven: true }
    const route = routeOf('1.1.0', { '1.0.0': 0, '1.1.0': 100 }, ROLLOUT)
    expect(holdbackLimit(route, previous, '1.0.0', 'd')).toBe(2)
    expect(holdbackLimit(route, previous, '1.0.0', undefined)).toBe(0)
    expect(holdbackLimit(route, { version: '1.0.0', proven: true }, '1.0.0', undefined)).toBe(0)
    expect(holdbackLimit(route, { ...previous, proven: false }, '1.0.0', 'd')).toBe(0)
    expect(holdbackLimit(route, undefined, '1.0.0', 'd')).toBe(0)
    const state = { previous: [previous] }
    expect(holdbackOf(route, state, { '1.0.0': 2 }, { '1.0.0': 'd' })).toEqual({
      version: '1.0.0',
      digest: 'd',
      weight: 2,
    })
    expect(holdbackOf(route, state, { '1.0.0': 0 }, { '1.0.0': 'd' })).toBeUndefined()
    expect(holdbackOf(route, state, { '1.0.0': 3 }, { '1.0.0': 'd' })).toBeUndefined()
    expect(holdbackOf(route, { previous: [] }, { '1.0.0': 2 }, { '1.0.0': 'd' })).toBeUndefined()
  })
})

describe('the evidence of a holdback', () => {
  test('has a key of its own that costs no attempt and adds to none', async () => {
    await promoted()
    const { resolutions, loaded } = gateway.served!
    const digests = digestsOf('1.0.0', '1.1.0')
    const applied = appliedRoute('m', loaded.config.routes.m!, resolutions.m!, digests, 'salt')!
    const held = nextPeriods(undefined, applied, 1)
    expect(held.attempts).toEqual({})
    expect(currentPeriods(held, '1.0.0')).toMatchObject([
      { holdback: true, stage: 'canary', step: 2, share: 0.02, attempt: 1 },
    ])
    // The same bytes with a share that is no holdback are a canary, at their first attempt.
    const canary = { ...applied, candidates: applied.candidates.map(({ holdback: _, ...rest }) => rest) }
    const judged = nextPeriods(held, canary, 2)
    expect(currentPeriods(judged, '1.0.0')).toHaveLength(1)
    expect(currentPeriods(judged, '1.0.0')[0]).not.toHaveProperty('holdback')
    expect(judged.periods[0]?.endedAt).toBe(2)
  })
})

test('a promotion with a holdback moves no user off the promoted version', () => {
  fc.assert(
    fc.property(fc.string(), unit => {
      const before = assign('salt', unit, [
        { version: 'new', weight: 50 },
        { version: 'old', weight: 50 },
      ])
      const after = assign('salt', unit, [
        { version: 'new', weight: 98 },
        { version: 'old', weight: 2 },
      ])
      if (before === 'new') expect(after).toBe('new')
    }),
  )
})
