// The measures that a route's answers are held against: the scale of signed differences, the limit of a shift. Knows no counts.
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

/** `gate.distribution` where it is not set and the answers are to stay the same. */
export const DEFAULT_SHIFT = 0.1

/**
 * The share by which a decile of scores may grow or shrink. Undefined: shown only. A really better model spreads its
 * scores otherwise, so where change is expected a person has to ask for the limit.
 */
export function shiftLimit({
  expect,
  gate,
}: Pick<Route, 'expect'> & { readonly gate: Pick<Route['gate'], 'distribution'> }): number | undefined {
  return gate.distribution ?? (expect === 'same' ? DEFAULT_SHIFT : undefined)
}
