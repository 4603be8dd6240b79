// Which keys of routes.yaml a raise changes, so that the file says what serves. Pure; edit.ts changes the text.
import { entryText, type RouteChanges } from '../config/edit.ts'
import type { Route } from '../config/schema.ts'
import { grantedWeights, type RouteState, tidy } from './state.ts'

/** What a raise is for: a share, and with `live` the promotion. */
export interface Target {
  readonly live?: string
  readonly weight: number
  /** Percent that the present live keeps. */
  readonly holdback?: number
}

export function changesFor(
  text: string,
  name: string,
  route: Route,
  state: RouteState,
  version: string,
  wanted: Target,
): RouteChanges {
  const live = wanted.live ?? state.live.version
  const others = Object.keys(route.versions).filter(other => other !== version && other !== live)
  const kept = (other: string) => (other === state.live.version ? (wanted.holdback ?? 0) : 0)
  const written = (other: string) => (wanted.live === undefined ? route.versions[other]!.weight : kept(other))
  const room = 100 - wanted.weight
  const sum = others.reduce((total, other) => total + written(other), 0)
  // Wishes that the lock holds may not leave room; then the file says what serves.
  const granted = grantedWeights(state)
  const weights: Record<string, number> = { [version]: wanted.weight }
  for (const other of others)
    weights[other] = sum <= room ? written(other) : Math.min(written(other), granted[other] ?? 0)
  const taken = others.reduce((total, other) => total + weights[other]!, 0)
  if (live !== version) weights[live] = tidy(room - taken)
  const entry = entryText(text, name, live) === undefined && live === state.live.version ? state.live.entry : undefined
  return differing(route, text, name, { live, weights, ...(entry === undefined ? {} : { entries: { [live]: entry } }) })
}

/** Only the keys whose value is not in the file yet. */
export function differing(route: Route, text: string, name: string, changes: RouteChanges): RouteChanges {
  const weights = Object.entries(changes.weights ?? {}).filter(
    ([version, weight]) =>
      changes.entries?.[version] !== undefined ||
      (entryText(text, name, version) !== undefined && route.versions[version]?.weight !== weight),
  )
  return {
    ...(changes.live === undefined || changes.live === route.live ? {} : { live: changes.live }),
    weights: Object.fromEntries(weights),
    ...(changes.entries === undefined ? {} : { entries: changes.entries }),
  }
}
