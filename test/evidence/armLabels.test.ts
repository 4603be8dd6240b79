import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { createInterface } from 'node:readline'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ArmLabels, type ArmPending, type ArmRoute, armScope } from '../../src/evidence/armLabels.ts'
import { differenceBin } from '../../src/evidence/histogram.ts'
import { LabelJoin, type LabelRoute } from '../../src/evidence/labels.ts'
import { openMemoryStore } from '../../src/state/memory.ts'
import { openSqliteStore } from '../../src/state/sqlite.ts'

const WITHIN = 1_000
const route: ArmRoute = { spec: { loss: 'brier', clip: 1 }, within: WITHIN, isPresent: key => !key.startsWith('old') }
const scope = armScope('risk')
const answer = (id: string, body: Partial<ArmPending> = {}, at = 0) => ({
  scope,
  id,
  at,
  body: JSON.stringify({ arms: [['key', 'c']], p: 0.5, s: [], ...body } satisfies ArmPending),
})
const slot = (arm: 'b' | 'c', loss: number) => `arm.${arm}.loss.${differenceBin(loss)}`

function open(pending: readonly ReturnType<typeof answer>[] = []) {
  const store = openMemoryStore()
  store.commit({ pending })
  const arms = new ArmLabels(store)
  const commit = () => {
    const { counters, labelled, resolved } = arms.take()
    store.commit({
      counters: [...counters].flatMap(([key, slots]) => [...slots].map(([slot, amount]) => ({ key, slot, amount }))),
      labelled,
      resolved,
    })
    arms.kept()
  }
  const sweep = (nowMs: number, committedMs = 1e9, limit = 100) => arms.sweep('risk', route, nowMs, committedMs, limit)
  const join = (id: string, label: number | string, receivedMs = 10, of = route) =>
    arms.join('risk', id, label, of, receivedMs)
  const counted = (key = 'key') => Object.fromEntries(store.counters(key).get(key) ?? [])
  return { store, arms, commit, sweep, join, counted }
}

describe('a live answer', () => {
  it('is counted when its time is over, and not a millisecond before', () => {
    const { sweep, commit, counted, join, store } = open([answer('a')])
    expect(join('a', 1)).toBe('joined')
    commit()
    sweep(WITHIN)
    commit()
    expect(counted()).toEqual({})
    sweep(WITHIN + 1)
    commit()
    expect(counted()).toEqual({ 'arm.c.due': 1, [slot('c', 0.25)]: 1 })
    expect(store.scopes()).toEqual([])
  })

  it('without a label is due all the same', () => {
    const { sweep, commit, counted } = open([answer('a', { arms: [['key', 'b']] })])
    sweep(WITHIN + 1)
    commit()
    expect(counted()).toEqual({ 'arm.b.due': 1 })
  })

  it('waits for those that were admitted with it and are not in the store yet', () => {
    const { sweep, commit, counted } = open([answer('a', {}, 100), answer('b', {}, 300)])
    sweep(5_000, 300)
    commit()
    expect(counted()).toEqual({ 'arm.c.due': 1 })
  })

  it('of live counts in the baseline arm of every canary, with its segments', () => {
    const { sweep, commit, counted, join } = open([
      answer('a', {
        arms: [
          ['one', 'b'],
          ['two', 'b'],
        ],
        s: ['origin=JFK'],
      }),
    ])
    join('a', 0)
    sweep(WITHIN + 1)
    commit()
    const expected = { 'arm.b.due': 1, [slot('b', 0.25)]: 1, [`${slot('b', 0.25)}@origin=JFK`]: 1 }
    expect([counted('one'), counted('two')]).toEqual([expected, expected])
  })

  it('that failed has the greatest loss', () => {
    const { sweep, commit, counted, join } = open([answer('a', { p: null })])
    expect(join('a', 1)).toBe('joined')
    sweep(WITHIN + 1)
    commit()
    expect(counted()).toEqual({ 'arm.c.due': 1, [slot('c', 1)]: 1 })
  })

  it('is left out where its settings are not the present ones, since its losses would be of another kind', () => {
    const mixed: ArmPending['arms'] = [
      ['old', 'b'],
      ['key', 'b'],
    ]
    const { sweep, commit, counted, join, arms } = open([
      answer('a', { arms: [['old', 'c']] }),
      answer('b', { arms: mixed }),
    ])
    expect(join('a', 1)).toBeUndefined()
    expect(join('b', 1)).toBe('joined')
    sweep(WITHIN + 1)
    commit()
    expect([counted('old'), counted()]).toEqual([{}, { 'arm.b.due': 1, [slot('b', 0.25)]: 1 }])
    expect(arms.cutOf('risk')).toBe(1)
  })

  it('that cannot be read is left out and holds up nobody', () => {
    const { sweep, commit, counted, arms, join } = open([{ ...answer('a'), body: '{' }, answer('b')])
    expect(join('a', 1)).toBeUndefined()
    sweep(WITHIN + 1)
    commit()
    expect(counted()).toEqual({ 'arm.c.due': 1 })
    expect(arms.cutOf('risk')).toBe(1)
  })

  it('is counted in order of admission, and moments are not cut in two', () => {
    const { sweep, commit, counted, store } = open([answer('a', {}, 20), answer('b', {}, 10), answer('c', {}, 20)])
    sweep(5_000, 1e9, 2)
    commit()
    expect(counted()).toEqual({ 'arm.c.due': 1 })
    expect(store.waiting(scope)).toEqual({ count: 2, oldest: 20 })
    sweep(5_000, 1e9, 2)
    commit()
    expect(counted()).toEqual({ 'arm.c.due': 3 })
  })

  it('is counted once when the commit fails and is tried again', () => {
    const { sweep, commit, counted, join } = open([answer('a'), answer('b', {}, 1)])
    join('a', 1)
    sweep(WITHIN + 1)
    // The store fails: nobody says `kept`.
    sweep(WITHIN + 2)
    commit()
    expect(counted()).toEqual({ 'arm.c.due': 1, [slot('c', 0.25)]: 1 })
    sweep(WITHIN + 2)
    commit()
    expect(counted()).toMatchObject({ 'arm.c.due': 2 })
  })
})

describe('a label of a live answer', () => {
  it('is the first one, before and after it is kept', () => {
    const { sweep, commit, counted, join, arms } = open([answer('a')])
    expect([join('a', 1), join('a', 0)]).toEqual(['joined', 'repeated'])
    commit()
    expect(arms.take().labelled).toEqual([])
    expect(join('a', 0)).toBe('repeated')
    sweep(WITHIN + 1)
    commit()
    expect(join('a', 0)).toBeUndefined()
    expect(counted()).toEqual({ 'arm.c.due': 1, [slot('c', 0.25)]: 1 })
  })

  it('is late as soon as its answer is due, swept or not, even where it is quicker than the sweep', () => {
    const { join } = open([answer('a')])
    expect(join('a', 1, WITHIN + 1)).toBe('late')
    expect(join('a', 1, WITHIN)).toBe('joined')
  })

  it('that the loss cannot use leaves room for a right one, whatever was predicted', () => {
    const { join } = open([answer('a', { p: null }), answer('b')])
    for (const id of ['a', 'b'])
      expect([join(id, 'yes'), join(id, 0.5), join(id, 1)]).toEqual(['unusable', 'unusable', 'joined'])
  })

  it('of an unknown request is joined to nothing', () => {
    expect(open().join('nobody', 1)).toBeUndefined()
  })
})

/**
 * What is counted depends on the first usable label that came in time, and on nothing else: not on whether the prediction or the
 * label came first, how often either came, when the store was written or failed, or the process was started again.
 */
describe('whatever happens in whatever order', () => {
  const IDS = ['a', 'b', 'c'] as const
  type Id = (typeof IDS)[number]
  const id = fc.constantFrom(...IDS)
  const event = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('label' as const), id, label: fc.constantFrom(0, 1, 'bad') }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('commit' as const), fails: fc.boolean() }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(1, 400, WITHIN, WITHIN + 1) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('predict' as const), id }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  )
  const predictions: Record<Id, { readonly p: number | null; readonly arm: 'b' | 'c' }> = {
    a: { p: 0.5, arm: 'b' },
    b: { p: 0.9, arm: 'c' },
    c: { p: null, arm: 'c' },
  }

  it('each answer is due once, with the first label that was kept in time', () => {
    fc.assert(
      fc.property(fc.array(event, { minLength: 5, maxLength: 30 }), events => {
        const store = openMemoryStore()
        const labelRoute: LabelRoute = { ...route, affectedByAnswer: true, candidates: ['2.0.0'] }
        const routes = new Map([['risk', labelRoute]])
        let nowMs = 10_000
        let arms = new ArmLabels(store)
        let join = new LabelJoin(store, arms, undefined, 100)
        let uncommitted: ReturnType<typeof answer>[] = []
        const admittedAt = new Map<Id, number>()
        const committed = new Set<Id>()
        /** Labels as a client knows them: answered, and not lost with the process. */
        let waiting = new Map<Id, { label: number | string; atMs: number }>()
        const kept = new Map<Id, number>()
        let unkept = new Map<Id, number>()

        const commit = (fails: boolean) => {
          // Epochs are committed in order and at once: what is not in the store was admitted now.
          const committedMs = Math.min(...uncommitted.map(({ at }) => at), nowMs)
          arms.sweep('risk', labelRoute, nowMs, committedMs, 2)
          const taken = { ...join.take(), ...arms.take() }
          if (fails) return
          store.commit({
            pending: uncommitted,
            counters: [...taken.counters].flatMap(([key, slots]) =>
              [...slots].map(([slot, amount]) => ({ key, slot, amount })),
            ),
            labelled: taken.labelled,
            resolved: taken.resolved,
          })
          const arrived = uncommitted
          uncommitted = []
          for (const { id } of arrived) committed.add(id as Id)
          for (const [id, label] of unkept) kept.set(id, label)
          unkept = new Map()
          join.kept()
          arms.kept()
          join.arrived(arrived, routes)
          for (const { id } of arrived as { id: Id }[]) {
            const early = waiting.get(id)
            waiting.delete(id)
            if (early === undefined || typeof early.label === 'string') continue
            if (early.atMs - admittedAt.get(id)! <= WITHIN) unkept.set(id, early.label)
          }
        }

        for (const each of events) {
          if (each.kind === 'predict') {
            if (admittedAt.has(each.id)) {
              // The same request id again is no second answer while the first one waits.
              if (store.pending(scope, each.id) !== undefined) store.commit({ pending: [answer(each.id, {}, nowMs)] })
              continue
            }
            const { p, arm } = predictions[each.id]
            admittedAt.set(each.id, nowMs)
            uncommitted.push(answer(each.id, { p, arms: [['key', arm]] }, nowMs))
          } else if (each.kind === 'label') {
            join.submit([{ request_id: each.id, label: each.label }], routes, nowMs)
            const isThere = store.pending(scope, each.id) !== undefined
            if (!isThere) {
              if (!committed.has(each.id) && !waiting.has(each.id))
                waiting.set(each.id, { label: each.label, atMs: nowMs })
            } else if (
              typeof each.label === 'number' &&
              nowMs - admittedAt.get(each.id)! <= WITHIN &&
              !kept.has(each.id) &&
              !unkept.has(each.id)
            ) {
              unkept.set(each.id, each.label)
            }
          } else if (each.kind === 'commit') commit(each.fails)
          else if (each.kind === 'pass') nowMs += each.ms
          else {
            // Killed: what was not committed is gone, on both sides.
            arms = new ArmLabels(store)
            join = new LabelJoin(store, arms, undefined, 100)
            for (const { id } of uncommitted) admittedAt.delete(id as Id)
            uncommitted = []
            waiting = new Map()
            unkept = new Map()
          }
        }
        // To the end, whatever is under way.
        commit(false)
        commit(false)
        nowMs += WITHIN + 1
        for (let round = 0; round < IDS.length + 1; round++) commit(false)

        const expected: Record<string, number> = {}
        const add = (slot: string) => (expected[slot] = (expected[slot] ?? 0) + 1)
        for (const id of committed) {
          const { p, arm } = predictions[id]
          add(`arm.${arm}.due`)
          const label = kept.get(id)
          if (label !== undefined) add(slot(arm, p === null ? 1 : (p - label) ** 2))
        }
        expect(Object.fromEntries(store.counters('key').get('key') ?? [])).toEqual(expected)
        expect(store.scopes()).toEqual([])
      }),
      { numRuns: 500 },
    )
  })
})

describe('the labels of a killed process', () => {
  it('are counted once: every answer is due or still waits', { timeout: 60_000 }, async () => {
    const dir = mkdtempSync(joinPath(tmpdir(), 'understudy-sweep-'))
    try {
      for (const killAfter of [1, 20, 55]) {
        const child = spawn(process.execPath, [joinPath(import.meta.dirname, 'killedSweep.ts'), dir], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
        for (let line = 0; line < killAfter; line++) await lines.next()
        // It goes on committing while this signal is on its way, so the kill falls anywhere in a transaction.
        child.kill('SIGKILL')
        await once(child, 'exit')

        const store = openSqliteStore(dir)
        const slots = store.counters('key').get('key') ?? new Map<string, number>()
        const due = slots.get('arm.c.due') ?? 0
        expect(due + store.waiting(scope).count).toBe(Number(store.value('made')))
        // In order of admission, and every second one is labelled.
        expect(slots.get(slot('c', 0.25)) ?? 0).toBe(Math.floor(due / 2))
        expect(store.waiting(scope).oldest).toBe(due + 1)
        store.close()
      }
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })
})
