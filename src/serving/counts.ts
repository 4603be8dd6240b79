// Counts what a serving thread sees, cheaply: arms of the split and the mirror's intake. Read and judged elsewhere.
import { MIRROR, RECORD } from '../evidence/accounting.ts'
import { type Counters, count, SLOT } from '../evidence/counters.ts'
import { type CounterDeltas, slotsOf } from '../evidence/epochPost.ts'
import { latencyBin } from '../evidence/histogram.ts'
import type { SnapshotRoute } from '../rollout/snapshot.ts'

/** One version's arm within one epoch. */
export interface ArmCounts {
  requests: number
  errors: number
  readonly latency: Map<number, number>
}

/** What became of the requests that could be mirrored to one version, as far as the serving thread knows. */
export interface IntakeCounts {
  eligible: number
  notSampled: number
  ringFull: number
  tooLarge: number
  incomplete: number
  stalled: number
}

/** Requests of a cohort that is compared by blocks, and their errors. */
export interface CohortCounts {
  requests: number
  errors: number
}

/** A version's answers that were to wait for their label. */
export interface RecordCounts {
  answers: number
  ringFull: number
  tooLarge: number
  incomplete: number
}

/** Counts of one route under one revision within one epoch; arrays by version index. */
export class RouteCounts {
  readonly arms: readonly ArmCounts[]
  readonly intake: readonly IntakeCounts[]
  /** Live's requests that are held against that version, and that version's own where only some of them are. */
  readonly controls: readonly CohortCounts[]
  readonly thinned: readonly CohortCounts[]
  readonly records: readonly RecordCounts[]

  constructor(versions: number) {
    this.arms = Array.from({ length: versions }, () => ({ requests: 0, errors: 0, latency: new Map<number, number>() }))
    this.intake = Array.from({ length: versions }, () => ({
      eligible: 0,
      notSampled: 0,
      ringFull: 0,
      tooLarge: 0,
      incomplete: 0,
      stalled: 0,
    }))
    this.controls = Array.from({ length: versions }, () => ({ requests: 0, errors: 0 }))
    this.thinned = Array.from({ length: versions }, () => ({ requests: 0, errors: 0 }))
    this.records = Array.from({ length: versions }, () => ({ answers: 0, ringFull: 0, tooLarge: 0, incomplete: 0 }))
  }

  /** One request that was given to an arm; `cohorts` as `cohortsOf` gives them. */
  assigned(version: number, cohorts: number): void {
    this.arms[version]!.requests++
    for (let rest = cohorts; rest !== 0; rest &= rest - 1) this.#cohort(version, rest).requests++
  }

  /** It came to an error. */
  failed(version: number, cohorts: number): void {
    this.arms[version]!.errors++
    for (let rest = cohorts; rest !== 0; rest &= rest - 1) this.#cohort(version, rest).errors++
  }

  /** How long it took, ms. */
  latency(version: number, ms: number): void {
    const { latency } = this.arms[version]!
    const bin = latencyBin(ms)
    latency.set(bin, (latency.get(bin) ?? 0) + 1)
  }

  /** The cohort of the lowest bit: a version's own bit is its own cohort, another's is the control of that one. */
  #cohort(version: number, bits: number): CohortCounts {
    const index = 31 - Math.clz32(bits & -bits)
    return (index === version ? this.thinned : this.controls)[index]!
  }
}

/** Adds a route's counts to the evidence of each of its candidates: every canary is compared with live alone. */
export function addRouteCounts(deltas: CounterDeltas, route: SnapshotRoute, counts: RouteCounts): void {
  const liveIndex = route.versions.findIndex(version => version.version === route.live)
  const live = counts.arms[liveIndex]
  route.versions.forEach((version, index) => {
    if (version.evidenceKey === undefined) return
    const slots = slotsOf(deltas, version.evidenceKey)
    if (version.weight > 0 && live !== undefined) {
      addArm(slots, SLOT.armBaseline, SLOT.armBaselineError, 'lat.b', live)
      addArm(slots, SLOT.armCandidate, SLOT.armCandidateError, 'lat.c', counts.arms[index]!)
      addCohort(slots, SLOT.armControl, SLOT.armControlError, counts.controls[index]!)
      addCohort(slots, SLOT.armThinned, SLOT.armThinnedError, counts.thinned[index]!)
      addRecords(slots, 'b', counts.records[liveIndex]!)
      addRecords(slots, 'c', counts.records[index]!)
    }
    const intake = counts.intake[index]!
    if (intake.eligible === 0) return
    count(slots, MIRROR.eligible, intake.eligible)
    if (intake.notSampled > 0) count(slots, MIRROR.notSampled, intake.notSampled)
    if (intake.ringFull > 0) count(slots, MIRROR.dropped('ring_full'), intake.ringFull)
    if (intake.tooLarge > 0) count(slots, MIRROR.dropped('too_large'), intake.tooLarge)
    if (intake.incomplete > 0) count(slots, MIRROR.dropped('incomplete'), intake.incomplete)
    if (intake.stalled > 0) count(slots, MIRROR.dropped('stalled'), intake.stalled)
  })
}

function addArm(slots: Counters, requests: string, errors: string, latency: string, arm: ArmCounts): void {
  if (arm.requests > 0) count(slots, requests, arm.requests)
  if (arm.errors > 0) count(slots, errors, arm.errors)
  for (const [bin, observations] of arm.latency) count(slots, `${latency}.${bin}`, observations)
}

function addCohort(slots: Counters, requests: string, errors: string, cohort: CohortCounts): void {
  if (cohort.requests > 0) count(slots, requests, cohort.requests)
  if (cohort.errors > 0) count(slots, errors, cohort.errors)
}

function addRecords(slots: Counters, arm: 'b' | 'c', { answers, ringFull, tooLarge, incomplete }: RecordCounts): void {
  if (answers === 0) return
  count(slots, RECORD.all(arm), answers)
  if (ringFull > 0) count(slots, RECORD.dropped(arm, 'ring_full'), ringFull)
  if (tooLarge > 0) count(slots, RECORD.dropped(arm, 'too_large'), tooLarge)
  if (incomplete > 0) count(slots, RECORD.dropped(arm, 'incomplete'), incomplete)
}
