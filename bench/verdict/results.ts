// The form of bench/results/verdict.json.
import type { Figure, TargetVerdict } from './statistics.ts'

/** What a figure is about; every one of them carries its 95 % interval. */
export type FigureName =
  /** Runs in which a candidate that is no worse was aborted. */
  | 'falseBlock'
  /** Runs in which a candidate at the border of harm was promoted. */
  | 'falsePromotion'
  /** Runs in which a split, rightly made, was called broken. */
  | 'falseInvalid'
  /** Runs that ended at the horizon without a decision. */
  | 'miss'
  /** Requests (comparisons, labels) to the decision. */
  | 'delay'
  | 'delayP95'
  /** The same over the optimum ln(1/α)/KL. */
  | 'overOptimum'
  | 'overOptimumP95'
  /** Failures that the candidate had served when it was aborted. */
  | 'badRequests'
  /** How many times sooner than the other method on the same stream. */
  | 'sooner'
  /** Cases in which what must be identical was not. */
  | 'different'

export interface Target {
  readonly figure: FigureName
  readonly kind: 'at most' | 'at least'
  readonly limit: number
  /** For rates: the 95 % upper bound may be this much. */
  readonly bound?: number
}

export interface Row {
  /** Name of the scenario, as `--only` takes it. */
  readonly scenario: string
  /** One line of the scenario: "ratio 2, w .5". */
  readonly setting: string
  readonly method: string
  /** How often the method looked. */
  readonly looks: string
  readonly figures: Readonly<Partial<Record<FigureName, Figure>>>
  /** ln(1/α)/KL in the unit of `delay`. */
  readonly optimum?: number
  readonly target?: Target
  readonly verdict?: TargetVerdict | 'not measured'
  readonly note?: string
  /** Numbers that plots are made of. */
  readonly at?: Readonly<Record<string, number>>
}

export interface VerdictResults {
  readonly resultsVersion: 1
  readonly date: string
  readonly machine: {
    readonly cpu: string
    readonly cores: number
    readonly memoryGiB: number
    readonly system: string
    readonly loadBefore: number
    readonly loadAfter: number
  }
  readonly node: string
  readonly commit: string
  /** Whether src/ differed from the commit. */
  readonly isDirty: boolean
  readonly size: 'quick' | 'medium' | 'full'
  /** Scenarios that were run at full size in a smaller run. */
  readonly full: readonly string[]
  readonly seed: number
  readonly workers: number
  readonly seconds: number
  readonly scenarios: readonly ScenarioResults[]
}

export interface ScenarioResults {
  readonly name: string
  readonly title: string
  /** What was simulated, a sentence or two. */
  readonly about: string
  readonly runs: number
  readonly seconds: number
  readonly rows: readonly Row[]
}
