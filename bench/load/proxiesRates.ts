// What latency and processor time a request has when all proxies get the same fixed rate, and what is said of such windows. Pure.
import { Latencies } from '../../src/load/latencies.ts'
import { seededRandom } from '../../src/load/schedule.ts'
import { quantile, type Spread, spreadOf } from './statistics.ts'
import type { Window } from './windows.ts'

/** Of what the slowest can do. */
export const RATE_SHARE = 0.25

/** A percentile of the requests of all windows, ms, and its 95 % interval by resampling windows. */
export interface Percentile {
  readonly ms: number
  readonly low: number
  readonly high: number
}

export interface RateFigures {
  readonly requests: number
  readonly failures: number
  /** One window has too few requests for the last. Undefined without an answer. */
  readonly p50: Percentile | undefined
  readonly p99: Percentile | undefined
  readonly p999: Percentile | undefined
  /** Each window by itself. */
  readonly windowsP50Ms: Spread
  readonly windowsP99Ms: Spread
  readonly treeUs: Spread
}

/** The rate that every proxy gets, and which of them sets it. @throws TypeError without systems */
export function rateOf(capacities: readonly { readonly system: string; readonly perSecond: number }[]) {
  const slowest = capacities.reduce((least, each) => (each.perSecond < least.perSecond ? each : least))
  return { slowest: slowest.system, perSecond: Math.max(1, Math.floor(slowest.perSecond * RATE_SHARE)) }
}

const RESAMPLES = 500

export function rateFiguresOf(windows: readonly Window[], seed = 1): RateFigures {
  const random = seededRandom(seed)
  const all = pooled(windows)
  const resampled = Array.from({ length: RESAMPLES }, () =>
    pooled(windows.map(() => windows[Math.floor(random() * windows.length)]!)),
  )
  const percentile = (key: 'p50Ms' | 'p99Ms' | 'p999Ms'): Percentile | undefined => {
    const ms = all[key]
    if (ms === null) return undefined
    const others = resampled.map(summary => summary[key]).filter(value => value !== null)
    return { ms, low: quantile(others, 0.025), high: quantile(others, 0.975) }
  }
  const sum = (figure: 'requests' | 'failures') => windows.reduce((total, window) => total + window[figure], 0)
  return {
    requests: sum('requests'),
    failures: sum('failures'),
    p50: percentile('p50Ms'),
    p99: percentile('p99Ms'),
    p999: percentile('p999Ms'),
    windowsP50Ms: spreadOf(windows.map(({ p50Ms }) => p50Ms)),
    windowsP99Ms: spreadOf(windows.map(({ p99Ms }) => p99Ms)),
    treeUs: spreadOf(windows.map(({ treeUs }) => treeUs ?? Number.NaN)),
  }
}

function pooled(windows: readonly Window[]) {
  const latencies = new Latencies()
  for (const { latency } of windows) latencies.merge(latency)
  return latencies.summary()
}
