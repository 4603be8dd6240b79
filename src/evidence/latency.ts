// Which latencies count as slow against the baseline's quantiles so far. Knows nothing of arms' shares or tests.
import { addAll, type Counters, count, type ReadonlyCounters } from './counters.ts'
import { binsOf, latencyBin, lowerMs, quantileBin, upperMs } from './histogram.ts'

export const QUANTILES = { p50: 0.5, p95: 0.95, p99: 0.99 } as const
export type QuantileName = keyof typeof QUANTILES
export const QUANTILE_NAMES = Object.keys(QUANTILES) as QuantileName[]

/** Baseline observations before the epoch without which no threshold is set. */
export const LEAST_BASELINE = 200

/** Tolerated ratio for each quantile, and slack in ms; structurally `gate.latency`. */
export interface LatencyLimits {
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly slack: number
}

/** A baseline answer above `tauMs`, and a candidate answer above `limitMs`, is an event. */
export interface Threshold {
  readonly tauMs: number
  readonly limitMs: number
}

/**
 * Thresholds from earlier latencies of the baseline (slots `<prefix>.<bin>`); undefined below 200 of them.
 *
 * τ is the edge of the quantile's bin whose share of earlier values above it is nearest to 1 − p, so baseline events are
 * counted from bins without error. The limit is r·τ, and at least τ + slack. Any τ that later data cannot move keeps the
 * tests valid; a better τ only makes them answer about the quantile that was asked for.
 */
export function latencyThresholds(
  previous: ReadonlyCounters,
  prefix: string,
  limits: LatencyLimits,
): Readonly<Record<QuantileName, Threshold>> | undefined {
  const bins = binsOf(previous, prefix)
  const total = bins.reduce((sum, [, amount]) => sum + amount, 0)
  if (total < LEAST_BASELINE) return undefined
  const threshold = (name: QuantileName): Threshold => {
    const bin = quantileBin(bins, QUANTILES[name])!
    let above = 0
    let inside = 0
    for (const [at, amount] of bins) {
      if (at > bin) above += amount
      else if (at === bin) inside += amount
    }
    const share = 1 - QUANTILES[name]
    const high = Math.abs(above / total - share) <= Math.abs((above + inside) / total - share)
    const tauMs = high && upperMs(bin) !== Number.POSITIVE_INFINITY ? upperMs(bin) : lowerMs(bin)
    return { tauMs, limitMs: Math.max(tauMs * limits[name], tauMs + limits.slack) }
  }
  return { p50: threshold('p50'), p95: threshold('p95'), p99: threshold('p99') }
}

/**
 * Exceedances of one epoch for the live split, from the arms' latency bins. `previous` holds the slots `lat.b.<bin>` of
 * all earlier epochs of the key, `delta` those of this epoch. Gives additions to
 *   late.b.n, late.c.n       observations that could have exceeded
 *   late.p50.b               baseline answers above τ
 *   late.p50.c               candidate answers surely above the limit (whole bins): what harm tests read
 *   late.p50.c.may           candidate answers that may be above it (its bin too): what safe tests read
 * Empty until the baseline has 200 earlier observations.
 */
export function unpairedExceedances(
  previous: ReadonlyCounters,
  delta: ReadonlyCounters,
  limits: LatencyLimits,
): Counters {
  const late: Counters = new Map()
  const thresholds = latencyThresholds(previous, 'lat.b', limits)
  if (thresholds === undefined) return late
  for (const [bin, amount] of binsOf(delta, 'lat.b')) {
    count(late, 'late.b.n', amount)
    for (const name of QUANTILE_NAMES) {
      if (isFrom(bin, thresholds[name].tauMs)) count(late, `late.${name}.b`, amount)
    }
  }
  for (const [bin, amount] of binsOf(delta, 'lat.c')) {
    count(late, 'late.c.n', amount)
    for (const name of QUANTILE_NAMES) {
      const { limitMs } = thresholds[name]
      if (isFrom(bin, limitMs)) count(late, `late.${name}.c`, amount)
      if (isFrom(bin, limitMs) || bin === latencyBin(limitMs)) count(late, `late.${name}.c.may`, amount)
    }
  }
  return late
}

/** Whether everything in a bin lies at or above `ms`, an edge being above by rounding error only. */
function isFrom(bin: number, ms: number): boolean {
  return lowerMs(bin) >= ms * (1 - 1e-12)
}

/**
 * The same for one unbatched pair in the shadow, from exact times: the slots `pair.late.<quantile>.plus|minus|zero` to
 * count one in. D = 1[candidate > limit] − 1[baseline > τ]; `thresholds` from `plat.b` before this pair's epoch.
 */
export function pairedExceedances(
  thresholds: Readonly<Record<QuantileName, Threshold>>,
  baselineMs: number,
  candidateMs: number,
): string[] {
  return QUANTILE_NAMES.map(name => {
    const { tauMs, limitMs } = thresholds[name]
    const d = Number(candidateMs > limitMs) - Number(baselineMs > tauMs)
    return `pair.late.${name}.${d > 0 ? 'plus' : d < 0 ? 'minus' : 'zero'}`
  })
}

/** Counts one latency: slot `<prefix>.<bin>`, such as `lat.b.412`. */
export function countLatency(counters: Counters, prefix: string, ms: number, amount = 1): void {
  count(counters, `${prefix}.${latencyBin(ms)}`, amount)
}

/** Commits an epoch: `delta` and the exceedances it holds against what was committed before. */
export function commitEpoch(committed: Counters, delta: Counters, limits: LatencyLimits): void {
  const late = unpairedExceedances(committed, delta, limits)
  addAll(committed, delta)
  addAll(committed, late)
}
