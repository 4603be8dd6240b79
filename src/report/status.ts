// What a gateway says of itself at one moment: plain data, the JSON of `status` and `report`.
import type { Account } from '../evidence/accounting.ts'
import type { Verdict, Waiver } from '../gate/evidence.ts'
import type { Manifest } from '../models/manifest.ts'
import type { Held } from '../rollout/lock.ts'
import type { Charts, MetricHistory } from './charts.ts'

/** Changes when a field is removed or changes its meaning; new fields do not change it. */
export const STATUS_VERSION = 1

export interface LatencySummary {
  readonly n: number
  readonly p50Ms: number | null
  readonly p95Ms: number | null
  readonly p99Ms: number | null
}

export interface CandidateStatus {
  readonly version: string
  readonly verdict: Verdict
  readonly account: Account & { readonly inFlight: number }
  /** Both sides of unbatched shadow pairs, or of the live split in the canary stage; queue wait left out. */
  readonly latency: { readonly baseline: LatencySummary; readonly candidate: LatencySummary }
  /** Observations a second over the last minute, for "at this rate". */
  readonly perSecond: { readonly comparisons: number; readonly labels: number; readonly requests: number }
}

export interface VersionStatus {
  readonly version: string
  readonly digest: string | undefined
  /** `onnx` with its folder, or `url` with its addresses. */
  readonly target: string
  /** For an HTTP version without `identity`. */
  readonly identityVerified: boolean
  readonly role: 'live' | 'canary' | 'shadow' | 'idle'
  /** Percent that applies now, and percent that routes.yaml asks for. */
  readonly weight: number
  readonly wanted: number
  readonly shadowPercent: number
  readonly broken: string | undefined
  readonly latched: { readonly kind: string; readonly reason: string } | undefined
}

/** What a route raises by itself, and what that waits for. */
export interface AutomaticStatus {
  readonly mode: 'manual' | 'auto'
  /** A person has stopped it. */
  readonly paused?: { readonly who: string; readonly reason: string; readonly at: string }
  /** A phrase; absent when nothing is to be raised, or just happens. */
  readonly waitingFor?: string
  /** When that is over or tried again, ISO 8601; absent: not foreseeable. */
  readonly nextAt?: string
}

export interface RouteStatus {
  readonly name: string
  readonly live: string
  readonly versions: readonly VersionStatus[]
  readonly held: readonly Held[]
  readonly automatic?: AutomaticStatus
  readonly notices: readonly string[]
  readonly candidates: readonly CandidateStatus[]
  readonly mirror: 'on' | 'off'
  readonly labels: LabelStatus | undefined
}

export interface LabelStatus {
  /** Labels whose prediction has not come yet. */
  readonly waiting: number
  readonly joined: number
  /** Labels whose prediction never came. */
  readonly unmatched: number
  /** Predictions whose label never came. */
  readonly expired: number
  /** Predictions that were given up before that, because too many waited. */
  readonly cut: number
}

export interface Status {
  readonly statusVersion: number
  readonly ready: boolean
  readonly revision: number
  readonly startedAt: string
  readonly uptimeMs: number
  readonly servingThreads: number
  readonly listen: string
  readonly configuration: {
    readonly file: string
    readonly hash: string
    readonly loadedAt: string
    /** The last edit was refused for this reason; the last good configuration serves on. */
    readonly error: string | undefined
  }
  readonly store: { readonly ok: boolean; readonly message: string | undefined }
  readonly routes: readonly RouteStatus[]
}

/** One of the two versions of a report. */
export interface ReportSide {
  readonly version: string
  readonly digest: string
  readonly manifest: Manifest | undefined
  /** How the gateway reaches it: `onnx` with its folder, or `url` with its addresses. */
  readonly target?: string
  /** False for an HTTP version without `identity`: its digest is of its address only. */
  readonly identityVerified?: boolean
}

/** One candidate against its baseline, everything that a person asks about it. */
export interface Report {
  readonly reportVersion: number
  readonly generatedAt: string
  readonly route: string
  readonly baseline: ReportSide
  readonly candidate: ReportSide
  readonly verdict: Verdict
  readonly account: CandidateStatus['account']
  readonly comparison: {
    readonly compared: number
    readonly mismatches: number
    readonly unstable: number
    /** |candidate − baseline| of numeric outputs: quantiles by upper bin edge, and the histogram itself. */
    readonly difference:
      | { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number }
      | undefined
    readonly differenceBins: readonly (readonly [upperEdge: number, count: number])[]
  }
  readonly errors: {
    readonly both: number
    readonly baselineOnly: number
    readonly candidateOnly: number
    readonly neither: number
  }
  /** Mean loss difference (candidate − baseline) and how many labels; of segments too. */
  readonly labels: { readonly n: number; readonly meanDifference: number | null } | undefined
  readonly latency: CandidateStatus['latency']
  readonly segments: readonly {
    readonly segment: string
    readonly compared: number
    readonly mismatches: number
    readonly candidateErrors: number
    readonly labels: number
    readonly meanLossDifference: number | null
  }[]
  readonly periods: readonly {
    readonly stage: string
    readonly step: number
    readonly startedAt: string
    readonly requests: number
  }[]
  /** What is drawn: histograms and tables of the two versions. */
  readonly charts: Charts
  /** How each metric came to where it stands; empty where nobody watched, as in a report from a file. */
  readonly history: readonly MetricHistory[]
  /** Which k-th evidence key of the candidate's digest this is: promotion is judged at α/(k(k+1)). */
  readonly attempt: number
  /** The settings that judged, in the words of routes.yaml. */
  readonly policy: unknown
  /** Metrics that a person has waived. */
  readonly waiver: Waiver | undefined
  /** Observations a second over the last minute; absent where nobody watched. */
  readonly perSecond: CandidateStatus['perSecond'] | undefined
}
