// Medians, spreads and intervals of repeated windows. Pure.
import { seededRandom } from '../../src/load/schedule.ts'

/** A figure of several windows: its median and the quarters around it. */
export interface Spread {
  readonly median: number
  readonly low: number
  readonly high: number
  readonly windows: number
}

/** A ratio, or a difference, of paired windows with its bootstrap interval. */
export interface Ratio {
  readonly median: number
  /** 95 % percentile interval of the median, by resampling pairs. */
  readonly low: number
  readonly high: number
  readonly pairs: number
}

/** Linear interpolation between order statistics. @throws RangeError without values */
export function quantile(values: readonly number[], p: number): number {
  if (values.length === 0) throw new RangeError('a quantile needs values')
  const sorted = [...values].sort((a, b) => a - b)
  const position = p * (sorted.length - 1)
  const below = Math.floor(position)
  const low = sorted[below]!
  return low + (position - below) * ((sorted[below + 1] ?? low) - low)
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

export function spreadOf(values: readonly number[]): Spread {
  return {
    median: median(values),
    low: quantile(values, 0.25),
    high: quantile(values, 0.75),
    windows: values.length,
  }
}

const RESAMPLES = 10_000

/**
 * As pairedRatio, where pairs come in groups that have something in common, as the windows of one start of a process have:
 * groups are resampled, and pairs within each.
 * @param groups of each pair
 */
export function groupedRatio(
  over: readonly number[],
  under: readonly number[],
  groups: readonly unknown[],
  seed = 1,
): Ratio {
  const ratios = over.map((value, index) => value / under[index]!)
  const grouped = [...Map.groupBy(ratios.keys(), index => groups[index]).values()].map(indices =>
    indices.map(index => ratios[index]!),
  )
  const random = seededRandom(seed)
  const medians: number[] = []
  for (let resample = 0; resample < RESAMPLES; resample++) {
    medians.push(median(drawn(grouped, random).flatMap(group => drawn(group, random))))
  }
  return intervalOf(ratios, medians)
}

/** The median of `over[i] / under[i]`, windows of one round each, and the interval of resampled rounds. */
export function pairedRatio(over: readonly number[], under: readonly number[], seed = 1): Ratio {
  return resampled(
    over.map((value, index) => value / under[index]!),
    seed,
  )
}

/** The same of `over[i] − under[i]`. */
export function pairedDifference(over: readonly number[], under: readonly number[], seed = 1): Ratio {
  return resampled(
    over.map((value, index) => value - under[index]!),
    seed,
  )
}

function resampled(ratios: readonly number[], seed: number): Ratio {
  const random = seededRandom(seed)
  const medians: number[] = []
  for (let resample = 0; resample < RESAMPLES; resample++) medians.push(median(drawn(ratios, random)))
  return intervalOf(ratios, medians)
}

/** As many, with replacement. */
function drawn<T>(values: readonly T[], random: () => number): T[] {
  return values.map(() => values[Math.floor(random() * values.length)]!)
}

function intervalOf(ratios: readonly number[], medians: readonly number[]): Ratio {
  return {
    median: median(ratios),
    low: quantile(medians, 0.025),
    high: quantile(medians, 0.975),
    pairs: ratios.length,
  }
}

/** `met`: the whole interval is at or under the limit. `missed`: all of it is over. Else nobody knows yet. */
export function judgeTarget(ratio: Ratio, limit: number): 'met' | 'missed' | 'unresolved' {
  if (ratio.high <= limit) return 'met'
  return ratio.low > limit ? 'missed' : 'unresolved'
}

/** A copy in random order. */
export function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const copy = [...values]
  for (let index = copy.length - 1; index > 0; index--) {
    const other = Math.floor(random() * (index + 1))
    const moved = copy[index]!
    copy[index] = copy[other]!
    copy[other] = moved
  }
  return copy
}
