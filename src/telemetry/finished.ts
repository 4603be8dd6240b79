// What is known of a request and of a promotion when they are over: plain data, ready to be told.
import type { CompareKind } from '../config/schema.ts'
import type { Prediction } from '../evidence/loss.ts'
import type { PairCount } from '../evidence/pairCount.ts'
import type { RequestCount } from '../evidence/requestCount.ts'
import type { CompareResult, Kept } from './keep.ts'

export type Role = 'live' | 'canary' | 'shadow'

/** One version's work on one request. */
export interface FinishedInference {
  readonly role: Role
  readonly version: string
  readonly digest: string
  /** `onnx` (an INTERNAL span) or `http` (a CLIENT span). */
  readonly runtime: 'onnx' | 'http'
  /** The id that the version was told; empty: it was told none. */
  readonly spanId: string
  /** Milliseconds since the Unix epoch, with fractions. */
  readonly startMs: number
  readonly durationMs: number
  /** Waited for a free worker or for a batch to fill, ms; not part of the duration. */
  readonly queueMs: number
  /** An error code; empty: none. */
  readonly errorType: string
  /** Of an HTTP version: the address that was called and its answer's status, 0 when there was none. */
  readonly http?: { readonly url: string; readonly status: number }
}

/** One side of a comparison, as the report shows it. */
export interface ComparedSide {
  readonly version: string
  readonly digest: string
  /** The answer's leading label or number; null or absent: no answer, or nothing to show. */
  readonly answer?: string | number | null
  readonly latencyMs?: number
}

/** What a comparison counted, and into which evidence. */
export interface FinishedPair {
  readonly key: string
  readonly stage: 'shadow' | 'canary'
  /** The candidate's share of the two arms at admission, 0 to 1. */
  readonly share: number
  /** Counted from 1 within the key, in the order of observation. */
  readonly number: number | undefined
  readonly count: PairCount
  /** A second run of the baseline differed from its first; undefined: there was none. */
  readonly again: boolean | undefined
  /** What a label is held against; undefined: the route takes none. */
  readonly predictions: readonly [baseline: Prediction, candidate: Prediction] | undefined
  /** Scores of both first rows, where both have one. */
  readonly scores: readonly [baseline: number, candidate: number] | undefined
}

export interface FinishedComparison {
  readonly result: CompareResult
  readonly kind?: CompareKind | undefined
  readonly maxAbsDiff?: number | null
  readonly maxRelDiff?: number | null
  readonly baseline: ComparedSide
  readonly candidate: ComparedSide
  /** When both answers were there, ms since the Unix epoch. */
  readonly startMs: number
  readonly durationMs: number
  readonly evidence?: FinishedPair
}

/** What a request counted besides its comparisons, and when. */
export interface FinishedEvidence {
  /** Admission epoch, and when the process's epoch 0 began, ms since the Unix epoch. */
  readonly epoch: number
  readonly originMs: number
  /** The share of ordinary requests whose spans were kept. */
  readonly ratio: number
  readonly count: RequestCount
}

/** All that is known of a request whose spans are kept. Plain data; ids are lower-case hexadecimal. */
export interface FinishedRequest {
  readonly route: string
  readonly revision: number
  /** Protocol of the client, such as `v2`. */
  readonly protocol: string
  readonly requestId: string
  readonly traceId: string
  /** The SERVER span's id. */
  readonly spanId: string
  /** The caller's span; empty: this is the root. */
  readonly parentSpanId: string
  /** The caller's list, sent on; empty: none. */
  readonly tracestate: string
  readonly method: string
  /** The path template, such as `/v2/models/{model_name}/infer`. */
  readonly httpRoute: string
  /** The path as the client wrote it, without the query. */
  readonly path: string
  /** 0: the client was gone before it was answered. */
  readonly status: number
  readonly serverAddress?: string
  readonly serverPort?: number
  readonly clientAddress?: string
  readonly userAgent?: string
  /** Milliseconds since the Unix epoch, with fractions. */
  readonly startMs: number
  readonly durationMs: number
  /** An error code; empty: none. */
  readonly errorType: string
  /** How the version was chosen: by weight, by the tester's header, or because there is only one. */
  readonly assigned: 'split' | 'targeting_match' | 'static'
  /** The version that answered; undefined when none was chosen. */
  readonly servedVersion?: string
  /** The live or canary version's work first, then those of shadows. */
  readonly inferences: readonly FinishedInference[]
  readonly comparisons: readonly FinishedComparison[]
  readonly kept: Kept
  readonly evidence?: FinishedEvidence
}

/** A promotion that was applied. */
export interface FinishedPromotion {
  readonly route: string
  readonly by: string
  readonly from: string
  readonly to: string
  readonly evidenceDigest: string
  readonly startMs: number
  readonly durationMs: number
  readonly errorType: string
  /** Spans of comparisons that it rests on. */
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
}
