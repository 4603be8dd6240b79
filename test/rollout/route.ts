// Routes, states and verdicts for the tests of rollout/, built through the real schema.
import { Route } from '../../src/config/schema.ts'
import { type LockInput, type LockVerdict, type Resolution, resolve } from '../../src/rollout/lock.ts'
import type { RouteState } from '../../src/rollout/state.ts'

/** A route of embedded versions with these weights; `more` are further keys of routes.yaml. */
export function routeOf(live: string, weights: Record<string, number>, more: Record<string, unknown> = {}): Route {
  const versions = Object.fromEntries(
    Object.entries(weights).map(([version, weight]) => [version, { onnx: `m/${version}`, weight }]),
  )
  return Route.parse({ live, versions, ...more })
}

/** The digest that a version has unless a test says otherwise. */
export function digestsOf(...versions: string[]): Record<string, string> {
  return Object.fromEntries(versions.map(version => [version, `digest of ${version}`]))
}

export const promoteAt = (step: number): LockVerdict => ({
  decision: 'promote',
  stage: step > 0 ? 'canary' : 'shadow',
  step,
})

export const continueAt = (step: number): LockVerdict => ({
  decision: 'continue',
  stage: step > 0 ? 'canary' : 'shadow',
  step,
  reason: 'Brier loss needs about 1,900 more labels',
  missing: ['labels: about 1,900 more'],
})

let saves = 0

/** Holds a saved file against the state; each call is a new save unless the hash is given. */
export function save(route: Route, state: RouteState | null, more: Partial<LockInput> = {}): Resolution {
  return resolve({
    route,
    state,
    fileHash: `save ${++saves}`,
    digests: digestsOf(...Object.keys(route.versions), ...(state === null ? [] : [state.live.version])),
    verdicts: {},
    ...more,
  })
}

/** The state after adopting these weights. */
export function adopted(live: string, weights: Record<string, number>, more: Record<string, unknown> = {}): RouteState {
  return save(routeOf(live, weights, more), null, { adopt: true }).state
}
