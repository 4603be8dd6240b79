// Decides whose spans are kept, and what weight they then have in a count. Pure.

/** Why a request's spans were kept. */
export type KeepReason = 'head' | 'mismatch' | 'error' | 'slow'

/** What a comparison came to; `dropped`: the candidate was not asked or its answer not compared. */
export type CompareResult =
  | 'match'
  | 'mismatch'
  | 'baseline_error'
  | 'candidate_error'
  | 'timeout'
  | 'dropped'
  | 'unparseable'

export interface KeepFacts {
  readonly traceId: string
  /** Of every candidate. */
  readonly results: readonly CompareResult[]
  /** The live answer failed. */
  readonly failed: boolean
  /** Of the live answer. */
  readonly durationMs: number
}

export interface KeepPolicy {
  /** Share of ordinary requests that are kept, 0 to 1. */
  readonly ratio: number
  /** Live answers at or above it are always kept, ms. */
  readonly slowMs: number
}

export interface Kept {
  readonly reason: KeepReason
  /** How many requests like this one it stands for: 1 / the probability that it is kept. */
  readonly weight: number
}

/**
 * Whether a request's spans are kept; undefined: not. A mismatch, an error and a slow answer always are (weight 1), the
 * rest by the trace id. The sum of weights over kept spans then estimates the number of requests without bias
 * (Horvitz and Thompson 1952), whatever was kept on purpose.
 *
 * `dropped` is no reason to keep: drops come by the thousand when there is no room for spans either.
 */
export function keepRequest(facts: KeepFacts, policy: KeepPolicy): Kept | undefined {
  const { results } = facts
  if (results.includes('mismatch')) return { reason: 'mismatch', weight: 1 }
  if (facts.failed || results.some(isError)) return { reason: 'error', weight: 1 }
  if (facts.durationMs >= policy.slowMs) return { reason: 'slow', weight: 1 }
  if (keepsHead(facts.traceId, policy.ratio)) return { reason: 'head', weight: 1 / policy.ratio }
  return undefined
}

/**
 * The head-sampling decision, the same in every thread and gateway that sees this trace: the trace id's last 56 bits are
 * compared with a threshold, as in OpenTelemetry's consistent probability sampling, to 52 bits.
 */
export function keepsHead(traceId: string, ratio: number): boolean {
  if (ratio >= 1) return true
  if (!(ratio > 0)) return false
  return Number.parseInt(traceId.slice(18, 31), 16) >= (1 - ratio) * 2 ** 52
}

function isError(result: CompareResult): boolean {
  return result === 'baseline_error' || result === 'candidate_error' || result === 'timeout' || result === 'unparseable'
}
