// The streams that pairs feed: labels, disagreement, errors and stability of the same requests. Decides nothing yet.
import { type Counters, SLOT } from '../evidence/counters.ts'
import { binsOf, highDifference, lowDifference } from '../evidence/histogram.ts'
import {
  type Bounded,
  bettingHarm,
  bettingSafe,
  confidenceSequence,
  LOSS_FRACTIONS,
  logMean,
  shareHarm,
} from './eprocess.ts'
import type { Policy } from './evidence.ts'
import { added, type SortedPeriod } from './periods.ts'
import {
  get,
  mean,
  pairedHarm,
  ratio,
  SHOWN_ALPHA,
  type Stream,
  type Summary,
  share,
  shareSummary,
  size,
  summaries,
} from './stream.ts'

/** Whether labels say anything under this policy: where answers change outcomes, a shadow's labels are only shown. */
export function labelsCount(policy: Policy): boolean {
  return policy.labels !== undefined && !policy.labels.affectedByAnswer
}

/**
 * Paired loss differences. Harm: the mean difference exceeds 0 (in a segment: exceeds the margin, since a model that is
 * better may be a little worse somewhere). Safe: it stays below the margin. Bins are read at the edge that works against
 * the claim.
 */
export function labels(
  policy: Policy,
  setting: NonNullable<Policy['labels']>,
  v: number,
  periods: readonly SortedPeriod[],
  present: readonly SortedPeriod[],
): Stream {
  const read = (counters: Counters) => {
    const bins = binsOf(counters, 'loss')
    const at = (value: (bin: number) => number): Bounded => bins.map(([bin, amount]) => [value(bin), amount] as const)
    return {
      low: at(lowDifference),
      high: at(highDifference),
      middle: at(bin => (lowDifference(bin) + highDifference(bin)) / 2),
    }
  }
  const summary = (counters: Counters, isShort = false): Summary => {
    const { low, high, middle } = read(counters)
    return {
      n: size(middle),
      estimate: mean(middle),
      ...(!isShort && size(middle) > 0 && { interval: confidenceSequence(low, high, SHOWN_ALPHA) }),
      limit: setting.margin,
    }
  }
  const counts = labelsCount(policy)
  return {
    metric: 'labels',
    what: `mean ${setting.loss} loss above the baseline's`,
    unit: 'labels',
    isPaired: true,
    weight: counts ? v : 0,
    ...pairedHarm(
      periods,
      ['loss.'],
      (counters, segment) => bettingHarm(read(counters).low, segment === '' ? 0 : setting.margin, LOSS_FRACTIONS),
      summary,
    ),
    safe:
      counts && policy.expect === 'change'
        ? bettingSafe(read(added(present)).high, setting.margin, LOSS_FRACTIONS)
        : undefined,
    ...summaries(periods, present, summary),
  }
}

/** Share of compared requests that differ. Harm: above the budget; safe: below it. Shown only where change is expected. */
export function disagreement(
  policy: Policy,
  v: number,
  periods: readonly SortedPeriod[],
  present: readonly SortedPeriod[],
): Stream {
  const budget = policy.gate.disagreement
  const read = (counters: Counters) => {
    const differing = get(counters, SLOT.mismatch)
    return { differing, n: differing + get(counters, SLOT.match) }
  }
  const gated = policy.expect === 'same'
  const summary = shareSummary(
    counters => read(counters).differing,
    counters => read(counters).n,
    gated ? budget : null,
  )
  const now = read(added(present))
  return {
    metric: 'disagreement',
    what: 'share of answers that differ',
    unit: 'comparisons',
    isPaired: true,
    weight: gated ? v : 0,
    ...pairedHarm(
      periods,
      [SLOT.match, SLOT.mismatch],
      counters => shareHarm(read(counters).differing, read(counters).n, budget),
      summary,
    ),
    safe: gated ? bettingSafe(share(now.differing, now.n), budget) : undefined,
    ...summaries(periods, present, summary),
  }
}

/**
 * Errors of pairs, D = 1[candidate failed] − 1[baseline failed]. Both tests put the error floor at the border: below it a
 * candidate "is always fine", so an excess below it is no harm either.
 */
export function pairedErrors(
  policy: Policy,
  v: number,
  periods: readonly SortedPeriod[],
  present: readonly SortedPeriod[],
): Stream {
  const { floor } = policy.gate.errors
  const read = (counters: Counters): Bounded => [
    [1, get(counters, SLOT.candidateError)],
    [-1, get(counters, SLOT.baselineError)],
    [0, get(counters, SLOT.bothOk) + get(counters, SLOT.bothError)],
  ]
  const summary = (counters: Counters, isShort = false): Summary => {
    const values = read(counters)
    const n = size(values)
    return {
      n,
      estimate: mean(values),
      baseline: ratio(get(counters, SLOT.baselineError) + get(counters, SLOT.bothError), n),
      ...(!isShort && n > 0 && { interval: confidenceSequence(values, values, SHOWN_ALPHA) }),
      limit: floor,
    }
  }
  return {
    metric: 'errors',
    what: "error rate above the baseline's, same requests",
    unit: 'comparisons',
    isPaired: true,
    weight: v,
    ...pairedHarm(
      periods,
      [SLOT.bothOk, SLOT.candidateError, SLOT.baselineError],
      counters => bettingHarm(read(counters), floor),
      summary,
    ),
    safe: bettingSafe(read(added(present)), floor),
    ...summaries(periods, present, summary),
  }
}

/** Answers with a NaN or an infinity that the baseline did not give. Harm: their share exceeds the error floor. */
export function stability(
  policy: Policy,
  v: number,
  periods: readonly SortedPeriod[],
  present: readonly SortedPeriod[],
): Stream {
  const { floor } = policy.gate.errors
  const compared = (counters: Counters) => get(counters, SLOT.match) + get(counters, SLOT.mismatch)
  const summary = shareSummary(counters => get(counters, SLOT.unstable), compared, floor)
  const all = added(periods)
  return {
    metric: 'stability',
    what: 'share of answers with a NaN or infinity of their own',
    unit: 'comparisons',
    isPaired: true,
    weight: v,
    logHarm: logMean(shareHarm(get(all, SLOT.unstable), compared(all), floor)),
    segments: [],
    safe: undefined,
    ...summaries(periods, present, summary),
  }
}
