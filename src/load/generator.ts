// Owns one generator process: starts it, hands it plans one after another, ends it.
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { LoadResult, PlanInput, TurnsPlanInput } from './plan.ts'

/** A process that generates load. It ends with its parent, because its standard input then ends. */
export class Generator {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #lines: Interface
  #settle: { resolve: (line: string) => void; reject: (error: Error) => void } | undefined

  constructor() {
    this.#child = spawn(process.execPath, [new URL('./process.ts', import.meta.url).pathname], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#lines = createInterface({ input: this.#child.stdout })
    this.#lines.on('line', line => this.#settle?.resolve(line))
    this.#child.once('exit', code => this.#settle?.reject(new Error(`the generator ended with code ${code}`)))
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Runs one plan; one at a time. @throws when the plan is refused or the process dies */
  run(plan: PlanInput): Promise<LoadResult> {
    return this.#run<LoadResult>(plan)
  }

  /** Runs a plan over several servers: one result each. */
  runInTurns(plan: TurnsPlanInput): Promise<LoadResult[]> {
    return this.#run<LoadResult[]>(plan)
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = new Promise<void>(resolve => this.#child.once('exit', () => resolve()))
    this.#child.stdin.end()
    await exited
  }

  async #run<Result>(plan: PlanInput | TurnsPlanInput): Promise<Result> {
    const line = await new Promise<string>((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.#child.stdin.write(`${JSON.stringify(plan)}\n`)
    })
    this.#settle = undefined
    const { result, error } = JSON.parse(line) as { result?: Result; error?: string }
    if (result === undefined) throw new Error(error ?? 'the generator gave no result')
    return result
  }
}
