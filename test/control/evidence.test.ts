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
    expect(book.counters(key)).toEqual(store.counters(key).get(key))
    expect(book.counters(key).get('loss.0')).toBe(1)
    expect(told.reads).toBeGreaterThan(reads)
  })
})
