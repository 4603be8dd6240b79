// Counts again what spans say was counted: the sample that a verdict may rest on, and weighted estimates. Judges nothing.
import { MIRROR } from '../evidence/accounting.ts'
import { type Counters, count, SLOT, segmentSlot } from '../evidence/counters.ts'
import { type CounterDeltas, slotsOf } from '../evidence/epochPost.ts'
import { differenceBin } from '../evidence/histogram.ts'
import type { LatencyLimits } from '../evidence/latency.ts'
import { type Label, type LossSpec, lossDifference } from '../evidence/loss.ts'
import { addAgain, addPair } from '../evidence/pairCount.ts'
import { addRequest } from '../evidence/requestCount.ts'
import type { EvidenceTerms, Told, ToldPair, ToldPlace, ToldRequest } from '../evidence/told.ts'
import { EpochReplay } from './epochReplay.ts'
import { type KeyCount, newKeyCount, seeSegments, seeServed, segmentsInOrder } from './keyCount.ts'
import { SpanJoin } from './spanJoin.ts'

export interface RecountOptions {
  readonly route: string
  readonly limits: LatencyLimits
  /** Length of the blocks that live errors are judged by, ms. */
  readonly blocksMs: number | undefined
  /** Labels by request id; undefined: none are given. */
  readonly labels?: { readonly byId: ReadonlyMap<string, Label>; readonly spec: LossSpec }
  /** Requests whose spans are waited for. */
  readonly mostOpen?: number
}

/** What spans came to, besides counters. */
export interface RecountTally {
  requests: number
  /** Of them those that the trace id alone would have kept. */
  sampled: number
  repeated: number
  /** Pairs that a request speaks of, and that are not there. */
  lost: number
  /** Pairs whose request is not there. */
  orphaned: number
  /** Pairs whose differences were cut short on the way. */
  cut: number
  labelled: number
  leastRatio: number
  mostRatio: number
}

/**
 * Recounts one route from what its spans tell, in one pass and bounded memory.
 *
 * Two sums are kept apart, because a mismatch, an error and a slow answer are kept always and everything else by `ratio`.
 * - The **sample**: spans whose trace id alone would have kept them. Whether a request is in it was decided by its trace
 *   id before anybody knew what would come of it, so it is a random part of all requests, and what is counted of it is an
 *   ordinary, smaller evidence: the gate's tests hold for it as they do for a gateway that had less traffic. Weights would
 *   spoil them: an e-value is a bet on requests that were seen, and ten times the counts is ten times the
 *   evidence, whose logarithm passes 1/α on noise alone. The spans that were kept on purpose may not be added either: all
 *   mismatches among a tenth of the matches would look like ten times as many.
 * - The **estimates**: every span by its weight 1/p, p being the probability that it was kept (Horvitz and Thompson 1952,
 *   doi:10.1080/01621459.1952.10483446). Unbiased, whatever was kept on purpose, with the variance Σ (1 − p)/p² of
 *   Poisson sampling. For reading, never for the gate.
 *
 * A client that sends its own traceparent chooses its trace id, and so whether it is in the sample. It cannot know which
 * version it will get or what will come of it, so no arm is favoured; but it can see to it that its kind of request is
 * there more often than its share.
 */
export class Recount {
  readonly #options: RecountOptions
  readonly #keys = new Map<string, KeyCount>()
  readonly #join: SpanJoin
  readonly #replay: EpochReplay
  readonly tally: RecountTally = {
    requests: 0,
    sampled: 0,
    repeated: 0,
    lost: 0,
    orphaned: 0,
    cut: 0,
    labelled: 0,
    leastRatio: Number.POSITIVE_INFINITY,
    mostRatio: 0,
  }

  constructor(options: RecountOptions) {
    this.#options = options
    const ends = {
      lost: (place: ToldPlace, keys: readonly string[]) => this.#missing('lost', place, keys),
      orphaned: (place: ToldPlace, keys: readonly string[]) => this.#missing('orphaned', place, keys),
    }
    this.#join = new SpanJoin(ends, options.mostOpen)
    const { blocksMs } = options
    this.#replay = new EpochReplay(
      key => this.#at(key).sample,
      options.limits,
      key =>
        blocksMs === undefined
          ? undefined
          : { blocksMs, isThinned: (this.#keys.get(key)?.terms?.terms.share ?? 0) > 0.5 },
    )
  }

  /** Takes what one span tells; that of another route is left out. */
  take(told: Told): void {
    if (told.route !== this.#options.route) return
    if (told.kind === 'terms') {
      this.#describe(told.terms, told.atMs)
      return
    }
    if (told.kind === 'request' ? !this.#join.request(told) : !this.#join.pair(told)) {
      this.tally.repeated++
      return
    }
    this.tally.leastRatio = Math.min(this.tally.leastRatio, told.ratio)
    this.tally.mostRatio = Math.max(this.tally.mostRatio, told.ratio)
    if (told.kind === 'request') this.#request(told)
    else this.#pair(told)
  }

  /** No more spans come. */
  end(): void {
    this.#join.end()
    this.#replay.end()
    for (const { served, sample } of this.#keys.values()) {
      let ms = 0
      for (const [from, to] of served.values()) ms += Math.max(0, to - from)
      if (ms >= 1) count(sample, SLOT.timeMs, Math.floor(ms))
    }
  }

  /** Spans of epochs that were committed before they came. */
  get late(): number {
    return this.#replay.late
  }

  /** Every evidence key that spans named. */
  get keys(): readonly string[] {
    return [...this.#keys.keys()]
  }

  /** What a key stands for; undefined: no span said so. */
  termsOf(key: string): EvidenceTerms | undefined {
    return this.#keys.get(key)?.terms?.terms
  }

  /** When a key was seen first and last, ms since the Unix epoch. */
  spanOf(key: string): readonly [fromMs: number, toMs: number] {
    const spans = [...(this.#keys.get(key)?.served.values() ?? [])]
    return [Math.min(...spans.map(([from]) => from)), Math.max(...spans.map(([, to]) => to))]
  }

  countersOf(key: string): Counters {
    return this.#keys.get(key)?.sample ?? new Map()
  }

  weightedOf(key: string): { readonly sum: Counters; readonly variance: Counters } {
    const { weighted, variance } = this.#keys.get(key) ?? { weighted: new Map(), variance: new Map() }
    return { sum: weighted, variance }
  }

  /** Segments of a key in the order of their first sight. */
  segmentsOf(key: string): readonly string[] {
    const known = this.#keys.get(key)
    return known === undefined ? [] : segmentsInOrder(known)
  }

  #request(told: ToldRequest): void {
    this.tally.requests++
    if (told.isHead) this.tally.sampled++
    const { arms, mirrored, notSampled } = told.count
    for (const key of new Set([...arms, ...mirrored, ...notSampled])) {
      seeServed(this.#at(key), told)
    }
    this.#count(told, (deltas, amount) => addRequest(deltas, told.count, amount))
  }

  #pair(told: ToldPair): void {
    const { key, count: pair, again } = told
    const known = this.#at(key)
    if (told.isCut) this.tally.cut++
    const loss = this.#lossOf(known, told)
    if (told.isHead) seeSegments(known, told)
    this.#count(told, (deltas, amount) => {
      const slots = slotsOf(deltas, key)
      addPair(slots, pair, amount)
      if (again !== undefined) addAgain(slots, pair.result === 'mismatch', again, amount)
      if (loss === undefined) return
      count(slots, loss, amount)
      for (const segment of pair.segments) count(slots, segmentSlot(loss, segment), amount)
    })
  }

  /** The slot of a pair's loss difference; the first label of a request counts, once. */
  #lossOf({ labelled }: KeyCount, { requestId, predictions }: ToldPair): string | undefined {
    const { labels } = this.#options
    const label = labels?.byId.get(requestId)
    if (labels === undefined || label === undefined || predictions === undefined || labelled.has(requestId)) return
    const difference = lossDifference(...predictions, label, labels.spec)
    if (difference === undefined) return
    labelled.add(requestId)
    this.tally.labelled++
    return `loss.${differenceBin(difference)}`
  }

  #count(place: ToldPlace, add: (deltas: CounterDeltas, amount: number) => void): void {
    if (place.isHead) add(this.#replay.at(place), 1)
    const { weight } = place
    this.#addWeighted(add, weight, ({ weighted }) => weighted)
    if (weight > 1) this.#addWeighted(add, weight * (weight - 1), ({ variance }) => variance)
  }

  #addWeighted(
    add: (deltas: CounterDeltas, amount: number) => void,
    amount: number,
    into: (known: KeyCount) => Counters,
  ): void {
    const deltas: CounterDeltas = new Map()
    add(deltas, amount)
    for (const [key, slots] of deltas) {
      const counters = into(this.#at(key))
      for (const [slot, sum] of slots) count(counters, slot, sum)
    }
  }

  /** A request that the evidence must have and has not seen the end of, or the beginning. */
  #missing(what: 'lost' | 'orphaned', place: ToldPlace, keys: readonly string[]): void {
    this.tally[what] += keys.length
    if (!place.isHead) return
    for (const key of keys) count(this.#at(key).sample, what === 'lost' ? MIRROR.lost : MIRROR.eligible)
  }

  #describe(terms: EvidenceTerms, atMs: number): void {
    const known = this.#at(terms.key)
    if (known.terms === undefined || atMs >= known.terms.atMs) known.terms = { terms, atMs }
  }

  #at(key: string): KeyCount {
    let known = this.#keys.get(key)
    if (known === undefined) {
      known = newKeyCount()
      this.#keys.set(key, known)
    }
    return known
  }
}
