// Counts what a pair says into the evidence of its candidate. Decides nothing, and sends nothing.
import { type FailReason, MIRROR } from '../evidence/accounting.ts'
import type { AnswerSlots } from '../evidence/answerSlots.ts'
import { type Counters, count, SLOT, segmentSlot } from '../evidence/counters.ts'
import { magnitudeBin } from '../evidence/histogram.ts'
import { countLatency, pairedExceedances, type QuantileName, type Threshold } from '../evidence/latency.ts'
import type { Pair } from './pair.ts'

/** Counts a pair; `segments` have slots already. */
export function countPair(
  slots: Counters,
  { result, dropped, comparison, errors, firstRows }: Pair,
  segments: readonly string[],
  answers: AnswerSlots,
  differenceScale: number | undefined,
): void {
  const add = (slot: string) => {
    count(slots, slot)
    for (const segment of segments) count(slots, segmentSlot(slot, segment))
  }
  if (dropped !== undefined) count(slots, MIRROR.dropped(dropped))
  else if (result === 'match' || result === 'mismatch') count(slots, MIRROR.compared)
  else count(slots, MIRROR.failed(result satisfies FailReason))
  if (errors !== undefined) add(errorSlot(errors.baseline, errors.candidate))
  if (comparison === undefined) return
  add(result === 'match' ? SLOT.match : SLOT.mismatch)
  if (comparison.unstable) count(slots, SLOT.unstable)
  for (const difference of comparison.differences) count(slots, `diff.${magnitudeBin(difference)}`)
  // Histograms are overall only: their slots would be multiplied by those of the segments.
  if (firstRows !== undefined) answers.take(...firstRows, differenceScale, slot => count(slots, slot))
}

/** Counts a comparison while live is to score some requests twice, whether it does this one or not. */
export function countSampled(slots: Counters, candidateDiffers: boolean): void {
  count(slots, SLOT.againSampled)
  if (candidateDiffers) count(slots, SLOT.againSampledDiffers)
}

/** Counts a pair whose baseline was run twice: D = 1[candidate ≠ baseline] − 1[second run ≠ first]. */
export function countAgain(slots: Counters, candidateDiffers: boolean, secondDiffers: boolean): void {
  const d = Number(candidateDiffers) - Number(secondDiffers)
  count(slots, d > 0 ? SLOT.againPlus : d < 0 ? SLOT.againMinus : SLOT.againZero)
  if (secondDiffers) count(slots, SLOT.againDiffers)
}

/** Counts both latencies of a pair that was sent alone, and its exceedances where thresholds are known. */
export function countPairLatency(
  slots: Counters,
  baselineMs: number,
  candidateMs: number,
  thresholds: Readonly<Record<QuantileName, Threshold>> | undefined,
): void {
  countLatency(slots, 'plat.b', baselineMs)
  countLatency(slots, 'plat.c', candidateMs)
  if (thresholds === undefined) return
  for (const slot of pairedExceedances(thresholds, baselineMs, candidateMs)) count(slots, slot)
}

function errorSlot(baselineFailed: boolean, candidateFailed: boolean): string {
  if (baselineFailed) return candidateFailed ? SLOT.bothError : SLOT.baselineError
  return candidateFailed ? SLOT.candidateError : SLOT.bothOk
}
