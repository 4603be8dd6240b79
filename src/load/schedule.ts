// When each request of an open-loop run is due. Pure: the same plan gives the same times in every thread.

export interface ScheduleOptions {
  /** Requests a second. */
  readonly rate: number
  readonly seconds: number
  /** `uniform`: equal gaps. `poisson`: exponential gaps, what many independent clients look like. */
  readonly arrivals: 'uniform' | 'poisson'
  readonly seed: number
}

/** Due times one after another, ms from the start of the run; never waits for an answer. */
export class Schedule {
  readonly #options: ScheduleOptions
  readonly #random: () => number
  #count = 0
  #nextMs: number

  constructor(options: ScheduleOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed)
    this.#nextMs = options.arrivals === 'poisson' ? this.#gapMs() : 0
  }

  /** When the next request is due; undefined when the run is over. */
  get nextMs(): number | undefined {
    return this.#nextMs < this.#options.seconds * 1000 ? this.#nextMs : undefined
  }

  /** Goes on to the request after it. */
  advance(): void {
    this.#count++
    // Equal gaps are multiplied and not added up, so that a long run does not drift by rounding.
    if (this.#options.arrivals === 'uniform') this.#nextMs = (this.#count * 1000) / this.#options.rate
    else this.#nextMs += this.#gapMs()
  }

  #gapMs(): number {
    return (-Math.log(1 - this.#random()) * 1000) / this.#options.rate
  }
}

/** Numbers in [0, 1) by mulberry32: the same for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
