// Loads models and checks their golden vectors before any thread may use them, each in a process that serves nobody.
import { UnderstudyError } from '../errors.ts'
import type { LoadedModel, VerifyModel } from '../scoring/message.ts'
import { ScoringProcess } from '../scoring/pool.ts'

type CheckingProcess = Pick<ScoringProcess, 'load' | 'stop'>

export interface CheckersOptions {
  readonly start?: () => CheckingProcess
  /** A check that takes longer is nothing that the others wait for. */
  readonly slowMs?: number
  readonly idleMs?: number
}

interface Check {
  readonly model: VerifyModel
  readonly resolve: (loaded: LoadedModel) => void
  readonly reject: (error: unknown) => void
}

interface Checker {
  readonly process: CheckingProcess
  busy: boolean
  /** It is at a slow model, or hangs: another process takes its place, and it ends with its check. */
  setAside: boolean
}

/**
 * One process checks one model after another, since their speed is measured: two at once took more processor time than one.
 * A model that crashes or hangs takes no other with it. The process ends when there is nothing to check. The queue has no
 * bound: whoever asks waits.
 */
export class Checkers {
  readonly #options: Required<CheckersOptions>
  readonly #waiting: Check[] = []
  readonly #checkers = new Set<Checker>()
  #idle: NodeJS.Timeout | undefined
  #stopped = false

  constructor(options: CheckersOptions = {}) {
    this.#options = { start: () => new ScoringProcess(), slowMs: 5_000, idleMs: 5_000, ...options }
  }

  /** @throws MODEL_BROKEN with the reason */
  check(model: VerifyModel): Promise<LoadedModel> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ model, resolve, reject })
      this.#next()
    })
  }

  /** Ends the processes; what waits is refused. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const { reject } of this.#waiting.splice(0)) reject(new UnderstudyError('MODEL_BROKEN', 'the gateway stops'))
    await this.#end()
  }

  #next(): void {
    while (this.#waiting.length > 0 && !this.#stopped) {
      const checker = this.#free() ?? this.#another()
      if (checker === undefined) return
      clearTimeout(this.#idle)
      // Not awaited: whoever asked waits for it. It never rejects.
      void this.#check(checker, this.#waiting.shift()!)
    }
  }

  #free(): Checker | undefined {
    return [...this.#checkers].find(({ busy }) => !busy)
  }

  #another(): Checker | undefined {
    if ([...this.#checkers].some(({ setAside }) => !setAside)) return undefined
    const checker = { process: this.#options.start(), busy: false, setAside: false }
    this.#checkers.add(checker)
    return checker
  }

  async #check(checker: Checker, { model, resolve, reject }: Check): Promise<void> {
    checker.busy = true
    const slow = setTimeout(() => {
      checker.setAside = true
      this.#next()
    }, this.#options.slowMs)
    await checker.process.load(model).then(resolve, reject)
    clearTimeout(slow)
    checker.busy = false
    if (checker.setAside) {
      this.#checkers.delete(checker)
      // Not awaited: one that hangs is killed a while later.
      void checker.process.stop()
    }
    this.#next()
    if (this.#stopped || [...this.#checkers].some(({ busy }) => busy)) return
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => void this.#end(), this.#options.idleMs)
  }

  async #end(): Promise<void> {
    clearTimeout(this.#idle)
    const ended = [...this.#checkers]
    this.#checkers.clear()
    await Promise.all(ended.map(({ process }) => process.stop()))
  }
}
