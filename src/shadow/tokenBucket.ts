// So much a second, saved up to a bound.
import { monotonicMs } from '../record/clock.ts'

export class TokenBucket {
  readonly #perSecond: number
  readonly #most: number
  #tokens: number
  #filledMs: number

  /**
   * Begins full.
   * @param most what is saved while nobody takes any
   * @param nowMs of a clock that `take` is told too
   */
  constructor(perSecond: number, most: number, nowMs = monotonicMs()) {
    this.#perSecond = perSecond
    this.#most = most
    this.#tokens = most
    this.#filledMs = nowMs
  }

  /** Takes `wanted` tokens, or none. A time before the last one adds nothing. */
  take(wanted: number, nowMs = monotonicMs()): boolean {
    this.#fill(nowMs)
    if (this.#tokens < wanted) return false
    this.#tokens -= wanted
    return true
  }

  #fill(nowMs: number): void {
    if (nowMs <= this.#filledMs) return
    this.#tokens = Math.min(this.#most, this.#tokens + ((nowMs - this.#filledMs) / 1000) * this.#perSecond)
    this.#filledMs = nowMs
  }
}
