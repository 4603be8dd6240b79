// The error rates that a verdict keeps, and who is named guilty at them. Knows nothing of sentences.
import type { SegmentHarm, Stream } from './stream.ts'

/** Family-wise chance that a candidate no worse than the baseline is ever aborted. */
export const ALPHA_ABORT = 0.01
/** Chance that a candidate that is not safe is ever promoted, over all its attempts and all candidates of the route. */
export const ALPHA_PROMOTE = 0.05
/** Level of the split check. */
export const ALPHA_SPLIT = 0.001

/** Whether the metric alone would have aborted. */
export function isGuilty(stream: Stream): boolean {
  return stream.weight > 0 && stream.logHarm >= harmNeeded(stream)
}

/** ln E at which a metric is named guilty: 1/(α_A·v_m). */
export function harmNeeded(stream: Stream): number {
  return stream.weight > 0 ? Math.log(1 / (ALPHA_ABORT * stream.weight)) : Number.POSITIVE_INFINITY
}

/**
 * Segments to blame once the whole is aborted: e-BH (Wang & Ramdas 2022) at 5 %, so that of the segments named at most one
 * in twenty is expected to be innocent.
 */
export function guiltySegments(stream: Stream): readonly SegmentHarm[] {
  const sorted = stream.segments.toSorted((a, b) => b.logHarm - a.logHarm)
  let named = 0
  for (const [index, { logHarm }] of sorted.entries()) {
    if (logHarm >= Math.log(sorted.length / (ALPHA_PROMOTE * (index + 1)))) named = index + 1
  }
  return sorted.slice(0, named)
}
