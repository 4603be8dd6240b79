// Remembers in which order the segments of an evidence key were first seen, over restarts too. Counts nothing.
import { type ReadonlyCounters, splitSlot } from '../evidence/counters.ts'
import type { StateStore } from '../state/store.ts'

/** Segments of a key with those that a commit adds to it. */
export type Grown = readonly [key: string, order: readonly string[]]

export class SegmentOrder {
  readonly #store: Pick<StateStore, 'value'>
  readonly #orders = new Map<string, readonly string[]>()

  constructor(store: Pick<StateStore, 'value'>) {
    this.#store = store
  }

  /** A key that has no counters yet: the store is not asked about it. */
  begin(key: string): void {
    this.#orders.set(key, [])
  }

  /** The segments of a key; those that only its counters know come last, by name. @throws STATE_FAILED */
  of(key: string, counters: ReadonlyCounters): readonly string[] {
    let order = this.#orders.get(key)
    if (order === undefined) {
      const stored = JSON.parse(this.#store.value(storeKey(key)) ?? '[]') as string[]
      order = [...stored, ...segmentsBeyond(stored, counters).sort()]
      this.#orders.set(key, order)
    }
    return order
  }

  /** What the slots of a commit add to a key that has these counters; nothing where they bring no new segment. */
  grown(key: string, counters: ReadonlyCounters, slots: ReadonlyCounters): Grown[] {
    const known = this.of(key, counters)
    const further = segmentsBeyond(known, slots)
    return further.length === 0 ? [] : [[key, [...known, ...further]]]
  }

  /** The value that the store is to keep with that commit. */
  valueOf([key, order]: Grown): readonly [key: string, value: string] {
    return [storeKey(key), JSON.stringify(order)]
  }

  /** The store has them. */
  kept(grown: readonly Grown[]): void {
    for (const [key, order] of grown) this.#orders.set(key, order)
  }

  /** Forgets the keys that are not followed. */
  keep(isFollowed: (key: string) => boolean): void {
    for (const key of this.#orders.keys()) if (!isFollowed(key)) this.#orders.delete(key)
  }
}

function storeKey(key: string): string {
  return `segments/${key}`
}

function segmentsBeyond(known: readonly string[], slots: ReadonlyCounters): string[] {
  const segments = new Set<string>()
  for (const slot of slots.keys()) {
    const [, segment] = splitSlot(slot)
    if (segment !== undefined) segments.add(segment)
  }
  for (const segment of known) segments.delete(segment)
  return [...segments]
}
