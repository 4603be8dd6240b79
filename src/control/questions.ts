// Questions about single requests that are put to the shadow thread: each is answered, or given up at its deadline.
import { UnderstudyError } from '../errors.ts'
import type { Found } from '../shadow/explanation.ts'

interface Call {
  readonly resolve: (found: Found) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

/** A person waits. */
const DEADLINE_MS = 2_000
/** Each answer may hold several decoded bodies; nobody needs more at once. */
const MOST_AT_ONCE = 16

export class Questions {
  readonly #send: (call: number, requestId: string, route: string | undefined) => void
  readonly #deadlineMs: number
  readonly #calls = new Map<number, Call>()
  #nextCall = 1

  /** @param send hands a question to the shadow thread that is up */
  constructor(send: (call: number, requestId: string, route: string | undefined) => void, deadlineMs = DEADLINE_MS) {
    this.#send = send
    this.#deadlineMs = deadlineMs
  }

  /** @throws OVERLOADED when no answer comes in time, INTERNAL when the request cannot be explained */
  ask(requestId: string, route: string | undefined): Promise<Found> {
    if (this.#calls.size >= MOST_AT_ONCE)
      return Promise.reject(new UnderstudyError('OVERLOADED', 'too many requests are being explained: ask again'))
    const call = this.#nextCall++
    return new Promise((resolve, reject) => {
      const late = `the shadow thread did not answer within ${this.#deadlineMs / 1000} s: it is busy or starting again`
      const timer = setTimeout(() => this.#give(call, late), this.#deadlineMs)
      this.#calls.set(call, { resolve, reject, timer })
      this.#send(call, requestId, route)
    })
  }

  answered(call: number, found: Found | undefined): void {
    const asked = this.#take(call)
    if (found !== undefined) asked?.resolve(found)
    else asked?.reject(new UnderstudyError('INTERNAL', 'the request cannot be explained'))
  }

  /** The shadow thread is gone, and with it what it remembered. */
  down(): void {
    for (const call of [...this.#calls.keys()])
      this.#give(call, 'the shadow thread has just ended, with all it remembered')
  }

  #give(call: number, why: string): void {
    this.#take(call)?.reject(new UnderstudyError('OVERLOADED', why))
  }

  #take(call: number): Call | undefined {
    const asked = this.#calls.get(call)
    clearTimeout(asked?.timer)
    this.#calls.delete(call)
    return asked
  }
}
