import { describe, expect, test } from 'vitest'
import { parseRoutes } from '../../src/config/load.ts'
import { Automatic, type Raise } from '../../src/control/automatic.ts'
import type { Standing } from '../../src/control/snapshot.ts'
import type { Verdict } from '../../src/gate/evidence.ts'
import { resolve } from '../../src/rollout/lock.ts'
import type { RouteState } from '../../src/rollout/state.ts'

const NOW = Date.parse('2026-11-23T12:00:00Z')

/** A route with a shadow that the gate promotes, and what became of the raises. */
function rollout({ mode = 'auto', state = {} }: { mode?: string; state?: Partial<RouteState> } = {}) {
  const text = `routes: { m: { live: 1.0.0, versions: { 1.0.0: { onnx: a, weight: 100 }, 1.1.0: { onnx: b, shadow: 100 } }, rollout: { mode: ${mode} } } }`
  const config = parseRoutes(text, 'routes.yaml', {})
  const digests = { '1.0.0': 'digest a', '1.1.0': 'digest b' }
  const resolution = resolve({ route: config.routes.m!, state: null, fileHash: 'h', digests, verdicts: {} })
  const resolutions = { m: { ...resolution, state: { ...resolution.state, ...state } } }
  const versions = Object.entries(digests).map(([version, digest]) => ({ version, digest, broken: undefined }))
  // Only what is read is there.
  const standing = {
    change: { loaded: { config, text, hash: 'h' }, resolutions },
    snapshot: { routes: [{ name: 'm', versions }] },
    loadedAt: 0,
  } as unknown as Standing
  const told: string[] = []
  const asked: Raise[] = []
  const now = { ms: NOW }
  const faults: { raise?: Error | undefined; file?: string | undefined } = {}
  const pending: PromiseWithResolvers<void>[] = []
  const automatic = new Automatic({
    raise: async raise => {
      asked.push(raise)
      if (faults.raise !== undefined) throw faults.raise
      const gate = Promise.withResolvers<void>()
      pending.push(gate)
      await gate.promise
    },
    unwritable: () => faults.file,
    standing: () => standing,
    log: {
      info: (_: unknown, text: string) => void told.push(text),
      warn: (_: unknown, text: string) => void told.push(text),
    } as never,
    now: () => now.ms,
  })
  const judge = async (decision: Verdict['decision'] = 'promote') => {
    const verdict = { decision, stage: 'shadow', step: 0, reason: 'all safe' } as Verdict
    automatic.judged('m', new Map([['1.1.0', verdict]]))
    await new Promise(resolve => setImmediate(resolve))
  }
  return { automatic, asked, told, now, faults, pending, judge }
}

describe('a due raise', () => {
  test('is asked for once, while it is under way nothing else is', async () => {
    const { asked, judge, pending, automatic } = rollout()
    await judge()
    await judge()
    await judge()
    expect(asked).toEqual([{ route: 'm', version: '1.1.0', from: 0, reason: 'all safe' }])
    pending[0]!.resolve()
    await judge('continue')
    await judge('continue')
    expect(asked).toHaveLength(1)
    expect(automatic.status('m')).toEqual({ mode: 'auto', waitingFor: '1.1.0: all safe' })
  })

  test('that fails is tried later and later, told once, and never given up', async () => {
    const { asked, told, judge, now, faults, automatic } = rollout()
    faults.raise = new Error('routes.yaml was edited meanwhile')
    await judge()
    expect(automatic.status('m')).toEqual({
      mode: 'auto',
      waitingFor: '1.1.0 at 0 % is ready and could not be raised: routes.yaml was edited meanwhile',
      nextAt: new Date(NOW + 1_000).toISOString(),
    })
    // A day of judgements, one a second.
    for (let second = 0; second < 86_400; second += 5) {
      now.ms += 5_000
      await judge()
    }
    expect(asked.length).toBeGreaterThan(280)
    expect(asked.length).toBeLessThan(300)
    expect(told).toHaveLength(1)
    faults.raise = undefined
    now.ms += 300_000
    const before = asked.length
    await judge()
    expect(asked).toHaveLength(before + 1)
    expect(automatic.status('m')).toEqual({ mode: 'auto' })
  })

  test('is not even begun while routes.yaml cannot be written', async () => {
    const { asked, judge, now, faults, automatic } = rollout()
    faults.file = 'routes.yaml cannot be written (EROFS)'
    await judge()
    expect(asked).toEqual([])
    expect(automatic.status('m')?.waitingFor).toContain('routes.yaml cannot be written (EROFS)')
    faults.file = undefined
    now.ms += 1_000
    await judge()
    expect(asked).toHaveLength(1)
  })
})

test('a route in mode manual is left alone, and so is one that is not there', async () => {
  const { asked, judge, automatic } = rollout({ mode: 'manual' })
  await judge()
  expect(asked).toEqual([])
  expect(automatic.status('m')).toEqual({ mode: 'manual' })
  automatic.judged('x', new Map())
  expect(automatic.status('x')).toBeUndefined()
})

test('a pause is in the status at once, with who and why', async () => {
  const paused = { who: 'ann', reason: 'a holiday', at: NOW }
  const { asked, judge, automatic } = rollout({ state: { paused } })
  expect(automatic.status('m')).toEqual({
    mode: 'auto',
    paused: { who: 'ann', reason: 'a holiday', at: '2026-11-23T12:00:00.000Z' },
    waitingFor: 'paused by ann: a holiday',
  })
  await judge()
  expect(asked).toEqual([])
})
