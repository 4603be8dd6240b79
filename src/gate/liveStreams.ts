// The streams that the arms of the live split feed: errors, latency and the split itself. Decides nothing yet.
import { type Counters, SLOT } from '../evidence/counters.ts'
import { binsOf, latencyQuantile } from '../evidence/histogram.ts'
import { QUANTILES, type QuantileName } from '../evidence/latency.ts'
import {
  type ArmCounts,
  bettingHarm,
  bettingSafe,
  labelOddsHarm,
  labelOddsSafe,
  logMean,
  mix,
  shareHarm,
  splitMixture,
} from './eprocess.ts'
import type { Policy, Stage } from './evidence.ts'
import { added, arms, type SortedPeriod, segmentsWith } from './periods.ts'
import { get, ratio, type Stream, type Summary, share, withSegments } from './stream.ts'

/**
 * The split check over all periods: ln E of P4, and the share seen at present.
 */
export function splitOf(periods: readonly SortedPeriod[], present: readonly SortedPeriod[]) {
  const slots = {
    candidate: SLOT.armCandidate,
    candidateEvents: SLOT.armCandidateError,
    baseline: SLOT.armBaseline,
    baselineEvents: SLOT.armBaselineError,
  }
  const now = arms(present, slots)
  const seen = now.reduce((sum, period) => sum + period.candidate, 0)
  const n = now.reduce((sum, period) => sum + period.candidate + period.baseline, 0)
  return { log: splitMixture(arms(periods, slots)), n, estimate: ratio(seen, n), limit: now.at(-1)?.share ?? null }
}

/**
 * Errors of the live split. Harm: more than the baseline's *and* more than the floor (the smaller of the two e-values,
 * since either being true is fine). Safe: H0 "at least M times the baseline's and at least the floor", so evidence
 * against either counts, half and half; without any error about 6,800 candidate requests at a floor of 0.1 % (first attempt).
 */
export function canaryErrors(
  policy: Policy,
  v: number,
  stage: Stage,
  periods: readonly SortedPeriod[],
  present: readonly SortedPeriod[],
): Stream | undefined {
  const { floor, ratio: most } = policy.gate.errors
  const slots = {
    candidate: SLOT.armCandidate,
    candidateEvents: SLOT.armCandidateError,
    baseline: SLOT.armBaseline,
    baselineEvents: SLOT.armBaselineError,
  }
  const harmOf = (segment: string) => {
    const counts = arms(periods, slots, segment)
    const { candidateEvents, candidate } = totals(counts)
    // A tenth of the mixture bets on non-events, for baselines that fail often; it costs the others 0.1 of a logarithm.
    const odds = mix([
      [0.9, labelOddsHarm(counts)],
      [0.1, labelOddsHarm(counts, [0.08, 0.15, 0.3, 0.5])],
    ])
    return Math.min(logMean(odds), logMean(shareHarm(candidateEvents, candidate, floor)))
  }
  const summarise = (counts: readonly ArmCounts[]): Summary => {
    const { candidate, candidateEvents, baseline, baselineEvents } = totals(counts)
    const rate = ratio(baselineEvents, baseline)
    return {
      n: candidate,
      estimate: ratio(candidateEvents, candidate),
      baseline: rate,
      limit: rate === null ? null : Math.max(floor, most * rate),
    }
  }
  if (!periods.some(period => period.stage === 'canary')) return undefined
  const now = arms(present, slots)
  const { candidate, candidateEvents } = totals(now)
  const segments = segmentsWith(periods, [SLOT.armCandidate, SLOT.armBaseline]).map(segment => ({
    segment,
    logHarm: harmOf(segment),
    ...summarise(arms(periods, slots, segment)),
  }))
  return {
    metric: 'errors',
    what: 'error rate of live answers',
    unit: 'candidate requests',
    isPaired: false,
    weight: v,
    logHarm: withSegments(harmOf(''), segments),
    segments,
    safe:
      stage === 'canary'
        ? mix([
            [0.5, labelOddsSafe(now, most)],
            [0.5, bettingSafe(share(candidateEvents, candidate), floor)],
          ])
        : undefined,
    present: summarise(now),
    history: summarise(arms(periods, slots)),
  }
}

/**
 * Latency. On the live split P1 on exceedances: harm H0 "the candidate exceeds the limit at most as often as the baseline
 * its own quantile", safe H0 "at least as often". In the shadow stage the same of unbatched pairs, which may withhold
 * promotion while they show a slower candidate, and neither abort nor prove anything: a shadow that sent no pair alone
 * is not held up, since no share can grow past the first step without the test on the live split.
 */
export function latency(
  name: QuantileName,
  policy: Policy,
  v: number,
  stage: Stage,
  periods: readonly SortedPeriod[],
  present: readonly SortedPeriod[],
): Stream {
  const limits = policy.gate.latency
  const slots = {
    candidate: 'late.c.n',
    candidateEvents: `late.${name}.c`,
    baseline: 'late.b.n',
    baselineEvents: `late.${name}.b`,
  }
  // By definition this share of the baseline's answers lies above its quantile: the non-events of p50 count half.
  const baseRate = name === 'p50' ? 0.5 : 0
  const harm = labelOddsHarm(arms(periods, slots), [baseRate])
  const prefix = stage === 'canary' ? 'lat' : 'plat'
  const summary = (counters: Counters, n: number): Summary => {
    const estimate = latencyQuantile(counters, `${prefix}.c`, QUANTILES[name]) ?? null
    const baseline = latencyQuantile(counters, `${prefix}.b`, QUANTILES[name]) ?? null
    return {
      n,
      estimate,
      baseline,
      limit: baseline === null ? null : Math.max(baseline * limits[name], baseline + limits.slack),
    }
  }
  const observed = (counters: Counters) =>
    stage === 'canary'
      ? get(counters, 'late.c.n')
      : binsOf(counters, 'plat.c').reduce((sum, [, amount]) => sum + amount, 0)
  const now = added(present)
  const pair = (sign: string) => get(now, `pair.late.${name}.${sign}`)
  return {
    metric: `latency.${name}`,
    what:
      stage === 'canary' ? `${name} latency of live answers, ms` : `${name} latency of unbatched shadow answers, ms`,
    unit: stage === 'canary' ? 'candidate requests' : 'unbatched comparisons',
    isPaired: stage === 'shadow',
    weight: v,
    logHarm: logMean(harm),
    segments: [],
    safe:
      stage === 'canary'
        ? labelOddsSafe(arms(present, { ...slots, candidateEvents: `late.${name}.c.may` }), 1, baseRate)
        : undefined,
    ...(stage === 'shadow' && {
      logWithhold: logMean(
        bettingHarm(
          [
            [1, pair('plus')],
            [-1, pair('minus')],
            [0, pair('zero')],
          ],
          0,
        ),
      ),
    }),
    present: summary(now, observed(now)),
    history: summary(now, observed(now)),
  }
}

function totals(periods: readonly ArmCounts[]): Omit<ArmCounts, 'share'> {
  const sum = { candidate: 0, candidateEvents: 0, baseline: 0, baselineEvents: 0 }
  for (const period of periods) {
    sum.candidate += period.candidate
    sum.candidateEvents += period.candidateEvents
    sum.baseline += period.baseline
    sum.baselineEvents += period.baselineEvents
  }
  return sum
}
