// Remembers finished requests, so that somebody may ask about one. Bounded by number and bytes; explains only when asked.
import { LRUCache } from 'lru-cache'
import type { TensorData } from '../protocols/tensor.ts'
import type { RequestRecord } from '../record/format.ts'
import type { Kept } from '../telemetry/keep.ts'
import { explain, type Look, type Remembered } from './explain.ts'
import type { Found } from './explanation.ts'
import type { Kind } from './kinds.ts'
import type { Task } from './task.ts'
import { TokenBucket } from './tokenBucket.ts'

interface OfOneId {
  /** The newest first. */
  readonly requests: readonly Remembered[]
  /** Those that were passed over too. */
  seen: number
  readonly bytes: number
}

export interface ExplanationBounds {
  readonly requests: number
  readonly bytes: number
  /** Of each kind and route, and ordinary ones of all routes. */
  readonly perSecond: number
  /** What is saved up of those while fewer come: a burst that somebody sends to look at is kept whole. */
  readonly atOnce: number
}

// Collecting what was kept for a while costs this thread more than keeping it, and what comes by the thousand would push
// everything out within a second. So each kind of request is kept at a bounded rate: a failure among mismatches, or one
// route's mismatch among another's thousands, is not missed for them.
const BOUNDS: ExplanationBounds = { requests: 10_000, bytes: 24 * 1024 * 1024, perSecond: 100, atOnce: 2_000 }
/** Of requests with one id: a client that sends the same id for ever must not push out everybody else's. */
const MOST_OF_ONE_ID = 8
/** What a request takes beside its bodies, and each version that was asked beside its answer; measured, rounded up. */
const REQUEST_BYTES = 1536
const LOOK_BYTES = 512

/**
 * Drop policy: the oldest id first; what comes faster than any of its kinds may is passed over. A request that is larger than the
 * bounds is not kept at all.
 */
export class Explanations {
  readonly #bounds: ExplanationBounds
  readonly #wallMs: (monotonicMs: number) => number
  readonly #kept: LRUCache<string, OfOneId>
  readonly #routes = new Set<string>()
  /** By route and kind, and one for what is ordinary. */
  readonly #rates = new Map<string, TokenBucket>()
  #passedOver = 0

  /** @param wallMs a moment of the monotonic clock as ms since the Unix epoch */
  constructor(wallMs: (monotonicMs: number) => number, bounds: ExplanationBounds = BOUNDS) {
    this.#bounds = bounds
    this.#wallMs = wallMs
    this.#kept = new LRUCache({ max: bounds.requests, maxSize: bounds.bytes, sizeCalculation: ({ bytes }) => bytes })
  }

  keep({ record, route }: Task, looks: readonly Look[], kept: Kept | undefined, kinds: readonly Kind[]): void {
    const key = keyOf(route.name, record.requestId)
    // No request before had an id that was made here, and a look is dear: V8 makes an entry of its own of each new text.
    const before = record.ownId ? undefined : this.#kept.peek(key)
    if (!kinds.some(kind => this.#rateOf(route.name, kind).take(1, record.startMs))) {
      this.#passedOver++
      if (before !== undefined) before.seen++
      return
    }
    const request: Remembered = { record: withOwnBodies(record), route, looks: looks.map(withOwnAnswer), kept }
    const ofOneId =
      before === undefined ? { requests: [request], seen: 1, bytes: bytesOf(request) } : joined(before, request)
    this.#routes.add(route.name)
    this.#kept.set(key, ofOneId)
  }

  /** What is remembered of a request id, in one route or in all. */
  find(requestId: string, route: string | undefined): Found {
    const names = route === undefined ? [...this.#routes] : [route]
    const found = names.flatMap(name => this.#kept.peek(keyOf(name, requestId)) ?? [])
    const requests = found.flatMap(each => each.requests).toSorted((a, b) => b.record.startMs - a.record.startMs)
    return {
      explanations: requests.map(request => explain(request, this.#wallMs)),
      seen: found.reduce((sum, { seen }) => sum + seen, 0),
      memory: this.#memory(),
    }
  }

  #memory(): Found['memory'] {
    const { requests: most, bytes: mostBytes, perSecond, atOnce } = this.#bounds
    const oldest = this.#kept.rvalues().next().value?.requests.at(-1)
    const since = oldest === undefined ? null : new Date(this.#wallMs(oldest.record.startMs)).toISOString()
    return { requests: this.#kept.size, most, mostBytes, perSecond, atOnce, passedOver: this.#passedOver, since }
  }

  /** The requests' own times are the clock: they come nearly in order. */
  #rateOf(route: string, kind: Kind): TokenBucket {
    // Thousands of routes with a little traffic each are as much to collect as one with all of it.
    const key = kind === 'ordinary' ? kind : `${kind} ${route}`
    let rate = this.#rates.get(key)
    if (rate === undefined) {
      rate = new TokenBucket(this.#bounds.perSecond, this.#bounds.atOnce, 0)
      this.#rates.set(key, rate)
    }
    return rate
  }
}

// Bodies come in pieces of node's 64 KB pools: one that is kept would keep the bodies of thirty others, and be counted as one.
function withOwnBodies(record: RequestRecord): RequestRecord {
  return { ...record, request: own(record.request), answer: own(record.answer) }
}

function withOwnAnswer(look: Look): Look {
  const { observation } = look
  if (typeof observation === 'string' || !observation.outcome.ok) return look
  const { outputs, raw } = observation.outcome
  const ownOutputs = outputs.map(tensor => ({ ...tensor, data: ownData(tensor.data) }))
  const outcome = { ...observation.outcome, outputs: ownOutputs, ...(raw !== undefined && { raw: own(raw) }) }
  return { ...look, observation: { ...observation, outcome } }
}

/** The same bytes with nothing beside them in memory. */
function own(bytes: Uint8Array): Uint8Array {
  return bytes.length === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes)
}

function ownData(data: TensorData): TensorData {
  if (!ArrayBuffer.isView(data) || data.byteLength === data.buffer.byteLength) return data
  // A Buffer is one of bytes too, and its slice would be no copy.
  return data instanceof Uint8Array ? own(data) : data.slice()
}

function joined({ requests, seen }: OfOneId, newest: Remembered): OfOneId {
  const kept = [newest, ...requests.slice(0, MOST_OF_ONE_ID - 1)]
  return { requests: kept, seen: seen + 1, bytes: kept.reduce((sum, request) => sum + bytesOf(request), 0) }
}

function bytesOf({ record, looks }: Remembered): number {
  let bytes = REQUEST_BYTES + record.request.length + record.answer.length
  for (const { observation } of looks) {
    bytes += LOOK_BYTES
    if (typeof observation === 'string' || !observation.outcome.ok) continue
    const { outputs, raw } = observation.outcome
    bytes += raw?.length ?? 0
    for (const { data } of outputs) bytes += ArrayBuffer.isView(data) ? data.byteLength : textBytes(data)
  }
  return bytes
}

/** Text is kept as it was decoded, up to two bytes a character. */
function textBytes(texts: readonly string[]): number {
  let bytes = 0
  for (const text of texts) bytes += 32 + 2 * text.length
  return bytes
}

function keyOf(route: string, requestId: string): string {
  return `${route}\0${requestId}`
}
