// Appends spans to a file, one OTLP ExportTraceServiceRequest in JSON a line. Never throws: a failure is its result.
import { type FileHandle, open } from 'node:fs/promises'
import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'

const NEWLINE = 0x0a

/**
 * The file is opened anew for every batch, so it may be renamed away at any time. Half a line that a full disk or a
 * killed process left is ended first, so that it spoils no line but itself.
 */
export class SpanFileExporter implements SpanExporter {
  readonly #file: string
  #writing: Promise<unknown> = Promise.resolve()

  constructor(file: string) {
    this.#file = file
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.#writing = this.#writing
      .then(() => this.#append(spans))
      .then(
        () => done({ code: ExportResultCode.SUCCESS }),
        error => done({ code: ExportResultCode.FAILED, error }),
      )
  }

  async forceFlush(): Promise<void> {
    await this.#writing
  }

  async shutdown(): Promise<void> {
    await this.#writing
  }

  async #append(spans: ReadableSpan[]): Promise<void> {
    const request = JsonTraceSerializer.serializeRequest(spans)
    if (!request) return
    const file = await open(this.#file, 'a+')
    try {
      const line = [request, Buffer.from('\n')]
      if (await endsInLine(file)) line.unshift(Buffer.from('\n'))
      await file.writeFile(Buffer.concat(line))
    } finally {
      await file.close()
    }
  }
}

async function endsInLine(file: FileHandle): Promise<boolean> {
  const { size } = await file.stat()
  if (size === 0) return false
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1)
  return buffer[0] !== NEWLINE
}
