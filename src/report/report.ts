// Makes the report on one candidate from its counters and its verdict. Pure: no clock, no storage, no formatting.
import { type Account, accountOf, unsettledOf } from '../evidence/accounting.ts'
import { type ReadonlyCounters, SLOT } from '../evidence/counters.ts'
import { binsOf, DIFFERENCE_MIDDLES, latencyQuantile, magnitudeEdge, quantileBin } from '../evidence/histogram.ts'
import { KeptCounters, type SegmentCounters } from '../evidence/keptCounters.ts'
import type { Evidence, Policy, Stage, Verdict } from '../gate/evidence.ts'
import type { Manifest } from '../models/manifest.ts'
import { chartsOf, countersOfStage, type MetricHistory } from './charts.ts'
import { policyJson } from './evidenceFile.ts'
import { shownMagnitudeEdge } from './shownEdges.ts'
import type { CandidateStatus, LatencySummary, Report, ReportSide } from './status.ts'

/** Changes when a field of the JSON is removed or changes its meaning; new fields do not change it. */
export const REPORT_VERSION = 1

export interface ReportInput {
  /** Periods in time order, all of one candidate against one baseline. */
  readonly evidence: Pick<Evidence, 'route' | 'baseline' | 'candidate' | 'attempt' | 'waiver'> & {
    readonly periods: readonly (Evidence['periods'][number] & { readonly startedAt?: string })[]
  }
  readonly verdict: Verdict
  readonly manifests: { readonly baseline: Manifest | undefined; readonly candidate: Manifest | undefined }
  /** ISO 8601. */
  readonly generatedAt: string
  /** Mirrored requests under way; by default what the account leaves unsettled. */
  readonly inFlight?: number
  /** What the gateway knows of the two versions beside their manifests. */
  readonly known?: Readonly<Record<'baseline' | 'candidate', Pick<ReportSide, 'target' | 'identityVerified'>>>
  readonly history?: readonly MetricHistory[]
  /** With how answers are compared, where it is known. */
  readonly policy?: Policy & { readonly compare?: unknown }
}

type Segment = Report['segments'][number]

/** Everything that a person asks about the candidate. Counts are over all periods, latency over those of the present stage. */
export function buildReport({
  evidence,
  verdict,
  manifests,
  generatedAt,
  inFlight,
  known,
  history = [],
  policy,
}: ReportInput): Report {
  const { route, baseline, candidate, periods, attempt, waiver } = evidence
  const whole = KeptCounters.sumOf(periods.map(({ counters }) => counters))
  const at = (slot: string) => whole.get(slot) ?? 0
  const losses = lossOf(whole.segments.get(''))
  const wantsLabels = verdict.metrics.some(({ metric }) => metric === 'labels')
  return {
    reportVersion: REPORT_VERSION,
    generatedAt,
    route,
    baseline: { ...baseline, manifest: manifests.baseline, ...known?.baseline },
    candidate: { ...candidate, manifest: manifests.candidate, ...known?.candidate },
    verdict,
    account: accountWithInFlight(whole, inFlight),
    comparison: {
      compared: at(SLOT.match) + at(SLOT.mismatch),
      mismatches: at(SLOT.mismatch),
      unstable: at(SLOT.unstable),
      ...differencesOf(whole),
    },
    errors: {
      both: at(SLOT.bothError),
      baselineOnly: at(SLOT.baselineError),
      candidateOnly: at(SLOT.candidateError),
      neither: at(SLOT.bothOk),
    },
    labels: losses.n > 0 || wantsLabels ? losses : undefined,
    latency: latencyOf(periods, verdict.stage),
    segments: segmentsOf(whole, verdict),
    periods: periods.map(({ stage, step, startedAt, counters }) => ({
      stage,
      step,
      startedAt: startedAt ?? '',
      requests: requestsOf(stage, counters),
    })),
    charts: chartsOf(whole, periods, verdict.stage, policy?.gate.latency),
    history,
    attempt,
    policy: policy === undefined ? undefined : { ...policyJson(policy), compare: policy.compare },
    waiver,
  }
}

/**
 * The account of the mirror with what is under way, so that it adds up. Counters hold settled epochs only: what is in
 * flight now is eligible too, and is told on both sides.
 */
export function accountWithInFlight(
  counters: ReadonlyCounters,
  inFlight?: number,
): Account & { readonly inFlight: number } {
  const account = accountOf(counters)
  if (inFlight === undefined) return { ...account, inFlight: Math.max(0, unsettledOf(account)) }
  return { ...account, eligible: account.eligible + inFlight, inFlight }
}

/** Both sides' latency in one stage: unbatched shadow pairs, or the arms of the live split. */
export function latencyOf(
  periods: readonly { readonly stage: Stage; readonly counters: ReadonlyCounters }[],
  stage: Stage,
): CandidateStatus['latency'] {
  const counters = countersOfStage(periods, stage)
  const prefix = stage === 'shadow' ? 'plat' : 'lat'
  return { baseline: latencySummary(counters, `${prefix}.b`), candidate: latencySummary(counters, `${prefix}.c`) }
}

function latencySummary(counters: ReadonlyCounters, prefix: string): LatencySummary {
  const bins = binsOf(counters, prefix)
  const at = (p: number) => latencyQuantile(bins, p) ?? null
  const n = bins.reduce((sum, [, amount]) => sum + amount, 0)
  return { n, p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99) }
}

function differencesOf(counters: ReadonlyCounters): Pick<Report['comparison'], 'difference' | 'differenceBins'> {
  const bins = binsOf(counters, 'diff').filter(([, amount]) => amount > 0)
  const edge = (p: number) => magnitudeEdge(quantileBin(bins, p)!)
  return {
    difference: bins.length === 0 ? undefined : { p50: edge(0.5), p90: edge(0.9), p99: edge(0.99), max: edge(1) },
    differenceBins: bins.map(([bin, amount]) => [shownMagnitudeEdge(bin), amount] as const),
  }
}

function lossOf(counters: SegmentCounters | undefined): NonNullable<Report['labels']> {
  const { n, sum } = counters?.histograms.get('loss')?.total(DIFFERENCE_MIDDLES) ?? { n: 0, sum: 0 }
  return { n, meanDifference: n === 0 ? null : sum / n }
}

/** Every segment, the worst first: those that the verdict names, then by its suspicion, then by how often they differ. */
function segmentsOf({ segments }: KeptCounters, verdict: Verdict): Segment[] {
  const suspicion = (segment: string) => {
    if (verdict.guilty.some(guilty => guilty.segment === segment)) return Number.POSITIVE_INFINITY
    return Math.max(0, ...verdict.metrics.filter(row => row.segment === segment).map(row => row.logHarm))
  }
  return [...segments]
    .filter(([segment]) => segment !== '')
    .map(([segment, slots]) => ({ row: segmentRow(segment, slots), suspicion: suspicion(segment) }))
    .sort(
      (a, b) =>
        descending(a.suspicion, b.suspicion) ||
        descending(differing(a.row), differing(b.row)) ||
        (a.row.segment < b.row.segment ? -1 : 1),
    )
    .map(({ row }) => row)
}

function segmentRow(segment: string, counters: SegmentCounters): Segment {
  const at = (slot: string) => counters.plain.get(slot) ?? 0
  const losses = lossOf(counters)
  return {
    segment,
    compared: at(SLOT.match) + at(SLOT.mismatch),
    mismatches: at(SLOT.mismatch),
    candidateErrors: at(SLOT.candidateError) + at(SLOT.bothError),
    labels: losses.n,
    meanLossDifference: losses.meanDifference,
  }
}

function differing({ compared, mismatches }: Segment): number {
  return compared === 0 ? 0 : mismatches / compared
}

// Infinity − Infinity is NaN, which no sort survives.
function descending(a: number, b: number): number {
  return a === b ? 0 : a > b ? -1 : 1
}

function requestsOf(stage: Stage, counters: ReadonlyCounters): number {
  const slots =
    stage === 'canary' ? [SLOT.armCandidate] : [SLOT.bothOk, SLOT.baselineError, SLOT.candidateError, SLOT.bothError]
  return slots.reduce((sum, slot) => sum + (counters.get(slot) ?? 0), 0)
}
