// The form of bench/results/models.json.
import type { ModelCase } from './cases.ts'

export interface ModelRun {
  readonly seed: number
  /** Requests answered when the worse version was aborted; undefined: it was not. */
  readonly abortedAt: number | undefined
  readonly reason: string | undefined
  /** What the verdict named, as `metric` or `metric@segment`. */
  readonly guilty: readonly string[]
  /** Requests answered when the better version was raised, by the percent that it was raised to. */
  readonly raisedAt: Readonly<Record<string, number>>
  readonly answeredByWorse: number
  readonly failed: number
  readonly requests: number
}

export interface ModelResults {
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string }
  readonly settings: string
  readonly models: readonly {
    readonly name: string
    readonly fault: ModelCase['fault']
    readonly runs: readonly ModelRun[]
  }[]
}
