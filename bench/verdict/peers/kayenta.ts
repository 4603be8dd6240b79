// Kayenta's default judge, NetflixACAJudge, written anew from its public description: classify each metric by a Mann-Whitney
// interval, score, compare the score with two limits. Knows nothing of requests: it sees one value a minute.
//
// Sources: spinnaker.io/docs/guides/user/canary/judge; spinnaker/kayenta (Apache-2.0), kayenta-judge: NetflixACAJudge
// (confidence 0.98, tolerance 0.25), MannWhitneyClassifier, WeightedSumScorer; kayenta-mannwhitney, which follows the
// asymptotic interval of R's wilcox.test. Checked on the values of its suites in test/bench/kayenta.test.ts.

export type Direction = 'increase' | 'decrease' | 'either'
export type NanStrategy = 'remove' | 'replace'
export type Classification = 'Pass' | 'High' | 'Low' | 'Nodata'

export interface ClassifierSettings {
  readonly tolerance: number
  readonly confidence: number
  readonly direction: Direction
  readonly nanStrategy: NanStrategy
}

/** What the judge itself passes, with the direction that an error rate or a latency has. */
export const JUDGE_SETTINGS: ClassifierSettings = {
  tolerance: 0.25,
  confidence: 0.98,
  direction: 'increase',
  nanStrategy: 'remove',
}

/** Below this score a canary fails; from the second on it passes (the values of Spinnaker's own examples). */
export const SCORE_LIMITS = { marginal: 75, pass: 95 } as const

export interface Interval {
  readonly low: number
  readonly high: number
  /** The shift at which the test statistic changes sign, about the Hodges-Lehmann median of pairwise differences. */
  readonly estimate: number
}

/** The interval of the shift experiment − control. Values need not be sorted. @throws RangeError when all are tied */
export function mannWhitney(experiment: readonly number[], control: readonly number[], confidence: number): Interval {
  const x = Float64Array.from(experiment).sort()
  const y = Float64Array.from(control).sort()
  const z = normalQuantile(1 - (1 - confidence) / 2)
  return { low: shiftAt(x, y, z), high: shiftAt(x, y, -z), estimate: shiftAt(x, y, 0) }
}

/**
 * High when the whole interval lies above `tolerance` times the size of the *estimated shift*, Low below its negative. The
 * bound is not a share of the baseline's mean: a small shift that is surely above a quarter of itself is High.
 */
export function classify(
  control: readonly number[],
  experiment: readonly number[],
  settings: ClassifierSettings,
): Classification {
  const { tolerance, confidence, direction } = settings
  const x = cleaned(experiment, settings.nanStrategy)
  const y = cleaned(control, settings.nanStrategy)
  if (x.length === 0 || y.length === 0) return settings.nanStrategy === 'remove' ? 'Nodata' : 'Pass'
  if (isSame(x, y) || (x[0] === x.at(-1) && y[0] === y.at(-1) && x[0] === y[0])) return 'Pass'
  const z = normalQuantile(1 - (1 - confidence) / 2)
  // Two tests decide whether both bounds may lie beyond 0 at all; only then the estimate is worth its bisection.
  const mayBeHigh = direction !== 'decrease' && statistic(x, y, 0) > z
  const mayBeLow = direction !== 'increase' && statistic(x, y, 0) < -z
  if (!mayBeHigh && !mayBeLow) return 'Pass'
  const margin = tolerance * Math.abs(shiftAt(x, y, 0))
  const ratio = meanOf(y) === 0 ? 1 : meanOf(x) / meanOf(y)
  // The effect size must lie on the same side (thresholds 1 and 1 by default).
  if (mayBeHigh) return shiftAt(x, y, z) > margin && ratio >= 1 ? 'High' : 'Pass'
  return shiftAt(x, y, -z) < -margin && ratio <= 1 ? 'Low' : 'Pass'
}

/** One group: the share of passing metrics among those with data, 0 to 100; 0 without any. */
export function score(classifications: readonly Classification[]): number {
  const judged = classifications.filter(classification => classification !== 'Nodata')
  if (judged.length === 0) return 0
  return (100 * judged.filter(classification => classification === 'Pass').length) / judged.length
}

/** What Spinnaker does with a score. */
export function decisionOf(points: number): 'pass' | 'marginal' | 'fail' {
  return points >= SCORE_LIMITS.pass ? 'pass' : points >= SCORE_LIMITS.marginal ? 'marginal' : 'fail'
}

function cleaned(values: readonly number[], strategy: NanStrategy): Float64Array {
  const kept = strategy === 'remove' ? values.filter(value => !Number.isNaN(value)) : values.map(value => value || 0)
  return Float64Array.from(kept).sort()
}

function isSame(x: Float64Array, y: Float64Array): boolean {
  return x.length === y.length && x.every((value, index) => value === y[index])
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** The shift at which the standardised statistic falls through `z`; the end of the range when it never does. */
function shiftAt(x: Float64Array, y: Float64Array, z: number): number {
  let [low, high] = [x[0]! - y.at(-1)!, x.at(-1)! - y[0]!]
  if (z !== 0 && statistic(x, y, low) - z <= 0) return low
  if (z !== 0 && statistic(x, y, high) - z >= 0) return high
  for (let step = 0; step < 60 && high - low > 1e-12 * Math.max(1, Math.abs(low)); step++) {
    const middle = (low + high) / 2
    const above = statistic(x, y, middle) - z
    if (above === 0) return middle
    if (above > 0) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** (U − nm/2 ∓ ½)/σ of x − shift against y, ties at half and σ corrected for them; both sorted. */
function statistic(x: Float64Array, y: Float64Array, shift: number): number {
  const [n, m] = [x.length, y.length]
  let [i, j] = [0, 0]
  let rankSum = 0
  let ties = 0
  while (i < n || j < m) {
    const value = Math.min(i < n ? x[i]! - shift : Number.POSITIVE_INFINITY, j < m ? y[j]! : Number.POSITIVE_INFINITY)
    const before = i + j
    const first = i
    while (i < n && x[i]! - shift === value) i++
    while (j < m && y[j] === value) j++
    const tied = i + j - before
    rankSum += (i - first) * (before + (tied + 1) / 2)
    ties += tied * tied * tied - tied
  }
  const deviation = rankSum - (n * (n + 1)) / 2 - (n * m) / 2
  const sigma = Math.sqrt(((n * m) / 12) * (n + m + 1 - ties / ((n + m) * (n + m - 1))))
  if (sigma === 0) throw new RangeError('no interval when all observations are tied')
  return (deviation - Math.sign(deviation) * 0.5) / sigma
}

/** Quantile of the standard normal by bisection of its series (for |z| < 6), exact to rounding. */
export function normalQuantile(p: number): number {
  let [low, high] = [-6, 6]
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2
    if (normalCdf(middle) < p) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** Φ(x) = ½ + φ(x)·(x + x³/3 + x⁵/15 + …). */
export function normalCdf(x: number): number {
  if (x < -8) return 0
  if (x > 8) return 1
  let term = x
  let sum = x
  for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum) && k < 600; k += 2) {
    term *= (x * x) / k
    sum += term
  }
  return 0.5 + (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * sum
}
