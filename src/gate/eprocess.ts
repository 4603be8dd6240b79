// E-processes from integer counts: evidence that may be looked at after every request. Knows nothing of metrics.
//
// Every function gives bets. A bet is a product of factors, each at most 1 in expectation under the null whatever came
// before, so it is a supermartingale that starts at 1; so is a weighted mean of bets, and P(ever ≥ 1/α) ≤ α (Ville).
// Bets are logarithms of products over counts: they add over periods and replicas, and only their mean is taken late.
import betaln from '@stdlib/math-base-special-betaln'

/** One bet of a mixture: its weight (all weights sum to 1), its logarithm, and how fast that grows. */
export interface Bet {
  readonly weight: number
  /** ln of the bet's value. */
  readonly log: number
  /** Mean growth of `log` per observation of the stream at the present estimate; NaN without data. */
  readonly rate: number
}

/** Values in [−1, 1] with their counts. */
export type Bounded = readonly (readonly [value: number, count: number])[]

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

/** Rate ratios that the harm test bets on. */
export const HARM_RATIOS = [1.15, 1.35, 1.7, 2.3, 3.5, 6, 12, 40] as const
/** Rate ratios, absolute, that the safe test bets on (those below the null ratio). */
export const SAFE_RATIOS = [0.25, 0.5, 0.75, 0.9, 1, 1.1] as const
/** Fractions of the largest allowed bet 1/(1 + m) that P2 takes; any in [0, 1) is valid. */
const BETTING_FRACTIONS: readonly number[] = [0, 1, 2, 3, 4, 5].map(k => 0.9 * 2 ** -k)
/**
 * The same with one bet close to the limit, for loss differences: these are small (a standard deviation of 0.05 to 0.1 for
 * Brier), and the best bet, mean/variance, is often about 1. Saves a tenth of the labels.
 */
export const LOSS_FRACTIONS: readonly number[] = [0.98, ...BETTING_FRACTIONS]

/** ln of the weighted mean of bets; 0 (no evidence) without bets. */
export function logMean(bets: readonly Pick<Bet, 'weight' | 'log'>[]): number {
  if (bets.length === 0) return 0
  return logSumExp(bets.map(bet => Math.log(bet.weight) + bet.log))
}

/** ln Σ e^x without overflow; −Infinity of nothing. */
export function logSumExp(values: readonly number[]): number {
  let top = Number.NEGATIVE_INFINITY
  for (const value of values) top = Math.max(top, value)
  if (!Number.isFinite(top)) return top
  let sum = 0
  for (const value of values) sum += Math.exp(value - top)
  return top + Math.log(sum)
}

/** A mixture of mixtures: the bets of each part with its share of the weight. */
export function mix(parts: readonly (readonly [weight: number, bets: readonly Bet[]])[]): Bet[] {
  return parts.flatMap(([weight, bets]) => bets.map(bet => ({ ...bet, weight: bet.weight * weight })))
}

/**
 * P1, harm: H0 "the candidate's event rate is at most the baseline's". Given that an event happened, it fell on the
 * candidate with probability at most w·ρ0/(w·ρ0 + 1 − w), whatever the rate was at that moment (Lindon & Malek 2022).
 *
 * `baseRates` p0 > 0 add bets on the non-events too, which carry most of the information where events are common: under
 * the null a non-event falls on the candidate with probability at least w, and φ < w bets that it does so less often.
 * Any fixed p0 is valid; p0 = 0 leaves the non-events out. One list entry, one equal share of the mixture.
 */
export function labelOddsHarm(periods: readonly ArmCounts[], baseRates: readonly number[] = [0]): Bet[] {
  const grid = baseRates.flatMap(p0 => HARM_RATIOS.filter(g => g * p0 < 1).map(g => [p0, g] as const))
  return grid.map(([p0, g]) => labelOdds(periods, 1, g, p0, 1 / grid.length))
}

/**
 * P1, safe: H0 "the candidate's event rate is at least ρ0 times the baseline's", betting on absolute ratios g < ρ0.
 * @param baseRate p0 > 0 bets on non-events too; allowed only with ρ0 = 1.
 */
export function labelOddsSafe(periods: readonly ArmCounts[], nullRatio: number, baseRate = 0): Bet[] {
  const grid = SAFE_RATIOS.filter(g => g < nullRatio)
  return grid.map(g => labelOdds(periods, nullRatio, g, nullRatio === 1 ? baseRate : 0, 1 / grid.length))
}

function labelOdds(periods: readonly ArmCounts[], nullRatio: number, g: number, p0: number, weight: number): Bet {
  let log = 0
  let candidate = 0
  for (const period of periods) {
    const { share: w, candidateEvents, baselineEvents } = period
    const nullOdds = (w * nullRatio) / (w * nullRatio + 1 - w)
    const betOdds = (w * g) / (w * g + 1 - w)
    log += candidateEvents * Math.log(betOdds / nullOdds) + baselineEvents * Math.log((1 - betOdds) / (1 - nullOdds))
    candidate += period.candidate
    if (p0 === 0) continue
    const quiet = (w * (1 - g * p0)) / (w * (1 - g * p0) + (1 - w) * (1 - p0))
    log += (period.candidate - candidateEvents) * Math.log(quiet / w)
    log += (period.baseline - baselineEvents) * Math.log((1 - quiet) / (1 - w))
  }
  return { weight, log, rate: candidate === 0 ? Number.NaN : log / candidate }
}

/**
 * P2, harm: H0 "the mean of X is at most m", X in [−1, 1], by betting a fixed fraction (Waudby-Smith & Ramdas 2024).
 *
 * The null holds for the running average of the conditional means too, not only when every one of them is at most m:
 * Π(1 + λ(X_i − m)) = Π(1 + κX_i)/(1 + κm)^n with κ = λ/(1 − λm), and by the inequality of the means
 * (1 + κ·mean μ_i)^n ≥ Π(1 + κμ_i), so where mean μ_i ≤ m the product is below Π (1 + κX_i)/(1 + κμ_i), a martingale.
 * Read at its present value it is therefore a confidence sequence for the running average of any drifting mean.
 */
export function bettingHarm(values: Bounded, m: number, fractions = BETTING_FRACTIONS): Bet[] {
  return betting(
    values,
    m,
    fractions.map(fraction => fraction / (1 + m)),
  )
}

/**
 * P2, harm, for X that is never below 0 (a share of events): 1 + λ(X − m) then stays positive up to λ = 1/m, so the bets
 * go on event rates g·m as those of P1 do; λ ≤ 0.9/(1 + m) would need twice the data once the true rate is 5·m.
 */
export function shareHarm(events: number, total: number, m: number): Bet[] {
  const lambdas = HARM_RATIOS.filter(g => g * m < 1).map(g => (g - 1) / (1 - m))
  const values = [
    [1, events],
    [0, total - events],
  ] as const
  return betting(values, m, lambdas.length > 0 ? lambdas : [0.9 / (1 + m)])
}

function betting(values: Bounded, m: number, lambdas: readonly number[]): Bet[] {
  const total = values.reduce((sum, [, amount]) => sum + amount, 0)
  return lambdas.map(lambda => {
    let log = 0
    for (const [x, amount] of values) log += amount * Math.log1p(lambda * (x - m))
    return { weight: 1 / lambdas.length, log, rate: log / total }
  })
}

/** P2, safe (non-inferiority): H0 "the mean of X is at least δ", which is the harm test of −X against −δ. */
export function bettingSafe(values: Bounded, delta: number, fractions = BETTING_FRACTIONS): Bet[] {
  return bettingHarm(
    values.map(([x, amount]) => [-x, amount] as const),
    -delta,
    fractions,
  )
}

/**
 * Confidence sequence for the running average of the conditional means of X in [−1, 1], valid at all times at once.
 * `low` and `high` are the same observations by their low and their high edges. Inverts {@link bettingHarm}'s martingale
 * ln Π(1 + κX) − n·ln(1 + κμ), mixed over κ, on each side at α/2.
 */
export function confidenceSequence(low: Bounded, high: Bounded, alpha: number): readonly [number, number] {
  const upper = lowerBound(
    high.map(([x, amount]) => [-x, amount] as const),
    alpha / 2,
  )
  return [lowerBound(low, alpha / 2), -upper]
}

/** The least μ in [−1, 1] that the test at level α has not rejected. */
function lowerBound(values: Bounded, alpha: number): number {
  const total = values.reduce((sum, [, amount]) => sum + amount, 0)
  if (total === 0) return -1
  // Down to 0.9·2⁻¹¹: a stream of 10⁷ observations still finds a bet of its size.
  const bets = Array.from({ length: 12 }, (_, k) => {
    const kappa = 0.9 * 2 ** -k
    let log = 0
    for (const [x, amount] of values) log += amount * Math.log1p(kappa * x)
    return { kappa, log }
  })
  const target = Math.log(bets.length / alpha)
  const isRejected = (mean: number) =>
    logSumExp(bets.map(({ kappa, log }) => log - total * Math.log1p(kappa * mean))) >= target
  let [rejected, kept] = [-1, 1]
  if (!isRejected(-1)) return -1
  for (let step = 0; step < 50; step += 1) {
    const middle = (rejected + kept) / 2
    if (isRejected(middle)) rejected = middle
    else kept = middle
  }
  return rejected
}

/**
 * P4: ln of the beta mixture against "a request falls on the candidate with probability w", prior strength κ = 100 around
 * w (Lindon & Malek 2022; optimizely/ssrm). Over periods the logarithms add: the prior starts anew with each share.
 */
export function splitMixture(
  periods: readonly Pick<ArmCounts, 'share' | 'candidate' | 'baseline'>[],
  kappa = 100,
): number {
  let log = 0
  for (const { share, candidate, baseline } of periods) {
    log += dirichletMixture([kappa * share, kappa * (1 - share)], [candidate, baseline])
    log -= candidate * Math.log(share) + baseline * Math.log(1 - share)
  }
  return log
}

/** ln of the probability of a sequence of categories with these counts under a Dirichlet prior: ln B(prior + counts) − ln B(prior). */
export function dirichletMixture(prior: readonly number[], counts: readonly number[]): number {
  return logMultivariateBeta(prior.map((weight, index) => weight + (counts[index] ?? 0))) - logMultivariateBeta(prior)
}

/** ln of the multivariate beta function, B(a, b, c) = B(a, b)·B(a + b, c). */
function logMultivariateBeta(parameters: readonly number[]): number {
  let log = 0
  let sum = parameters[0] ?? 0
  for (const parameter of parameters.slice(1)) {
    log += betaln(sum, parameter)
    sum += parameter
  }
  return log
}

/**
 * How many more observations until the mixture reaches `target` (a logarithm), if every bet keeps growing at its present
 * mean rate; 0 when it is there, null when it never gets there or would need more than 10⁹.
 */
export function observationsNeeded(bets: readonly Bet[], target: number): number | null {
  const at = (more: number) => logMean(bets.map(bet => ({ weight: bet.weight, log: bet.log + more * bet.rate })))
  if (logMean(bets) >= target) return 0
  if (bets.length === 0 || bets.some(bet => Number.isNaN(bet.rate)) || !bets.some(bet => bet.rate > 0)) return null
  let [less, enough] = [0, 1]
  while (at(enough) < target) {
    less = enough
    enough *= 2
    if (enough > 1e9) return null
  }
  while (enough - less > 1) {
    const middle = Math.floor((less + enough) / 2)
    if (at(middle) < target) less = middle
    else enough = middle
  }
  return enough
}
