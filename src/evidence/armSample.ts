// Which share of a route's live answers may wait for their label, when more come than can be kept. Looks at no arm and no answer.

/** Rates are averaged over about this long, ms. */
const MEMORY_MS = 60_000
/** No rate is believed before it was watched for so long, ms. */
const WATCHED_MS = 1_000
/** The free room is dealt out over this part of `within`. */
const HORIZON = 1 / 4

/**
 * Every live answer waits for the whole of `labels.within`, so at a high rate the room is full long before the first one is
 * due. Giving up the oldest would then give up all of them, each before its time: no label would ever count. Instead a
 * sample is taken in, as large as the free room allows. Its share depends on how many came before and never on an arm,
 * an answer or a label, so both arms are thinned alike and the tests stay valid.
 */
export class ArmSample {
  readonly #room: number
  #came = 0
  #watchedMs = 0
  #lastMs: number | undefined

  /** @param room answers that may wait at the same time */
  constructor(room: number) {
    this.#room = room
  }

  /** `answers` more came by `nowMs`. */
  offered(answers: number, nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - (this.#lastMs ?? nowMs))
    const kept = Math.exp(-elapsedMs / MEMORY_MS)
    this.#came = this.#came * kept + (this.#lastMs === undefined ? 0 : answers)
    this.#watchedMs = this.#watchedMs * kept + elapsedMs
    this.#lastMs = nowMs
  }

  /** The share of the next answers that is to be taken in, 0 to 1, where `waiting` wait and each stays for `withinMs`. */
  share(waiting: number, withinMs: number): number {
    const free = Math.max(0, this.#room - waiting)
    if (free === 0) return 0
    if (this.#watchedMs < WATCHED_MS || this.#came === 0) return 1
    const expected = (this.#came / this.#watchedMs) * withinMs * HORIZON
    return Math.min(1, free / expected)
  }
}
