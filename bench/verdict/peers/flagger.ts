// Flagger's metric check: a fixed limit on the success rate of the last minute, and a number of failed checks after which
// the canary is rolled back. Pure.
//
// Source: fluxcd/flagger, docs/gitbook/usage/{how-it-works,metrics,deployment-strategies}.md: request-success-rate with
// thresholdRange.min 99 and interval 1m; `threshold: 5` failed checks roll back, `iterations: 10` checks end the analysis.

export interface FlaggerSettings {
  /** Least success rate of a minute, percent. */
  readonly minimum: number
  /** Failed checks that roll back. */
  readonly threshold: number
  /** Checks after which the canary is promoted. */
  readonly iterations: number
}

export const FLAGGER: FlaggerSettings = { minimum: 99, threshold: 5, iterations: 10 }

/** The number of the check (from 1) that rolls back; undefined when the canary passes. A minute without requests passes. */
export function rolledBackAt(
  minutes: readonly { readonly requests: number; readonly errors: number }[],
  { minimum, threshold, iterations }: FlaggerSettings = FLAGGER,
): number | undefined {
  let failed = 0
  for (const [index, { requests, errors }] of minutes.slice(0, iterations).entries()) {
    if (requests > 0 && 100 * (1 - errors / requests) < minimum) failed++
    if (failed >= threshold) return index + 1
  }
  return undefined
}
