// Reads a file line by line, of any length, and the JSON values in it. Keeps one line in memory; knows nothing of what they mean.
import { createReadStream } from 'node:fs'

const NEWLINE = 0x0a
const CHUNK_BYTES = 1 << 20
/** A line is one export of spans; a collector's are a few megabytes. What is longer is no line of anything. */
const MOST_LINE_BYTES = 256 * (1 << 20)

/**
 * The lines of a file that `isWanted` takes, parsed; what is no JSON and what is too long is passed over.
 * @param isWanted sees the text first, since most lines need not be parsed
 * @throws what reading the file throws
 */
export async function* jsonLines(file: string, isWanted: (line: string) => boolean): AsyncGenerator<unknown> {
  for await (const bytes of fileLines(file)) {
    const line = bytes?.toString('utf8')
    if (line === undefined || !isWanted(line)) continue
    try {
      yield JSON.parse(line)
    } catch {
      // Half a line of a writer that was killed.
    }
  }
}

/**
 * The lines of a file that are not empty; undefined for one that is too long.
 * @param read hears of each chunk's bytes
 * @throws what reading the file throws
 */
export async function* fileLines(
  file: string,
  read: (bytes: number) => void = () => {},
): AsyncGenerator<Buffer | undefined> {
  let parts: Buffer[] = []
  let length = 0
  const add = (part: Buffer) => {
    length += part.length
    if (length <= MOST_LINE_BYTES) parts.push(part)
    else parts = []
  }
  const take = () => {
    const line = length > MOST_LINE_BYTES ? undefined : parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    parts = []
    length = 0
    return line
  }
  for await (const chunk of createReadStream(file, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      add(chunk.subarray(from, end))
      if (length > 0) yield take()
      from = end + 1
    }
    if (from < chunk.length) add(chunk.subarray(from))
    read(chunk.length)
  }
  if (length > 0) yield take()
}
