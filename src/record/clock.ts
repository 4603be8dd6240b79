// One monotonic clock and one count of admission epochs for all threads of the process.
// Imported here and wherever it is hot, as `Buffer` is: these globals are getters, and V8 leaves out no call of one.
import { performance } from 'node:perf_hooks'

/** Length of an admission epoch, ms (GATE.md: evidence is committed by whole epochs). */
export const EPOCH_MS = 250

const READINGS = 20

// performance.now() starts at zero in every thread; hrtime is the process's, but allocates. So: the former, shifted once.
// A thread that is preempted between the two readings would be off by as much for all its life (0.7 ms, measured), so the
// closest of several pairs counts.
const shift = closestShift(
  () => performance.now(),
  () => Number(process.hrtime.bigint()) / 1e6,
)

/** How far clock `other` is ahead of clock `own`, both in ms. */
export function closestShift(own: () => number, other: () => number): number {
  let least = Number.POSITIVE_INFINITY
  let closest = 0
  for (let reading = 0; reading < READINGS; reading++) {
    const before = own()
    const between = other()
    const after = own()
    if (after - before >= least) continue
    least = after - before
    closest = between - (before + after) / 2
  }
  return closest
}

/** Monotonic milliseconds, comparable between the threads of this process. */
export function monotonicMs(): number {
  return performance.now() + shift
}

/** The epoch that a moment of the monotonic clock belongs to, counted from `originMs`. */
export function epochAt(nowMs: number, originMs: number): number {
  return Math.floor((nowMs - originMs) / EPOCH_MS)
}
