// A second run of live on one request, and the pairs that wait for it. Decides whether live has contradicted itself.
import { compareOutputs, type Outputs } from '../evidence/compare.ts'
import type { ComparedOutput } from '../rollout/snapshot.ts'

/** Joins one second run to each pair of its request, in whichever order they end. */
export class SecondRun {
  readonly #compare: readonly ComparedOutput[]
  /** null: it gave no answer. */
  #second: Outputs | null | undefined
  #waiting: (() => void)[] = []
  #first: Outputs | undefined
  #differs = false

  constructor(compare: readonly ComparedOutput[]) {
    this.#compare = compare
  }

  /** The second run is over, with or without an answer. */
  ended(second: Outputs | undefined): void {
    this.#second = second ?? null
    const waiting = this.#waiting
    this.#waiting = []
    for (const tell of waiting) tell()
  }

  /** Calls `tell` with whether the second run differs from this first one, once it is known; never without an answer. */
  join(first: Outputs, tell: (differs: boolean) => void): void {
    const told = () => {
      if (this.#second) tell(this.#differsFrom(first, this.#second))
    }
    if (this.#second === undefined) this.#waiting.push(told)
    else told()
  }

  #differsFrom(first: Outputs, second: Outputs): boolean {
    // Several candidates of one request share the first answer.
    if (this.#first !== first) {
      this.#first = first
      this.#differs = compareOutputs(first, second, this.#compare).result === 'mismatch'
    }
    return this.#differs
  }
}
