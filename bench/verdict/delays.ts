// Rows from the moments at which runs decided. Pure.
import type { Row, Target } from './results.ts'
import { atMostTarget, type Figure, mean, quantileFigure, rate, type TargetVerdict } from './statistics.ts'

/** One run of one method: when it decided, undefined for never, and what had failed by then. */
export interface Outcome {
  readonly at: number | undefined
  readonly bad?: number
}

/** Delay figures of a method over runs; `optimum` is ln(1/α)/KL in the same unit. Means are over the runs that decided. */
export function delayFigures(outcomes: readonly Outcome[], optimum: number): Row['figures'] {
  const decided = outcomes.filter((outcome): outcome is Outcome & { at: number } => outcome.at !== undefined)
  const miss = rate(outcomes.length - decided.length, outcomes.length)
  if (decided.length === 0) return { miss }
  const delays = decided.map(({ at }) => at)
  const delay = mean(delays)
  const delayP95 = quantileFigure(delays, 0.95)
  const bad = decided.map(outcome => outcome.bad).filter(value => value !== undefined)
  return {
    miss,
    delay,
    delayP95,
    overOptimum: divided(delay, optimum),
    overOptimumP95: divided(delayP95, optimum),
    ...(bad.length > 0 && { badRequests: mean(bad) }),
  }
}

export function divided(figure: Figure, by: number): Figure {
  return { value: figure.value / by, low: figure.low / by, high: figure.high / by, runs: figure.runs }
}

/** The target "mean delay at most `limit` times the optimum". A method that misses runs cannot meet it. */
export function overOptimumTarget(
  figures: Row['figures'],
  limit: number,
): { readonly target: Target; readonly verdict: TargetVerdict } {
  const { overOptimum, miss } = figures
  const target: Target = { figure: 'overOptimum', kind: 'at most', limit }
  if (overOptimum === undefined || (miss?.low ?? 0) > 0.01) return { target, verdict: 'missed' }
  return { target, verdict: atMostTarget(overOptimum, limit) }
}
