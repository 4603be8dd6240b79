// What the windows and turns of one proxy say of its bad shadows. Pure.
import type { LoadResult } from '../../src/load/plan.ts'
import type { Shadow } from './faultSystems.ts'
import type { SameBytes } from './sameBytes.ts'
import { timesOf } from './saturation.ts'
import { judgeTarget, pairedRatio, type Ratio, type Spread, spreadOf } from './statistics.ts'
import { failedBy, type Window } from './windows.ts'

/** Over the same proxy without a shadow. */
export interface Judged {
  readonly ratio: Ratio
  readonly target: number | undefined
  readonly verdict: 'met' | 'missed' | 'unresolved' | undefined
}

export interface FaultFigures {
  readonly shadow: Shadow
  /** CPU a request at the fixed rate. Undefined where the machine does not tell it, or too many requests failed. */
  readonly servingUs: Spread | undefined
  readonly treeUs: Spread | undefined
  readonly serving: Judged | undefined
  readonly tree: Judged | undefined
  /** In turns, of each round; a round in which more than one request in a hundred failed counts as the timeout. */
  readonly p50Ms: Spread
  readonly p99Ms: Spread
  readonly p99: Judged | undefined
  readonly sent: number
  /** Of `sent`, by status or error's code. */
  readonly failed: Readonly<Record<string, number>>
  readonly bytes: SameBytes
  readonly memory: Memory
}

/** MiB of all processes, at the end of each round. */
export interface Memory {
  readonly before: number | undefined
  /** Most in the first and in the second half of the rounds: bounded means that they are about the same. */
  readonly firstHalf: number | undefined
  readonly secondHalf: number | undefined
}

export interface Taken {
  readonly shadow: Shadow
  readonly windows: readonly Window[]
  /** One a round, or more. */
  readonly turns: readonly LoadResult[]
  /** Of the proxy without a shadow, taken in turn with each of `turns`. */
  readonly noneTurns: readonly LoadResult[]
  readonly bytes: SameBytes
  readonly beforeMiB: number | undefined
  readonly roundsMiB: readonly (number | undefined)[]
}

export interface Targets {
  readonly serving: number
  readonly p99: number
}

/** Share of failed requests above which a time of the others says nothing. */
const MOST_FAILED = 0.01

/** @param targets of Understudy in a run that is long enough; undefined: nothing is judged */
export function faultFigures(taken: readonly Taken[], timeoutMs: number, targets: Targets | undefined): FaultFigures[] {
  const none = taken.find(({ shadow }) => shadow === 'none')!
  return taken.map(each => {
    const { shadow, windows, turns, noneTurns, bytes, beforeMiB, roundsMiB } = each
    const limitOf = (figure: keyof Targets) => (shadow.startsWith('none') ? undefined : targets?.[figure])
    const over = (figure: readonly number[], under: readonly number[], target?: number): Judged | undefined =>
      each === none ? undefined : judged(figure, under, target)
    const cpu = (figure: 'servingUs' | 'treeUs', target?: number) =>
      over(timesOf(windows, figure), timesOf(none.windows, figure), target)
    const told = failedShare(windows) <= MOST_FAILED && timesOf(windows, 'treeUs').every(Number.isFinite)
    const tails = (turns: readonly LoadResult[]) => turns.map(turn => tailMs(turn, timeoutMs))
    return {
      shadow,
      servingUs: told ? spreadOf(timesOf(windows, 'servingUs')) : undefined,
      treeUs: told ? spreadOf(timesOf(windows, 'treeUs')) : undefined,
      serving: told ? cpu('servingUs', limitOf('serving')) : undefined,
      tree: told ? cpu('treeUs') : undefined,
      p50Ms: spreadOf(turns.map(turn => middleMs(turn, timeoutMs))),
      p99Ms: spreadOf(tails(turns)),
      p99: over(tails(turns), tails(noneTurns), limitOf('p99')),
      sent: sum(windows.map(({ requests }) => requests)) + sum(turns.map(({ sent }) => sent)),
      failed: added([...windows.map(window => window.failedBy), ...turns.map(failedBy)]),
      bytes,
      memory: { before: beforeMiB, ...halves(roundsMiB) },
    }
  })
}

/** p99 of a turn, ms; the timeout where more failed than may be left out of a hundred. */
export function tailMs({ sent, latency }: LoadResult, timeoutMs: number): number {
  return sent - latency.n > sent * MOST_FAILED ? timeoutMs : (latency.p99Ms ?? Number.NaN)
}

/** The median likewise. */
export function middleMs({ sent, latency }: LoadResult, timeoutMs: number): number {
  return sent - latency.n > sent / 2 ? timeoutMs : (latency.p50Ms ?? Number.NaN)
}

function judged(over: readonly number[], under: readonly number[], target: number | undefined): Judged {
  const ratio = pairedRatio(over, under)
  return { ratio, target, verdict: target === undefined ? undefined : judgeTarget(ratio, target) }
}

function failedShare(windows: readonly Window[]): number {
  return sum(windows.map(({ failures }) => failures)) / sum(windows.map(({ requests }) => requests))
}

function added(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {}
  for (const each of counts)
    for (const [reason, count] of Object.entries(each)) total[reason] = (total[reason] ?? 0) + count
  return total
}

function halves(values: readonly (number | undefined)[]): Omit<Memory, 'before'> {
  const half = Math.ceil(values.length / 2)
  return { firstHalf: most(values.slice(0, half)), secondHalf: most(values.slice(half)) }
}

function most(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter(value => value !== undefined)
  return known.length === 0 ? undefined : Math.max(...known)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
