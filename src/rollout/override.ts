// Overrides: which bytes each one of the file is for, and what it waives at a moment. Pure; what a waiver does to a verdict is the gate's.
import { isDeepStrictEqual } from 'node:util'
import { overrideEnd } from '../config/notices.ts'
import type { Route, Version } from '../config/schema.ts'
import type { Waiver } from '../gate/evidence.ts'
import type { BoundOverride, RouteState } from './state.ts'

type Overridden = Readonly<Record<string, Pick<Version, 'override'>>>

/**
 * The overrides of a file, each bound to the digest that its version has when it is applied. One that stands unchanged
 * keeps its digest, so that other bytes under the name are not covered; one whose entry was edited is applied anew. A
 * version that does not load has none until it does.
 */
export function bindOverrides(
  versions: Overridden,
  digests: Readonly<Record<string, string | undefined>>,
  state: Pick<RouteState, 'overrides'> | null,
): Record<string, BoundOverride> {
  const bound: Record<string, BoundOverride> = {}
  for (const [version, { override }] of Object.entries(versions)) {
    if (override === undefined) continue
    const before = state?.overrides?.[version]
    const digest = digests[version]
    if (before !== undefined && sameOverride(before, override)) bound[version] = before
    else if (digest !== undefined) bound[version] = { digest, ...override }
  }
  return bound
}

/** What is waived of these bytes under this name at `nowMs` (since the Unix epoch); undefined: nothing was. */
export function waiverOf(
  state: Pick<RouteState, 'overrides'> | null,
  version: string,
  digest: string,
  nowMs: number,
): Waiver | undefined {
  const bound = state?.overrides?.[version]
  if (bound === undefined || bound.digest !== digest) return undefined
  const { metrics, reason } = bound
  const until = overrideEnd(bound)
  return { metrics, reason, until, expired: nowMs >= until }
}

/** Whether a save touches the override of a version: a waiver that is on its way out raises nobody on its last day. */
export function touchesOverride(state: Pick<RouteState, 'overrides'>, route: Route, version: string): boolean {
  const bound = state.overrides?.[version]
  return bound !== undefined && !sameOverride(bound, route.versions[version]?.override)
}

/** Overrides that do not cover the bytes which now stand under their version's name, a sentence each. */
export function overrideNotices(
  { overrides }: Pick<RouteState, 'overrides'>,
  digests: Readonly<Record<string, string | undefined>>,
): string[] {
  return Object.entries(overrides ?? {}).flatMap(([version, { digest }]) =>
    digests[version] === undefined || digests[version] === digest
      ? []
      : `the override of ${version} is for other bytes than the ones that it has now: edit it to apply it to these`,
  )
}

/** What became of the overrides between two states, for the record; empty: nothing. */
export function overrideChanges(
  before: Pick<RouteState, 'overrides'> | null,
  after: Pick<RouteState, 'overrides'>,
): string[] {
  const [was, is] = [before?.overrides ?? {}, after.overrides ?? {}]
  return [...new Set([...Object.keys(was), ...Object.keys(is)])].flatMap(version => {
    const bound = is[version]
    if (bound === undefined) return `the override of ${version} is taken out`
    if (isDeepStrictEqual(was[version], bound)) return []
    const what = was[version] === undefined ? 'applied' : 'applied anew'
    return `override of ${version} ${what} to ${bound.digest.slice(0, 12)}: ${bound.metrics.join(', ')} until ${bound.until} (${bound.reason})`
  })
}

function sameOverride({ digest: _, ...bound }: BoundOverride, override: Version['override']): boolean {
  return isDeepStrictEqual(bound, override)
}
