// What latency and processor time a request has when all proxies get the same fixed rate, and what is said of such windows. Pure.
import { Latencies } from '../../src/load/latencies.ts'
import { type Spread, spreadOf } from './statistics.ts'
import type { Window } from './windows.ts'

/** Of what the slowest can do. */
export const RATE_SHARE = 0.25

export interface RateFigures {
  readonly requests: number
  readonly failures: number
  /** Over all requests of all windows, ms: one window has too few for the last. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
  readonly p999Ms: number | null
  /** Over windows. */
  readonly windowsP50Ms: Spread
  readonly windowsP99Ms: Spread
  readonly treeUs: Spread
}

/** The rate that every proxy gets, and which of them sets it. @throws TypeError without systems */
export function rateOf(capacities: readonly { readonly system: string; readonly perSecond: number }[]) {
  const slowest = capacities.reduce((least, each) => (each.perSecond < least.perSecond ? each : least))
  return { slowest: slowest.system, perSecond: Math.max(1, Math.floor(slowest.perSecond * RATE_SHARE)) }
}

export function rateFiguresOf(windows: readonly Window[]): RateFigures {
  const pooled = new Latencies()
  for (const { latency } of windows) pooled.merge(latency)
  const { p50Ms, p99Ms, p999Ms } = pooled.summary()
  const sum = (figure: 'requests' | 'failures') => windows.reduce((total, window) => total + window[figure], 0)
  return {
    requests: sum('requests'),
    failures: sum('failures'),
    p50Ms,
    p99Ms,
    p999Ms,
    windowsP50Ms: spreadOf(windows.map(window => window.p50Ms)),
    windowsP99Ms: spreadOf(windows.map(window => window.p99Ms)),
    treeUs: spreadOf(windows.map(({ treeUs }) => treeUs ?? Number.NaN)),
  }
}
