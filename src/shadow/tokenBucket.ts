// So much a second, saved up to a bound.
import { monotonicMs } from '../record/clock.ts'

export class TokenBucket {
  readonly #perSecond: number
  readonly #most: number
  #tokens: number
  #filledMs = monotonicMs()

  /** Begins full. @param most what is saved while nobody takes any */
  constructor(perSecond: number, most: number) {
    this.#perSecond = perSecond
    this.#most = most
    this.#tokens = most
  }

  /** Takes `wanted` tokens, or none. */
  take(wanted: number): boolean {
    this.#fill()
    if (this.#tokens < wanted) return false
    this.#tokens -= wanted
    return true
  }

  #fill(): void {
    const now = monotonicMs()
    this.#tokens = Math.min(this.#most, this.#tokens + ((now - this.#filledMs) / 1000) * this.#perSecond)
    this.#filledMs = now
  }
}
