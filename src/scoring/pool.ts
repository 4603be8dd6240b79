// Owns scoring processes: starts them, hands them models and requests, and turns their death into the version's errors.
import { type ChildProcess, fork } from 'node:child_process'
import { UnderstudyError } from '../errors.ts'
import type { FromChild, LoadedModel, ProvableModel, ToChild, VerifyModel } from './message.ts'
import type { ScoreOutcome, Scorer } from './scorer.ts'

interface Call {
  readonly model: string
  readonly message: ToChild
  readonly startedAt: number
  readonly deadlineMs: number
  /** Of its deadline, and then of the process's. */
  timer: NodeJS.Timeout
  /** The caller's deadline is over: nobody waits for the answer any more. */
  freed: boolean
  readonly settle: (message: FromChild | undefined) => void
}

// Five deaths within a minute: the version is left out for a minute instead of burning a core on restarts.
const CRASHES_ALLOWED = 5
const CRASH_WINDOW_MS = 60_000
const LOAD_DEADLINE_MS = 60_000
// A proof takes up to 1.5 s of a processor, and has a tenth of one where others want it all.
const PROOF_DEADLINE_MS = 30_000
const STOP_DEADLINE_MS = 5_000
/** A child whose oldest call is this much past its deadline hangs in native code and is killed. */
const HANG_GRACE_MS = 10_000

/** One scoring process, restarted when it dies. Scores run one after another, in order. */
export class ScoringProcess {
  #child: ChildProcess | undefined
  #stopping = false
  #nextCall = 1
  readonly #calls = new Map<number, Call>()
  readonly #loaded = new Map<string, VerifyModel>()
  /** Open scorers by model. */
  readonly #users = new Map<string, number>()
  readonly #crashes = new Map<string, number[]>()
  readonly #hangGraceMs: number

  constructor({ hangGraceMs = HANG_GRACE_MS } = {}) {
    this.#hangGraceMs = hangGraceMs
  }

  /** Process id, while one runs. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /**
   * Loads and verifies a model in the process (sha256, golden vectors).
   * @throws MODEL_BROKEN with the reason
   */
  async load(model: VerifyModel): Promise<LoadedModel> {
    const answer = await this.#call(model.sha256, call => ({ kind: 'load', call, ...model }), LOAD_DEADLINE_MS)
    if (answer?.kind === 'loaded') {
      this.#loaded.set(model.sha256, model)
      return answer.model
    }
    throw new UnderstudyError(
      'MODEL_BROKEN',
      answer?.kind === 'refused' ? answer.message : 'the model crashed or hung its process while loading',
    )
  }

  /**
   * Whether a model keeps rows apart, see rowsApart.ts; undefined: it took too long, or the process died of it. From then
   * on the process yields to every other on the machine, so nothing that is timed belongs in it.
   */
  async prove(model: ProvableModel): Promise<boolean | undefined> {
    const answer = await this.#call(model.sha256, call => ({ kind: 'prove', call, ...model }), PROOF_DEADLINE_MS)
    return answer && answer.kind === 'proved' && answer.keepsRowsApart
  }

  /** A scorer over a loaded model. Closing the last one of a model unloads it. */
  scorer(sha256: string): Scorer {
    let closed = false
    this.#users.set(sha256, (this.#users.get(sha256) ?? 0) + 1)
    return {
      score: async (inputs, deadlineMs) => {
        if (closed) return failed('VERSION_NOT_READY', 'the model is closed')
        if (this.#quarantined(sha256)) return failed('VERSION_NOT_READY', 'the model crashed its process repeatedly')
        const startedAt = performance.now()
        const answer = await this.#call(
          sha256,
          call => ({ kind: 'score', call, model: sha256, inputs, deadlineMs }),
          deadlineMs,
        )
        const elapsedMs = performance.now() - startedAt
        if (answer?.kind === 'scored') {
          const { outcome } = answer
          // The pipe and the wait for the child's turn are the hop, kept apart from the model's own time.
          return { ...outcome, queueMs: Math.max(0, elapsedMs - outcome.inferMs) }
        }
        return elapsedMs >= deadlineMs
          ? { ok: false, code: 'VERSION_DEADLINE', message: 'the model was too slow', inferMs: elapsedMs, queueMs: 0 }
          : { ok: false, code: 'VERSION_FAILED', message: 'the scoring process died', inferMs: elapsedMs, queueMs: 0 }
      },
      close: async () => {
        if (closed) return
        closed = true
        const users = this.#users.get(sha256)! - 1
        this.#users.set(sha256, users)
        if (users > 0) return
        this.#users.delete(sha256)
        this.#loaded.delete(sha256)
        this.#send({ kind: 'unload', model: sha256 })
      },
    }
  }

  /** Lets the process end by itself, and kills it by its id if it does not. */
  async stop(): Promise<void> {
    this.#stopping = true
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS)
      child.once('exit', () => {
        clearTimeout(timer)
        resolve()
      })
      this.#send({ kind: 'stop' })
    })
  }

  #call(model: string, message: (call: number) => ToChild, deadlineMs: number): Promise<FromChild | undefined> {
    return new Promise(resolve => {
      const id = this.#nextCall++
      const isOver = () => {
        // The caller is freed; the call stays listed, because the process is still at it.
        call.freed = true
        resolve(undefined)
        call.timer = setTimeout(() => this.#killIfHung(), this.#hangGraceMs).unref()
      }
      const call: Call = {
        model,
        message: message(id),
        startedAt: performance.now(),
        deadlineMs,
        timer: setTimeout(isOver, deadlineMs),
        freed: false,
        settle: answer => {
          clearTimeout(call.timer)
          resolve(answer)
        },
      }
      this.#calls.set(id, call)
      this.#send(call.message)
    })
  }

  #send(message: ToChild): void {
    if (this.#stopping && message.kind !== 'stop') {
      this.#fail()
      return
    }
    let child: ChildProcess
    try {
      child = this.#child ?? this.#start()
    } catch {
      // No memory or no process to be had: an error of the calls, and the next one tries again.
      this.#fail()
      return
    }
    child.send(message, error => {
      if (error && this.#child === child) child.kill('SIGKILL')
    })
  }

  #start(): ChildProcess {
    const child = fork(new URL('./child.ts', import.meta.url), {
      serialization: 'advanced',
      execArgv: ['--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#child = child
    child.on('message', (message: FromChild) => {
      const call = this.#calls.get(message.call)
      this.#calls.delete(message.call)
      call?.settle(message)
    })
    child.on('error', () => {
      child.kill('SIGKILL')
      // A process that never came to be has no exit to wait for.
      if (child.pid === undefined) this.#died(child)
    })
    child.once('exit', () => this.#died(child))
    // What a dead process had loaded is loaded again before anything else is asked of its successor.
    for (const model of this.#loaded.values()) {
      const { file, sha256 } = model
      child.send({ kind: 'load', call: 0, file, sha256 } satisfies ToChild)
    }
    return child
  }

  /** The call it died over fails; the others had not begun, so they go to its successor, and nobody else is blamed. */
  #died(child: ChildProcess): void {
    if (this.#child !== child) return
    this.#child = undefined
    if (this.#stopping) {
      this.#fail()
      return
    }
    const [oldest] = this.#calls
    if (oldest === undefined) return
    const [id, { model, settle }] = oldest
    this.#calls.delete(id)
    this.#crashes.set(model, [...(this.#crashes.get(model) ?? []), performance.now()].slice(-CRASHES_ALLOWED))
    settle(undefined)
    for (const [other, call] of [...this.#calls]) {
      if (call.freed) this.#calls.delete(other)
      else this.#send(call.message)
    }
  }

  #fail(): void {
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const call of calls) call.settle(undefined)
  }

  /** By its oldest call: those behind it have not begun. */
  #killIfHung(): void {
    const [oldest] = this.#calls.values()
    // A timer may be a fraction of a millisecond early.
    if (oldest && performance.now() - oldest.startedAt > oldest.deadlineMs + this.#hangGraceMs - 1)
      this.#child?.kill('SIGKILL')
  }

  #quarantined(model: string): boolean {
    const crashes = this.#crashes.get(model)
    if (crashes === undefined || crashes.length < CRASHES_ALLOWED) return false
    return performance.now() - crashes[0]! < CRASH_WINDOW_MS
  }
}

function failed(code: 'VERSION_NOT_READY', message: string): ScoreOutcome {
  return { ok: false, code, message, inferMs: 0, queueMs: 0 }
}
