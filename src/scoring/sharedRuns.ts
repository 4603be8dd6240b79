// Scores requests that are asked for in one turn of the event loop in one run, and gives each its own rows of the answers.
import { joinInputs, splitOutputs } from '../protocols/rows.ts'
import type { Tensor } from '../protocols/tensor.ts'
import type { ScoreOutcome } from './scorer.ts'

/** Rows of one run: the thread does nothing else for its length, and the first waits for the last. */
export const MOST_ROWS = 32

/** What came of one run of the session, and when it was (`performance.now`). */
export type Ran = { readonly startedAt: number; readonly endedAt: number } & (
  | { readonly outputs: readonly Tensor[] }
  | { readonly error: string }
)

/** Runs the session once. `inputsOf` is called when its turn has come; whatever was asked for by then goes along. */
export type Run = (inputsOf: () => readonly Tensor[]) => Promise<Ran>

interface Waiting {
  readonly inputs: readonly Tensor[]
  readonly rows: number
  readonly calledAt: number
  readonly deadlineMs: number
  readonly settle: (outcome: ScoreOutcome) => void
}

interface Gathering {
  rows: number
  readonly waiting: Waiting[]
}

/** For models that keep rows apart. Nobody waits for others: a run starts when it would have started for the first alone. */
export class SharedRuns {
  readonly #run: Run
  #gathering: Gathering | undefined
  #splits = true

  constructor(run: Run) {
    this.#run = run
  }

  /** @param inputs that fit the model's signature, in its order */
  score(inputs: readonly Tensor[], deadlineMs: number): Promise<ScoreOutcome> {
    const calledAt = performance.now()
    const rows = inputs[0]!.shape[0]!
    if (!this.#splits || rows >= MOST_ROWS) return this.#alone({ inputs, calledAt, deadlineMs })
    return new Promise(settle => {
      const waiting = { inputs, rows, calledAt, deadlineMs, settle }
      const gathering = this.#gathering
      if (gathering !== undefined && gathering.rows + rows <= MOST_ROWS) {
        gathering.rows += rows
        gathering.waiting.push(waiting)
        return
      }
      const started = { rows, waiting: [waiting] }
      this.#gathering = started
      // Deliberately not awaited: it settles everybody and does not reject.
      void this.#runTogether(started)
    })
  }

  async #runTogether(gathering: Gathering): Promise<void> {
    const { waiting } = gathering
    const ran = await this.#run(() => {
      if (this.#gathering === gathering) this.#gathering = undefined
      return waiting.length === 1 ? waiting[0]!.inputs : joinInputs(waiting.map(({ inputs }) => inputs))
    })
    if (waiting.length === 1) {
      waiting[0]!.settle(outcomeOf(ran, waiting[0]!))
      return
    }
    const parts =
      'outputs' in ran
        ? splitOutputs(
            ran.outputs,
            waiting.map(({ rows }) => rows),
          )
        : undefined
    if (parts !== undefined) {
      for (const [index, each] of waiting.entries()) each.settle(outcomeOf({ ...ran, outputs: parts[index]! }, each))
      return
    }
    // One row may have failed all the others, or the model has not one answer a row after all.
    if ('outputs' in ran) this.#splits = false
    for (const each of waiting) each.settle(await this.#alone(each))
  }

  async #alone({ inputs, calledAt, deadlineMs }: Omit<Waiting, 'rows' | 'settle'>): Promise<ScoreOutcome> {
    return outcomeOf(await this.#run(() => inputs), { calledAt, deadlineMs })
  }
}

/** What a run is to one request. The deadline cannot interrupt a run: it only decides what the late answer counts as. */
export function outcomeOf(ran: Ran, asked: { readonly calledAt: number; readonly deadlineMs: number }): ScoreOutcome {
  const inferMs = ran.endedAt - ran.startedAt
  if ('error' in ran) return { ok: false, code: 'VERSION_FAILED', message: ran.error, inferMs, queueMs: 0 }
  const queueMs = ran.startedAt - asked.calledAt
  if (queueMs + inferMs > asked.deadlineMs)
    return { ok: false, code: 'VERSION_DEADLINE', message: 'the model was too slow', inferMs, queueMs }
  return { ok: true, outputs: ran.outputs, inferMs, queueMs }
}
