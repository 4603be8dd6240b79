import { describe, expect, it } from 'vitest'
import { parseRoutes } from '../../src/config/load.ts'
import { Notifier } from '../../src/control/notifier.ts'
import { UnderstudyError } from '../../src/errors.ts'
import type { Notice } from '../../src/notify/notice.ts'
import type { Resolution } from '../../src/rollout/lock.ts'
import type { Change } from '../../src/rollout/ports.ts'
import { verdict } from '../report/sample.ts'

const URL = 'http://hooks.example.com/T0/secret'

/** A notifier whose messages arrive at once, and what is kept of it. */
function notifier(values = new Map<string, string>(), failing = { now: false }) {
  const sent: Notice[] = []
  const errors: string[] = []
  const log = { warn: () => {}, error: (message: unknown) => void errors.push(String(message)) }
  const tells = new Notifier({
    store: {
      value: key => {
        if (failing.now) throw new UnderstudyError('STATE_FAILED', 'the state store could not be read')
        return values.get(key)
      },
      log: () => [],
    },
    keepValue: (key, value) => void values.set(key, value),
    poster: {
      post: async (_url, notice) => {
        sent.push(notice)
        return undefined
      },
      close: async () => {},
    },
    metrics: { notified: () => {} },
    log: log as never,
    now: () => 1_000_000,
  })
  return { tells, sent, errors, values }
}

function change(state: Partial<Resolution['state']> = {}, rest: Partial<Resolution> = {}): Change {
  const text = `routes:\n  flight-delay:\n    live: 1.0.0\n    notify: [{ url: '${URL}' }]\n    versions: { 1.0.0: { onnx: a, weight: 100 }, 1.1.0: { onnx: b, shadow: 100 } }\n`
  const full = {
    live: { version: '1.0.0', digest: 'a', proven: true },
    previous: [],
    granted: {},
    latches: {},
    clears: {},
    fileHash: 'f',
    ...state,
  } as Resolution['state']
  const resolution: Resolution = {
    live: full.live.version,
    weights: { '1.0.0': 100, '1.1.0': 0 },
    held: [],
    changes: [],
    liveChange: undefined,
    notices: [],
    state: full,
    ...rest,
  }
  return {
    loaded: { config: parseRoutes(text, 'routes.yaml', {}), text, hash: 'f' },
    resolutions: { 'flight-delay': resolution },
  }
}
const LATCHED = { b: { version: '1.1.0', kind: 'abort' as const, reason: 'it is worse', at: 5 } }
const settled = () => new Promise<void>(resolve => setImmediate(resolve))
const events = (sent: readonly Notice[]) => sent.map(({ event }) => event)

describe('what webhooks are told', () => {
  it('of an abort by the gate holds its verdict', async () => {
    const { tells, sent } = notifier()
    tells.applied(change())
    tells.verdict({ ...verdict, decision: 'abort', guilty: [{ metric: 'labels', segment: 'origin=JFK' }] }, 'k')
    tells.applied(change({ latches: LATCHED }))
    await settled()
    expect(sent).toMatchObject([
      {
        event: 'abort',
        version: '1.1.0',
        reason: 'it is worse',
        evidenceDigest: verdict.evidenceDigest,
        verdict: { decision: 'abort', guilty: [{ metric: 'labels', segment: 'origin=JFK' }] },
      },
    ])
  })

  it('never is that a latched version is ready: it has to be cleared first', async () => {
    const { tells, sent } = notifier()
    tells.applied(change({ latches: LATCHED }))
    tells.verdict({ ...verdict, decision: 'promote' }, 'k')
    tells.applied(change())
    tells.verdict({ ...verdict, decision: 'promote' }, 'k2')
    await settled()
    expect(events(sent)).toEqual(['ready'])
  })

  it('of a verdict is told once, however often it is looked at, and by the next process not at all', async () => {
    const first = notifier()
    first.tells.applied(change())
    for (let look = 0; look < 5; look++) first.tells.verdict({ ...verdict, decision: 'promote' }, 'k')
    await settled()
    expect(events(first.sent)).toEqual(['ready'])
    const second = notifier(first.values)
    second.tells.applied(change())
    second.tells.verdict({ ...verdict, decision: 'promote' }, 'k')
    second.tells.verdict({ ...verdict, decision: 'invalid' }, 'k')
    await settled()
    expect(events(second.sent)).toEqual(['invalid'])
  })

  it('of a decline is told once for each alarm, and again after another version became live', async () => {
    const { tells, sent } = notifier()
    tells.applied(change())
    for (const key of ['alarm 1', 'alarm 1', 'alarm 2']) tells.degraded('flight-delay', key, 'more errors')
    tells.applied(change({ live: { version: '1.1.0', digest: 'b', proven: true } }, { live: '1.1.0' }))
    tells.degraded('flight-delay', 'alarm 1', 'more errors')
    tells.degraded('nowhere', 'alarm 1', 'more errors')
    await settled()
    expect(sent.map(({ event, version }) => `${event} ${version}`)).toEqual([
      'degraded 1.0.0',
      'degraded 1.0.0',
      'promoted 1.1.0',
      'degraded 1.1.0',
    ])
  })

  it('keeps its ids over a crash that forgot what was told', async () => {
    const first = notifier()
    first.tells.applied(change())
    const kept = new Map(first.values)
    first.tells.applied(change({ latches: LATCHED }))
    const second = notifier(kept)
    second.tells.applied(change({ latches: LATCHED }))
    await settled()
    expect(second.sent.map(({ id }) => id)).toEqual(first.sent.map(({ id }) => id))
    expect(first.sent).toHaveLength(1)
  })

  it('is kept without any address', async () => {
    const { tells, values } = notifier()
    tells.applied(change())
    tells.applied(change({ latches: LATCHED }))
    await settled()
    expect([...values.values()].join()).not.toMatch(/secret|hooks\.example/)
  })
})

describe('a store that fails', () => {
  it('keeps nothing from being applied, and what happens is told while it is remembered in memory', async () => {
    const failing = { now: false }
    const { tells, sent, errors } = notifier(new Map(), failing)
    tells.applied(change())
    failing.now = true
    tells.applied(change({ latches: LATCHED }))
    await settled()
    expect(events(sent)).toEqual(['abort'])
    expect(errors).toEqual([])
  })

  it('from the first moment on means that nothing is told, and no verdict suffers', () => {
    const { tells, sent, errors } = notifier(new Map(), { now: true })
    tells.applied(change())
    tells.verdict({ ...verdict, decision: 'promote' }, 'k')
    expect(sent).toEqual([])
    expect(errors.length).toBeGreaterThan(0)
  })

  it('that holds something unreadable begins anew', async () => {
    const { tells, sent } = notifier(
      new Map([
        ['notify/told/flight-delay', '{'],
        ['notify/waiting', '['],
      ]),
    )
    tells.applied(change())
    tells.applied(change({ latches: LATCHED }))
    await settled()
    expect(events(sent)).toEqual(['abort'])
  })
})
