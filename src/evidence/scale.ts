// By what a signed difference is divided before it is counted in `mean.<bin>`. Knows neither counts nor tests.
import type { Route, Tolerance } from '../config/schema.ts'

/** The limit of a declared difference in units of the scale: differences up to ten times the limit are not clipped. */
export const DIFFERENCE_LIMIT = 0.1

/**
 * s of D = (candidate − baseline)/s, clipped to [−1, 1], in the output's unit: ten times `gate.difference`, so that the
 * limit is 0.1 in D; without it ten times the absolute tolerance, for show only. Undefined where neither is above 0:
 * then no mean difference is counted.
 */
export function differenceScale(
  gate: Pick<Route['gate'], 'difference'>,
  tolerance: Pick<Tolerance, 'absolute'>,
): number | undefined {
  const limit = gate.difference ?? tolerance.absolute
  if (limit === undefined || !(limit > 0)) return undefined
  const scale = limit / DIFFERENCE_LIMIT
  return Number.isFinite(scale) ? scale : undefined
}
