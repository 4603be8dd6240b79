// Reads files of spans line by line, however large, and shows how far it is. Knows no span's meaning.
import { stat } from 'node:fs/promises'
import { messageOf } from '../errors.ts'
import { type ReadSpan, readSpans } from '../telemetry/readSpans.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { fileLines } from './jsonLines.ts'
import type { Terminal } from './terminal.ts'

export interface SpanFiles {
  readonly spans: number
  /** Lines that are no JSON, such as half a line that a full disk or a killed process left, or too long to be read. */
  readonly unreadable: number
}

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
  const takeLine = (line: Buffer | undefined) => {
    let request: unknown
    try {
      request = line === undefined ? undefined : JSON.parse(line.toString('utf8'))
    } catch {
      unreadable++
      return
    }
    if (line === undefined) unreadable++
    for (const span of readSpans(request)) {
      spans++
      take(span)
    }
  }
  for (const file of files) {
    try {
      for await (const line of fileLines(file, bytes => progress.read(bytes, spans))) takeLine(line)
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
