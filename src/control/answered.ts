// What the versions' requests came to on all serving threads, until somebody asks: four times a second numbers are added, and
// series of metrics, which cost ten times as much, are written when they are read. Reads what serving/counted.ts wrote.
import { ofCodeKey } from '../serving/counted.ts'
import type { CodeDelta, CountedVersions, NamedVersion } from '../serving/message.ts'
import { DurationCounts, type DurationDelta, INFERENCE_BUCKETS_S, REQUEST_BUCKETS_S } from '../telemetry/durations.ts'

/** What came of one version's requests on one thread since it was last taken. */
export interface AnsweredVersion extends NamedVersion {
  readonly codes: readonly CodeDelta[]
  readonly inference: DurationDelta | undefined
  /** When it was last told of, ms since the Unix epoch. */
  readonly lastMs: number
}

/** Answers that no tester picked the version for, and the failed ones among them. */
export interface AnswerCounts {
  readonly n: number
  readonly errors: number
}

class Sums {
  readonly named: NamedVersion
  readonly #answers: { n: number; errors: number }
  readonly codes = new Map<number, DurationCounts>()
  readonly inference = new DurationCounts(INFERENCE_BUCKETS_S)
  lastMs = 0
  isWaiting = false

  /** @param answers of the version on all threads */
  constructor(named: NamedVersion, answers: { n: number; errors: number }) {
    this.named = named
    this.#answers = answers
  }

  /** Gives where what is told of it ends. */
  add(numbers: Float64Array, start: number): number {
    this.#answers.n += numbers[start]!
    this.#answers.errors += numbers[start + 1]!
    let at = this.inference.addFrom(numbers, start + 2)
    for (let codes = numbers[at++]!; codes > 0; codes--) {
      const key = numbers[at++]!
      let durations = this.codes.get(key)
      if (durations === undefined) {
        durations = new DurationCounts(REQUEST_BUCKETS_S)
        this.codes.set(key, durations)
      }
      at = durations.addFrom(numbers, at)
    }
    return at
  }

  take(): AnsweredVersion {
    const codes = [...this.codes].flatMap(([key, durations]) => {
      const delta = durations.takeDelta()
      return delta === undefined ? [] : [{ ...ofCodeKey(key), ...delta }]
    })
    this.isWaiting = false
    return { ...this.named, codes, inference: this.inference.takeDelta(), lastMs: this.lastMs }
  }
}

export class Answered {
  readonly #threads = new Map<string, Map<number, Sums>>()
  /** By `route/version`. */
  readonly #answers = new Map<string, { n: number; errors: number }>()
  #waiting: Sums[] = []

  told(thread: string, { named, numbers, gone }: CountedVersions, nowMs: number): void {
    let versions = this.#threads.get(thread)
    if (versions === undefined) {
      versions = new Map()
      this.#threads.set(thread, versions)
    }
    for (const each of named) versions.set(each.number, new Sums(each, this.#answersOf(each)))
    let at = 0
    while (at < numbers.length) {
      const sums = versions.get(numbers[at]!)!
      at = sums.add(numbers, at + 1)
      sums.lastMs = nowMs
      if (sums.isWaiting) continue
      sums.isWaiting = true
      this.#waiting.push(sums)
    }
    // What waits of them is still taken.
    for (const number of gone) versions.delete(number)
  }

  /** A thread that has ended tells nothing more; what it told is still taken. */
  ended(thread: string): void {
    this.#threads.delete(thread)
  }

  /** What was told of since the last call. */
  take(): AnsweredVersion[] {
    const waiting = this.#waiting
    this.#waiting = []
    return waiting.map(sums => sums.take())
  }

  /** By `route/version`, of those that answered since the last call. */
  takeAnswers(): Map<string, AnswerCounts> {
    const taken = new Map<string, AnswerCounts>()
    for (const [key, counts] of this.#answers) {
      if (counts.n === 0) continue
      taken.set(key, { ...counts })
      counts.n = 0
      counts.errors = 0
    }
    return taken
  }

  /** A version that left the configuration. */
  forget(route: string, version: string): void {
    this.#answers.delete(`${route}/${version}`)
  }

  #answersOf({ route, version }: NamedVersion): { n: number; errors: number } {
    const key = `${route}/${version}`
    let counts = this.#answers.get(key)
    if (counts === undefined) {
      counts = { n: 0, errors: 0 }
      this.#answers.set(key, counts)
    }
    return counts
  }
}
