// Joins the spans of one request, takes repeated ones out, and says what is missing. Knows no counters. Bounded memory.
import { LRUCache } from 'lru-cache'
import type { ToldPair, ToldPlace, ToldRequest } from '../evidence/told.ts'

interface Joined {
  place: ToldPlace
  /** Evidence that its SERVER span says a pair of; undefined: that span has not come. */
  expected: readonly string[] | undefined
  readonly seen: string[]
}

export interface JoinEnds {
  /** Its SERVER span is there, the pairs of this evidence are not. */
  readonly lost: (place: ToldPlace, keys: readonly string[]) => void
  /** Pairs are there, and the SERVER span is not. */
  readonly orphaned: (place: ToldPlace, keys: readonly string[]) => void
}

/** Requests that are remembered: their spans stand near each other, and a batch that is sent again soon follows the first. */
export const MOST_OPEN = 100_000
/** Closed requests that are known by a number each; some 200 MB. Later ones could be counted twice. */
const MOST_CLOSED = 5_000_000

/**
 * A request has one SERVER span and at most one `compare` span a candidate, so a second one of either was delivered twice.
 * A trace is no request: a client may make many predictions in one.
 */
export class SpanJoin {
  readonly #open: LRUCache<string, Joined>
  readonly #ends: JoinEnds
  /** Of requests that are not remembered any more, by a part of their span's id: a file and its copy count once. */
  readonly #closed = new Set<number>()

  constructor(ends: JoinEnds, most = MOST_OPEN) {
    this.#ends = ends
    this.#open = new LRUCache({
      max: most,
      dispose: (joined, id, reason) => {
        if (reason !== 'evict') return
        if (this.#closed.size < MOST_CLOSED) this.#closed.add(shortOf(id))
        this.#close(joined)
      },
    })
  }

  /** False: it was here before. */
  request(told: ToldRequest): boolean {
    const joined = this.#at(told)
    if (joined === undefined || joined.expected !== undefined) return false
    joined.expected = told.count.mirrored
    return true
  }

  /** False: it was here before. */
  pair(told: ToldPair): boolean {
    const joined = this.#at(told)
    if (joined === undefined || joined.seen.includes(told.key)) return false
    joined.seen.push(told.key)
    return true
  }

  /** No more spans come. */
  end(): void {
    for (const joined of this.#open.values()) this.#close(joined)
    this.#open.clear()
  }

  /** undefined: its request was closed before. */
  #at(told: ToldRequest | ToldPair): Joined | undefined {
    let joined = this.#open.get(told.id)
    if (joined === undefined) {
      if (this.#closed.has(shortOf(told.id))) return undefined
      const { process, epoch, originMs, isHead, ratio, weight } = told
      joined = { place: { process, epoch, originMs, isHead, ratio, weight }, expected: undefined, seen: [] }
      this.#open.set(told.id, joined)
    }
    return joined
  }

  #close({ place, expected, seen }: Joined): void {
    if (expected === undefined) this.#ends.orphaned(place, seen)
    else {
      const missing = expected.filter(key => !seen.includes(key))
      if (missing.length > 0) this.#ends.lost(place, missing)
    }
  }
}

/** 52 bits of an id: of five million ids two are alike once in four hundred files. */
function shortOf(id: string): number {
  let [high, low] = [0, 0]
  for (let at = 0; at < id.length; at++) {
    const code = id.charCodeAt(at)
    high = Math.imul(high ^ code, 0x9e3779b1)
    low = Math.imul(low + code, 0x85ebca6b) ^ (low >>> 13)
  }
  return (high >>> 6) * 2 ** 26 + (low >>> 6)
}
