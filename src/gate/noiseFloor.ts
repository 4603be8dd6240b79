// Judges disagreement where live contradicts itself: what a second run of live differs by is not the candidate's doing.
// Knows nothing of slots.
import { type Bet, logMean, logSumExp, mix } from './bet.ts'
import { bettingHarm, bettingSafe, shareHarm, shareHarmBets, shareSafe } from './betting.ts'

export interface Disagreement {
  /** Compared requests, and those of them that differ. */
  readonly n: number
  readonly differing: number
  /** D = 1[candidate ≠ baseline] − 1[second run ≠ first] of the requests that live scored twice. */
  readonly plus: number
  readonly minus: number
  readonly zero: number
  /** Second runs that differed from the first. */
  readonly differs: number
  /** Of the compared requests: those that came while live was to score some twice. Absent: all, once any was run twice. */
  readonly sampled?: { readonly n: number; readonly differing: number } | undefined
}

/** Whether live's noise is asked for, so that it may not be taken for none before the first second run came. */
export function isNoiseAsked(counts: Disagreement): boolean {
  return secondRuns(counts) > 0 || (counts.sampled?.n ?? 0) > 0
}

/** Requests that live scored twice. */
export function secondRuns({ plus, minus, zero }: Disagreement): number {
  return plus + minus + zero
}

/**
 * ln E against H0 "the candidate differs from live by at most `budget` more than live from itself".
 *
 * Nothing to be run twice: the budget is absolute. Else two e-values, half and half, both valid whatever the noise is:
 * - of the requests run twice, P2 on D;
 * - of all comparisons, until live contradicts itself for the first time. The noise η is not known, but whichever it is, H0 says that both "comparisons differ at most at
 *   budget + η" and "second runs differ at η" hold, so the mean of the two e-values against them is one against H0 with
 *   this η, and the least over all η is one against H0. The larger half of the mean is taken, at the η where it is least.
 *
 * While live never contradicts itself, η is soon held near 0 and this is the absolute budget on all comparisons. A rule
 * "absolute after 200 equal second runs" would not be valid: a noise of 1 % passes 200 runs one time in seven. Nor would
 * "absolute until the first second run": at 1 % of them a noise of 10 % is accused in three of five runs before.
 * Both rates are taken over random samples of the same requests, so they may drift. Once live has contradicted itself all
 * requests are run twice, most of the second runs are late ones, and a noise that is gone would be taken for none: from
 * then on only the requests that were run twice count, and they are all there are.
 */
export function noiseFloorHarm(counts: Disagreement, budget: number): number {
  const { n, differing, plus, minus, zero, differs } = counts
  if (!isNoiseAsked(counts)) return logMean(shareHarm(differing, n, budget))
  const twice = logMean(
    bettingHarm(
      [
        [1, plus],
        [-1, minus],
        [0, zero],
      ],
      budget,
    ),
  )
  if (differs > 0) return twice - Math.LN2
  return logSumExp([twice, leastOverNoise(counts, budget) - Math.LN2]) - Math.LN2
}

/** Bets that second runs differ more rarely than η: 1 − κ·1[differs], over 1 − κη. */
const QUIET_BETS = [
  { kappa: 0.98, weight: 0.4 },
  { kappa: 0.8, weight: 0.3 },
  { kappa: 0.5, weight: 0.3 },
] as const

/** ln min over η of max(E of comparisons against budget + η, E of second runs, none of which differed, against "at least η"). */
function leastOverNoise(counts: Disagreement, budget: number): number {
  const { n, differing } = counts.sampled ?? counts
  const runs = secondRuns(counts)
  // With κ = λ/(1 − λm) held fixed, Π(1 + κX)/(1 + κ(m + η))^n falls in η, and the other one rises.
  const bets = shareHarmBets(budget).map(({ lambda, weight }) => ({ kappa: lambda / (1 - lambda * budget), weight }))
  const comparisons = (eta: number) =>
    logSumExp(
      bets.map(
        ({ kappa, weight }) =>
          Math.log(weight) + differing * Math.log1p(kappa) - n * Math.log1p(kappa * (budget + eta)),
      ),
    )
  const quiet = (eta: number) =>
    logSumExp(QUIET_BETS.map(({ kappa, weight }) => Math.log(weight) - runs * Math.log1p(-kappa * eta)))
  if (comparisons(0) <= quiet(0)) return quiet(0)
  let [below, above] = [0, 1]
  for (let step = 0; step < 40; step += 1) {
    const middle = (below + above) / 2
    if (comparisons(middle) > quiet(middle)) below = middle
    else above = middle
  }
  return comparisons(above)
}

/**
 * Bets against H0 "the candidate differs from live by `budget` or more than live from itself". Live's own noise only adds to
 * what differs, so the absolute test of all comparisons proves it whatever the noise; half goes on D where it is known.
 */
export function noiseFloorSafe(counts: Disagreement, budget: number): Bet[] {
  const { n, differing, plus, minus, zero } = counts
  const absolute = shareSafe(differing, n, budget)
  if (!isNoiseAsked(counts)) return absolute
  const twice = bettingSafe(
    [
      [1, plus],
      [-1, minus],
      [0, zero],
    ],
    budget,
  )
  // Both grow per comparison, of which only some were run twice.
  const perComparison = twice.map(bet => ({ ...bet, rate: n === 0 ? bet.rate : bet.log / n }))
  return mix([
    [0.5, absolute],
    [0.5, perComparison],
  ])
}
