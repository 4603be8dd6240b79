// What the versions' requests came to on all serving threads, read from their memory when somebody asks: what
// serving/counted.ts counts there. Between two readings it costs this thread nothing; a reading looks at all that ever answered.
import { CODE_NUMBERS, COUNTED, ofCodeKey, VERSION_NUMBERS } from '../serving/counted.ts'
import type { CodeDelta, CountedCode, CountedVersions, NamedVersion } from '../serving/message.ts'
import { type DurationDelta, takeGrowth } from '../telemetry/durations.ts'

/** What came of one version's requests under one revision on one thread since it was last taken. */
export interface AnsweredVersion extends Pick<NamedVersion, 'route' | 'version' | 'role'> {
  readonly codes: readonly CodeDelta[]
  readonly inference: DurationDelta | undefined
  /** When it last answered, ms of the monotonic clock. */
  readonly lastMs: number
}

/** Answers that no tester picked the version for, and the failed ones among them. */
export interface AnswerCounts {
  readonly n: number
  readonly errors: number
}

/** Durations that a serving thread counts, and how many of them were read. */
class Durations {
  readonly #numbers: Float64Array
  readonly #seen: Float64Array

  constructor(memory: SharedArrayBuffer, start: number, count: number) {
    this.#numbers = viewOf(memory, start, count)
    this.#seen = new Float64Array(count)
  }

  take(): DurationDelta | undefined {
    return takeGrowth(this.#numbers, this.#seen)
  }
}

class Version {
  readonly #named: NamedVersion
  readonly #numbers: Float64Array
  readonly #inference: Durations
  readonly #codes = new Map<number, Durations>()
  /** Of the version on all threads. */
  readonly #sum: { n: number; errors: number }
  readonly #seen = { n: 0, errors: 0 }

  constructor(named: NamedVersion, sum: { n: number; errors: number }) {
    const { memory, start } = named
    this.#named = named
    this.#numbers = viewOf(memory, start, VERSION_NUMBERS)
    this.#inference = new Durations(memory, start + COUNTED.inference, VERSION_NUMBERS - COUNTED.inference)
    this.#sum = sum
  }

  code({ key, memory, start }: CountedCode): void {
    this.#codes.set(key, new Durations(memory, start, CODE_NUMBERS))
  }

  /** Undefined: nothing was counted since. An answer is in it with its code, which may be known a tick later than the version. */
  take(): AnsweredVersion | undefined {
    const codes = [...this.#codes].flatMap(([key, durations]) => {
      const delta = durations.take()
      return delta === undefined ? [] : [{ ...ofCodeKey(key), ...delta }]
    })
    if (codes.length === 0) return undefined
    const { route, version, role } = this.#named
    return { route, version, role, codes, inference: this.#inference.take(), lastMs: this.#numbers[COUNTED.lastMs]! }
  }

  addAnswers(): void {
    // In this order: an answer is counted before the error that it is.
    const errors = this.#numbers[COUNTED.errors]!
    const n = this.#numbers[COUNTED.assigned]!
    this.#sum.n += n - this.#seen.n
    this.#sum.errors += errors - this.#seen.errors
    this.#seen.n = n
    this.#seen.errors = errors
  }
}

export class Answered {
  readonly #threads = new Map<string, Map<number, Version>>()
  /** By `route/version`. */
  readonly #answers = new Map<string, { n: number; errors: number }>()
  /** The last of versions that nothing is counted of any more. */
  #ended: AnsweredVersion[] = []

  told(thread: string, { named, codes, gone }: CountedVersions): void {
    let versions = this.#threads.get(thread)
    if (versions === undefined) {
      versions = new Map()
      this.#threads.set(thread, versions)
    }
    for (const each of named) versions.set(each.number, new Version(each, this.#answersOf(each)))
    for (const each of codes) versions.get(each.number)!.code(each)
    for (const number of gone) {
      this.#end(versions.get(number)!)
      versions.delete(number)
    }
  }

  /** A thread that has ended counts nothing more. */
  ended(thread: string): void {
    for (const version of this.#threads.get(thread)?.values() ?? []) this.#end(version)
    this.#threads.delete(thread)
  }

  /** What was counted since the last call. */
  take(): AnsweredVersion[] {
    const ended = this.#ended
    this.#ended = []
    for (const version of this.#versions()) {
      const taken = version.take()
      if (taken !== undefined) ended.push(taken)
    }
    return ended
  }

  /** By `route/version`, of those that answered since the last call of this; what `take` gives is another matter. */
  takeAnswers(): Map<string, AnswerCounts> {
    for (const version of this.#versions()) version.addAnswers()
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

  *#versions(): Generator<Version> {
    for (const versions of this.#threads.values()) yield* versions.values()
  }

  #end(version: Version): void {
    version.addAnswers()
    const last = version.take()
    if (last !== undefined) this.#ended.push(last)
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

function viewOf(memory: SharedArrayBuffer, start: number, count: number): Float64Array {
  return new Float64Array(memory, start * Float64Array.BYTES_PER_ELEMENT, count)
}
