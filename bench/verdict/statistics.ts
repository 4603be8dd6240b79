// Rates and means with their 95 % bounds, and what they say about a target. Pure.
import betaln from '@stdlib/math-base-special-betaln'
import { Random } from './random.ts'

/** A figure with its two-sided 95 % interval, over so many runs. */
export interface Figure {
  readonly value: number
  readonly low: number
  readonly high: number
  readonly runs: number
}

export type TargetVerdict = 'met' | 'missed' | 'unresolved'

const CONFIDENCE = 0.95
const RESAMPLES = 2_000

/** A rate with its exact interval (Clopper & Pearson 1934): each side is wrong in at most 2.5 %. @throws RangeError */
export function rate(hits: number, runs: number): Figure {
  if (!(Number.isInteger(hits) && Number.isInteger(runs) && hits >= 0 && hits <= runs))
    throw new RangeError(`${hits} of ${runs} is no rate`)
  if (runs === 0) return { value: Number.NaN, low: 0, high: 1, runs }
  const tail = (1 - CONFIDENCE) / 2
  return {
    value: hits / runs,
    // The least p at which `hits` or more are not yet a surprise, and the greatest at which `hits` or fewer are not.
    low: hits === 0 ? 0 : bisect(p => 1 - atMost(hits - 1, runs, p) >= tail),
    high: hits === runs ? 1 : bisect(p => atMost(hits, runs, p) < tail),
    runs,
  }
}

/** The least p in [0, 1] for which a growing condition holds. */
function bisect(holds: (p: number) => boolean): number {
  let [low, high] = [0, 1]
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2
    if (holds(middle)) high = middle
    else low = middle
  }
  return (low + high) / 2
}

/** P(binomial(n, p) ≤ k), summed term by term: exact to rounding. */
function atMost(k: number, n: number, p: number): number {
  if (k >= n || p <= 0) return 1
  if (p >= 1) return 0
  let sum = 0
  for (let i = 0; i <= k; i++) sum += Math.exp(logChoose(n, i) + i * Math.log(p) + (n - i) * Math.log1p(-p))
  return Math.min(1, sum)
}

function logChoose(n: number, k: number): number {
  return -Math.log(n + 1) - betaln(n - k + 1, k + 1)
}

/** The mean of runs with its bootstrap interval (percentile, 2,000 resamples, seeded). NaN without runs. */
export function mean(values: readonly number[]): Figure {
  return resampled(values, average)
}

function average(values: Float64Array | readonly number[]): number {
  let sum = 0
  for (let index = 0; index < values.length; index++) sum += values[index]!
  return sum / values.length
}

/** A quantile of runs with its bootstrap interval. */
export function quantileFigure(values: readonly number[], p: number): Figure {
  return resampled(values, numbers => quantile(numbers, p))
}

function resampled(values: readonly number[], of: (values: Float64Array | readonly number[]) => number): Figure {
  const runs = values.length
  if (runs === 0) return { value: Number.NaN, low: Number.NaN, high: Number.NaN, runs }
  const random = new Random(runs, 20_130_101)
  const sample = new Float64Array(runs)
  // Of many runs the resamples hardly differ: their number is bounded by the work that they make.
  const resamples = Math.min(RESAMPLES, Math.max(200, Math.ceil(4_000_000 / runs)))
  const results = new Float64Array(resamples)
  for (let resample = 0; resample < resamples; resample++) {
    for (let index = 0; index < runs; index++) sample[index] = values[Math.floor(random.uniform() * runs)]!
    results[resample] = of(sample)
  }
  const tail = (1 - CONFIDENCE) / 2
  return { value: of(values), low: quantile(results, tail), high: quantile(results, 1 - tail), runs }
}

/** Linear interpolation between order statistics; NaN without values. */
export function quantile(values: Float64Array | readonly number[], p: number): number {
  const sorted = Float64Array.from(values).sort()
  if (sorted.length === 0) return Number.NaN
  const position = p * (sorted.length - 1)
  const below = Math.floor(position)
  const low = sorted[below]!
  return low + (position - below) * ((sorted[below + 1] ?? low) - low)
}

/** Below so many runs a bootstrap interval of a mean is too narrow to judge by. */
const LEAST_RUNS = 30

/** At most `limit`: met when the whole interval is, missed when none of it is, else nobody knows yet. */
export function atMostTarget(figure: Figure, limit: number): TargetVerdict {
  if (figure.runs < LEAST_RUNS) return 'unresolved'
  if (figure.high <= limit) return 'met'
  return figure.low > limit ? 'missed' : 'unresolved'
}

/** At least `limit`, the same way. */
export function atLeastTarget(figure: Figure, limit: number): TargetVerdict {
  if (figure.runs < LEAST_RUNS) return 'unresolved'
  if (figure.low >= limit) return 'met'
  return figure.high < limit ? 'missed' : 'unresolved'
}

/**
 * A false alarm rate: at most `limit` as measured and its upper bound at most `bound`; missed when even its lower bound
 * exceeds the limit.
 */
export function falseRateTarget(figure: Figure, limit: number, bound: number): TargetVerdict {
  if (figure.value <= limit && figure.high <= bound) return 'met'
  return figure.low > limit ? 'missed' : 'unresolved'
}
