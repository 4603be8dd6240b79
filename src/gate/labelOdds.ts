// P1: given that an event happened, on which arm of the live split did it fall? Knows nothing of what the events are.
import { type Bet, normalised } from './bet.ts'

/** Events of the two arms of the live split while the candidate's share was `share`. */
export interface ArmCounts {
  /** Candidate's share of the two arms at admission, inside (0, 1). */
  readonly share: number
  readonly candidateEvents: number
  readonly baselineEvents: number
  /** Requests of each arm, events among them; needed only for bets on non-events and for rates. */
  readonly candidate: number
  readonly baseline: number
}

/** A bet that the candidate's event rate is `ratio` times the baseline's. */
export interface OddsBet {
  readonly ratio: number
  readonly weight: number
}

/**
 * Ratios of the harm test. At the moment of decision ln g is known to about a third of itself, so the bets stand about as
 * far apart in ln ln g, and small ratios, which take longest to show, have most of the weight. Any fixed grid is valid.
 */
export const HARM_RATIOS: readonly OddsBet[] = normalised([
  { ratio: 1.27, weight: 0.3 },
  { ratio: 1.55, weight: 0.25 },
  { ratio: 2.2, weight: 0.2 },
  { ratio: 4, weight: 0.15 },
  { ratio: 9, weight: 0.09 },
  { ratio: 40, weight: 0.01 },
])

/** Ratios where half of the baseline's answers are events by definition: none can reach 2. */
export const MEDIAN_RATIOS: readonly OddsBet[] = normalised([
  { ratio: 1.06, weight: 0.3 },
  { ratio: 1.15, weight: 0.3 },
  { ratio: 1.35, weight: 0.2 },
  { ratio: 1.7, weight: 0.2 },
])

/**
 * Ratios, absolute, of the safe test. Tuned for a candidate that is as good as the baseline or a little better (true ratio
 * 0.8 to 1) against a null ratio of 1.25 to 2, where one bet near 0.92 is nearly the best for all: 1.0 to 1.15 ×
 * ln(1/α)/KL at α = 0.05 and 0.025. Much better candidates take up to 1.5 × of far fewer requests.
 */
export const SAFE_RATIOS: readonly OddsBet[] = normalised([
  { ratio: 0.4, weight: 0.08 },
  { ratio: 0.7, weight: 0.1 },
  { ratio: 0.92, weight: 0.62 },
  { ratio: 1.02, weight: 0.2 },
])

/** Ratios of the safe latency test, whose null ratio is 1: a candidate as fast as the baseline is well below it. */
export const SAFE_RATIOS_LATENCY: readonly OddsBet[] = normalised([
  { ratio: 0.25, weight: 0.2 },
  { ratio: 0.5, weight: 0.3 },
  { ratio: 0.75, weight: 0.3 },
  { ratio: 0.9, weight: 0.2 },
])

/**
 * P1, harm: H0 "the candidate's event rate is at most the baseline's". Given that an event happened, it fell on the
 * candidate with probability at most w·ρ0/(w·ρ0 + 1 − w), whatever the rate was at that moment (Lindon & Malek 2022).
 *
 * `baseRates` p0 > 0 add bets on the non-events too, which carry most of the information where events are common: under
 * the null a non-event falls on the candidate with probability at least w, and φ < w bets that it does so less often.
 * Any fixed p0 is valid; p0 = 0 leaves the non-events out. One list entry, one equal share of the mixture.
 */
export function labelOddsHarm(
  periods: readonly ArmCounts[],
  baseRates: readonly number[] = [0],
  ratios: readonly OddsBet[] = HARM_RATIOS,
): Bet[] {
  return oddsOn(baseRates, ratios).map(bet => labelOdds(periods, 1, bet, bet.baseRate))
}

function oddsOn(baseRates: readonly number[], ratios: readonly OddsBet[]) {
  return normalised(
    baseRates.flatMap(baseRate =>
      normalised(ratios.filter(({ ratio }) => ratio * baseRate < 1)).map(bet => ({ ...bet, baseRate })),
    ),
  )
}

/**
 * P1, harm, as errors of the live split are judged: an eighth of the mixture bets on non-events, for baselines that fail
 * often. Tuned by `bench/micro/grid.ts` for one stream at α = 0.01, shares of 5 to 50 % and baseline errors of 0.5 to 5 %:
 * the mean delay over ln(1/α)/KL is 1.25 to 1.3 at a ratio of 1.25, 1.2 at 1.5, 1.25 at 2, 1.35 at 3 and 1.5 at 10, which is
 * some 15 events; eight equal bets took 1.4, 1.3, 1.3, 1.3 and 1.4. At 20 % baseline errors it is 1.35 to 1.4 (1.73).
 */
export function errorOddsHarm(periods: readonly ArmCounts[]): Bet[] {
  return ERROR_BETS.map(bet => labelOdds(periods, 1, bet, bet.baseRate))
}

const ERROR_BETS = [
  ...oddsOn([0], HARM_RATIOS).map(bet => ({ ...bet, weight: 0.88 * bet.weight })),
  ...oddsOn([0.2], HARM_RATIOS).map(bet => ({ ...bet, weight: 0.12 * bet.weight })),
]

/** P1, harm, as exceedances of a latency quantile are judged: of the median half are events, so non-events count half. */
export function latencyOddsHarm(periods: readonly ArmCounts[], isMedian: boolean): Bet[] {
  return isMedian ? labelOddsHarm(periods, [0.5], MEDIAN_RATIOS) : labelOddsHarm(periods)
}

/**
 * P1, safe: H0 "the candidate's event rate is at least ρ0 times the baseline's", by the bets on ratios below ρ0.
 * @param baseRate p0 > 0 bets on non-events too; allowed only with ρ0 = 1.
 */
export function labelOddsSafe(
  periods: readonly ArmCounts[],
  nullRatio: number,
  baseRate = 0,
  ratios: readonly OddsBet[] = SAFE_RATIOS,
): Bet[] {
  const p0 = nullRatio === 1 ? baseRate : 0
  return normalised(ratios.filter(({ ratio }) => ratio < nullRatio)).map(bet => labelOdds(periods, nullRatio, bet, p0))
}

function labelOdds(periods: readonly ArmCounts[], nullRatio: number, { ratio: g, weight }: OddsBet, p0: number): Bet {
  let log = 0
  let candidate = 0
  for (const period of periods) {
    const { share: w, candidateEvents, baselineEvents } = period
    // θ/q and (1 − θ)/(1 − q) of the odds w·g and w·ρ0, without dividing by a share that may be tiny.
    const shift = Math.log((w * nullRatio + 1 - w) / (w * g + 1 - w))
    log += candidateEvents * (Math.log(g / nullRatio) + shift) + baselineEvents * shift
    candidate += period.candidate
    if (p0 === 0) continue
    const quiet = (1 - g * p0) / (1 - p0)
    const quietShift = -Math.log(w * quiet + 1 - w)
    log += (period.candidate - candidateEvents) * (Math.log(quiet) + quietShift)
    log += (period.baseline - baselineEvents) * quietShift
  }
  return { weight, log, rate: candidate === 0 ? Number.NaN : log / candidate }
}
