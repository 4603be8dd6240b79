// The small share that the previous live keeps after a promotion, so that a decline can be told from a change of the
// world: who may have it, who has it, and since when. Pure; it measures nothing.
import type { Route } from '../config/schema.ts'
import type { LogEntry } from './log.ts'
import type { Promoted, RouteState } from './state.ts'

/**
 * Percent of live traffic that a version may have as the holdback, whatever the evidence: `rollout.holdback` for the
 * newest previous live with the bytes that held the promotion, 0 for every other.
 */
export function holdbackLimit(
  { rollout }: Pick<Route, 'rollout'>,
  previous: Promoted | undefined,
  version: string,
  digest: string | undefined,
): number {
  const isPrevious = previous?.version === version && previous.proven && previous.digest === digest
  return isPrevious && digest !== undefined ? rollout.holdback : 0
}

export interface Holdback {
  readonly version: string
  readonly digest: string
  /** Percent of live traffic that it has. */
  readonly weight: number
}

/**
 * The holdback that serves; undefined: none. It is no candidate: an older version that is worse is what a promotion leaves
 * behind, and a verdict on it would latch what a rollback goes back to. A previous live with more than `rollout.holdback` is
 * a canary like any other.
 */
export function holdbackOf(
  route: Pick<Route, 'rollout'>,
  state: Pick<RouteState, 'previous'>,
  weights: Readonly<Record<string, number>>,
  digests: Readonly<Record<string, string | undefined>>,
): Holdback | undefined {
  const previous = state.previous.at(-1)
  if (previous?.digest === undefined) return undefined
  const { version, digest } = previous
  const weight = weights[version] ?? 0
  const limit = holdbackLimit(route, previous, version, digests[version])
  return weight > 0 && weight <= limit + 1e-6 ? { version, digest, weight } : undefined
}

/** When the version that is live now became it, ms; undefined: it was live from the start of the log. */
export function liveSince(entries: readonly LogEntry[]): number | undefined {
  let live: string | undefined
  let since: number | undefined
  for (const { phase, state, at } of entries) {
    if (phase !== 'applied' || state === undefined) continue
    const { version, digest } = state.live
    const name = `${version} ${digest ?? ''}`
    if (live !== undefined && live !== name) since = at
    live = name
  }
  return since
}
