// Estimates over all served requests from the spans that were kept, by weight. For reading: the gate never sees them. Pure.
import { addAll, type Counters, SLOT } from '../evidence/counters.ts'
import type { TracesEstimate } from './status.ts'

interface Weighted {
  readonly sum: Counters
  readonly variance: Counters
}

/** The normal quantile of a two-sided 95 % interval. */
const Z95 = 1.959964

const COMPARED = [SLOT.match, SLOT.mismatch]
const OBSERVED = [SLOT.bothOk, SLOT.baselineError, SLOT.candidateError, SLOT.bothError]

/**
 * Totals and shares with their intervals. The intervals are for what was served in that time, of which a part was kept:
 * with every request kept they have no width. They do not say what other traffic would have shown.
 */
export function estimatesOf(parts: readonly Weighted[], sample: Counters): TracesEstimate[] {
  const whole: Weighted = { sum: new Map(), variance: new Map() }
  for (const { sum, variance } of parts) {
    addAll(whole.sum, sum)
    addAll(whole.variance, variance)
  }
  const total = (what: string, slots: readonly string[]): TracesEstimate => {
    const [estimate, variance] = [sumOf(whole.sum, slots), sumOf(whole.variance, slots)]
    const half = Z95 * Math.sqrt(variance)
    return {
      what,
      isShare: false,
      estimate,
      interval: [Math.max(0, estimate - half), estimate + half],
      sample: sumOf(sample, slots),
    }
  }
  const share = (what: string, part: readonly string[], all: readonly string[]): TracesEstimate => {
    const n = sumOf(sample, all)
    return { what, isShare: true, ...shareOf(whole, part, all), sample: n === 0 ? null : sumOf(sample, part) / n }
  }
  return [
    total('pairs compared', COMPARED),
    share('differ', [SLOT.mismatch], COMPARED),
    share('candidate failed', [SLOT.candidateError, SLOT.bothError], OBSERVED),
    share('baseline failed', [SLOT.baselineError, SLOT.bothError], OBSERVED),
    total('live answers of the baseline', [SLOT.armBaseline]),
    share('of them failed', [SLOT.armBaselineError], [SLOT.armBaseline]),
    total('live answers of the candidate', [SLOT.armCandidate]),
    share('of them failed', [SLOT.armCandidateError], [SLOT.armCandidate]),
  ].filter(({ estimate }) => estimate !== null && (estimate > 0 || whole.sum.size === 0))
}

/**
 * A ratio of two Horvitz–Thompson sums, with the variance of its linearisation: Σ w(w − 1)(y − R)²/N² over kept requests,
 * y being 1 in `part` and 0 else (Särndal, Swensson & Wretman 1992, section 5.6).
 */
export function shareOf(
  { sum, variance }: Weighted,
  part: readonly string[],
  all: readonly string[],
): Pick<TracesEstimate, 'estimate' | 'interval'> {
  const n = sumOf(sum, all)
  if (n === 0) return { estimate: null, interval: null }
  const share = sumOf(sum, part) / n
  const inside = Math.min(sumOf(variance, part), sumOf(variance, all))
  const outside = Math.max(0, sumOf(variance, all) - inside)
  const half = (Z95 * Math.sqrt(inside * (1 - share) ** 2 + outside * share ** 2)) / n
  return { estimate: share, interval: [Math.max(0, share - half), Math.min(1, share + half)] }
}

function sumOf(counters: Counters, slots: readonly string[]): number {
  return slots.reduce((sum, slot) => sum + (counters.get(slot) ?? 0), 0)
}
