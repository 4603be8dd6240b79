// What a gateway says of itself at one moment: plain data, the JSON of `status` and `report`.
import type { MetricName } from '../config/schema.ts'
import type { Account } from '../evidence/accounting.ts'
import type { Verdict, Waiver } from '../gate/evidence.ts'
import type { Manifest } from '../models/manifest.ts'
import type { Held } from '../rollout/lock.ts'
import type { Charts, MetricHistory } from './charts.ts'
import type { TimeToVerdict } from './timeToVerdict.ts'

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
  /** What the verdict waits for and how long at the measured rate; absent where waiting changes nothing. */
  readonly timeToVerdict?: TimeToVerdict | undefined
}

export interface VersionStatus {
  readonly version: string
  readonly digest: string | undefined
  /** `onnx` with its folder, or `url` with its addresses. */
  readonly target: string
  /** For an HTTP version without `identity`. */
  readonly identityVerified: boolean
  readonly role: 'live' | 'canary' | 'holdback' | 'shadow' | 'idle'
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

/** The share that the previous live keeps after a promotion. */
export interface HoldbackStatus {
  readonly version: string
  /** Percent of live traffic. */
  readonly weight: number
  /** ISO 8601: when live was promoted, and when the holdback ends. */
  readonly since: string
  readonly until: string
  /** Why it has not ended though its time is over. */
  readonly problem?: string
}

/** The watch for a decline of live after its promotion. */
export interface DeclineStatus {
  /** What a decline brings about. */
  readonly policy: 'tell' | 'rollback'
  /** `holdback`: the previous live, at the same time. `frozen`: the error rate at the promotion. `counting`: that is still to be had. */
  readonly reference: 'holdback' | 'frozen' | 'counting'
  /** The frozen error rate, 0 to 1, where there is one. */
  readonly errorRate?: number
  /** ISO 8601. */
  readonly since: string
  /** Epochs of 10 s that had traffic. */
  readonly epochs: number
  /** ln of the evidence for a decline, and where the alarm is; null: none yet. */
  readonly log: number | null
  readonly logNeeded: number
  readonly alarm?: DeclineAlarm
}

export interface DeclineAlarm {
  readonly metric: MetricName
  /** One sentence for a person. */
  readonly reason: string
  /** ISO 8601: when the decline seems to have begun, and when it was noticed. */
  readonly since: string
  readonly at: string
  /** What was seen in between: how many observations and their mean; of the reference too. */
  readonly live: { readonly n: number; readonly mean: number | null }
  readonly reference: { readonly n: number; readonly mean: number | null }
  /** Why it is not rolled back though the policy says so. */
  readonly problem?: string
}

export interface RouteStatus {
  readonly name: string
  readonly live: string
  readonly versions: readonly VersionStatus[]
  readonly held: readonly Held[]
  readonly automatic?: AutomaticStatus
  /** Absent: the previous live has no share. */
  readonly holdback?: HoldbackStatus
  /** Absent: live is not watched (`rollout.detector: off`), or has just become live. */
  readonly decline?: DeclineStatus
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
  /** Labels that came after `labels.within`. */
  readonly late: number
  /** Predictions whose label never came. */
  readonly expired: number
  /** Predictions that were given up before that, because too many waited. */
  readonly cut: number
  /** Where the answer changes the outcome: live answers of both arms, each counted when its label has had its time. */
  readonly arms?: {
    readonly waiting: number
    /** When the oldest of them is counted; null: none waits. */
    readonly nextDueAt: string | null
    /** Answers left out, of both arms alike: too many would wait, or the settings they belong to were changed. */
    readonly cut: number
  }
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

/** Where a report that was made from spans has its figures from. */
export interface TracesReport {
  /** Requests of the route whose spans were read, and those of them that the verdict rests on. */
  readonly requests: number
  readonly sampled: number
  /** The least and the greatest share of ordinary requests whose spans were kept. */
  readonly ratio: readonly [least: number, greatest: number]
  /** Over all spans that were kept, each by its weight, with a 95 % interval for all requests that were served. Empty: every request was kept. */
  readonly estimates: readonly TracesEstimate[]
  /** What to know of these figures, a sentence each. */
  readonly notes: readonly string[]
}

export interface TracesEstimate {
  readonly what: string
  /** Whether it is a share of requests, else how many they are. */
  readonly isShare: boolean
  readonly estimate: number | null
  readonly interval: readonly [number, number] | null
  /** The same in the sample that the verdict rests on. */
  readonly sample: number | null
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
    /** |candidate − baseline| of numeric outputs: quantiles by upper bin edge, and the histogram itself, edges of six digits. */
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
  /** As in the status; absent where nobody watched. */
  readonly timeToVerdict?: TimeToVerdict | undefined
  /** Present where the report was made from spans. */
  readonly traces?: TracesReport | undefined
}
