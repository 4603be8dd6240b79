// Wakes the sending thread when a request is due, to a tenth of a millisecond. Decides nothing of what is sent.
import { Worker } from 'node:worker_threads'
import type { ScheduleOptions } from './schedule.ts'

/** Words of the shared memory: what the pacer sleeps on, and how often it woke the sender. */
export const STOP = 0
export const WAKES = 1

export interface PacerData {
  readonly words: Int32Array<SharedArrayBuffer>
  readonly schedule: ScheduleOptions
}

// A lost pacer costs precision and never a request: the sender looks at its clock this often by itself.
const LOOK_AGAIN_MS = 5

/**
 * A thread that sleeps from one due moment to the next. Timers of the event loop are whole milliseconds, which at 1,000
 * requests a second would be half of what is measured, and spinning would take the processor that is measured.
 */
export class Pacer {
  readonly #words = new Int32Array(new SharedArrayBuffer(8))
  readonly #worker: Worker
  readonly #exited: Promise<void>
  #seen = 0

  constructor(schedule: ScheduleOptions) {
    this.#worker = new Worker(new URL('./pacerThread.ts', import.meta.url), {
      name: 'pacer',
      workerData: { words: this.#words, schedule } satisfies PacerData,
    })
    this.#exited = new Promise(resolve => this.#worker.once('exit', () => resolve()))
  }

  /** Resolves when the thread is up. */
  async ready(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#worker.once('message', () => resolve())
      this.#worker.once('error', reject)
    })
  }

  /** Begins the schedule at `startMs` of the process's monotonic clock. */
  start(startMs: number): void {
    this.#worker.postMessage(startMs)
  }

  /** Call before looking at the clock: a wake after this call ends the next `wait`. */
  look(): void {
    this.#seen = Atomics.load(this.#words, WAKES)
  }

  /** Resolves at the next wake, and always lets answers be read in between. */
  async wait(): Promise<void> {
    const waiting = Atomics.waitAsync(this.#words, WAKES, this.#seen, LOOK_AGAIN_MS)
    if (waiting.async) await waiting.value
    else await new Promise(resolve => setImmediate(resolve))
  }

  async close(): Promise<void> {
    Atomics.store(this.#words, STOP, 1)
    Atomics.notify(this.#words, STOP)
    await this.#exited
  }
}
