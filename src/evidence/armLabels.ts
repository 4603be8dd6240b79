// What is kept of a live answer until its label arrives, where answers change outcomes. Knows nothing of pairs.
import type { Prediction } from './loss.ts'

/** One candidate's evidence key, and the arm of it that the answer belongs to: `b` baseline, `c` candidate. */
export type ArmOf = readonly [evidenceKey: string, arm: 'b' | 'c']

/** The body (JSON) of a waiting prediction in the scope `armScope(route)`; its id is the request id. */
export interface ArmPending {
  readonly arms: readonly ArmOf[]
  /** null: the version failed, or its answer could not be read. */
  readonly p: Prediction | null
  /** Segments of the request, `field=value`. */
  readonly s: readonly string[]
}

/** The scope under which a route's live answers wait for their labels. No version can be called so. */
export function armScope(route: string): string {
  return `${route}/@arms`
}
