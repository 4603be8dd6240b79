// Reads a request body within a limit: whole, or as it comes where it is long and may be passed on like that.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Pieces } from '../record/pieces.ts'
import { BodyBroken, lengthIn, WHOLE_BYTES } from '../scoring/exchange.ts'
import { gone, tooLarge, type WholeReader, type WholeRequest } from './wholeRequest.ts'

/** A body that is passed on while it comes. Bytes for the record are kept beside it, up to a limit. */
export interface ComingBody extends AsyncIterable<Buffer> {
  /** Whether all of it has come. */
  readonly hasEnded: () => boolean
  /** How long it was waited for so far, ms: not while whoever passes it on takes nothing. */
  readonly waitMs: () => number
  /** So far. */
  readonly bytes: () => number
  /** All of it; undefined when it was longer than is kept, or did not come to its end. */
  readonly kept: () => Pieces | undefined
  /** It was longer than the limit, and was broken off for that. */
  readonly isTooLarge: () => boolean
}

export interface BodyReader extends WholeReader {
  read(body: Pieces | ComingBody): void
}

/**
 * Reads the body of a request: whole, or as it comes where it is longer than `WHOLE_BYTES` and `keptBytes` is given. Bytes
 * up to that many are kept beside it. A client that waits for leave to send its body gets it here, when its head is
 * accepted. Fails with TOO_LARGE, and with CLIENT_GONE when the client breaks off.
 * @throws TOO_LARGE before anything is read where Content-Length says so
 */
export function readBody(
  request: WholeRequest,
  response: ServerResponse,
  { limitBytes, keptBytes }: { readonly limitBytes: number; readonly keptBytes: number | undefined },
  reader: BodyReader,
): void {
  const field = request.headers['content-length']
  const declared = field === undefined ? 0 : lengthIn(field)
  if (declared > limitBytes) throw tooLarge(limitBytes)
  letContinue(request, response)
  const isOfAnyLength = request.headers['transfer-encoding'] !== undefined
  if (keptBytes === undefined || (declared <= WHOLE_BYTES && !isOfAnyLength)) request.readWhole(limitBytes, reader)
  else {
    beginning(request, isOfAnyLength, limitBytes, keptBytes).then(
      body => reader.read(body),
      error => reader.failed(error),
    )
  }
}

/** A body that turns out to be short is whole after all. */
async function beginning(
  request: IncomingMessage,
  isOfAnyLength: boolean,
  limitBytes: number,
  keptBytes: number,
): Promise<Pieces | ComingBody> {
  // The socket has an answer to carry even when nobody reads on.
  const chunks = request.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>
  const first: Buffer[] = []
  if (isOfAnyLength) {
    let bytes = 0
    while (bytes <= WHOLE_BYTES) {
      const next = await nextChunk(chunks)
      if (next === undefined) return new Pieces(first, bytes)
      first.push(next)
      bytes += next.length
      if (bytes > limitBytes) throw tooLarge(limitBytes)
    }
  }
  return flowing(first, chunks, limitBytes, keptBytes)
}

/** Answers `Expect: 100-continue`, which means nothing before HTTP/1.1. */
export function letContinue({ headers, httpVersion }: IncomingMessage, response: ServerResponse): void {
  if (headers.expect !== undefined && httpVersion === '1.1') response.writeContinue()
}

function flowing(
  first: readonly Buffer[],
  rest: AsyncIterator<Buffer>,
  limitBytes: number,
  keptBytes: number,
): ComingBody {
  let bytes = 0
  let kept: Buffer[] | undefined = []
  let hasEnded = false
  let waitedMs = 0
  let waitsSince: number | undefined
  let isTooLarge = false
  const seen = (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > keptBytes) kept = undefined
    kept?.push(chunk)
    isTooLarge = bytes > limitBytes
    if (isTooLarge) throw new BodyBroken('the request body is too large')
    return chunk
  }
  return {
    hasEnded: () => hasEnded,
    waitMs: () => waitedMs + (waitsSince === undefined ? 0 : performance.now() - waitsSince),
    bytes: () => bytes,
    isTooLarge: () => isTooLarge,
    kept: () => (kept === undefined || !hasEnded ? undefined : new Pieces(kept, bytes)),
    async *[Symbol.asyncIterator]() {
      for (const chunk of first) yield seen(chunk)
      for (;;) {
        let chunk: Buffer | undefined
        const since = performance.now()
        waitsSince = since
        try {
          chunk = await nextChunk(rest)
        } catch (cause) {
          throw new BodyBroken('the client broke off its request', { cause })
        } finally {
          waitedMs += performance.now() - since
          waitsSince = undefined
        }
        if (chunk === undefined) break
        yield seen(chunk)
      }
      hasEnded = true
    },
  }
}

async function nextChunk(chunks: AsyncIterator<Buffer>): Promise<Buffer | undefined> {
  let next: IteratorResult<Buffer>
  try {
    next = await chunks.next()
  } catch (cause) {
    throw gone(cause)
  }
  return next.done ? undefined : next.value
}
