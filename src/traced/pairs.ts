// Pairs the spans of one route by trace id within bounds, and counts each trace once, in the order in which traces began.
import { LRUCache } from 'lru-cache'
import { type DropReason, MIRROR } from '../evidence/accounting.ts'
import { count } from '../evidence/counters.ts'
import { type CounterDeltas, type EpochDelta, slotsOf } from '../evidence/epochPost.ts'
import { pendingScope } from '../evidence/labels.ts'
import { pairedExceedances } from '../evidence/latency.ts'
import { addPair } from '../evidence/pairCount.ts'
import { type Book, EpochLedger } from '../record/epochs.ts'
import type { SnapshotVersion } from '../rollout/snapshot.ts'
import { sampled } from '../routing/assign.ts'
import { pairCountOf } from '../shadow/count.ts'
import { type KeyMemory, learnLatency, newKeyMemory, WARM_UP_PAIRS } from '../shadow/keyMemory.ts'
import type { PendingPrediction } from '../state/store.ts'
import type { ReadSpan } from '../telemetry/readSpans.ts'
import { observe, type TracedRoute } from './observe.ts'
import { OpenTraces } from './openTraces.ts'
import { join, owed, type PartialTrace, type Ready, tracedPair } from './pairing.ts'

/** When something came. */
export interface Moment {
  /** Monotonic, ms. */
  readonly nowMs: number
  /** Admission epoch of that moment. */
  readonly epoch: number
  /** ms since the Unix epoch. */
  readonly unixMs: number
}

/** What is kept of one route at most. */
export interface PairBounds {
  /** Traces that wait for a span; beyond it the oldest is dropped as `evicted`. */
  readonly openTraces: number
  /** Traces that are over and remembered, so that spans that are sent again count once. */
  readonly knownTraces: number
  /** Bytes of answers that wait, about. */
  readonly bytes: number
  /** Longest text of one answer. */
  readonly answerBytes: number
}

/** What became of a prediction's span. `late`: its trace was given up before. `idle`: there is nothing to compare it with. */
export type SpanOutcome = 'taken' | 'repeated' | 'late' | 'idle' | 'not_sampled'

interface TracedCounts {
  readonly counters: CounterDeltas
  readonly pending: PendingPrediction[]
}

interface OpenTrace extends PartialTrace {
  readonly id: string
  readonly admitted: Moment
  readonly book: Book<TracedCounts>
  bytes: number
}

const MOST_GIVEN_UP_AT_ONCE = 20_000

export class TracePairs {
  readonly #onPair: (candidate: string, result: string) => void
  readonly #ledger = new EpochLedger<TracedCounts>(() => ({ counters: new Map(), pending: [] }))
  readonly #open = new OpenTraces<OpenTrace>()
  readonly #known: LRUCache<string, Exclude<SpanOutcome, 'taken' | 'idle'>>
  readonly #memory = new Map<string, KeyMemory>()
  /** By evidence key: when it began to be counted here, monotonic ms. */
  readonly #since = new Map<string, number>()
  readonly #owed = new Map<string, number>()
  #route: TracedRoute
  #bounds: PairBounds

  /** @param onPair hears of every pair */
  constructor(
    route: TracedRoute,
    bounds: PairBounds,
    nowMs: number,
    onPair: (candidate: string, result: string) => void = () => {},
  ) {
    this.#onPair = onPair
    this.#route = route
    this.#bounds = bounds
    // By size rather than by `max`, which would take the memory of all of them beforehand.
    this.#known = new LRUCache({ maxSize: bounds.knownTraces, sizeCalculation: () => 1 })
    this.apply(route, bounds, nowMs)
  }

  get route(): TracedRoute {
    return this.#route
  }

  /** Nothing is under way here. */
  get isEmpty(): boolean {
    return this.#open.size === 0
  }

  /** Counts by a new configuration from here on; traces that are open end by the one they began under. */
  apply(route: TracedRoute, bounds: PairBounds, nowMs: number): void {
    this.#route = route
    this.#bounds = bounds
    const keys = new Set(route.versions.flatMap(({ evidenceKey }) => evidenceKey ?? []))
    for (const key of keys) if (!this.#since.has(key)) this.#since.set(key, nowMs)
    for (const key of this.#since.keys()) if (!keys.has(key)) this.#since.delete(key)
    for (const key of this.#memory.keys()) if (!keys.has(key)) this.#memory.delete(key)
  }

  /** Takes the span of a version's prediction. Never throws. */
  take(span: ReadSpan, version: string, moment: Moment): SpanOutcome {
    const { traceId } = span
    const known = this.#known.peek(traceId)
    if (known !== undefined) return known
    const trace = this.#open.get(traceId) ?? this.#admit(traceId, version, moment)
    if (typeof trace === 'string') return trace
    const isBaseline = version === trace.route.live
    const observed = observe(span, trace.route, isBaseline, this.#bounds.answerBytes)
    this.#owing(trace, -1)
    const joined = join(trace, version, observed)
    this.#owing(trace, 1)
    if (typeof joined === 'string') return joined
    for (const ready of joined) this.#pair(trace, ready)
    if (trace.awaited.size === 0) this.#close(trace, 'repeated')
    else {
      this.#open.grow(trace, observed.bytes)
      this.#evict()
    }
    return 'taken'
  }

  /** Gives up traces whose time is over, and takes out the epochs up to `last` that no open trace belongs to. */
  release(last: number, nowMs: number): EpochDelta[] {
    for (let given = 0; given < MOST_GIVEN_UP_AT_ONCE; given++) {
      const trace = this.#open.oldest()
      if (trace === undefined || trace.admitted.nowMs + trace.route.spans.withinMs > nowMs) break
      this.#giveUp(trace, 'unpaired')
    }
    return this.#settled(last)
  }

  /** The process ends: what is open is lost, and everything is taken out. */
  end(): EpochDelta[] {
    for (let trace = this.#open.oldest(); trace !== undefined; trace = this.#open.oldest()) this.#giveUp(trace, 'lost')
    return this.#settled(Number.POSITIVE_INFINITY)
  }

  /** Traces of which one side was seen and the other may still come. */
  inFlight(candidate: string): number {
    return this.#owed.get(candidate) ?? 0
  }

  #admit(id: string, version: string, moment: Moment): OpenTrace | SpanOutcome {
    const route = this.#route
    const candidates = route.versions.filter(each => each.evidenceKey !== undefined && each.version !== route.live)
    const isConcerned = version === route.live || candidates.some(candidate => candidate.version === version)
    if (candidates.length === 0 || !isConcerned) return 'idle'
    const book = this.#ledger.book(moment.epoch)
    const awaited = new Map<string, SnapshotVersion>()
    for (const candidate of candidates) {
      if (route.mirrored && sampled(route.salts.mirror, id, candidate.shadow.percent)) {
        awaited.set(candidate.version, candidate)
        continue
      }
      const slots = slotsOf(book.counts.counters, candidate.evidenceKey!)
      count(slots, MIRROR.eligible)
      count(slots, MIRROR.notSampled)
    }
    if (awaited.size === 0) {
      this.#known.set(id, 'not_sampled')
      return 'not_sampled'
    }
    book.underWay++
    const trace: OpenTrace = {
      id,
      route,
      admitted: moment,
      book,
      awaited,
      early: new Map(),
      baseline: undefined,
      bytes: 0,
    }
    this.#open.add(trace)
    return trace
  }

  #pair({ route, book, id, admitted }: OpenTrace, { candidate, baseline, observed }: Ready): void {
    const key = candidate.evidenceKey!
    const slots = slotsOf(book.counts.counters, key)
    const memory = this.#memoryOf(key, candidate)
    count(slots, MIRROR.eligible)
    try {
      const pair = tracedPair(route, baseline, observed)
      const segments = pair.segments.map(segment => memory.segments.take(segment))
      const said = pairCountOf(pair, segments, memory.answers, route.differenceScale)
      const [baselineMs, candidateMs] = [baseline.durationMs, observed.durationMs]
      const isTimed = pair.comparison !== undefined && baselineMs !== undefined && candidateMs !== undefined
      const latency = isTimed && ++memory.timedPairs > WARM_UP_PAIRS ? ([baselineMs, candidateMs] as const) : undefined
      const { thresholds } = memory
      const late = latency === undefined || thresholds === undefined ? [] : pairedExceedances(thresholds, ...latency)
      addPair(slots, { ...said, latency, late, sampled: false })
      if (route.labels !== undefined && pair.baseline !== null) {
        book.counts.pending.push({
          scope: pendingScope(route.name, candidate.version),
          id: baseline.requestId ?? observed.requestId ?? id,
          at: Math.round(admitted.unixMs),
          body: JSON.stringify({ key, b: pair.baseline, c: pair.candidate, s: segments }),
        })
      }
      this.#onPair(candidate.version, pair.dropped === undefined ? pair.result : 'dropped')
    } catch {
      // A pair that cannot be compared must not keep its epoch open.
      count(slots, MIRROR.failed('unparseable'))
    }
  }

  /**
   * Counts what the trace owes. Where a key has been counted for less than the time that a span may take, the other span may
   * have come before it: such a trace says nothing of what gets lost, and counts as not sampled.
   */
  #giveUp(trace: OpenTrace, reason: Extract<DropReason, 'unpaired' | 'evicted'> | 'lost'): void {
    const { admitted, route, book } = trace
    for (const { evidenceKey } of owed(trace)) {
      const slots = slotsOf(book.counts.counters, evidenceKey!)
      const since = this.#since.get(evidenceKey!) ?? Number.NEGATIVE_INFINITY
      count(slots, MIRROR.eligible)
      if (reason === 'lost') count(slots, MIRROR.lost)
      else if (reason === 'unpaired' && admitted.nowMs < since + route.spans.withinMs) count(slots, MIRROR.notSampled)
      else count(slots, MIRROR.dropped(reason))
    }
    this.#owing(trace, -1)
    this.#close(trace, 'late')
  }

  #owing(trace: OpenTrace, amount: 1 | -1): void {
    for (const { version } of owed(trace)) this.#owed.set(version, (this.#owed.get(version) ?? 0) + amount)
  }

  #evict(): void {
    const { openTraces, bytes } = this.#bounds
    while (this.#open.size > openTraces || this.#open.bytes > bytes) {
      const trace = this.#open.oldest()
      if (trace === undefined) return
      this.#giveUp(trace, 'evicted')
    }
  }

  #close(trace: OpenTrace, how: 'repeated' | 'late'): void {
    this.#open.delete(trace)
    this.#known.set(trace.id, how)
    trace.book.underWay--
  }

  #settled(last: number): EpochDelta[] {
    const epochs = this.#ledger.takeSettled(last).books.map(({ epoch, counts }) => ({ epoch, ...counts }))
    for (const { counters } of epochs) {
      for (const [key, slots] of counters) {
        learnLatency(this.#memoryOf(key), slots, () => (this.#since.has(key) ? this.#route.latency : undefined))
      }
    }
    return epochs
  }

  #memoryOf(key: string, taken?: SnapshotVersion): KeyMemory {
    let memory = this.#memory.get(key)
    if (memory === undefined) {
      memory = newKeyMemory(taken)
      this.#memory.set(key, memory)
    }
    return memory
  }
}
