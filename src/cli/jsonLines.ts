// Reads a file of JSON values, one a line, of any length. Keeps one line in memory; knows nothing of what the values mean.
import { createReadStream } from 'node:fs'

const NEWLINE = 0x0a
/** A line beyond it is no batch of anything. */
const MOST_LINE_BYTES = 64 * 1024 * 1024

/**
 * The lines of a file that `isWanted` takes, parsed; what is no JSON and what is too long is passed over.
 * @param isWanted sees the text first, since most lines need not be parsed
 * @throws what reading the file throws
 */
export async function* jsonLines(file: string, isWanted: (line: string) => boolean): AsyncGenerator<unknown> {
  for await (const bytes of linesOf(file)) {
    const line = bytes.toString('utf8')
    if (!isWanted(line)) continue
    try {
      yield JSON.parse(line)
    } catch {
      // Half a line of a writer that was killed.
    }
  }
}

async function* linesOf(file: string): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  let length = 0
  const add = (part: Buffer) => {
    length += part.length
    if (length <= MOST_LINE_BYTES) parts.push(part)
    else parts = []
  }
  const take = () => {
    const line = length <= MOST_LINE_BYTES ? Buffer.concat(parts) : undefined
    parts = []
    length = 0
    return line
  }
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      add(chunk.subarray(from, end))
      const line = take()
      if (line !== undefined && line.length > 0) yield line
      from = end + 1
    }
    add(chunk.subarray(from))
  }
  const last = take()
  if (last !== undefined && last.length > 0) yield last
}
