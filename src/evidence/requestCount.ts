// What one request counts besides its pairs, as plain data: its arm, and whom it could be mirrored to. Pure.
import type { Withheld } from '../record/format.ts'
import { MIRROR, RECORD } from './accounting.ts'
import { type Counters, count, SLOT } from './counters.ts'
import { type CounterDeltas, slotsOf } from './epochPost.ts'
import { countLatency } from './latency.ts'

/** Evidence keys stand for candidates. */
export interface RequestCount {
  /** The arm that it belongs to: the baseline's where live answered, else the candidate's. */
  readonly arm: 'b' | 'c'
  /** Evidence whose arm it counts in; none where a tester picked the version or its sticky unit was counted before. */
  readonly arms: readonly string[]
  /** It came to an error. */
  readonly failed: boolean
  /** Counted latency, ms; undefined: it failed, or the code was cold. */
  readonly latencyMs: number | undefined
  /** Evidence in whose cohorts it is compared by blocks. */
  readonly cohorts: readonly string[]
  /** Whether its answer waits for a label as one of its arm; undefined: not. */
  readonly label: 'kept' | Withheld | undefined
  /** Evidence that gets a pair of it, whatever becomes of the pair. */
  readonly mirrored: readonly string[]
  /** Evidence that could have had one: it was not in the sample, or over `shadow.max`. */
  readonly notSampled: readonly string[]
}

/** Counts a request, `amount` times. */
export function addRequest(deltas: CounterDeltas, request: RequestCount, amount = 1): void {
  for (const key of request.arms) addArm(slotsOf(deltas, key), request, amount)
  for (const key of request.cohorts) {
    const slots = slotsOf(deltas, key)
    const [all, errors] = COHORT[request.arm]
    count(slots, all, amount)
    if (request.failed) count(slots, errors, amount)
  }
  for (const key of request.mirrored) count(slotsOf(deltas, key), MIRROR.eligible, amount)
  for (const key of request.notSampled) {
    const slots = slotsOf(deltas, key)
    count(slots, MIRROR.eligible, amount)
    count(slots, MIRROR.notSampled, amount)
  }
}

function addArm(slots: Counters, { arm, failed, latencyMs, label }: RequestCount, amount: number): void {
  const [all, errors] = ARM[arm]
  count(slots, all, amount)
  if (failed) count(slots, errors, amount)
  if (latencyMs !== undefined) countLatency(slots, `lat.${arm}`, latencyMs, amount)
  if (label === undefined) return
  count(slots, RECORD.all(arm), amount)
  if (label !== 'kept') count(slots, RECORD.dropped(arm, label), amount)
}

const ARM = {
  b: [SLOT.armBaseline, SLOT.armBaselineError],
  c: [SLOT.armCandidate, SLOT.armCandidateError],
} as const

/** Live's requests are a candidate's control, its own are thinned to be as few. */
const COHORT = {
  b: [SLOT.armControl, SLOT.armControlError],
  c: [SLOT.armThinned, SLOT.armThinnedError],
} as const
