// What the requests of each version came to, counted in memory that the control thread reads when somebody asks: so nothing
// needs telling of thousands of routes that answer. Control's end is control/answered.ts. The numbers are written and read as they
// are, without a lock: no machine that node runs on tears one of 64 bits, each is written by one thread and only grows, and what
// a reading comes too early for is in the next.
import { PROTOCOLS, type Protocol } from '../config/protocols.ts'
import {
  addDuration,
  boundsOf,
  durationNumbers,
  INFERENCE_BUCKETS_S,
  REQUEST_BUCKETS_S,
} from '../telemetry/durations.ts'
import type { CountedCode, CountedVersions, NamedVersion } from './message.ts'

/** A status code and a protocol as one number. */
export function codeKey(code: number, protocol: Protocol): number {
  return code * PROTOCOLS.length + PROTOCOLS.indexOf(protocol)
}

export function ofCodeKey(key: number): { readonly code: number; readonly protocol: Protocol } {
  return { code: Math.floor(key / PROTOCOLS.length), protocol: PROTOCOLS[key % PROTOCOLS.length]! }
}

/** What a version's numbers are, by place. */
export const COUNTED = {
  /** When its last answer was given, ms of the monotonic clock. */
  lastMs: 0,
  /** Answers of what no tester picked the version for, and the errors among them. */
  assigned: 1,
  errors: 2,
  /** Durations in the model, see `addDuration`. */
  inference: 3,
} as const
export const VERSION_NUMBERS = COUNTED.inference + durationNumbers(INFERENCE_BUCKETS_S)
/** Durations of the answers with one status code in one protocol. */
export const CODE_NUMBERS = durationNumbers(REQUEST_BUCKETS_S)

const REQUEST_BOUNDS = boundsOf(REQUEST_BUCKETS_S)
const INFERENCE_BOUNDS = boundsOf(INFERENCE_BUCKETS_S)
/** Of about 190 versions with one code each. */
const PAGE_BYTES = 65_536

/** Numbers in memory of both threads. Only the serving thread writes there. */
interface Place {
  readonly numbers: Float64Array<SharedArrayBuffer>
  readonly start: number
}

const NOWHERE: Place = { numbers: new Float64Array(new SharedArrayBuffer(0)), start: 0 }

/**
 * Gives the versions of a thread their memory when they first answer, and keeps what control does not know of it yet. No
 * place is ever another version's; a page goes when nobody has a version on it any more, here or there.
 */
export class CountedMemory {
  #page = NOWHERE.numbers
  #used = 0
  #versions = 0
  #named: NamedVersion[] = []
  #codes: CountedCode[] = []
  #gone: number[] = []

  newVersion(version: Pick<NamedVersion, 'route' | 'version' | 'role'>): Place & { readonly number: number } {
    const place = this.#place(VERSION_NUMBERS)
    const number = this.#versions++
    this.#named.push({ ...version, number, memory: place.numbers.buffer, start: place.start })
    return { ...place, number }
  }

  newCode(number: number, key: number): Place {
    const place = this.#place(CODE_NUMBERS)
    this.#codes.push({ number, key, memory: place.numbers.buffer, start: place.start })
    return place
  }

  end(number: number): void {
    this.#gone.push(number)
  }

  /** What control is to know since the last call. */
  take(): CountedVersions {
    const taken = { named: this.#named, codes: this.#codes, gone: this.#gone }
    this.#named = []
    this.#codes = []
    this.#gone = []
    return taken
  }

  #place(count: number): Place {
    if (this.#used + count > this.#page.length) {
      this.#page = new Float64Array(new SharedArrayBuffer(PAGE_BYTES))
      this.#used = 0
    }
    const start = this.#used
    this.#used += count
    return { numbers: this.#page, start }
  }
}

/** Counts the answers of one version under one revision. It allocates nothing after the first one with a code. */
export class VersionCounts {
  readonly #memory: CountedMemory
  readonly #name: Pick<NamedVersion, 'route' | 'version' | 'role'>
  readonly #codes: (Place & { readonly key: number })[] = []
  /** Undefined until it answers. */
  #number: number | undefined
  // Fields of this object and no objects of their own: of thousands of routes each of those would have to be fetched.
  #numbers = NOWHERE.numbers
  #start = 0
  /** Of the last answer. */
  #key = -1
  #codeNumbers = NOWHERE.numbers
  #codeStart = 0

  constructor(memory: CountedMemory, name: Pick<NamedVersion, 'route' | 'version' | 'role'>) {
    this.#memory = memory
    this.#name = name
  }

  /** @param endMs when the answer was given, ms of the monotonic clock */
  answered(status: number, protocol: Protocol, endMs: number, durationMs: number, inferMs: number): void {
    if (this.#number === undefined) this.#named()
    const key = codeKey(status, protocol)
    if (key !== this.#key) this.#turnTo(key)
    const numbers = this.#numbers
    const start = this.#start
    numbers[start + COUNTED.lastMs] = endMs
    addDuration(numbers, start + COUNTED.inference, INFERENCE_BOUNDS, inferMs / 1000)
    addDuration(this.#codeNumbers, this.#codeStart, REQUEST_BOUNDS, durationMs / 1000)
  }

  /** After `answered`, of the same answer: no tester picked the version for it. */
  assigned(failed: boolean): void {
    this.#numbers[this.#start + COUNTED.assigned]! += 1
    if (failed) this.#numbers[this.#start + COUNTED.errors]! += 1
  }

  /** Nothing is counted any more; control reads it for the last time. */
  end(): void {
    if (this.#number !== undefined) this.#memory.end(this.#number)
  }

  #named(): void {
    const { number, numbers, start } = this.#memory.newVersion(this.#name)
    this.#number = number
    this.#numbers = numbers
    this.#start = start
  }

  #turnTo(key: number): void {
    let place = this.#codes.find(each => each.key === key)
    if (place === undefined) {
      place = { ...this.#memory.newCode(this.#number!, key), key }
      this.#codes.push(place)
    }
    this.#key = key
    this.#codeNumbers = place.numbers
    this.#codeStart = place.start
  }
}
