// What the rollout log says of one route: what serves, by which licence, what is latched. Data only; lock.ts decides.
import { z } from 'zod'
import { METRICS } from '../config/schema.ts'

const Promoted = z.strictObject({
  version: z.string(),
  /** Undefined: it has never loaded since it was named. */
  digest: z.string().optional(),
  /** YAML text of its whole entry in routes.yaml, as it last stood there. */
  entry: z.string().optional(),
  /** False: its bytes are not the ones that were believed, promoted or adopted. */
  proven: z.boolean(),
})

const Grant = z.strictObject({
  digest: z.string(),
  /** Percent of live traffic that this digest may have. */
  weight: z.number().min(0).max(100),
  /** The share was reached by a verdict or adopted, so it does not count against `gate.unproven`. */
  proven: z.boolean(),
})

const Latch = z.strictObject({
  version: z.string(),
  kind: z.enum(['abort', 'rollback']),
  reason: z.string(),
  at: z.number(),
})

const BoundOverride = z.strictObject({
  /** The bytes that it was applied to; no others are covered. */
  digest: z.string(),
  metrics: z.array(z.enum(METRICS)),
  reason: z.string(),
  until: z.string(),
})

const Pause = z.strictObject({ who: z.string(), reason: z.string(), at: z.number() })

/** The state of one route. `granted` has every version but live; live has what they leave. */
export const RouteState = z.strictObject({
  live: Promoted,
  /** Versions that held the promotion before, newest last; only the newest may be gone back to. */
  previous: z.array(Promoted),
  granted: z.record(z.string(), Grant),
  /** By digest: weight 0 whatever the file says, until cleared. */
  latches: z.record(z.string(), Latch),
  /** By digest: how often a latch on it was cleared; each clearing starts its evidence anew. */
  clears: z.record(z.string(), z.int()),
  /** sha256 of the routes.yaml that was last held against this state. */
  fileHash: z.string(),
  /** By version: overrides of the file, each for the bytes that it was applied to. */
  overrides: z.record(z.string(), BoundOverride).optional(),
  /** A person has stopped raises that happen by themselves. */
  paused: Pause.optional(),
  /** When a version other than live last got a larger share or became live, ms since the Unix epoch. */
  raisedAt: z.number().optional(),
})

export type RouteState = z.infer<typeof RouteState>
export type Promoted = z.infer<typeof Promoted>
export type Grant = z.infer<typeof Grant>
export type BoundOverride = z.infer<typeof BoundOverride>
export type Latch = z.infer<typeof Latch>

/** How many promotions back are remembered; only the newest is reachable at once, the rest after it by another rollback. */
export const PREVIOUS_KEPT = 10

/** Live and the versions beside it with the shares that the state grants, in percent; they sum to 100. */
export function grantedWeights(state: RouteState): Record<string, number> {
  const others = Object.entries(state.granted).map(([version, grant]) => [version, grant.weight] as const)
  const taken = others.reduce((sum, [, weight]) => sum + weight, 0)
  return { ...Object.fromEntries(others), [state.live.version]: tidy(100 - taken) }
}

/** Shares are kept to a millionth of a percent, so that sums do not drift. */
export function tidy(share: number): number {
  return Math.max(0, Math.round(share * 1e6) / 1e6)
}
