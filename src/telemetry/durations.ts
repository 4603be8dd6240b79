// Counts durations into fixed buckets on a thread that must not allocate for it. Knows nothing of metrics or their names.

/**
 * Upper bounds of request durations, seconds. They hold all the bounds that the HTTP semantic conventions advise, so one
 * set of counts feeds `understudy_request_duration_seconds` and `http_server_request_duration_seconds`.
 */
export const REQUEST_BUCKETS_S: readonly number[] = [
  0.0005, 0.00075, 0.001, 0.0015, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5,
  10,
]

/** Upper bounds of the time one version takes to answer, seconds. */
export const INFERENCE_BUCKETS_S: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]

/** What was counted since it was last asked for. Plain data, fit for postMessage. */
export interface DurationDelta {
  /** One count a bucket, not cumulative; the last is for everything above the highest bound. */
  readonly buckets: number[]
  readonly count: number
  readonly sumSeconds: number
}

const bounds = new WeakMap<readonly number[], Float64Array>()

/** One copy for all counts with these bounds: ten thousand routes would each have their own, cold when it is read. */
export function boundsOf(boundsSeconds: readonly number[]): Float64Array {
  let shared = bounds.get(boundsSeconds)
  if (shared === undefined) {
    shared = Float64Array.from(boundsSeconds)
    bounds.set(boundsSeconds, shared)
  }
  return shared
}

/** How many numbers durations with these bounds are counted in: their sum in seconds, then one for each bucket. */
export function durationNumbers(boundsSeconds: readonly number[]): number {
  return boundsSeconds.length + 2
}

/**
 * Counts a duration into the numbers that begin at `start`; no integers of 32 bits, which a busy bucket outgrows within days.
 * What is not a finite duration above 0 counts as 0: one bad clock reading must not spoil a sum for good.
 */
export function addDuration(numbers: Float64Array, start: number, bounds: Float64Array, seconds: number): void {
  const value = seconds > 0 && seconds < Number.POSITIVE_INFINITY ? seconds : 0
  let bucket = 0
  // A scan is quicker than a search here: nearly all durations are in the first few buckets.
  while (bucket < bounds.length && value > bounds[bucket]!) bucket += 1
  numbers[start]! += value
  numbers[start + 1 + bucket]! += 1
}

/** What `numbers`, which only grow, have more than `seen`, which is then as they are; undefined: nothing. */
export function takeGrowth(numbers: Float64Array, seen: Float64Array): DurationDelta | undefined {
  let grown = 1
  while (grown < seen.length && numbers[grown] === seen[grown]) grown++
  if (grown === seen.length) return undefined
  const buckets: number[] = []
  let count = 0
  for (let at = 1; at < seen.length; at++) {
    // Read once: another thread may count meanwhile.
    const now = numbers[at]!
    const more = now - seen[at]!
    seen[at] = now
    buckets.push(more)
    count += more
  }
  const sum = numbers[0]!
  const sumSeconds = sum - seen[0]!
  seen[0] = sum
  return { buckets, count, sumSeconds }
}

/** Durations since the last `takeDelta`, counted by bucket. `add` allocates nothing. */
export class DurationCounts {
  readonly #bounds: Float64Array
  readonly #numbers: Float64Array
  readonly #seen: Float64Array

  constructor(boundsSeconds: readonly number[]) {
    this.#bounds = boundsOf(boundsSeconds)
    this.#numbers = new Float64Array(durationNumbers(boundsSeconds))
    this.#seen = new Float64Array(durationNumbers(boundsSeconds))
  }

  add(seconds: number): void {
    addDuration(this.#numbers, 0, this.#bounds, seconds)
  }

  /** What was counted since the last call; undefined when nothing was. */
  takeDelta(): DurationDelta | undefined {
    return takeGrowth(this.#numbers, this.#seen)
  }
}
