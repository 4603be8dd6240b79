// Says what a pair counts into the evidence of its candidate. Decides nothing, and sends nothing.
import type { AnswerSlots } from '../evidence/answerSlots.ts'
import { magnitudeBin } from '../evidence/histogram.ts'
import type { PairCount } from '../evidence/pairCount.ts'
import type { Pair } from './pair.ts'

/** What a pair counts, but for its time; `segments` have slots already. Takes slots for its answers. */
export function pairCountOf(
  { result, dropped, comparison, errors, firstRows }: Pair,
  segments: readonly string[],
  answers: AnswerSlots,
  differenceScale: number | undefined,
): Omit<PairCount, 'latency' | 'late' | 'sampled'> {
  const slots: string[] = []
  if (comparison !== undefined && firstRows !== undefined) {
    answers.take(...firstRows, differenceScale, slot => slots.push(slot))
  }
  return {
    result: dropped === undefined ? result : 'dropped',
    dropped,
    errors,
    unstable: comparison?.unstable ?? false,
    differences: comparison?.differences.map(magnitudeBin) ?? [],
    answers: slots,
    segments,
  }
}
