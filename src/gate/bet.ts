// What a bet is and how bets are averaged. Knows no test and no metric.
//
// Every test gives bets. A bet is a product of factors, each at most 1 in expectation under the null whatever came
// before, so it is a supermartingale that starts at 1; so is a weighted mean of bets, and P(ever ≥ 1/α) ≤ α (Ville 1939).
// Bets are logarithms of products over counts: they add over periods and replicas, and only their mean is taken late.

/** One bet of a mixture: its weight (all weights sum to at most 1), its logarithm, and how fast that grows. */
export interface Bet {
  readonly weight: number
  /** ln of the bet's value. */
  readonly log: number
  /** Mean growth of `log` per observation of the stream at the present estimate; NaN without data. */
  readonly rate: number
}

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

/** Weights that sum to 1. */
export function normalised<T extends { readonly weight: number }>(bets: readonly T[]): T[] {
  const total = bets.reduce((sum, { weight }) => sum + weight, 0)
  return bets.map(bet => ({ ...bet, weight: bet.weight / total }))
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
