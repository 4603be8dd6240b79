// A span processor of bounded memory that tells what it dropped: the SDK's batch processor drops in silence.
import type { Context } from '@opentelemetry/api'
import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import {
  BatchSpanProcessor,
  type ReadableSpan,
  type Span,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace'

export interface BoundedExportOptions {
  readonly exporter: SpanExporter
  /** Spans that may wait; more are dropped, the newest first. */
  readonly maxQueueSize: number
  readonly maxExportBatchSize: number
  readonly scheduledDelayMillis: number
  readonly exportTimeoutMillis: number
  /** Called when an export fails after one that did not, and with undefined when one succeeds after one that failed. */
  readonly onChange: (error: Error | undefined) => void
}

export type DropReason = 'queue_full' | 'export_failed' | 'shutdown'

/**
 * Batches spans into one exporter. One batch is under way at a time, so at most `maxQueueSize` + `maxExportBatchSize`
 * spans are held, whatever the other end does.
 */
export class BoundedExport implements SpanProcessor {
  readonly #processor: BatchSpanProcessor
  readonly #options: BoundedExportOptions
  #accepted = 0
  #handedOn = 0
  #settled = 0
  #failing = false
  #isShutDown = false
  readonly #underWay = new Set<Promise<void>>()
  readonly #drops: Record<DropReason, number> = { queue_full: 0, export_failed: 0, shutdown: 0 }

  constructor(options: BoundedExportOptions) {
    this.#options = options
    const { exporter } = options
    this.#processor = new BatchSpanProcessor({
      ...options,
      exporter: {
        export: (spans, done) => {
          const batch = Promise.withResolvers<void>()
          this.#underWay.add(batch.promise)
          this.#handedOn += spans.length
          exporter.export(spans, result => {
            this.#settle(spans.length, result)
            this.#underWay.delete(batch.promise)
            batch.resolve()
            done(result)
          })
        },
        shutdown: () => exporter.shutdown(),
        forceFlush: async () => exporter.forceFlush?.(),
      },
    })
  }

  onStart(_span: Span, _context: Context): void {}

  onEnd(span: ReadableSpan): void {
    if (this.#isShutDown) {
      this.#drops.shutdown += 1
    } else if (this.#accepted - this.#handedOn >= this.#options.maxQueueSize) {
      this.#drops.queue_full += 1
    } else {
      this.#accepted += 1
      this.#processor.onEnd(span)
    }
  }

  /** Whether a span that ends now would be taken, and is likely to arrive. */
  get isTaking(): boolean {
    const hasRoom = this.#accepted - this.#handedOn < this.#options.maxQueueSize
    return !this.#isShutDown && !this.#failing && hasRoom
  }

  /** Drops since the last call, by reason. */
  takeDrops(): Record<DropReason, number> {
    const drops = { ...this.#drops }
    for (const reason of Object.keys(drops) as DropReason[]) this.#drops[reason] = 0
    return drops
  }

  /** Exports what waits, and waits for what is under way already, which the SDK's processor does not. */
  async forceFlush(): Promise<void> {
    await Promise.allSettled([this.#processor.forceFlush()])
    await Promise.all(this.#underWay)
  }

  /** What is still under way when this is called is waited for; whoever stops waiting calls `abandon`. */
  shutdown(): Promise<void> {
    this.#isShutDown = true
    return this.#processor.shutdown()
  }

  /** Counts what is neither exported nor failed as dropped. */
  abandon(): void {
    this.#drops.shutdown += this.#accepted - this.#settled
    this.#settled = this.#accepted
  }

  #settle(spans: number, result: ExportResult): void {
    // Already counted as abandoned.
    if (this.#settled + spans > this.#accepted) return
    this.#settled += spans
    const failed = result.code !== ExportResultCode.SUCCESS
    if (failed) this.#drops.export_failed += spans
    if (failed !== this.#failing) {
      this.#failing = failed
      this.#options.onChange(failed ? (result.error ?? new Error('export failed')) : undefined)
    }
  }
}
