// Puts together what a verdict on one candidate is made from: its periods and what they counted. Pure; counts nothing.
import { worstIntake } from '../evidence/accounting.ts'
import { type ReadonlyCounters, SLOT } from '../evidence/counters.ts'
import type { Evidence, Waiver } from '../gate/evidence.ts'
import { type PeriodRecord, stepStartedAt } from './periods.ts'

/** Where the counters of evidence keys are read. */
export interface CountedKeys {
  readonly counters: (key: string) => ReadonlyCounters
  /** In the order of their first sight. */
  readonly segments: (key: string) => readonly string[]
}

/**
 * The evidence of a candidate from its periods, in time order; undefined: it has none, or it is the holdback, which nobody
 * judges.
 * @param candidates how many versions of the route are judged at the same time
 */
export function evidenceOf(
  periods: readonly PeriodRecord[],
  candidates: number,
  { counters, segments }: CountedKeys,
  waiver: Waiver | undefined,
): Evidence | undefined {
  const open = periods.at(-1)
  if (open === undefined || open.holdback) return undefined
  const startedAt = stepStartedAt(periods) ?? open.startedAt
  const present = periods.filter(period => period.startedAt >= startedAt)
  // What was counted at this step before a pause is proof too, so what was dropped then counts as well.
  const before = periods.findLastIndex(({ stage, step }) => stage !== open.stage || step !== open.step)
  const proving = periods.slice(before + 1)
  return {
    route: open.route,
    baseline: { version: open.baselineVersion, digest: open.baselineDigest },
    candidate: { version: open.version, digest: open.candidateDigest },
    attempt: open.attempt,
    candidates: Math.max(1, candidates),
    periods: periods.map(({ key, stage, step, share }) => ({
      key,
      stage,
      step,
      share,
      counters: counters(key),
      segments: segments(key),
    })),
    stepElapsedMs: present.reduce((sum, { key }) => sum + (counters(key).get(SLOT.timeMs) ?? 0), 0),
    mirrored: worstIntake(proving.map(({ key }) => counters(key))),
    ...(waiver === undefined ? {} : { waiver }),
  }
}
