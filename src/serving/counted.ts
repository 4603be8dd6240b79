// Tells the control thread what the requests of each version came to, as numbers. Control's end is control/answered.ts.
import { PROTOCOLS, type Protocol } from '../config/protocols.ts'
import { NumberBuffer } from '../telemetry/numberBuffer.ts'
import type { CountedVersions, NamedVersion } from './message.ts'
import type { RuntimeRoute, RuntimeVersion } from './runtime.ts'

/** A status code and a protocol as one number. */
export function codeKey(code: number, protocol: Protocol): number {
  return code * PROTOCOLS.length + PROTOCOLS.indexOf(protocol)
}

export function ofCodeKey(key: number): { readonly code: number; readonly protocol: Protocol } {
  return { code: Math.floor(key / PROTOCOLS.length), protocol: PROTOCOLS[key % PROTOCOLS.length]! }
}

export class VersionTeller {
  readonly #numbers = new NumberBuffer()
  #named: NamedVersion[] = []
  #gone: number[] = []
  #next = 0

  /**
   * Moves what was counted of the route's versions since the last call to what `take` gives. Of each that answered: its
   * number, answers and errors of what no tester picked it for, the durations in the model, and how many `codeKey`s follow,
   * each with its durations.
   */
  tell({ snapshot, versions, live }: RuntimeRoute): void {
    for (const version of versions) {
      const { answered, assigned, inference } = version
      let codes = 0
      for (const durations of answered.values()) if (!durations.isEmpty) codes++
      if (codes === 0) continue
      if (version.toldAs === undefined) {
        version.toldAs = this.#next++
        const role = version === live ? 'live' : 'canary'
        this.#named.push({ number: version.toldAs, route: snapshot.name, version: version.snapshot.version, role })
      }
      const numbers = this.#numbers
      numbers.push(version.toldAs)
      numbers.push(assigned.answers)
      numbers.push(assigned.errors)
      assigned.answers = 0
      assigned.errors = 0
      inference.moveTo(numbers)
      numbers.push(codes)
      for (const [code, durations] of answered) {
        if (durations.isEmpty) continue
        numbers.push(code)
        durations.moveTo(numbers)
      }
    }
  }

  /** Nothing will be told of these any more, once what was told is taken. */
  forget(versions: readonly RuntimeVersion[]): void {
    for (const { toldAs } of versions) if (toldAs !== undefined) this.#gone.push(toldAs)
  }

  take(): CountedVersions {
    const taken = { named: this.#named, gone: this.#gone, numbers: this.#numbers.take() }
    this.#named = []
    this.#gone = []
    return taken
  }
}
