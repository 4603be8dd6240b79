// One monotonic clock and one count of admission epochs for all threads of the process.

/** Length of an admission epoch, ms (GATE.md: evidence is committed by whole epochs). */
export const EPOCH_MS = 250

// performance.now() starts at zero in every thread; hrtime is the process's, but allocates. So: the former, shifted once.
const shift = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** Monotonic milliseconds, comparable between the threads of this process. */
export function monotonicMs(): number {
  return performance.now() + shift
}

/** The epoch that a moment of the monotonic clock belongs to, counted from `originMs`. */
export function epochAt(nowMs: number, originMs: number): number {
  return Math.floor((nowMs - originMs) / EPOCH_MS)
}
