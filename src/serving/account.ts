// What a serving thread counts of a request and tells the shadow thread of it. Nothing here can change its answer.
import { monotonicMs } from '../record/clock.ts'
import type { Book } from '../record/epochs.ts'
import { OUTCOME, writeRecord } from '../record/format.ts'
import type { RingProducer } from '../record/ring.ts'
import { sampled } from '../routing/assign.ts'
import { DurationCounts, REQUEST_BUCKETS_S } from '../telemetry/durations.ts'
import type { Answer } from './answer.ts'
import { RouteCounts } from './counts.ts'
import type { Runtime, RuntimeRoute, RuntimeVersion } from './runtime.ts'
import type { RequestTrace } from './trace.ts'
import { firstSight } from './units.ts'

/** Counts of one epoch: by runtime route, since the shares of a route belong to its revision. */
export type ServingBook = Map<RuntimeRoute, RouteCounts>

/** The version that a request was given to, and how. */
export interface Choice {
  readonly version: RuntimeVersion
  /** A tester picked the version: never evidence. */
  readonly forced: boolean
  /** The sticky key, where the request has one. */
  readonly unit: string | undefined
}

/** A request that is assigned: it counts in its arm from here on, whatever becomes of it. */
export interface Admitted extends Choice {
  readonly runtime: Runtime
  readonly route: RuntimeRoute
  readonly book: Book<ServingBook>
  readonly startMs: number
  readonly requestId: string
  readonly trace: RequestTrace
  readonly inferSpanId: string
  readonly body: Buffer
  /** Undefined: not counted (forced, or a unit that was counted before). */
  readonly counts: RouteCounts | undefined
}

// The first scores after a load run cold code and cold caches: they say nothing about the version.
const WARM_UP_SCORES = 100
const NO_BYTES = new Uint8Array(0)

/** Counts a request into its arm at the moment of assignment: the split check needs every one of them. */
export function countAssigned(book: Book<ServingBook>, route: RuntimeRoute, choice: Choice): RouteCounts | undefined {
  if (choice.forced) return undefined
  const { seenUnits, salts } = route.snapshot
  // With one arm nothing is compared, and a unit must not be used up before there is a second.
  const once = seenUnits !== undefined && choice.unit !== undefined && route.arms.length > 1
  if (once && !firstSight(seenUnits, salts.count, choice.unit)) return undefined
  const counts = countsOf(book, route)
  counts.assigned(choice.version.index)
  return counts
}

/** A client that went away before the answer is no error, but its request took at least this long. */
export function countGone({ counts, version, startMs }: Admitted): void {
  counts?.latency(version.index, monotonicMs() - startMs)
}

/** Counts how the request ended, and puts it into the ring if a shadow or a span wants it. */
export function account(ring: RingProducer, admitted: Admitted, answer: Answer): void {
  const { runtime, book, route, version, forced, counts, startMs, trace } = admitted
  const durationMs = monotonicMs() - startMs
  const { outcome } = answer
  const failed = outcome === OUTCOME.failed || outcome === OUTCOME.deadline || outcome === OUTCOME.unreachable
  durationsOf(version.answered, answer.status).add(durationMs / 1000)
  version.inference.add(answer.inferMs / 1000)
  const warm = version.engine !== undefined && ++version.engine.scored > WARM_UP_SCORES
  if (failed) counts?.failed(version.index)
  else if (warm && outcome === OUTCOME.ok) counts?.latency(version.index, answer.inferMs)
  const mayMirror = !forced && version === route.live && outcome !== OUTCOME.clientError
  const sampledFor =
    mayMirror && route.candidates.length > 0 ? sampleCandidates(route, countsOf(book, route), trace.spanId) : 0
  const { traces, mirror, revision } = runtime.snapshot
  const answerLength = typeof answer.body === 'string' ? Buffer.byteLength(answer.body) : answer.body.length
  const tooLarge = admitted.body.length > mirror.bodyBytes || answerLength > mirror.bodyBytes
  if (tooLarge && sampledFor !== 0) countDrops(countsOf(book, route), route, sampledFor, tooLarge)
  const candidates = tooLarge ? 0 : sampledFor
  if (candidates === 0 && !trace.headSampled && !failed && durationMs < traces.slow) return
  const answerBytes = typeof answer.body === 'string' ? Buffer.from(answer.body) : answer.body
  const written = writeRecord(ring, {
    revision,
    route: route.index,
    version: version.index,
    epoch: book.epoch,
    candidates,
    outcome,
    status: answer.status,
    forced,
    headSampled: trace.headSampled,
    traceFlags: trace.flags,
    startMs,
    durationMs,
    inferMs: answer.inferMs,
    queueMs: answer.queueMs,
    traceId: trace.traceId,
    serverSpanId: trace.spanId,
    inferSpanId: admitted.inferSpanId,
    parentSpanId: trace.parentSpanId,
    requestId: admitted.requestId,
    errorType: answer.errorType,
    tracestate: trace.tracestate,
    request: tooLarge ? NO_BYTES : admitted.body,
    answer: tooLarge ? NO_BYTES : answerBytes,
  })
  if (candidates !== 0 && !written) countDrops(countsOf(book, route), route, candidates, false)
}

/** Durations of the answers with one status, made when they are not there. */
export function durationsOf(byStatus: Map<number, DurationCounts>, status: number): DurationCounts {
  let durations = byStatus.get(status)
  if (durations === undefined) {
    durations = new DurationCounts(REQUEST_BUCKETS_S)
    byStatus.set(status, durations)
  }
  return durations
}

/**
 * One bit per version that this request is mirrored to. Sampling is keyed apart from assignment, and by an id that the
 * server made: a client that sends one request id for ever would otherwise be mirrored always or never.
 */
function sampleCandidates(route: RuntimeRoute, counts: RouteCounts, serverId: string): number {
  let candidates = 0
  const { mirrored, salts } = route.snapshot
  for (const { index, snapshot } of route.candidates) {
    const intake = counts.intake[index]!
    intake.eligible++
    if (mirrored && sampled(salts.mirror, serverId, snapshot.shadow.percent)) candidates |= 1 << index
    else intake.notSampled++
  }
  return candidates >>> 0
}

function countDrops(counts: RouteCounts, route: RuntimeRoute, candidates: number, tooLarge: boolean): void {
  for (const { index } of route.candidates) {
    if ((candidates & (1 << index)) === 0) continue
    if (tooLarge) counts.intake[index]!.tooLarge++
    else counts.intake[index]!.ringFull++
  }
}

function countsOf(book: Book<ServingBook>, route: RuntimeRoute): RouteCounts {
  let counts = book.counts.get(route)
  if (counts === undefined) {
    counts = new RouteCounts(route.versions.length)
    book.counts.set(route, counts)
  }
  return counts
}
