// Reads files of spans line by line, however large, and shows how far it is. Knows no span's meaning.
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { messageOf } from '../errors.ts'
import { type ReadSpan, readSpans } from '../telemetry/readSpans.ts'
import { CommandFailure, EXIT } from './exit.ts'
import type { Terminal } from './terminal.ts'

export interface SpanFiles {
  readonly spans: number
  /** Lines that are no JSON: half a line that a full disk or a killed process left. */
  readonly unreadable: number
}

const CHUNK_BYTES = 1 << 20
/** A line is one export; a collector's are a few megabytes. What is longer is no line of spans. */
const MOST_LINE_BYTES = 256 * (1 << 20)
const NEWLINE = 0x0a
const PROGRESS_EVERY_MS = 500

/** Hands over every span of the files, in their order. @throws CommandFailure 2 where a file cannot be read */
export async function readSpanFiles(
  files: readonly string[],
  terminal: Terminal,
  take: (span: ReadSpan) => void,
): Promise<SpanFiles> {
  const sizes = await Promise.all(files.map(sizeOf))
  const progress = new Progress(
    sizes.reduce((sum, size) => sum + size, 0),
    terminal,
  )
  let [spans, unreadable] = [0, 0]
  const takeLine = (line: Buffer) => {
    if (line.length === 0) return
    let request: unknown
    try {
      request = JSON.parse(line.toString('utf8'))
    } catch {
      unreadable++
      return
    }
    for (const span of readSpans(request)) {
      spans++
      take(span)
    }
  }
  for (const file of files) {
    try {
      const tooLong = await readLines(file, takeLine, bytes => progress.read(bytes, spans))
      unreadable += tooLong
    } catch (error) {
      throw unreadableFile(file, error)
    } finally {
      progress.end()
    }
  }
  return { spans, unreadable }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size
  } catch (error) {
    throw unreadableFile(file, error)
  }
}

function unreadableFile(file: string, error: unknown): CommandFailure {
  const code = (error as NodeJS.ErrnoException).code ?? messageOf(error)
  return new CommandFailure(EXIT.usage, `${file} cannot be read (${code})`, { cause: error })
}

/** Calls `take` with each line; returns how many were too long. */
async function readLines(file: string, take: (line: Buffer) => void, read: (bytes: number) => void): Promise<number> {
  let parts: Buffer[] = []
  let length = 0
  let tooLong = 0
  const end = () => {
    if (length > MOST_LINE_BYTES) tooLong++
    else if (parts.length > 0) take(parts.length === 1 ? parts[0]! : Buffer.concat(parts))
    parts = []
    length = 0
  }
  const add = (part: Buffer) => {
    length += part.length
    if (length > MOST_LINE_BYTES) parts = []
    else parts.push(part)
  }
  for await (const chunk of createReadStream(file, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>) {
    let from = 0
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      add(chunk.subarray(from, at))
      end()
      from = at + 1
    }
    if (from < chunk.length) add(chunk.subarray(from))
    read(chunk.length)
  }
  end()
  return tooLong
}

/** One line on stderr that is written over, on a terminal only. */
class Progress {
  readonly #bytes: number
  readonly #terminal: Terminal
  #read = 0
  #shownMs = performance.now()
  #isShown = false

  constructor(bytes: number, terminal: Terminal) {
    this.#bytes = bytes
    this.#terminal = terminal
  }

  read(bytes: number, spans: number): void {
    this.#read += bytes
    const now = performance.now()
    if (!this.#terminal.interactive || now - this.#shownMs < PROGRESS_EVERY_MS) return
    this.#shownMs = now
    this.#isShown = true
    const percent = this.#bytes === 0 ? '' : ` (${Math.floor((100 * this.#read) / this.#bytes)} %)`
    this.#terminal.err(`\rread ${Math.floor(this.#read / 1e6)} MB${percent}, ${spans} spans\x1b[K`)
  }

  end(): void {
    if (this.#isShown) this.#terminal.err('\r\x1b[K')
    this.#isShown = false
  }
}
