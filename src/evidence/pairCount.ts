// What one comparison counts, as plain data: the shadow thread counts it, a span tells it, and a report counts it again. Pure.
import { type DropReason, FAIL_REASONS, type FailReason, MIRROR } from './accounting.ts'
import { type Counters, count, SLOT, segmentSlot } from './counters.ts'
import { countLatency } from './latency.ts'
import { SlotNames } from './slotNames.ts'

/** What became of a request that was to be a pair. */
export type PairResult = 'match' | 'mismatch' | 'dropped' | FailReason

/** Everything that one pair adds to the evidence of its candidate, but for what its label will say. */
export interface PairCount {
  readonly result: PairResult
  /** Why, where the result is `dropped`. */
  readonly dropped: DropReason | undefined
  /** Who failed; undefined: the request is no evidence of anybody's errors. */
  readonly errors: { readonly baseline: boolean; readonly candidate: boolean } | undefined
  /** The candidate gave a NaN or an infinity that the baseline did not. */
  readonly unstable: boolean
  /** Bins of |difference|, one a row; see `magnitudeBin`. */
  readonly differences: readonly number[]
  /** Slots of `AnswerSlots`, such as `mean.12`, `score.3.4` and `class.0|1`. */
  readonly answers: readonly string[]
  /** Segments that have a slot. */
  readonly segments: readonly string[]
  /** Both latencies, ms, where they say something of one request; undefined: batched, reversed, or the code was cold. */
  readonly latency: readonly [baselineMs: number, candidateMs: number] | undefined
  /** Slots of `pairedExceedances`; none while there is no threshold. */
  readonly late: readonly string[]
  /** It came while live was to score some requests twice, whether it does this one or not. */
  readonly sampled: boolean
}

const DIFFERENCES = new SlotNames<number>('diff.')

/** Counts a pair, `amount` times. */
export function addPair(slots: Counters, pair: PairCount, amount = 1): void {
  const { result, dropped, errors, segments, latency } = pair
  if (dropped !== undefined) count(slots, MIRROR.dropped(dropped), amount)
  else if (isFailure(result)) count(slots, MIRROR.failed(result), amount)
  else count(slots, MIRROR.compared, amount)
  if (errors !== undefined) addBySegment(slots, errorSlot(errors.baseline, errors.candidate), segments, amount)
  if (latency !== undefined) {
    countLatency(slots, 'plat.b', latency[0], amount)
    countLatency(slots, 'plat.c', latency[1], amount)
    for (const slot of pair.late) count(slots, slot, amount)
  }
  if (!isCompared(pair)) return
  addBySegment(slots, result === 'match' ? SLOT.match : SLOT.mismatch, segments, amount)
  if (pair.unstable) count(slots, SLOT.unstable, amount)
  for (const bin of pair.differences) count(slots, DIFFERENCES.of(bin), amount)
  // Histograms are overall only: their slots would be multiplied by those of the segments.
  for (const slot of pair.answers) count(slots, slot, amount)
  if (!pair.sampled) return
  count(slots, SLOT.againSampled, amount)
  if (result === 'mismatch') count(slots, SLOT.againSampledDiffers, amount)
}

function addBySegment(slots: Counters, slot: string, segments: readonly string[], amount: number): void {
  count(slots, slot, amount)
  for (const segment of segments) count(slots, segmentSlot(slot, segment), amount)
}

/** Counts a pair whose baseline was run twice: D = 1[candidate ≠ baseline] − 1[second run ≠ first]. */
export function addAgain(slots: Counters, candidateDiffers: boolean, secondDiffers: boolean, amount = 1): void {
  const d = Number(candidateDiffers) - Number(secondDiffers)
  count(slots, d > 0 ? SLOT.againPlus : d < 0 ? SLOT.againMinus : SLOT.againZero, amount)
  if (secondDiffers) count(slots, SLOT.againDiffers, amount)
}

/** A request that did not come to the version that was to be asked. */
export function droppedPair(dropped: DropReason): PairCount {
  return { ...NOTHING, result: 'dropped', dropped }
}

/** A pair that says nothing: it could not be compared. */
export const UNPARSEABLE_PAIR: PairCount = {
  result: 'unparseable',
  dropped: undefined,
  errors: undefined,
  unstable: false,
  differences: [],
  answers: [],
  segments: [],
  latency: undefined,
  late: [],
  sampled: false,
}
const NOTHING = UNPARSEABLE_PAIR

export function isCompared({ result }: Pick<PairCount, 'result'>): boolean {
  return result === 'match' || result === 'mismatch'
}

function isFailure(result: PairResult): result is FailReason {
  return (FAIL_REASONS as readonly PairResult[]).includes(result)
}

function errorSlot(baselineFailed: boolean, candidateFailed: boolean): string {
  if (baselineFailed) return candidateFailed ? SLOT.bothError : SLOT.baselineError
  return candidateFailed ? SLOT.candidateError : SLOT.bothOk
}
