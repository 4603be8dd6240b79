// Short windows at saturation: what a request costs when there is nothing else to do, and what is said of such a run.
import { cpus, platform, release } from 'node:os'
import type { PlanInput } from '../../src/load/plan.ts'
import { commit } from '../commit.ts'
import { machineLoad } from './procfs.ts'
import { median, type Spread, spreadOf } from './statistics.ts'
import type { System } from './systems.ts'
import type { Window } from './windows.ts'

/** Where, when and of what code figures were taken. */
export interface RunFacts {
  readonly resultsVersion: 1
  readonly date: string
  readonly machine: {
    readonly cpu: string
    readonly cores: number
    readonly system: string
    readonly loadBefore: number
    readonly loadAfter: number
  }
  readonly node: string
  readonly commit: string
  readonly quick: boolean
}

export interface SaturatedFigures {
  readonly perSecond: Spread
  readonly servingUs: Spread
  readonly treeUs: Spread
  readonly failures: number
}

export function runFacts(loadBefore: number, quick: boolean): RunFacts {
  return {
    resultsVersion: 1,
    date: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      system: `${platform()} ${release()}`,
      loadBefore,
      loadAfter: machineLoad(),
    },
    node: process.version,
    commit: commit(),
    quick,
  }
}

export function saturating(
  { url }: System,
  bodies: string[],
  connections: number,
  seconds: number,
): Extract<PlanInput, { mode: 'closed' }> {
  return { mode: 'closed', url, bodies, connections, warmUp: connections * 2, seconds }
}

/** NaN where the machine does not tell processor time. */
export function timesOf(windows: readonly Window[], figure: 'treeUs' | 'servingUs' | 'waitedUs'): number[] {
  return windows.map(window => window[figure] ?? Number.NaN)
}

/** Names of threads as a reader knows them, by how the system's names begin. */
const THREADS = [
  ['serving', ['serving-']],
  ['shadow', ['shadow']],
  ['main', ['node-MainThread', 'node']],
  ['collecting and compiling', ['node-V8Worker', 'V8Worker']],
  ['scoring processes', ['child ']],
] as const

/** Median µs a request of each thread. */
export function threadsOf(windows: readonly Window[]): Record<string, number> {
  const sumOf = (window: Window, beginnings: readonly string[]) =>
    Object.entries(window.threadsUs ?? {})
      .filter(([name]) => beginnings.some(start => name === start || (start.length > 4 && name.startsWith(start))))
      .reduce((sum, [, us]) => sum + us, 0)
  return Object.fromEntries(
    THREADS.map(([name, beginnings]) => [name, median(windows.map(window => sumOf(window, beginnings)))]),
  )
}

export function summaryOf(windows: readonly Window[]): SaturatedFigures {
  return {
    perSecond: spreadOf(windows.map(({ perSecond }) => perSecond)),
    servingUs: spreadOf(timesOf(windows, 'servingUs')),
    treeUs: spreadOf(timesOf(windows, 'treeUs')),
    failures: windows.reduce((sum, { failures }) => sum + failures, 0),
  }
}
