// What is told of one request to somebody who asks: how it was assigned, what every version said, how the answers differ.
import type { CompareKind, Tolerance } from '../config/schema.ts'
import type { DropReason } from '../evidence/accounting.ts'
import type { MismatchReason } from '../evidence/compare.ts'
import type { Held } from '../rollout/lock.ts'
import type { CompareResult, KeepReason } from '../telemetry/keep.ts'

/** Plain data, fit for JSON; null: not known, or there is none. Ids and sha256 are lower-case hexadecimal. */
export interface Explanation {
  /** The gateway's memory, or recorded spans, which hold neither bodies nor shares. */
  readonly source: 'gateway' | 'spans'
  readonly route: string
  readonly requestId: string
  readonly revision: number | null
  readonly protocol: string | null
  /** Admission, ISO 8601. */
  readonly at: string
  readonly traceId: string
  readonly spanId: string
  /** The caller's span; empty: this request is the root. */
  readonly parentSpanId: string
  /** The version that was live then. */
  readonly live: string | null
  readonly input: ExplainedInput | null
  readonly assignment: ExplainedAssignment
  readonly answered: ExplainedResponse
  /** The version that was served first, then the others in the order of the route. */
  readonly versions: readonly ExplainedVersion[]
  readonly comparisons: readonly ExplainedComparison[]
  /** Why its spans were kept, and how many requests they stand for; null: they were not. */
  readonly spans: { readonly reason: KeepReason; readonly weight: number } | null
  /** `awaited`: an answer waits for its label; null: neither one nor the other is known (any more). */
  readonly label: 'awaited' | 'joined' | null
}

/** Null where no bytes were recorded: the body was empty, or larger than `mirror.bodyBytes`. */
export interface ExplainedInput {
  readonly bytes: number
  /** Of the body's bytes as the client sent them. */
  readonly sha256: string
  /** Null: they cannot be read. */
  readonly tensors:
    | readonly { readonly name: string; readonly datatype: string; readonly shape: readonly number[] }[]
    | null
}

export interface ExplainedAssignment {
  /** The version that was served. */
  readonly version: string | null
  /** As OpenTelemetry's feature flags have it. */
  readonly reason: 'split' | 'targeting_match' | 'static' | null
  /** One sentence. */
  readonly why: string
  /** Shares of traffic that applied then, percent; the lock's doing is in them already. */
  readonly weights: readonly { readonly version: string; readonly weight: number }[] | null
  readonly sticky: ExplainedUnit | null
  /** What the gate lock holds back; null: the configuration is another one by now. */
  readonly held: readonly Held[] | null
}

/** The key that requests of one user share. The key itself is never told. */
export interface ExplainedUnit {
  /** Where the route looks for it, such as `header x-user-id`. */
  readonly by: string
  /** `unknown`: headers are not recorded. */
  readonly unit: 'used' | 'missing' | 'unknown'
  /**
   * −ln(1−u)/weight of the unit for each version, reckoned anew: the least wins. Null where the unit is not known, or where
   * there was nothing to choose.
   */
  readonly draws: readonly { readonly version: string; readonly draw: number }[] | null
}

export interface ExplainedResponse {
  readonly status: number | null
  /** An error code or status; null: none. */
  readonly errorType: string | null
  /** Admission to the last byte, ms. */
  readonly durationMs: number | null
  readonly bytes: number | null
  readonly sha256: string | null
}

export interface ExplainedVersion {
  readonly version: string
  /** Of the model, as configured. */
  readonly digest: string
  /** `live`, `canary`: it answered the client. `shadow`: it answered nobody, though it may be live by itself. */
  readonly role: 'live' | 'canary' | 'shadow'
  readonly state: 'answered' | 'failed' | 'not_asked'
  /** Error code of a failure, or why it was not asked. */
  readonly reason: string | null
  /** A sentence for `reason`, or why an answer shows no outputs. */
  readonly detail: string | null
  readonly latencyMs: number | null
  readonly queueMs: number | null
  /** Sent with others: its latency says nothing about one request. */
  readonly batched: boolean | null
  /** The outputs that are compared; null: none that can be read. */
  readonly outputs: readonly ExplainedOutput[] | null
}

/** The first row of an output, shortened. */
export interface ExplainedOutput {
  readonly output: string
  readonly shape: readonly number[]
  /** The first values of the row; NaN, infinities and integers beyond 2^53 as text. */
  readonly values: readonly (number | string)[]
  /** How many values a row has. */
  readonly width: number
}

export interface ExplainedComparison {
  readonly baseline: string
  readonly candidate: string
  readonly result: CompareResult
  /** Error code of the side that failed; null: both answered. */
  readonly errorType: string | null
  /** Why two answers could not be compared. */
  readonly detail: string | null
  /** Why it is no evidence after all. */
  readonly dropped: DropReason | null
  readonly maxAbsDiff: number | null
  /** Null also where the baseline is 0. */
  readonly maxRelDiff: number | null
  readonly outputs: readonly ExplainedDifference[]
}

export interface ExplainedDifference {
  /** Null: spans do not name it. */
  readonly output: string | null
  readonly kind: CompareKind | null
  readonly result: 'match' | 'mismatch'
  readonly reason: MismatchReason | null
  readonly detail: string | null
  readonly tolerance: Tolerance | null
  readonly rows: number | null
  readonly mismatchingRows: number | null
  /** The first row that differs, else the first, from 0; the values are of it. */
  readonly row: number | null
  readonly maxAbsDiff: number | null
  readonly maxRelDiff: number | null
  readonly baselineValue: number | string | null
  readonly candidateValue: number | string | null
}

/** What is found for a request id, the newest first. */
export interface Found {
  readonly explanations: readonly Explanation[]
  /** Requests with this id since the first that was kept, with those that were passed over or are not kept any more. */
  readonly seen: number
  /** What is remembered of all requests. */
  readonly memory: {
    readonly requests: number
    readonly most: number
    readonly mostBytes: number
    /** Requests of one kind that are kept a second, how many in a burst, and how many came faster than all of theirs. */
    readonly perSecond: number
    readonly atOnce: number
    readonly passedOver: number
    /** Admission of the oldest, ISO 8601. */
    readonly since: string | null
  }
}
