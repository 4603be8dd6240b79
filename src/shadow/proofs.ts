// Proves which models keep rows apart, after they were checked, where and when it is in nobody's way.
import { INLINE_P99_MS, type LoadedModel, type ProvableModel, type VerifyModel } from '../scoring/message.ts'
import { ScoringProcess } from '../scoring/pool.ts'

type ProvingProcess = Pick<ScoringProcess, 'prove' | 'stop'>

export interface ProofsOptions {
  /** Is told the sha256 of a model that keeps rows apart. */
  readonly proven: (sha256: string) => void
  readonly start?: () => ProvingProcess
  /** How long nothing must have been checked: a start and a reload have more to do than checks. */
  readonly quietMs?: number
}

/**
 * One model after another in a process of low priority, which ends with the last of them. Nothing rests on a proof: a model
 * without one is scored request by request. So one whose proof crashes or hangs, or is lost with this thread, is blamed for
 * nothing, and tried again only when it is checked again. The queue has no bound: it holds what was checked.
 */
export class Proofs {
  readonly #options: Required<ProofsOptions>
  readonly #waiting: ProvableModel[] = []
  #process: ProvingProcess | undefined
  #checks = 0
  #quiet: NodeJS.Timeout | undefined
  #isProving = false
  #stopped = false

  constructor(options: ProofsOptions) {
    this.#options = { start: () => new ScoringProcess(), quietMs: 2_000, ...options }
  }

  /** Proves a model some time after its check, where that is of use. No proof begins while a check is under way. Never rejects. */
  async follow({ file, sha256, golden }: VerifyModel, checked: Promise<LoadedModel>): Promise<void> {
    this.#checks++
    const loaded = await checked.catch(() => undefined)
    this.#checks--
    // Of use on a serving thread only, and with a slow model the proof would take minutes.
    if (golden !== undefined && loaded !== undefined && loaded.p99Ms < INLINE_P99_MS)
      this.#waiting.push({ file, sha256, golden })
    this.#whenQuiet()
  }

  /** Ends the process, whatever it is at. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#quiet)
    await this.#process?.stop()
  }

  #whenQuiet(): void {
    clearTimeout(this.#quiet)
    if (this.#waiting.length === 0 || this.#isProving || !this.#isQuiet) return
    // Not awaited: nobody waits for it. It never rejects.
    this.#quiet = setTimeout(() => void this.#prove(), this.#options.quietMs)
  }

  get #isQuiet(): boolean {
    return this.#checks === 0 && !this.#stopped
  }

  async #prove(): Promise<void> {
    if (!this.#isQuiet) return
    this.#isProving = true
    while (this.#waiting.length > 0 && this.#isQuiet) {
      const model = this.#waiting.shift()!
      this.#process ??= this.#options.start()
      const keepsRowsApart = await this.#process.prove(model)
      if (keepsRowsApart === true) this.#options.proven(model.sha256)
      if (keepsRowsApart === undefined) this.#endProcess()
    }
    this.#isProving = false
    if (this.#waiting.length === 0) this.#endProcess()
    else this.#whenQuiet()
  }

  #endProcess(): void {
    // Not awaited: one that hangs is killed a while later.
    void this.#process?.stop()
    this.#process = undefined
  }
}
