// What a verdict is made from and what it says: plain data, no decision.
import type { MetricName, Route } from '../config/schema.ts'
import type { ReadonlyCounters } from '../evidence/counters.ts'

export type Stage = 'shadow' | 'canary'

/** Counters gathered while the candidate's stage and share stood still. */
export interface Period {
  readonly key: string
  readonly stage: Stage
  /** The candidate's percent of live traffic; 0 in the shadow stage. */
  readonly step: number
  /** The candidate's share of the two arms, weight / (weight + baseline weight), 0 to 1. */
  readonly share: number
  readonly counters: ReadonlyCounters
  /** Segment names in the order of their first sight; those that are left out come last, by name. */
  readonly segments?: readonly string[]
}

/** Metrics that a person has waived for exactly this candidate's bytes. */
export interface Waiver {
  readonly metrics: readonly MetricName[]
  readonly reason: string
  /** ms since the Unix epoch. */
  readonly until: number
  /** Its time is over: nothing is raised until it is renewed or taken out; its metrics withhold again and abort nobody yet. */
  readonly expired: boolean
}

/** All that is known of one candidate against one baseline under one compare digest. Periods in time order. */
export interface Evidence {
  readonly route: string
  readonly baseline: { readonly version: string; readonly digest: string }
  readonly candidate: { readonly version: string; readonly digest: string }
  /** This is the k-th evidence key of the candidate digest, k ≥ 1; promotion is judged at α_P/(k(k+1)), the first at α_P/2. */
  readonly attempt: number
  /** How many candidates of the route are judged at the same time; they share α_P. */
  readonly candidates: number
  readonly periods: readonly Period[]
  readonly waiver?: Waiver
  /** How long the present step has lasted, ms. */
  readonly stepElapsedMs: number
  /** Mirrored requests of the present step: how many were eligible and how many of them were dropped or lost. */
  readonly mirrored: { readonly eligible: number; readonly dropped: number }
}

/** The part of a route that judges. */
export type Policy = Pick<Route, 'expect' | 'labels' | 'gate'>

export type Decision = 'abort' | 'continue' | 'hold' | 'promote' | 'invalid'

/** One metric of a verdict, explained. Logarithms are natural. */
export interface MetricVerdict {
  readonly metric: MetricName
  /** Present when this row is about one segment value, e.g. `origin=JFK`. */
  readonly segment?: string
  /** What the estimate is: "mean loss difference", "share that differs", "error rate". */
  readonly what: string
  /** One observation, in the plural, as `needed` counts them: "comparisons", "labels", "candidate requests". */
  readonly unit: string
  /** The setting of routes.yaml that decides how much evidence it takes, e.g. `gate.errors.floor`. */
  readonly setting?: string
  /** Observations behind the estimate. */
  readonly n: number
  readonly estimate: number | null
  readonly baseline?: number | null
  /** Confidence sequence for the estimate, where the stream has one. */
  readonly interval?: readonly [number, number]
  /** The policy's limit for the estimate. */
  readonly limit: number | null
  readonly logHarm: number
  /** logHarm at or above this names the metric guilty; Infinity where the metric cannot abort. */
  readonly logHarmNeeded: number
  /** −Infinity where the metric has no safe test and so cannot withhold. */
  readonly logSafe: number | null
  readonly logSafeNeeded: number
  readonly state: 'guilty' | 'safe' | 'open' | 'watched' | 'waived'
  /** How many more observations the safe test needs at the present estimate; null: not foreseeable or none. */
  readonly needed: number | null
}

export interface Verdict {
  readonly route: string
  readonly candidate: string
  readonly baseline: string
  readonly decision: Decision
  readonly stage: Stage
  readonly step: number
  /** One sentence for a person. */
  readonly reason: string
  /** What is still missing, a phrase each: "labels: about 1,900 more". Empty when promote. */
  readonly missing: readonly string[]
  readonly metrics: readonly MetricVerdict[]
  readonly guilty: readonly { readonly metric: MetricName; readonly segment?: string }[]
  readonly exposure: {
    readonly requests: number
    readonly requestsNeeded: number
    readonly elapsedMs: number
    readonly neededMs: number
  }
  /** sha256 over the counters and the policy that were judged. */
  readonly evidenceDigest: string
}
