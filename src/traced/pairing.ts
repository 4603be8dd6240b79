// Decides when the spans of one trace are pairs, what a pair says, and which candidates a trace still owes one. Pure.
import type { DropReason } from '../evidence/accounting.ts'
import type { SnapshotVersion } from '../rollout/snapshot.ts'
import { compared, labelledOf, type Pair } from '../shadow/pair.ts'
import type { Observed, TracedRoute } from './observe.ts'

/** What has been seen of one trace whose pairs are not complete. */
export interface PartialTrace {
  readonly route: TracedRoute
  baseline: Observed | undefined
  /** Candidates without a pair, by version. */
  readonly awaited: Map<string, SnapshotVersion>
  /** What candidates without a pair have said, by version. */
  readonly early: Map<string, Observed>
}

/** A candidate whose pair is complete. */
export interface Ready {
  readonly candidate: SnapshotVersion
  readonly baseline: Observed
  readonly observed: Observed
}

/** `repeated`: this version has spoken before, and the first word counts. `idle`: nobody waits for it. */
export type Joined = readonly Ready[] | 'repeated' | 'idle'

/** Takes a version's outcome into its trace. */
export function join(trace: PartialTrace, version: string, observed: Observed): Joined {
  const { route, awaited, early } = trace
  if (version === route.live) {
    if (trace.baseline !== undefined) return 'repeated'
    trace.baseline = observed
    return [...early].flatMap(([name, own]) => complete(trace, name, observed, own))
  }
  const candidate = route.versions.find(each => each.version === version)
  if (candidate?.evidenceKey === undefined) return 'idle'
  if (early.has(version) || !awaited.has(version)) return 'repeated'
  if (trace.baseline !== undefined) return complete(trace, version, trace.baseline, observed)
  early.set(version, observed)
  return []
}

/** Candidates whose pair will not come any more: of them one side was seen and the other was not. */
export function owed({ baseline, awaited, early }: PartialTrace): SnapshotVersion[] {
  return [...awaited.values()].filter(({ version }) => baseline !== undefined || early.has(version))
}

/**
 * What a pair says. As with a shadow: a candidate that fails, or gives nothing that can be read, where the baseline answered is
 * in error; what the baseline refuses (a 4xx but 429) is the client's fault and nobody's error; a baseline whose answer
 * cannot be read says nothing about the candidate.
 */
export function tracedPair(route: TracedRoute, baseline: Observed, candidate: Observed): Pair {
  const nothing = { ...NOTHING, segments: baseline.segments, errorType: candidate.errorType }
  if (baseline.isTooLarge || candidate.isTooLarge) {
    return { ...nothing, result: 'unparseable', dropped: 'too_large' satisfies DropReason }
  }
  const hasFailed = candidate.outputs === undefined
  if (baseline.errorType !== '') {
    const errors = isRefusal(baseline.errorType)
      ? undefined
      : { baseline: true, candidate: hasFailed && !isRefusal(candidate.errorType) }
    return { ...nothing, result: 'baseline_error', errors }
  }
  if (baseline.outputs === undefined) return { ...nothing, result: 'unparseable' }
  if (candidate.outputs === undefined) {
    const result = /timeout|deadline/i.test(candidate.errorType) ? 'timeout' : 'candidate_error'
    const errors = { baseline: false, candidate: true }
    return { ...nothing, result, errors, baseline: labelledOf(route, baseline.outputs) }
  }
  return compared(baseline.segments, route, baseline.outputs, candidate.outputs)
}

const NOTHING = {
  comparison: undefined,
  dropped: undefined,
  errors: undefined,
  baseline: null,
  candidate: null,
  firstRows: undefined,
  baselineOutputs: undefined,
} as const

/** `error.type` of an HTTP server or client is the status code. */
function isRefusal(errorType: string): boolean {
  return /^4\d\d$/.test(errorType) && errorType !== '429'
}

function complete(trace: PartialTrace, version: string, baseline: Observed, observed: Observed): Ready[] {
  const candidate = trace.awaited.get(version)
  if (candidate === undefined) return []
  trace.awaited.delete(version)
  trace.early.delete(version)
  return [{ candidate, baseline, observed }]
}
