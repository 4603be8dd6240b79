// What a serving thread counts of a request and tells the shadow thread of it. Nothing here can change its answer.

import type { Protocol } from '../config/protocols.ts'
import { packForm } from '../protocols/content.ts'
import { monotonicMs } from '../record/clock.ts'
import type { Book } from '../record/epochs.ts'
import { bytesOf, OUTCOME, type OutcomeCode, type PackedRecord, type Withheld, writeRecord } from '../record/format.ts'
import { NO_PIECES, Pieces } from '../record/pieces.ts'
import type { RingProducer } from '../record/ring.ts'
import { DurationCounts, REQUEST_BUCKETS_S } from '../telemetry/durations.ts'
import type { Answer, Incoming } from './answer.ts'
import { codeKey, ofCodeKey } from './counted.ts'
import { RouteCounts } from './counts.ts'
import type { CodeDelta } from './message.ts'
import type { Runtime, RuntimeRoute, RuntimeVersion } from './runtime.ts'
import { isPaired, mirroredTo } from './samples.ts'
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
  readonly incoming: Incoming
  /** Undefined: not counted (forced, or a unit that was counted before). */
  readonly counts: RouteCounts | undefined
  /** Cohorts that it is compared in by blocks, see `cohortsOf`. */
  readonly cohorts: number
}

// The first scores after a load run cold code and cold caches: they say nothing about the version, and as long as one arm
// leaves them out, the others must: the odds of an event would else fall on those that are counted.
const WARM_UP_SCORES = 100

/** Counts a request into its arm at the moment of assignment: the split check needs every one of them. */
export function countAssigned(
  book: Book<ServingBook>,
  route: RuntimeRoute,
  choice: Choice,
  cohorts: number,
): RouteCounts | undefined {
  if (choice.forced) return undefined
  const { seenUnits, salts } = route.snapshot
  // With one arm nothing is compared, and a unit must not be used up before there is a second.
  const once = seenUnits !== undefined && choice.unit !== undefined && route.arms.length > 1
  if (once && !firstSight(seenUnits, salts.count, choice.unit)) return undefined
  const counts = countsOf(book, route)
  counts.assigned(choice.version.index, cohorts)
  return counts
}

/** A client that went away before the answer is no error, but its request took at least this long. */
export function countGone(ring: RingProducer, admitted: Admitted): void {
  const { counts, route, version, startMs } = admitted
  // Or a canary that keeps everybody waiting until they leave would stay cold, and nobody's latency would ever count.
  if (version.engine !== undefined) version.engine.scored++
  const inferMs = monotonicMs() - startMs
  // The time of a client that has not sent everything is its own.
  const { body } = admitted.incoming
  const timed = counts !== undefined && areWarm(route) && (body instanceof Pieces || body.hasEnded())
  if (timed) counts.latency(version.index, inferMs)
  recordEnd(ring, admitted, { status: 0, errorType: 'CLIENT_GONE', inferMs, timed })
}

/** Tells the span of a request that ended in no answer of a version. It is in its arm, so the arm's spans must have it. */
export function recordEnd(
  ring: RingProducer,
  admitted: Admitted,
  end: { readonly status: number; readonly errorType: string; readonly inferMs?: number; readonly timed?: boolean },
): void {
  if (!admitted.incoming.trace.headSampled) return
  const { status, errorType, inferMs = 0, timed = false } = end
  const told = {
    candidates: 0,
    paired: false,
    labelled: false,
    outcome: OUTCOME.clientError,
    status,
    timed,
    untimed: false,
    withheld: undefined,
    durationMs: monotonicMs() - admitted.startMs,
    inferMs,
    queueMs: 0,
    errorType,
    streamed: false,
    answerForm: '',
    request: NO_PIECES,
    answer: NO_PIECES,
  }
  writeRecord(ring, recordOf(admitted, told))
}

/** Counts how the request ended, and puts it into the ring if a shadow, a label or a span wants it. */
export function account(ring: RingProducer, admitted: Admitted, answer: Answer): void {
  const { runtime, route, version, forced, counts, startMs, incoming } = admitted
  const endMs = monotonicMs()
  const durationMs = endMs - startMs
  const { outcome } = answer
  const failed = outcome === OUTCOME.failed || outcome === OUTCOME.deadline || outcome === OUTCOME.unreachable
  version.counted.answered(answer.status, incoming.asked.protocol, endMs, durationMs, answer.inferMs)
  if (!forced) version.counted.assigned(failed)
  if (version.engine !== undefined) version.engine.scored++
  const { untimed = false } = answer
  const timed = counts !== undefined && outcome === OUTCOME.ok && areWarm(route) && !untimed
  if (failed) counts?.failed(version.index, admitted.cohorts)
  else if (timed) counts.latency(version.index, answer.inferMs)
  const wanted = wantedBy(admitted, outcome)
  const { candidates, paired, labelled } = wanted
  const isWanted = candidates !== 0 || paired || labelled
  // As a span.
  const isTold = incoming.trace.headSampled || failed || durationMs >= runtime.snapshot.traces.slow
  if (!isWanted && !isTold) return
  const { mirrored } = route.snapshot.limits
  const answerBytes = answer.streamedBytes ?? bytesOf(answer.body)
  const withheld = whyWithheld(incoming, answerBytes > mirrored, mirrored)
  if (withheld !== undefined) countDrops(admitted, wanted, withheld === 'incomplete' ? 'incomplete' : 'tooLarge')
  if (!isTold) {
    if (withheld !== undefined) return
    if (!paired && !labelled && areStalled(route, candidates)) {
      countUnasked(admitted, candidates, 'stalled')
      return
    }
  }
  const end = {
    candidates,
    paired,
    labelled,
    outcome,
    status: answer.status,
    timed,
    untimed,
    withheld,
    streamed: answer.streamedBytes !== undefined || !(incoming.body instanceof Pieces),
    durationMs,
    inferMs: answer.inferMs,
    queueMs: answer.queueMs,
    errorType: answer.errorType,
    answerForm: packForm(answer.form),
    request: withheld === undefined ? keptOf(incoming) : NO_PIECES,
    answer: withheld === undefined ? answer.body : NO_PIECES,
  }
  const written = writeRecord(ring, recordOf(admitted, end))
  if (isWanted && withheld === undefined && !written) countDrops(admitted, wanted, 'ringFull')
}

/** Why the bodies cannot be told; undefined: they can. */
function whyWithheld({ body }: Incoming, answerIsTooLarge: boolean, mostBytes: number): Withheld | undefined {
  if (answerIsTooLarge) return 'too_large'
  if (body instanceof Pieces) return body.length > mostBytes ? 'too_large' : undefined
  if (body.bytes() > mostBytes) return 'too_large'
  return body.hasEnded() ? undefined : 'incomplete'
}

function keptOf({ body }: Incoming): Pieces {
  return body instanceof Pieces ? body : (body.kept() ?? NO_PIECES)
}

/** What is known of a request only when it has ended. */
type RecordEnd = Pick<
  PackedRecord,
  | 'candidates'
  | 'paired'
  | 'labelled'
  | 'outcome'
  | 'status'
  | 'timed'
  | 'untimed'
  | 'withheld'
  | 'streamed'
  | 'durationMs'
  | 'inferMs'
  | 'queueMs'
  | 'errorType'
  | 'answerForm'
  | 'request'
  | 'answer'
>

/** Written out, field by field: spreading costs more than everything else about a record. */
function recordOf(
  { runtime, book, route, version, forced, counts, cohorts, startMs, incoming }: Admitted,
  end: RecordEnd,
): PackedRecord {
  const { trace, asked } = incoming
  return {
    revision: runtime.snapshot.revision,
    route: route.index,
    version: version.index,
    epoch: book.epoch,
    candidates: end.candidates,
    paired: end.paired,
    labelled: end.labelled,
    outcome: end.outcome,
    status: end.status,
    forced,
    streamed: end.streamed,
    protocol: asked.protocol,
    headSampled: trace.headSampled,
    counted: counts !== undefined,
    timed: end.timed,
    untimed: end.untimed,
    withheld: end.withheld,
    cohorts: counts === undefined ? 0 : cohorts,
    traceFlags: trace.flags,
    startMs,
    durationMs: end.durationMs,
    inferMs: end.inferMs,
    queueMs: end.queueMs,
    traceId: trace.traceId,
    serverSpanId: trace.spanId,
    inferSpanId: incoming.inferSpanId,
    parentSpanId: trace.parentSpanId,
    requestId: incoming.requestId,
    ownId: incoming.ownId,
    errorType: end.errorType,
    tracestate: trace.tracestate,
    path: asked.path + asked.query,
    requestForm: packForm(incoming.form),
    answerForm: end.answerForm,
    request: end.request,
    answer: end.answer,
  }
}

/** Whether every arm of the route has had its first scores on this thread. One that does not load has no latency. */
function areWarm({ versions }: RuntimeRoute): boolean {
  return versions.every(
    ({ snapshot, engine }) => snapshot.weight <= 0 || engine === undefined || engine.scored > WARM_UP_SCORES,
  )
}

/** Durations of the answers with one status in one protocol, made when they are not there. */
export function durationsOf(answered: Map<number, DurationCounts>, status: number, protocol: Protocol): DurationCounts {
  const key = codeKey(status, protocol)
  let durations = answered.get(key)
  if (durations === undefined) {
    durations = new DurationCounts(REQUEST_BUCKETS_S)
    answered.set(key, durations)
  }
  return durations
}

/** The durations since the last call, by status and protocol. */
export function takeCodes(answered: ReadonlyMap<number, DurationCounts>): CodeDelta[] {
  return [...answered].flatMap(([key, durations]) => {
    const delta = durations.takeDelta()
    return delta === undefined ? [] : [{ ...ofCodeKey(key), ...delta }]
  })
}

/** What is to become of a request beside its answer. */
interface Wanted {
  /** One bit per version that it is mirrored to. */
  readonly candidates: number
  /** Live scores it too, for the canary that answered. */
  readonly paired: boolean
  /** Its answer waits for a label. */
  readonly labelled: boolean
}

const NOBODY: Wanted = { candidates: 0, paired: false, labelled: false }

/** Asks the samples, and counts what they were asked about. Forced requests are nobody's evidence. */
function wantedBy({ book, route, version, forced, counts, incoming }: Admitted, outcome: OutcomeCode): Wanted {
  if (forced) return NOBODY
  const labelled = route.isLabelled && counts !== undefined && isOfAnArm(route, version)
  if (labelled) counts.records[version.index]!.answers++
  if (version !== route.live) {
    const paired =
      version.snapshot.evidenceKey !== undefined && isOwnWord(outcome) && isPaired(route, incoming.trace.spanId)
    // Of a canary's requests only the sample is eligible: the others would hide how much of the sample is dropped.
    if (paired) countsOf(book, route).intake[version.index]!.eligible++
    return paired || labelled ? { candidates: 0, paired, labelled } : NOBODY
  }
  if (outcome === OUTCOME.clientError || route.candidates.length === 0)
    return labelled ? { ...NOBODY, labelled } : NOBODY
  const candidates = mirroredTo(route, incoming.trace.spanId)
  const { intake } = countsOf(book, route)
  for (const { index } of route.candidates) {
    intake[index]!.eligible++
    if ((candidates & (1 << index)) === 0) intake[index]!.notSampled++
  }
  return { candidates, paired: false, labelled }
}

/**
 * Whether a version answered or failed by itself. One that did not answer in time or could not be reached may have been
 * anything's fault, here as in the shadow, where live's second answer may be late because the shadow is busy: such requests
 * are left out on both sides, and what a client waited for is judged by the arms.
 */
function isOwnWord(outcome: OutcomeCode): boolean {
  return outcome === OUTCOME.ok || outcome === OUTCOME.clientError || outcome === OUTCOME.failed
}

function isOfAnArm(route: RuntimeRoute, version: RuntimeVersion): boolean {
  return version === route.live || version.snapshot.evidenceKey !== undefined
}

function countDrops(admitted: Admitted, wanted: Wanted, reason: 'tooLarge' | 'incomplete' | 'ringFull'): void {
  const { book, route, version } = admitted
  const { candidates, paired, labelled } = wanted
  if (candidates === 0 && !paired && !labelled) return
  const { intake, records } = countsOf(book, route)
  if (labelled) records[version.index]![reason]++
  if (paired) intake[version.index]![reason]++
  countUnasked(admitted, candidates, reason)
}

function countUnasked(
  { book, route }: Admitted,
  candidates: number,
  reason: 'tooLarge' | 'incomplete' | 'ringFull' | 'stalled',
): void {
  const { intake } = countsOf(book, route)
  for (const { index } of route.candidates) if ((candidates & (1 << index)) !== 0) intake[index]![reason]++
}

/** Whether all of these candidates give no answer: the shadow thread would read a record to drop it. */
function areStalled({ candidates }: RuntimeRoute, asked: number): boolean {
  return candidates.every(
    ({ index, stalled }) => (asked & (1 << index)) === 0 || (stalled !== undefined && Atomics.load(stalled, 0) !== 0),
  )
}

function countsOf(book: Book<ServingBook>, route: RuntimeRoute): RouteCounts {
  const { length } = route.versions
  if (!route.isJudged) return nobodys(length)
  let counts = book.counts.get(route)
  if (counts === undefined) {
    counts = new RouteCounts(length)
    book.counts.set(route, counts)
  }
  return counts
}

const unread: RouteCounts[] = []

/**
 * Counts that nobody reads. Most of thousands of routes have no candidate, and counts of their own, one object an epoch each,
 * would outlive a collection or two and be thrown away then.
 */
function nobodys(versions: number): RouteCounts {
  const counts = unread[versions] ?? new RouteCounts(versions)
  unread[versions] = counts
  return counts
}
