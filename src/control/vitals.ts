// Reads how the process and its threads are, when somebody asks for the metrics. Knows nothing of traffic or the gate.
import type { Condition, Metrics, MetricsFormat } from '../telemetry/metrics.ts'
import { VERSION } from '../version.ts'

/** One thread's event loop. */
export interface ThreadLoop {
  /** Its name, which a thread that is started again may have too. */
  readonly thread: string
  /** Of this thread alone, for as long as the process lives. */
  readonly id: number
  /** Time that it was busy since it started, ms. */
  readonly busyMs: number
}

export interface VitalsParts {
  readonly metrics: Metrics
  /** ms since the Unix epoch. */
  readonly startedAt: number
  readonly loops: () => readonly ThreadLoop[]
}

export class Vitals {
  readonly #parts: VitalsParts
  #loops = new Map<number, ThreadLoop>()
  #cpuMicros = 0

  constructor(parts: VitalsParts) {
    this.#parts = parts
    parts.metrics.started(VERSION, parts.startedAt / 1000)
  }

  /** The metrics' text as of now. Nothing is measured between two of these calls. */
  async text(format: MetricsFormat, condition: Condition): Promise<{ body: string; contentType: string }> {
    const { metrics } = this.#parts
    metrics.condition(condition)
    const { user, system } = process.cpuUsage()
    metrics.process(Math.max(0, user + system - this.#cpuMicros) / 1e6, process.memoryUsage.rss())
    this.#cpuMicros = user + system
    this.#readLoops()
    return metrics.text(format)
  }

  #readLoops(): void {
    const { metrics, loops } = this.#parts
    const now = loops()
    const names = new Set(now.map(({ thread }) => thread))
    for (const { thread } of this.#loops.values()) if (!names.has(thread)) metrics.forgetThread(thread)
    const seen = this.#loops
    this.#loops = new Map()
    for (const loop of now) {
      const before = seen.get(loop.id)?.busyMs ?? 0
      // Read from another thread a loop's time may seem to go back a little: such a step is waited out.
      const busyMs = Math.max(before, loop.busyMs)
      metrics.threadBusy(loop.thread, (busyMs - before) / 1000)
      this.#loops.set(loop.id, { ...loop, busyMs })
    }
  }
}
