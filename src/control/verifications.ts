// Model checks asked of the shadow thread: held while it is down, asked again of the next one, never waited for without end.
import { UnderstudyError } from '../errors.ts'
import type { LoadedModel, VerifyModel } from '../scoring/message.ts'

interface Call {
  readonly model: VerifyModel
  readonly resolve: (model: LoadedModel) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
  /** Threads that died while they had it. */
  deaths: number
}

/** Every rollout action waits for the one before it, so none may wait for a model longer than this. */
const DEADLINE_MS = 60_000
/** A model that took this many shadow threads with it is not given to another. */
const MOST_DEATHS = 2

/** No bound on how many: a reload asks for some at a time. */
export class Verifications {
  readonly #send: (call: number, model: VerifyModel) => void
  readonly #deadlineMs: number
  readonly #calls = new Map<number, Call>()
  #nextCall = 1
  #isUp = true

  /** @param send hands a model to the shadow thread that is up */
  constructor(send: (call: number, model: VerifyModel) => void, deadlineMs = DEADLINE_MS) {
    this.#send = send
    this.#deadlineMs = deadlineMs
  }

  /** Resolves with what the model was found to be. @throws MODEL_BROKEN also when no answer comes in time */
  ask(model: VerifyModel): Promise<LoadedModel> {
    const call = this.#nextCall++
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.refused(call, 'it could not be checked in time'), this.#deadlineMs)
      this.#calls.set(call, { model, resolve, reject, timer, deaths: 0 })
      if (this.#isUp) this.#send(call, model)
    })
  }

  verified(call: number, model: LoadedModel): void {
    this.#settle(call)?.resolve(model)
  }

  refused(call: number, why: string): void {
    this.#settle(call)?.reject(new UnderstudyError('MODEL_BROKEN', why))
  }

  /** The shadow thread died: what it had is asked of the next one. */
  down(): void {
    this.#isUp = false
    for (const [call, each] of this.#calls) {
      each.deaths++
      if (each.deaths >= MOST_DEATHS) this.refused(call, 'the shadow thread died while it was checked')
    }
  }

  /** A new shadow thread is there. */
  up(): void {
    this.#isUp = true
    for (const [call, { model }] of this.#calls) this.#send(call, model)
  }

  /** The gateway ends: nobody answers any more. */
  end(): void {
    this.#isUp = false
    for (const call of [...this.#calls.keys()]) this.refused(call, 'the gateway stops')
  }

  #settle(call: number): Call | undefined {
    const found = this.#calls.get(call)
    clearTimeout(found?.timer)
    this.#calls.delete(call)
    return found
  }
}
