import { describe, expect, it } from 'vitest'
import { EvidenceBook } from '../../src/control/evidence.ts'
import { UnderstudyError } from '../../src/errors.ts'
import type { AppliedRoute } from '../../src/rollout/periods.ts'
import { openMemoryStore } from '../../src/state/memory.ts'

const limits = { p50: 1.1, p95: 1.1, p99: 1.25, slack: 1 }
const routeOf = (weight = 0, live = 'baseline'): AppliedRoute => ({
  name: 'm',
  live: { version: '1.0.0', digest: live, weight: 100 - weight },
  candidates: [{ version: '2.0.0', digest: 'candidate', weight, mirrored: true, cleared: 0 }],
  compareDigest: 'compare',
  limits: {},
  salt: 'salt',
})
const nothing = { counters: new Map(), resolved: [] }
const epochOf = (key: string, slots: Record<string, number>) => ({
  epoch: 1,
  counters: new Map([[key, new Map(Object.entries(slots))]]),
  pending: [],
})

/** A store whose reads and writes can be made to fail, and that counts reads. */
function open() {
  const store = openMemoryStore()
  const told = { failing: false, reads: 0 }
  const through = <A extends unknown[], R>(call: (...args: A) => R) => {
    return (...args: A): R => {
      told.reads++
      if (told.failing) throw new UnderstudyError('STATE_FAILED', 'input or output error')
      return call(...args)
    }
  }
  const failing = {
    value: through(store.value),
    counters: through(store.counters),
    commit: through(store.commit),
  }
  return { store, told, book: new EvidenceBook(failing) }
}

describe('the evidence of a candidate', () => {
  it('begins, moves on and comes back while the store can be neither read nor written', () => {
    const { told, book } = open()
    const first = book.follow(routeOf(), limits, 1).get('2.0.0')!
    book.commit([epochOf(first, { 'pair.match': 3, 'pair.ok': 3 })], nothing)
    told.failing = true
    const other = book.follow(routeOf(0, 'other baseline'), limits, 2).get('2.0.0')!
    expect(other).not.toBe(first)
    expect(book.segments(other)).toEqual([])
    expect(book.follow(routeOf(), limits, 3).size).toBe(1)
  })

  it('has the drops of everything that proves it, also from before a pause at the same step', () => {
    const { book } = open()
    const first = book.follow(routeOf(5), limits, 1).get('2.0.0')!
    book.commit([epochOf(first, { 'pair.ok': 700, 'mirror.eligible': 1000, 'mirror.dropped.too_large': 300 })], nothing)
    book.follow({ ...routeOf(), candidates: [] }, limits, 2)
    book.follow(routeOf(5), limits, 3)
    const evidence = book.evidence('m', '2.0.0')!
    expect(evidence.periods.map(({ stage, step }) => [stage, step])).toEqual([
      ['canary', 5],
      ['canary', 5],
    ])
    expect(evidence.mirrored).toEqual({ eligible: 1000, dropped: 300 })
    book.follow(routeOf(25), limits, 4)
    expect(book.evidence('m', '2.0.0')!.mirrored).toEqual({ eligible: 0, dropped: 0 })
  })

  it('that is new is not looked up in the store', () => {
    const { told, book } = open()
    const key = book.follow(routeOf(), limits, 1).get('2.0.0')!
    const { reads } = told
    expect(book.counters(key).size).toBe(0)
    expect(told.reads).toBe(reads)
  })

  it('counts only what the store has, once, when a commit failed', () => {
    const { store, told, book } = open()
    const key = book.follow(routeOf(), limits, 1).get('2.0.0')!
    told.failing = true
    expect(() => book.commit([epochOf(key, { 'pair.ok': 2 })], nothing)).toThrow('input or output error')
    expect(book.counters(key).get('pair.ok')).toBeUndefined()
    told.failing = false
    expect(book.commit([epochOf(key, { 'pair.ok': 2 })], nothing)).toBe(true)
    expect(book.counters(key).get('pair.ok')).toBe(2)
    expect(store.counters(key).get(key)!.get('pair.ok')).toBe(2)
  })

  it('takes it for routes that came meanwhile, and for none that left', () => {
    const { book } = open()
    const other = (): AppliedRoute => ({ ...routeOf(5), name: 'n' })
    const key = book.follow(routeOf(5), limits, 1).get('2.0.0')!
    book.served(1_000)
    book.commit([], nothing)
    const late = book.follow(other(), limits, 2).get('2.0.0')!
    book.served(1_000)
    book.commit([], nothing)
    book.keep(new Set(['n']), 3)
    book.served(1_000)
    book.commit([], nothing)
    expect([key, late].map(each => book.counters(each).get('time.ms'))).toEqual([2_000, 2_000])
  })

  it('takes the time that the gateway served for exposure, over a restart and not the time between', () => {
    const { store, book } = open()
    book.follow(routeOf(5), limits, 1_000)
    book.served(1_500.5)
    expect(book.commit([], nothing)).toBe(true)
    book.served(0.6)
    expect(book.commit([], nothing)).toBe(false)
    book.served(1_000)
    expect(book.commit([], nothing)).toBe(true)
    expect(book.evidence('m', '2.0.0')?.stepElapsedMs).toBe(2_501)

    const restarted = new EvidenceBook(store)
    restarted.follow(routeOf(5), limits, 86_400_000)
    expect(restarted.evidence('m', '2.0.0')?.stepElapsedMs).toBe(2_501)
    // The next step starts at nothing.
    restarted.follow(routeOf(25), limits, 86_500_000)
    expect(restarted.evidence('m', '2.0.0')?.stepElapsedMs).toBe(0)
    restarted.served(2_000)
    restarted.commit([], nothing)
    expect(restarted.evidence('m', '2.0.0')?.stepElapsedMs).toBe(2_000)
  })

  it('counts no time for a route that is not followed any more', () => {
    const { book } = open()
    book.follow(routeOf(5), limits, 1)
    book.keep(new Set(), 2)
    book.served(5_000)
    book.commit([], nothing)
    expect(book.evidence('m', '2.0.0')?.stepElapsedMs).toBe(0)
  })

  it('of an earlier key is right although it is not kept in memory: a label that is late for it is added once', () => {
    const { store, told, book } = open()
    const key = book.follow(routeOf(), limits, 1).get('2.0.0')!
    book.commit([epochOf(key, { 'pair.ok': 2 })], nothing)
    book.follow(routeOf(0, 'other baseline'), limits, 2)
    // Long after its last epochs it is forgotten.
    book.follow(routeOf(0, 'third baseline'), limits, 700_000)
    book.commit([], { counters: new Map([[key, new Map([['loss.0', 1]])]]), resolved: [] })
    const { reads } = told
    expect(new Map(book.counters(key))).toEqual(store.counters(key).get(key))
    expect(book.counters(key).get('loss.0')).toBe(1)
    expect(told.reads).toBeGreaterThan(reads)
  })

  it('keeps its segments in the order of their first sight, over restarts too', () => {
    const { store, book } = open()
    const key = book.follow(routeOf(), limits, 1).get('2.0.0')!
    book.commit([epochOf(key, { 'pair.ok@origin=JFK': 1, 'pair.ok@origin=other': 1 })], nothing)
    book.commit([epochOf(key, { 'pair.ok@origin=EWR': 1, 'pair.ok@origin=JFK': 1 })], nothing)
    const late = { counters: new Map([[key, new Map([['loss.0@origin=ATL', 1]])]]), resolved: [] }
    book.commit([], late)
    const order = ['origin=JFK', 'origin=other', 'origin=EWR', 'origin=ATL']
    expect(book.segments(key)).toEqual(order)
    const restarted = new EvidenceBook(store)
    restarted.follow(routeOf(), limits, 2)
    expect(restarted.segments(key)).toEqual(order)
    expect(restarted.evidence('m', '2.0.0')?.periods.map(({ segments }) => segments)).toEqual([order])
  })

  it('forgets a segment whose commit failed, and takes it up with the next one that works', () => {
    const { told, book } = open()
    const key = book.follow(routeOf(), limits, 1).get('2.0.0')!
    told.failing = true
    expect(() => book.commit([epochOf(key, { 'pair.ok@a=1': 1 })], nothing)).toThrow('input or output error')
    told.failing = false
    expect(book.segments(key)).toEqual([])
    book.commit([epochOf(key, { 'pair.ok@a=2': 1, 'pair.ok@a=1': 1 })], nothing)
    expect(book.segments(key)).toEqual(['a=2', 'a=1'])
  })

  it('says which classes have slots, and whether live has contradicted itself', () => {
    const { store, book } = open()
    const key = book.follow(routeOf(), limits, 1).get('2.0.0')!
    expect([book.classes(key), book.isNoisy('m')]).toEqual([[], false])
    book.commit([epochOf(key, { 'class.a|b': 2, 'again.differs': 1 })], nothing)
    const restarted = new EvidenceBook(store)
    restarted.follow(routeOf(), limits, 2)
    expect([restarted.classes(key), restarted.isNoisy('m'), restarted.isNoisy('other')]).toEqual([['a|b'], true, false])
    // The next step has a key of its own, and the same live.
    restarted.follow(routeOf(5), limits, 3)
    expect(restarted.isNoisy('m')).toBe(true)
  })

  it('counts blocks with the commit in which they end, once, also when it failed before', () => {
    const { told, book } = open()
    const key = book.follow(routeOf(5), limits, 1, 1_000).get('2.0.0')!
    const arms = { 'arm.c.n': 9, 'arm.c.err': 3, 'arm.k.n': 9, 'arm.k.err': 1 }
    book.commit([{ ...epochOf(key, arms), epoch: 2 }], nothing)
    const next = [{ ...epochOf(key, arms), epoch: 4 }]
    told.failing = true
    expect(() => book.commit(next, nothing)).toThrow('input or output error')
    told.failing = false
    book.commit(next, nothing)
    const slots = book.counters(key)
    expect(['block.n', 'block.plus', 'block.squares'].map(slot => slots.get(slot))).toEqual([1, 2, 4])
    // Where the canary has the larger arm a part of it is what counts.
    const large = book.follow(routeOf(75), limits, 2, 1_000).get('2.0.0')!
    book.commit([{ ...epochOf(large, { ...arms, 'arm.t.n': 9, 'arm.t.err': 2 }), epoch: 8 }], nothing)
    book.commit([{ ...epochOf(large, {}), epoch: 12 }], nothing)
    expect(book.counters(large).get('block.plus')).toBe(1)
    expect(book.counters(key).get('block.n'), 'the block that was open at the change').toBe(2)
  })
})
