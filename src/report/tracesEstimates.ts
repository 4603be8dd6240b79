// Estimates over all served requests from the spans that were kept, by weight. For reading: the gate never sees them. Pure.
import { addAll, type Counters, SLOT } from '../evidence/counters.ts'
import type { TracesEstimate } from './status.ts'

interface Weighted {
  readonly sum: Counters
  readonly variance: Counters
}

/** The normal quantile of a two-sided 95 % interval. */
const Z95 = 1.959964

/**
 * Totals and shares with their intervals. The intervals are for what was served in that time, of which a part was kept:
 * with every request kept they have no width. They do not say what other traffic would have shown.
 * @param leastRatio the least share of ordinary requests that was kept
 */
export function estimatesOf(parts: readonly Weighted[], sample: Counters, leastRatio: number): TracesEstimate[] {
  const whole: Weighted = { sum: new Map(), variance: new Map() }
  for (const { sum, variance } of parts) {
    addAll(whole.sum, sum)
    addAll(whole.variance, variance)
  }
  const total = (what: string, slots: readonly string[]): TracesEstimate => {
    const estimate = sumOf(whole.sum, slots)
    const interval = intervalOf(estimate, sumOf(whole.variance, slots), leastRatio)
    return { what, isShare: false, estimate, interval, sample: sumOf(sample, slots) }
  }
  const share = (what: string, part: readonly string[], rest: readonly string[]): TracesEstimate => {
    const n = sumOf(sample, part) + sumOf(sample, rest)
    const estimated = shareOf(sumOf(whole.sum, part), total('', rest))
    return { what, isShare: true, ...estimated, sample: n === 0 ? null : sumOf(sample, part) / n }
  }
  /** Of an arm, whose failures are counted among its answers. */
  const armShare = (what: string, failed: string, all: string): TracesEstimate => {
    const [failures, answers] = [sumOf(whole.sum, [failed]), total('', [all])]
    const less = (n: number) => Math.max(0, n - failures)
    const { estimate, interval } = answers
    const others = {
      ...answers,
      estimate: less(estimate ?? 0),
      interval: interval && ([less(interval[0]), less(interval[1])] as const),
    }
    const n = sumOf(sample, [all])
    return { what, isShare: true, ...shareOf(failures, others), sample: n === 0 ? null : sumOf(sample, [failed]) / n }
  }
  return [
    total('pairs compared', [SLOT.match, SLOT.mismatch]),
    share('differ', [SLOT.mismatch], [SLOT.match]),
    share('candidate failed', [SLOT.candidateError, SLOT.bothError], [SLOT.bothOk, SLOT.baselineError]),
    share('baseline failed', [SLOT.baselineError, SLOT.bothError], [SLOT.bothOk, SLOT.candidateError]),
    total('live answers of the baseline', [SLOT.armBaseline]),
    armShare('live answers of the baseline that failed', SLOT.armBaselineError, SLOT.armBaseline),
    total('live answers of the candidate', [SLOT.armCandidate]),
    armShare('live answers of the candidate that failed', SLOT.armCandidateError, SLOT.armCandidate),
  ].filter(({ estimate }) => estimate !== null && estimate > 0)
}

/**
 * The 95 % interval of a Horvitz–Thompson sum: the score interval of a thinned count (Wilson 1927, for Poisson counts),
 * which unlike estimate ± 1.96 standard errors has a width where none was kept of what may be there. With a ratio of 0
 * nothing bounds what was not kept.
 */
function intervalOf(estimate: number, variance: number, leastRatio: number): readonly [number, number] | null {
  if (!(leastRatio > 0)) return null
  const unseen = Z95 * Z95 * (1 / leastRatio - 1)
  const half = Math.sqrt(Z95 * Z95 * variance + (unseen / 2) ** 2)
  return [Math.max(0, estimate + unseen / 2 - half), estimate + unseen / 2 + half]
}

/** The share of something that is kept always, a mismatch or a failure, so that only the others are estimated. */
function shareOf(
  part: number,
  rest: Pick<TracesEstimate, 'estimate' | 'interval'>,
): Pick<TracesEstimate, 'estimate' | 'interval'> {
  const others = rest.estimate ?? 0
  if (part + others === 0) return { estimate: null, interval: null }
  const share = (of: number) => (part === 0 ? 0 : part / (part + of))
  return { estimate: share(others), interval: rest.interval && [share(rest.interval[1]), share(rest.interval[0])] }
}

function sumOf(counters: Counters, slots: readonly string[]): number {
  return slots.reduce((sum, slot) => sum + (counters.get(slot) ?? 0), 0)
}
