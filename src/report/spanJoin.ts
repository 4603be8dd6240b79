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

/**
 * A request has one SERVER span and at most one `compare` span a candidate, so a second one of either was delivered twice.
 * A trace is no request: a client may make many predictions in one.
 */
export class SpanJoin {
  readonly #open: LRUCache<string, Joined>
  readonly #ends: JoinEnds

  constructor(ends: JoinEnds, most = MOST_OPEN) {
    this.#ends = ends
    this.#open = new LRUCache({
      max: most,
      dispose: (joined, _, reason) => {
        if (reason === 'evict') this.#close(joined)
      },
    })
  }

  /** False: it was here before. */
  request(told: ToldRequest): boolean {
    const joined = this.#at(told)
    if (joined.expected !== undefined) return false
    joined.expected = told.count.mirrored
    return true
  }

  /** False: it was here before. */
  pair(told: ToldPair): boolean {
    const joined = this.#at(told)
    if (joined.seen.includes(told.key)) return false
    joined.seen.push(told.key)
    return true
  }

  /** No more spans come. */
  end(): void {
    for (const joined of this.#open.values()) this.#close(joined)
    this.#open.clear()
  }

  #at(told: ToldRequest | ToldPair): Joined {
    let joined = this.#open.get(told.id)
    if (joined === undefined) {
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
