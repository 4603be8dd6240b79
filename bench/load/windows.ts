// Loads systems in short windows, one after another in random order, and takes their processor time beside the answers.
import type { Generator } from '../../src/load/generator.ts'
import type { LatencySummary } from '../../src/load/latencies.ts'
import type { LoadResult, PlanInput, TurnsPlanInput } from '../../src/load/plan.ts'
import { type CpuTimes, cpuOf } from './procfs.ts'
import { shuffled } from './statistics.ts'
import type { System } from './systems.ts'

/** One window of one system. Times per request are of all its requests, warm-up included. */
export interface Window {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly lateP99Ms: number
  /** Of what was answered: those of several windows merge. */
  readonly latency: LatencySummary
  /** Undefined where there is no /proc. */
  readonly servingUs: number | undefined
  readonly treeUs: number | undefined
  /** What the serving thread waited for its processor, a request; it is in the answers' times and in nobody's CPU. */
  readonly waitedUs?: number | undefined
  /** The same by thread's name, where it is told. */
  readonly threadsUs?: Readonly<Record<string, number>>
  readonly requests: number
  readonly failures: number
  /** Of `failures`: how many by status or error's code. */
  readonly failedBy: Readonly<Record<string, number>>
}

export type Windows = ReadonlyMap<string, readonly Window[]>

/** After a window: mirrored requests are sent and compared, epochs posted, before the processor time is read. */
export const SETTLE_MS = 350

/**
 * `rounds` windows of every system. A round takes each block of systems once, in random order, and the systems of a
 * block side by side, also in random order: what is compared ran within seconds, whatever else the machine did.
 */
export async function runWindows<Measured extends System>(
  generator: Generator,
  blocks: readonly (readonly Measured[])[],
  rounds: number,
  random: () => number,
  planOf: (system: Measured, round: number) => PlanInput,
  progress: (round: number) => void,
  {
    settleMsOf = () => SETTLE_MS,
    before,
  }: {
    readonly settleMsOf?: (system: Measured) => number
    /** Done before each window and not in its figures: what it leaves to do is done before that begins. */
    readonly before?: (system: Measured, round: number) => Promise<void>
  } = {},
): Promise<Windows> {
  const windows = new Map<string, Window[]>(blocks.flat().map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const block of shuffled(blocks, random)) {
      for (const system of shuffled(block, random)) {
        if (before !== undefined) {
          await before(system, round)
          await pause(settleMsOf(system))
        }
        windows.get(system.name)!.push(await runWindow(generator, system, planOf(system, round), settleMsOf(system)))
      }
    }
    progress(round + 1)
  }
  return windows
}

export async function runWindow(
  generator: Generator,
  system: System,
  plan: PlanInput,
  settleMs = SETTLE_MS,
): Promise<Window> {
  const before = cpuOf(system.pid)
  const result = await generator.run(plan)
  await pause(settleMs)
  return windowOf(result, before, cpuOf(system.pid))
}

/**
 * One window of each system, which take turns of a quarter of a second in it: what whatever else the machine does makes of
 * a ratio is then less than in windows one after another.
 */
export async function runWindowInTurns(
  generator: Generator,
  systems: readonly System[],
  plan: Omit<TurnsPlanInput, 'mode' | 'urls'>,
  settleMs = SETTLE_MS,
): Promise<Window[]> {
  const before = systems.map(({ pid }) => cpuOf(pid))
  const results = await generator.runInTurns({ mode: 'turns', urls: systems.map(({ url }) => url), ...plan })
  await pause(settleMs)
  const after = systems.map(({ pid }) => cpuOf(pid))
  return results.map((result, index) => windowOf(result, before[index], after[index]))
}

export interface TurnFigures {
  /** What each round found of each system. */
  readonly results: readonly (readonly LoadResult[])[]
  /** p99 of each system in each round, ms. */
  readonly p99Ms: readonly (readonly number[])[]
  readonly failures: number
}

/**
 * Live p99 of several systems that take turns of a quarter of a second: tails are made by whatever else the machine
 * does, and so all must meet the same of it. A system may be named twice: its ratio to itself is what noise alone makes.
 */
export async function runTurnRounds(
  generator: Generator,
  rounds: number,
  planOf: (round: number) => TurnsPlanInput,
  progress: (round: number) => void,
): Promise<TurnFigures> {
  const all: LoadResult[][] = []
  const p99Ms: number[][] = []
  let failures = 0
  for (let round = 0; round < rounds; round++) {
    const results = await generator.runInTurns(planOf(round))
    all.push(results)
    p99Ms.push(results.map(({ latency }) => latency.p99Ms ?? Number.NaN))
    for (const { sent, latency } of results) failures += sent - latency.n
    progress(round + 1)
  }
  return { results: all, p99Ms, failures }
}

function windowOf(result: LoadResult, before: CpuTimes | undefined, after: CpuTimes | undefined): Window {
  const requests = result.sent + result.warmedUp
  const perRequestUs = (key: 'servingNs' | 'servingWaitedNs' | 'treeNs') =>
    before === undefined || after === undefined ? undefined : (after[key] - before[key]) / 1000 / requests
  return {
    perSecond: result.perSecond,
    p50Ms: result.latency.p50Ms ?? Number.NaN,
    p99Ms: result.latency.p99Ms ?? Number.NaN,
    lateP99Ms: result.lateness.p99Ms ?? Number.NaN,
    latency: result.latency,
    servingUs: perRequestUs('servingNs'),
    treeUs: perRequestUs('treeNs'),
    waitedUs: perRequestUs('servingWaitedNs'),
    threadsUs: threadsUs(before, after, requests),
    requests,
    failures: result.sent - result.latency.n,
    failedBy: failedBy(result),
  }
}

/** Requests that got no answer with a 2xx status, by status or error's code. */
export function failedBy({ statuses, errors }: LoadResult): Record<string, number> {
  const failed = Object.entries(statuses).filter(([status]) => !status.startsWith('2'))
  return { ...Object.fromEntries(failed), ...errors }
}

export function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

function threadsUs(
  before: CpuTimes | undefined,
  after: CpuTimes | undefined,
  requests: number,
): Record<string, number> {
  return Object.fromEntries(
    [...(after?.byThread ?? [])].map(([name, ns]) => [
      name,
      (ns - (before?.byThread.get(name) ?? 0)) / 1000 / requests,
    ]),
  )
}
