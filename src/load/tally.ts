// Counts how the requests of one run end, and waits for the last of them. Knows no schedule.
import { monotonicMs } from '../record/clock.ts'
import type { Connections } from './connections.ts'
import { Latencies } from './latencies.ts'
import type { LoadResult } from './plan.ts'

export class Tally {
  readonly #mode: LoadResult['mode']
  readonly #timeoutMs: number
  readonly #statuses: Record<string, number> = {}
  readonly #errors: Record<string, number> = {}
  readonly #latencies = new Latencies()
  readonly #lateness = new Latencies()
  #sent = 0
  #open = 0
  #succeeded = 0
  #closed = false
  #idle: (() => void) | undefined

  constructor(mode: LoadResult['mode'], timeoutMs: number) {
    this.#mode = mode
    this.#timeoutMs = timeoutMs
  }

  get sent(): number {
    return this.#sent
  }

  /** Sends one request and times it from `dueMs` of the process's monotonic clock. */
  sendFrom(connections: Connections, dueMs: number): void {
    this.sending(monotonicMs() - dueMs)
    connections.send((status, error) => this.ended(status, error, monotonicMs() - dueMs))
  }

  sending(lateMs: number): void {
    this.#sent++
    this.#open++
    this.#lateness.add(lateMs)
  }

  ended(status: number, error: string | undefined, latencyMs: number): void {
    // What the timeout already counted does not count again when its connection is closed.
    if (this.#closed) return
    if (error !== undefined) bump(this.#errors, error)
    else if (latencyMs > this.#timeoutMs) bump(this.#errors, 'timeout')
    else {
      bump(this.#statuses, String(status))
      if (status >= 200 && status < 300) {
        this.#succeeded++
        this.#latencies.add(latencyMs)
      }
    }
    if (--this.#open === 0) this.#idle?.()
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    return this.#open === 0 ? Promise.resolve() : new Promise(resolve => (this.#idle = resolve))
  }

  /** Waits for what is under way; after `timeoutMs` the rest are timeouts. */
  async settle(): Promise<void> {
    const timeout = Promise.withResolvers<void>()
    const timer = setTimeout(timeout.resolve, this.#timeoutMs)
    await Promise.race([this.idle(), timeout.promise])
    clearTimeout(timer)
    if (this.#open > 0) this.#errors.timeout = (this.#errors.timeout ?? 0) + this.#open
    this.#closed = true
  }

  result(warmedUp: number, seconds: number): LoadResult {
    return {
      mode: this.#mode,
      sent: this.#sent,
      warmedUp,
      seconds,
      perSecond: this.#succeeded / seconds,
      statuses: this.#statuses,
      errors: this.#errors,
      latency: this.#latencies.summary(),
      lateness: this.#lateness.summary(),
    }
  }
}

function bump(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1
}
