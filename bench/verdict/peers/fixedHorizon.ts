// A test made for one look, used at many: what a dashboard with a p-value does. Pure.
import { normalQuantile } from './kayenta.ts'

/** Two samples as sums: of zeros and ones, or of values with their squares. */
export interface Sample {
  readonly n: number
  readonly sum: number
  readonly squares: number
}

/** One-sided 5 %: the candidate is worse. */
const LEVEL = 0.05
const CRITICAL = normalQuantile(1 - LEVEL)

/** z of two proportions, pooled under the null; 0 while it cannot be told. */
export function proportionZ(baseline: Sample, candidate: Sample): number {
  const n = baseline.n + candidate.n
  const pooled = (baseline.sum + candidate.sum) / n
  const variance = pooled * (1 - pooled) * (1 / baseline.n + 1 / candidate.n)
  if (!(baseline.n > 0 && candidate.n > 0 && variance > 0)) return 0
  return (candidate.sum / candidate.n - baseline.sum / baseline.n) / Math.sqrt(variance)
}

/** Welch's t of two means, which at these sizes is normal. */
export function meanT(baseline: Sample, candidate: Sample): number {
  const variance = (sample: Sample) => (sample.squares - sample.sum ** 2 / sample.n) / (sample.n - 1) / sample.n
  const error = variance(baseline) + variance(candidate)
  if (!(baseline.n > 1 && candidate.n > 1 && error > 0)) return 0
  return (candidate.sum / candidate.n - baseline.sum / baseline.n) / Math.sqrt(error)
}

/** Whether a look of a test at 5 % blocks. */
export function isSignificant(z: number): boolean {
  return z > CRITICAL
}
