// The form of bench/results/load.json.
import type { MemoryRun, MirrorAccount } from './hang.ts'
import type { Ratio, Spread } from './statistics.ts'

/** Medians of windows with the quarters around them; CPU undefined where the machine has no /proc. */
export interface SystemFigures {
  readonly system: string
  readonly fixedRate: WindowFigures
  /** The hung shadow has no closed-loop windows. */
  readonly saturation: WindowFigures | undefined
  /** Processor time without any load, ms a second: ticks, state, clocks. */
  readonly idleTreeMsPerSecond: number | undefined
}

export interface WindowFigures {
  readonly perSecond: Spread
  readonly p50Ms: Spread
  readonly p99Ms: Spread
  readonly servingUs: Spread | undefined
  readonly treeUs: Spread | undefined
  readonly requests: number
  readonly failures: number
}

/** A ratio of two systems, and the target where there is one. */
export interface Comparison {
  readonly question: string
  readonly over: string
  readonly under: string
  readonly ratio: Ratio
  readonly target: number | undefined
  readonly verdict: 'met' | 'missed' | 'unresolved' | undefined
}

export interface LoadResults {
  readonly resultsVersion: 1
  readonly date: string
  readonly machine: {
    readonly cpu: string
    readonly cores: number
    readonly memoryGiB: number
    readonly system: string
    /** Load average of the last minute before and after: others were at work when it is far above nothing. */
    readonly loadBefore: number
    readonly loadAfter: number
  }
  readonly node: string
  readonly commit: string
  readonly quick: boolean
  readonly method: {
    readonly rounds: number
    readonly windowSeconds: number
    readonly saturationSeconds: number
    readonly ratePerSecond: number
    readonly connections: number
    readonly warmUpRequests: number
    /** p99 of how late the generator itself was, ms: what the latencies may hold of it. */
    readonly generatorLateP99Ms: number
  }
  readonly systems: readonly SystemFigures[]
  readonly comparisons: readonly Comparison[]
  readonly hung: {
    /** Live p99 in turns of a quarter of a second, one value a round, and requests that failed. */
    readonly p99Ms: { readonly shadowOff: Spread; readonly shadowHung: Spread; readonly shadowOffAgain: Spread }
    readonly failures: number
    readonly shadowOff: MemoryRun
    readonly shadowHung: MemoryRun
    readonly account: MirrorAccount
    readonly shadowOnEmbedded: MirrorAccount
    readonly shadowOnHttp: MirrorAccount
  }
}
