// P2: bets on the mean of a bounded value. Knows nothing of what the value is.
import { type Bet, logSumExp, normalised } from './bet.ts'

/** Values in [−1, 1] with their counts. */
export type Bounded = readonly (readonly [value: number, count: number])[]

/** Fractions of the largest allowed bet 1/(1 + m) that P2 takes; any in [0, 1) is valid. */
export const BETTING_FRACTIONS: readonly number[] = [0, 1, 2, 3, 4, 5].map(k => 0.9 * 2 ** -k)
/**
 * The same with one bet close to the limit, for loss differences: these are small (a standard deviation of 0.05 to 0.1 for
 * Brier), and the best bet, mean/variance, is often about 1. Saves a tenth of the labels.
 */
export const LOSS_FRACTIONS: readonly number[] = [0.98, ...BETTING_FRACTIONS]
/** Where the null mean nears −1 the largest bet would be infinite; a smaller one is always valid. */
const LEAST_ROOM = 1e-3

/** The bets λ of P2's harm test against the mean m. */
export function harmBets(m: number, fractions: readonly number[]): readonly number[] {
  return fractions.map(fraction => fraction / Math.max(LEAST_ROOM, 1 + m))
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
    harmBets(m, fractions).map(lambda => ({ lambda, weight: 1 / fractions.length })),
  )
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
 * P2, harm, for X that is never below 0 (a share of events): 1 + λ(X − m) then stays positive up to λ = 1/m, so the bets
 * go on event rates g·m as those of P1 do; λ ≤ 0.9/(1 + m) would need twice the data once the true rate is 5·m.
 */
export function shareHarm(events: number, total: number, m: number): Bet[] {
  return betting(share(events, total), m, shareHarmBets(m))
}

/**
 * Multiples of the limit that the harm test of a share bets on, as far apart as those of P1, with more weight on the large
 * ones: versions that disagree mostly do so often. Tuned by `bench/micro/grid.ts`: 1.25 to 1.3 × ln(1/α)/KL at α = 0.01 and a
 * limit of 1 % up to three times the limit, 1.45 at ten times, which is some 45 requests.
 */
const SHARE_RATIOS = [
  { ratio: 1.27, weight: 0.22 },
  { ratio: 1.6, weight: 0.2 },
  { ratio: 2.4, weight: 0.2 },
  { ratio: 5, weight: 0.2 },
  { ratio: 12, weight: 0.13 },
  { ratio: 40, weight: 0.05 },
]

interface ShareBet {
  readonly lambda: number
  readonly weight: number
}

/** The bets of {@link shareHarm}: factor g for an event, (1 − g·m)/(1 − m) for none. */
export function shareHarmBets(m: number): readonly ShareBet[] {
  let bets = shareBets.get(m)
  if (bets === undefined) {
    if (shareBets.size >= LIMITS_KEPT) shareBets.clear()
    const possible = normalised(SHARE_RATIOS.filter(({ ratio }) => ratio * m < 1))
    bets = possible.map(({ ratio, weight }) => ({ lambda: (ratio - 1) / (1 - m), weight }))
    if (bets.length === 0) bets = [{ lambda: 0.9 / (1 + m), weight: 1 }]
    shareBets.set(m, bets)
  }
  return bets
}

/** Limits come from policies, so there are few; their bets are asked for by every segment. */
const LIMITS_KEPT = 100
const shareBets = new Map<number, readonly ShareBet[]>()

/**
 * Parts of the limit that the safe test of a share bets on: mostly none at all, or a half to four fifths of it. At α = 0.05
 * 1.15 to 1.3 × ln(1/α)/KL from no event to 0.8 times the limit.
 */
const SAFE_PARTS = normalised([
  { part: 0.02, weight: 0.36 },
  { part: 0.3, weight: 0.17 },
  { part: 0.6, weight: 0.24 },
  { part: 0.8, weight: 0.23 },
])

/** P2, safe, for a share of events: H0 "the mean is at least δ", betting on rates g·δ, g < 1. */
export function shareSafe(events: number, total: number, delta: number): Bet[] {
  return betting(
    [
      [-1, events],
      [0, total - events],
    ],
    -delta,
    SAFE_PARTS.map(({ part, weight }) => ({ lambda: (1 - part) / (1 - delta), weight })),
  )
}

function betting(values: Bounded, m: number, bets: readonly ShareBet[]): Bet[] {
  const total = values.reduce((sum, [, amount]) => sum + amount, 0)
  return bets.map(({ lambda, weight }) => {
    let log = 0
    for (const [x, amount] of values) if (amount > 0) log += amount * Math.log1p(lambda * (x - m))
    return { weight, log, rate: log / total }
  })
}

/** Events and non-events as values 1 and 0. */
export function share(events: number, total: number): Bounded {
  return [
    [1, events],
    [0, total - events],
  ]
}

/** Bets of the confidence sequence; down to 0.9·2⁻¹¹: a stream of 10⁷ observations still finds a bet of its size. */
export const INTERVAL_BETS: readonly number[] = Array.from({ length: 12 }, (_, k) => 0.9 * 2 ** -k)

/**
 * Confidence sequence for the running average of the conditional means of X in [−1, 1], valid at all times at once.
 * `low` and `high` are the same observations by their low and their high edges. Inverts {@link bettingHarm}'s martingale
 * ln Π(1 + κX) − n·ln(1 + κμ), mixed over κ, on each side at α/2.
 */
export function confidenceSequence(low: Bounded, high: Bounded, alpha: number): readonly [number, number] {
  const total = low.reduce((sum, [, amount]) => sum + amount, 0)
  const wealth = (values: Bounded, sign: 1 | -1) =>
    INTERVAL_BETS.map(kappa =>
      values.reduce((sum, [x, amount]) => (amount > 0 ? sum + amount * Math.log1p(kappa * sign * x) : sum), 0),
    )
  return [lowerBound(wealth(low, 1), total, alpha / 2), -lowerBound(wealth(high, -1), total, alpha / 2)]
}

/**
 * The least μ in [−1, 1] that the test at level α has not rejected. `wealth` is ln Π(1 + κX) for each of the bets.
 *
 * ln mean_κ Π(1 + κX)/(1 + κμ)^n falls in μ and is convex, so Newton's steps from a rejected μ stay on the rejected side: the
 * bound that is returned is never too narrow. The start is what the best single bet rejects.
 */
export function lowerBound(wealth: readonly number[], total: number, alpha: number): number {
  if (total === 0) return -1
  const target = Math.log(INTERVAL_BETS.length / alpha)
  let mean = -1
  for (const [index, log] of wealth.entries())
    mean = Math.max(mean, Math.expm1((log - target) / total) / INTERVAL_BETS[index]!)
  for (let step = 0; step < 20; step += 1) {
    const logs = wealth.map((log, index) => log - total * Math.log1p(INTERVAL_BETS[index]! * mean))
    const value = logSumExp(logs)
    let slope = 0
    for (const [index, log] of logs.entries()) {
      const kappa = INTERVAL_BETS[index]!
      slope += (Math.exp(log - value) * kappa * total) / (1 + kappa * mean)
    }
    const forward = (value - target) / slope
    if (!(forward > 1e-12)) break
    mean += forward
    if (forward < 1e-9 * Math.max(1e-3, Math.abs(mean))) break
  }
  return Math.max(-1, Math.min(1, mean))
}
