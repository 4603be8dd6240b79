// What the windows of one proxy say of its bad shadows. Pure.
import type { Shadow } from './faultSystems.ts'
import type { SameBytes } from './sameBytes.ts'
import { timesOf } from './saturation.ts'
import { groupedRatio, judgeTarget, type Ratio, type Spread, spreadOf } from './statistics.ts'
import type { Window } from './windows.ts'

/** Over the same proxy without a shadow. */
export interface Judged {
  readonly ratio: Ratio
  readonly target: number | undefined
  readonly verdict: 'met' | 'missed' | 'unresolved' | undefined
}

export interface FaultFigures {
  readonly shadow: Shadow
  /** CPU a request. Undefined where the machine does not tell it, or too many requests failed. */
  readonly servingUs: Spread | undefined
  readonly treeUs: Spread | undefined
  /** What the serving thread waits for its processor, µs a request. Undefined in runs of before it was read too. */
  readonly waitedUs?: Spread | undefined
  readonly waited?: Judged | undefined
  readonly serving: Judged | undefined
  readonly tree: Judged | undefined
  /** A round in which more than one request in a hundred failed counts as the timeout. */
  readonly p50Ms: Spread
  readonly p99Ms: Spread
  readonly p99: Judged | undefined
  readonly sent: number
  /** Of `sent`, by status or error's code. */
  readonly failed: Readonly<Record<string, number>>
  readonly bytes: SameBytes
  readonly memory: Memory
}

/** MiB of all processes, at the end of each window: the most of all starts. */
export interface Memory {
  readonly before: number | undefined
  /** In the first and in the second half of a start's windows: bounded means that they are about the same. */
  readonly firstHalf: number | undefined
  readonly secondHalf: number | undefined
}

export interface Taken {
  readonly shadow: Shadow
  /** One a round, or more. */
  readonly windows: readonly Window[]
  /** Of the proxy without a shadow, taken in turns with each of `windows`. */
  readonly noneWindows: readonly Window[]
  /** Of which start of the proxy each of `windows` is: two starts of the same program differ by some percent. */
  readonly starts: readonly number[]
  /** Of each start, in their order. */
  readonly bytes: readonly SameBytes[]
  readonly beforeMiB: readonly (number | undefined)[]
  /** After each window of each start. */
  readonly windowsMiB: readonly (readonly (number | undefined)[])[]
}

export interface Targets {
  readonly serving: number
  readonly p99: number
}

/** Share of failed requests above which a time of the others says nothing. */
const MOST_FAILED = 0.01

/** @param targets of Understudy in a run that is long enough; undefined: nothing is judged */
export function faultFigures(taken: readonly Taken[], timeoutMs: number, targets: Targets | undefined): FaultFigures[] {
  return taken.map(({ shadow, windows, noneWindows, starts, bytes, beforeMiB, windowsMiB }) => {
    const isNone = shadow === 'none'
    const limitOf = (figure: keyof Targets) => (shadow.startsWith('none') ? undefined : targets?.[figure])
    const over = (timesOfEach: (windows: readonly Window[]) => readonly number[], target?: number) =>
      isNone ? undefined : judged(groupedRatio(timesOfEach(windows), timesOfEach(noneWindows), starts), target)
    const told = failedShare(windows) <= MOST_FAILED && timesOf(windows, 'treeUs').every(Number.isFinite)
    const tails = (windows: readonly Window[]) => windows.map(window => tailMs(window, timeoutMs))
    return {
      shadow,
      servingUs: told ? spreadOf(timesOf(windows, 'servingUs')) : undefined,
      treeUs: told ? spreadOf(timesOf(windows, 'treeUs')) : undefined,
      waitedUs: told ? spreadOf(timesOf(windows, 'waitedUs')) : undefined,
      waited: told ? over(windows => timesOf(windows, 'waitedUs')) : undefined,
      serving: told ? over(windows => timesOf(windows, 'servingUs'), limitOf('serving')) : undefined,
      tree: told ? over(windows => timesOf(windows, 'treeUs')) : undefined,
      p50Ms: spreadOf(windows.map(window => middleMs(window, timeoutMs))),
      p99Ms: spreadOf(tails(windows)),
      p99: over(tails, limitOf('p99')),
      sent: sum(windows.map(({ requests }) => requests)),
      failed: added(windows.map(({ failedBy }) => failedBy)),
      bytes: addedBytes(bytes),
      memory: memoryOf(beforeMiB, windowsMiB),
    }
  })
}

/** p99 of a window, ms; the timeout where more failed than may be left out of a hundred. */
export function tailMs({ requests, failures, p99Ms }: Window, timeoutMs: number): number {
  return failures > requests * MOST_FAILED ? timeoutMs : p99Ms
}

/** The median likewise. */
export function middleMs({ requests, failures, p50Ms }: Window, timeoutMs: number): number {
  return failures > requests / 2 ? timeoutMs : p50Ms
}

function judged(ratio: Ratio, target: number | undefined): Judged {
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

function addedBytes(bytes: readonly SameBytes[]): SameBytes {
  return {
    asked: sum(bytes.map(({ asked }) => asked)),
    same: sum(bytes.map(({ same }) => same)),
    differing: added(bytes.map(({ differing }) => differing)),
  }
}

function memoryOf(before: Taken['beforeMiB'], windows: Taken['windowsMiB']): Memory {
  const half = (of: readonly unknown[]) => Math.ceil(of.length / 2)
  return {
    before: most(before),
    firstHalf: most(windows.flatMap(start => start.slice(0, half(start)))),
    secondHalf: most(windows.flatMap(start => start.slice(half(start)))),
  }
}

function most(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter(value => value !== undefined)
  return known.length === 0 ? undefined : Math.max(...known)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
