import { afterEach, describe, expect, test } from 'vitest'
import type { AnswerCounts } from '../../src/control/answered.ts'
import { Decline, type DeclineParts } from '../../src/control/decline.ts'
import type { Standing } from '../../src/control/snapshot.ts'
import { UnderstudyError } from '../../src/errors.ts'
import { SLOT } from '../../src/evidence/counters.ts'
import { DECLINE_EPOCH_MS } from '../../src/gate/detector.ts'
import type { PeriodRecord } from '../../src/rollout/periods.ts'
import { promote } from '../../src/rollout/promote.ts'
import { rollback } from '../../src/rollout/rollback.ts'
import { Gateway, ROUTES } from '../rollout/gateway.ts'

const DAY = 86_400_000
const who = { route: 'm', who: 'a tester', reason: 'to see' }

/** A gateway whose counters, answers and clock are as told. */
class Watched {
  readonly gateway: Gateway
  readonly counters = new Map<string, number>()
  readonly values = new Map<string, string>()
  readonly told: string[] = []
  readonly logged: string[] = []
  readonly metrics: unknown[] = []
  storeFails = false
  answers: ReadonlyMap<string, AnswerCounts> = new Map()
  decline!: Decline

  constructor(text: string) {
    this.gateway = new Gateway(text)
  }

  /** What a process that starts has: the store and the log, nothing else. */
  start(): void {
    const log = (_: object, text: string) => void this.logged.push(text)
    const parts: DeclineParts = {
      book: {
        holdback: () => this.#holdback(),
        counters: () => this.counters,
        canaryErrors: () => ({ n: 10_000, errors: 10 }),
        keepValue: (key, value) => void this.values.set(key, value),
      },
      store: { value: key => this.#read(key) },
      ports: this.gateway.ports,
      metrics: { decline: (...all) => void this.metrics.push(all) },
      takeAnswers: () => this.answers,
      notifier: { degraded: (_, key, reason) => void (this.told.includes(key) || this.told.push(key, reason)) },
      log: { info: log, warn: log, error: log } as unknown as DeclineParts['log'],
      standing: () => ({ change: this.gateway.served }) as unknown as Standing,
      now: () => this.gateway.now,
    }
    this.decline = new Decline(parts)
    this.decline.tick()
  }

  #read(key: string): string | undefined {
    if (this.storeFails) throw new UnderstudyError('STATE_FAILED', 'disk full')
    return this.values.get(key)
  }

  #holdback(): { version: string; periods: PeriodRecord[] } | undefined {
    const held = this.gateway.served?.resolutions.m
    if (held === undefined || held.live !== '1.1.0' || (held.weights['1.0.0'] ?? 0) === 0) return undefined
    return { version: '1.0.0', periods: [{ key: 'k', share: held.weights['1.0.0']! / 100 } as PeriodRecord] }
  }

  /** One epoch of 1,000 answers; of the holdback's with `held` errors. */
  async epoch(errors: number, held?: number): Promise<void> {
    const add = (slot: string, amount: number) => this.counters.set(slot, (this.counters.get(slot) ?? 0) + amount)
    const share = (this.gateway.weights['1.0.0'] ?? 0) / 100
    if (held !== undefined) {
      add(SLOT.armBaseline, 1_000 * (1 - share))
      add(SLOT.armBaselineError, errors)
      add(SLOT.armCandidate, 1_000 * share)
      add(SLOT.armCandidateError, held)
    }
    this.answers = new Map([[`m/${this.gateway.live}`, { n: 1_000, errors }]])
    this.gateway.now += DECLINE_EPOCH_MS
    this.decline.tick()
    // Actions are not awaited by the tick; they queue behind each other.
    await settled()
  }

  async epochs(count: number, errors: number, held?: number): Promise<void> {
    for (let epoch = 0; epoch < count; epoch++) await this.epoch(errors, held)
  }

  get alarm() {
    return this.decline.declineStatus('m')?.alarm
  }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
}

let watched: Watched
const begin = async (rollout: string, { isPromoted = true } = {}) => {
  watched = new Watched(ROUTES.replace('{ steps: [50, 100] }', `{ steps: [100], ${rollout} }`))
  watched.gateway.decisions['1.1.0'] = 'promote'
  await watched.gateway.start()
  watched.start()
  if (isPromoted) await promote(watched.gateway.ports, { ...who, version: '1.1.0' })
}
afterEach(() => watched.gateway.remove())

describe('detector: tell', () => {
  test('tells of a decline once, in status, notices, log, metric and webhook, and moves no traffic', async () => {
    await begin('detector: tell')
    await watched.epochs(20, 1)
    expect(watched.decline.declineStatus('m')).toMatchObject({ policy: 'tell', reference: 'frozen', epochs: 20 })
    expect(watched.alarm).toBeUndefined()
    await watched.epochs(5, 300)
    expect(watched.alarm).toMatchObject({ metric: 'errors' })
    expect(watched.decline.notices('m').join()).toContain('live has declined since')
    expect(watched.told).toHaveLength(2)
    expect(watched.logged.filter(text => text.includes('has declined'))).toHaveLength(1)
    expect(watched.metrics.at(-1)).toMatchObject(['m', expect.any(Number), 'errors'])
    expect(watched.gateway.live).toBe('1.1.0')
    expect(watched.gateway.kinds.join()).not.toContain('rollback')
  })

  test('says when it is over', async () => {
    await begin('detector: tell')
    await watched.epochs(5, 300)
    await watched.epochs(200, 0)
    expect(watched.alarm).toBeUndefined()
    expect(watched.logged.at(-1)).toContain('is as it was again')
  })

  test('goes on after a restart, alarm and evidence', async () => {
    await begin('detector: tell')
    await watched.epochs(10, 20)
    const before = watched.decline.declineStatus('m')
    watched.start()
    await watched.epoch(20)
    expect(watched.decline.declineStatus('m')?.epochs).toBe(before!.epochs + 1)
    await watched.epochs(5, 300)
    const { alarm } = watched
    watched.start()
    expect(watched.alarm).toEqual(alarm)
    await watched.epoch(300)
    expect(watched.alarm).toEqual(alarm)
    expect(watched.told).toHaveLength(2)
  })

  test('of a store that cannot be read watches on from memory, and answers a status', async () => {
    await begin('detector: tell')
    await watched.epoch(1)
    watched.storeFails = true
    await watched.epochs(5, 300)
    expect(watched.alarm).toBeDefined()
  })
})

describe('detector: rollback', () => {
  test('rolls back once, on record, with the metric and its figures as the reason', async () => {
    await begin('detector: rollback, holdback: 20')
    await watched.epochs(5, 2, 0)
    for (let epoch = 0; epoch < 5 && watched.gateway.live === '1.1.0'; epoch++) await watched.epoch(500, 0)
    expect(watched.gateway.live).toBe('1.0.0')
    expect(watched.gateway.weights).toEqual({ '1.0.0': 100, '1.1.0': 0 })
    const entries = watched.gateway.entries.filter(({ kind, phase }) => kind === 'rollback' && phase === 'applied')
    expect(entries).toHaveLength(1)
    expect(entries[0]).toMatchObject({ who: 'detector', from: '1.1.0', to: '1.0.0' })
    expect(entries[0]?.reason).toMatch(/^errors: .*of the holdback 1\.0\.0$/)
    expect(watched.gateway.state.latches['digest of 1.1.0']).toMatchObject({ kind: 'rollback' })
    // The one that is live again is watched from the start.
    await watched.epoch(0)
    expect(watched.alarm).toBeUndefined()
    expect(watched.decline.declineStatus('m')?.epochs).toBe(1)
  })

  test('leaves live where the holdback fails as much', async () => {
    await begin('detector: rollback, holdback: 20')
    await watched.epochs(20, 400, 100)
    expect(watched.gateway.live).toBe('1.1.0')
  })

  test('does nothing but tell where there is nothing to go back to, and touches no canary', async () => {
    await begin('detector: rollback', { isPromoted: false })
    await watched.gateway.edit(text => text.replace('shadow: 100', 'weight: 1').replace('weight: 100', 'weight: 99'))
    await watched.epochs(5, 600)
    expect(watched.alarm).toMatchObject({ problem: 'no earlier live is on record' })
    expect(watched.decline.notices('m').join()).toContain('it is not rolled back: no earlier live is on record')
    expect(watched.gateway.weights['1.1.0']).toBe(1)
    expect(watched.gateway.state.latches).toEqual({})
  })

  test('gives way to a person who rolls back at the same moment, and does not go back a second time', async () => {
    await begin('detector: rollback')
    await watched.gateway.edit(text =>
      text.replace('versions:', 'versions:\n      1.2.0: { onnx: m/1.2.0, shadow: 100 }'),
    )
    watched.gateway.decisions['1.2.0'] = 'promote'
    await promote(watched.gateway.ports, { ...who, version: '1.2.0' })
    await watched.epochs(3, 1)
    const theirs = rollback(watched.gateway.ports, who)
    await watched.epoch(900)
    await theirs
    await settled()
    expect(watched.gateway.live).toBe('1.1.0')
    expect(watched.gateway.entries.filter(({ kind }) => kind === 'rollback').map(({ who }) => who)).toEqual([
      'a tester',
      'a tester',
    ])
  })

  test('tries again after a failure, and says meanwhile why it has not happened', async () => {
    await begin('detector: rollback')
    await watched.epochs(3, 1)
    watched.gateway.digests['1.0.0'] = undefined
    await watched.epochs(3, 900)
    expect(watched.gateway.live).toBe('1.1.0')
    expect(watched.alarm?.problem).toContain('1.0.0')
    watched.gateway.digests['1.0.0'] = 'digest of 1.0.0'
    await watched.epochs(10, 900)
    expect(watched.gateway.live).toBe('1.0.0')
  })
})

describe('detector: off', () => {
  test('watches nothing', async () => {
    await begin('detector: off')
    await watched.epochs(10, 900)
    expect(watched.decline.declineStatus('m')).toBeUndefined()
    expect(watched.told).toEqual([])
    expect(watched.values.size).toBe(0)
  })
})

describe('a holdback', () => {
  test('ends when its time is over and not before, also without a detector', async () => {
    await begin('detector: off, holdback: 2, holdbackFor: 7d')
    const status = watched.decline.holdbackStatus('m')
    expect(status).toMatchObject({ version: '1.0.0', weight: 2 })
    expect(Date.parse(status!.until) - Date.parse(status!.since)).toBe(7 * DAY)
    watched.gateway.now = Date.parse(status!.until) - 2 * DECLINE_EPOCH_MS
    await watched.epoch(0, 0)
    expect(watched.gateway.weights).toEqual({ '1.0.0': 2, '1.1.0': 98 })
    await watched.epochs(2, 0, 0)
    expect(watched.gateway.weights).toEqual({ '1.0.0': 0, '1.1.0': 100 })
    expect(watched.gateway.entries.at(-1)).toMatchObject({ who: 'holdback', reason: 'the holdback of 7 days is over' })
    expect(watched.decline.holdbackStatus('m')).toBeUndefined()
  })

  test('that cannot end says so until it can', async () => {
    await begin('holdback: 2, holdbackFor: 1d')
    watched.gateway.now += 2 * DAY
    watched.gateway.readOnly()
    await watched.epochs(2, 0, 0)
    expect(watched.gateway.weights).toEqual({ '1.0.0': 2, '1.1.0': 98 })
    expect(watched.decline.notices('m').join()).toContain(
      'the holdback is over and still has traffic: routes.yaml cannot be written',
    )
    watched.gateway.before = {}
    await watched.epochs(8, 0, 0)
    expect(watched.gateway.weights).toEqual({ '1.0.0': 0, '1.1.0': 100 })
    expect(watched.decline.notices('m')).toEqual([])
  })

  test('is counted from the promotion over a restart', async () => {
    await begin('holdback: 2, holdbackFor: 1d')
    const { since } = watched.decline.holdbackStatus('m')!
    watched.gateway.now += DAY / 2
    watched.start()
    await watched.epoch(0, 0)
    expect(watched.decline.holdbackStatus('m')?.since).toBe(since)
  })
})
