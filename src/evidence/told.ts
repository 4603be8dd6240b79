// What spans say of evidence, as plain data: written by the shadow thread, read back by a report. Decides nothing.
import type { Prediction } from './loss.ts'
import type { PairCount } from './pairCount.ts'
import type { RequestCount } from './requestCount.ts'

/** What an evidence key stands for. */
export interface EvidenceTerms {
  readonly route: string
  readonly key: string
  readonly baseline: { readonly version: string; readonly digest: string }
  readonly candidate: { readonly version: string; readonly digest: string }
  readonly attempt: number
  /** Versions of the route that are judged at the same time. */
  readonly candidates: number
  readonly stage: 'shadow' | 'canary'
  /** The candidate's percent of live traffic. */
  readonly step: number
  /** Its share of the two arms, 0 to 1. */
  readonly share: number
  /** ms since the Unix epoch. */
  readonly startedAt: number
  readonly compareDigest: string
  readonly holdback: boolean
}

/** When a request was admitted, and with what probability its spans were kept. */
export interface ToldPlace {
  /** Tells processes apart: their epochs begin anew. */
  readonly process: string
  readonly epoch: number
  /** When that process's epoch 0 began, ms since the Unix epoch. */
  readonly originMs: number
  /** The trace id alone would have kept it, whatever came of it. */
  readonly isHead: boolean
  readonly ratio: number
  /** How many requests like it it stands for. */
  readonly weight: number
}

/** A SERVER span of ours. */
export interface ToldRequest extends ToldPlace {
  readonly kind: 'request'
  readonly route: string
  /** Names the request: of its trace and its SERVER span. */
  readonly id: string
  readonly startMs: number
  readonly endMs: number
  readonly count: RequestCount
}

/** A `compare` span of ours. */
export interface ToldPair extends ToldPlace {
  readonly kind: 'pair'
  readonly route: string
  /** Of its request, as `ToldRequest.id`. */
  readonly id: string
  readonly requestId: string
  readonly key: string
  readonly number: number | undefined
  readonly count: PairCount
  readonly again: boolean | undefined
  /** What a label is held against; undefined: the route took none. */
  readonly predictions: readonly [baseline: Prediction, candidate: Prediction] | undefined
  /** Some of its differences are missing: the text was cut on the way. */
  readonly isCut: boolean
}

/** An `evidence` span of ours. */
export interface ToldTerms {
  readonly kind: 'terms'
  readonly route: string
  readonly atMs: number
  readonly terms: EvidenceTerms
}

export type Told = ToldRequest | ToldPair | ToldTerms
