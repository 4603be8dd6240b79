// Counts durations into fixed buckets on a thread that must not allocate for it. Knows nothing of metrics or their names.
import type { NumberBuffer } from './numberBuffer.ts'

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

/** What was counted since the last `takeDelta`. Plain data, fit for postMessage. */
export interface DurationDelta {
  /** One count a bucket, not cumulative; the last is for everything above the highest bound. */
  readonly buckets: number[]
  readonly count: number
  readonly sumSeconds: number
}

const bounds = new WeakMap<readonly number[], Float64Array>()

/** One copy for all counts with these bounds: ten thousand routes would each have their own, cold when it is read. */
function sharedBounds(boundsSeconds: readonly number[]): Float64Array {
  let shared = bounds.get(boundsSeconds)
  if (shared === undefined) {
    shared = Float64Array.from(boundsSeconds)
    bounds.set(boundsSeconds, shared)
  }
  return shared
}

/** Durations since the last `takeDelta`, counted by bucket. `add` allocates nothing. */
export class DurationCounts {
  readonly #bounds: Float64Array
  /** No integers of 32 bits: where nobody takes them, a busy bucket would be beyond those within days. */
  readonly #counts: Float64Array
  #count = 0
  #sum = 0

  constructor(boundsSeconds: readonly number[]) {
    this.#bounds = sharedBounds(boundsSeconds)
    this.#counts = new Float64Array(boundsSeconds.length + 1)
  }

  /** What is not a finite duration above 0 counts as 0: one bad clock reading must not spoil a sum for good. */
  add(seconds: number): void {
    const bounds = this.#bounds
    const value = seconds > 0 && seconds < Number.POSITIVE_INFINITY ? seconds : 0
    let bucket = 0
    // A scan is quicker than a search here: nearly all durations are in the first few buckets.
    while (bucket < bounds.length && value > bounds[bucket]!) bucket += 1
    this.#counts[bucket]! += 1
    this.#count += 1
    this.#sum += value
  }

  /** What was counted since the last call, which starts over; undefined when nothing was. */
  takeDelta(): DurationDelta | undefined {
    if (this.#count === 0) return undefined
    const delta = { buckets: Array.from(this.#counts), count: this.#count, sumSeconds: this.#sum }
    this.#startOver()
    return delta
  }

  /** The same for another thread, where `addFrom` reads it: the sum, how many buckets have a count, and each of them with it. */
  moveTo(numbers: NumberBuffer): void {
    const counts = this.#counts
    numbers.push(this.#sum)
    let filled = 0
    for (let bucket = 0; bucket < counts.length; bucket++) if (counts[bucket]! > 0) filled++
    numbers.push(filled)
    for (let bucket = 0; bucket < counts.length; bucket++) {
      if (counts[bucket] === 0) continue
      numbers.push(bucket)
      numbers.push(counts[bucket]!)
    }
    this.#startOver()
  }

  /** Adds what `moveTo` of another with the same bounds wrote. Gives where it ends. */
  addFrom(numbers: Float64Array, start: number): number {
    this.#sum += numbers[start]!
    const end = start + 2 + 2 * numbers[start + 1]!
    for (let at = start + 2; at < end; at += 2) {
      const count = numbers[at + 1]!
      this.#counts[numbers[at]!]! += count
      this.#count += count
    }
    return end
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  #startOver(): void {
    this.#counts.fill(0)
    this.#count = 0
    this.#sum = 0
  }
}
