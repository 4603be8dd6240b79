// P2 over the bins of differences, each read at the edge that works against the claim. Knows nothing of what differs.
import { differenceBin, highDifference, lowDifference } from '../evidence/histogram.ts'
import type { Bet } from './bet.ts'
import { harmBets, INTERVAL_BETS, lowerBound } from './betting.ts'

/** Bins of {@link differenceBin} with their counts. */
export type Bins = readonly (readonly [bin: number, count: number])[]

const LAST_BIN = differenceBin(1)
/** 18 kB each; a route needs about forty, all the routes of a gateway share those of equal settings. */
const TABLES_KEPT = 400
const tables = new Map<number, Float64Array>()

/** ln(1 + κ·x) at the low edge of every bin, from the lowest; −1 ≤ κ·x. */
function logFactors(kappa: number): Float64Array {
  let table = tables.get(kappa)
  if (table === undefined) {
    if (tables.size >= TABLES_KEPT) tables.clear()
    table = new Float64Array(2 * LAST_BIN + 1)
    for (let bin = -LAST_BIN; bin <= LAST_BIN; bin += 1) table[bin + LAST_BIN] = Math.log1p(kappa * lowDifference(bin))
    tables.set(kappa, table)
  }
  return table
}

/** ln Π(1 + κ·X) with X, or −X for sign −1, taken at its lowest. The bins are symmetric: −X of bin b lies in bin −b. */
function wealth(bins: Bins, kappa: number, sign: 1 | -1): number {
  const table = logFactors(kappa)
  let log = 0
  for (const [bin, amount] of bins) log += amount * table[sign * bin + LAST_BIN]!
  return log
}

/** {@link bettingHarm} of X (sign 1) or −X (sign −1): 1 + λ(x − m) = (1 − λm)(1 + κx) with κ = λ/(1 − λm). */
export function binnedHarm(bins: Bins, m: number, fractions: readonly number[], sign: 1 | -1 = 1): Bet[] {
  const total = bins.reduce((sum, [, amount]) => sum + amount, 0)
  return harmBets(m, fractions).map(lambda => {
    const log = total * Math.log1p(-lambda * m) + wealth(bins, lambda / (1 - lambda * m), sign)
    return { weight: 1 / fractions.length, log, rate: log / total }
  })
}

/** {@link bettingSafe} of X (sign 1) or −X (sign −1). */
export function binnedSafe(bins: Bins, delta: number, fractions: readonly number[], sign: 1 | -1 = 1): Bet[] {
  return binnedHarm(bins, -delta, fractions, sign === 1 ? -1 : 1)
}

/** {@link confidenceSequence} of X. */
export function binnedInterval(bins: Bins, alpha: number): readonly [number, number] {
  const total = bins.reduce((sum, [, amount]) => sum + amount, 0)
  const bound = (sign: 1 | -1) =>
    lowerBound(
      INTERVAL_BETS.map(kappa => wealth(bins, kappa, sign)),
      total,
      alpha / 2,
    )
  return [bound(1), -bound(-1)]
}

/** The mean of binned values at the middle of their bins. */
export function middleOf(bins: Bins): number | null {
  const n = bins.reduce((sum, [, amount]) => sum + amount, 0)
  if (n === 0) return null
  let sum = 0
  for (const [bin, amount] of bins) sum += (amount * (lowDifference(bin) + highDifference(bin))) / 2
  return sum / n
}
