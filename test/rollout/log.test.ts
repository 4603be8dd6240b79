import { describe, expect, test } from 'vitest'
import { appendEntry, type EntryBody, fold, history, readLog, routeLog } from '../../src/rollout/log.ts'
import { MemoryLog } from './gateway.ts'
import { adopted } from './route.ts'

const state = adopted('1.0.0', { '1.0.0': 100 })
const body = (reason: string, more: Partial<EntryBody> = {}): EntryBody => ({
  kind: 'edit',
  phase: 'applied',
  who: 'ada',
  reason,
  ...more,
})
const record = (sequence: number, base: number, what: EntryBody) => ({
  sequence,
  base,
  scope: 'rollout/m',
  at: 0,
  body: JSON.stringify(what),
})

describe('folding the log', () => {
  test('of a route that was never started gives no state', () => {
    expect(fold([])).toEqual({ state: null, head: 0, dangling: undefined })
  })

  test('takes the first entry of each base, and nothing that was based on the loser', () => {
    const entries = readLog([
      record(1, 0, body('first')),
      record(2, 0, body('loser')),
      record(3, 2, body('built on the loser')),
      record(4, 1, body('second')),
      record(5, 1, body('late')),
    ])
    expect(entries.map(({ reason }) => reason)).toEqual(['first', 'second'])
    expect(fold(entries).head).toBe(4)
  })

  test('takes the state of applied entries only', () => {
    const later = { ...state, fileHash: 'later' }
    const entries = readLog([
      record(1, 0, body('start', { state })),
      record(2, 1, body('intent', { phase: 'intent', state: later })),
      record(3, 2, body('note')),
    ])
    expect(fold(entries)).toMatchObject({ state, dangling: { sequence: 2 } })
  })

  test('knows an intent as ended by the entry that names it', () => {
    for (const phase of ['applied', 'abandoned'] as const) {
      const entries = readLog([
        record(1, 0, body('intent', { phase: 'intent' })),
        record(2, 1, body('end', { phase, intent: 1 })),
      ])
      expect(fold(entries).dangling).toBeUndefined()
    }
  })

  test('never skips an entry it cannot read: there may be a latch in it', () => {
    for (const text of ['', '{', '{"kind":"promote"}', JSON.stringify({ ...body('x'), kind: 'unknown' })])
      expect(() => readLog([{ ...record(1, 0, body('x')), body: text }])).toThrow(
        'entry 1 of the rollout log cannot be read',
      )
  })
})

test('an entry is checked before it is written, and refused on a base that is not the newest', () => {
  const log = new MemoryLog()
  expect(() => appendEntry(log, 'm', 0, 0, { ...body('x'), who: 5 as never })).toThrow()
  appendEntry(log, 'm', 0, 7, body('one'))
  expect(() => appendEntry(log, 'm', 0, 0, body('two'))).toThrow(/base/)
  expect(routeLog(log, 'm')).toEqual([{ ...body('one'), sequence: 1, base: 0, at: 7 }])
})

test('history is all routes in order of time, other scopes left out', () => {
  const log = new MemoryLog()
  appendEntry(log, 'b', 0, 1, body('b1'))
  appendEntry(log, 'a', 0, 2, body('a1'))
  log.append('audit', 0, 2, 'not ours')
  appendEntry(log, 'b', 1, 3, body('b2'))
  expect(history(log).map(({ route, reason }) => `${route} ${reason}`)).toEqual(['b b1', 'a a1', 'b b2'])
})
