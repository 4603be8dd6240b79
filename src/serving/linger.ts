// Lets a client that is still sending its request read the answer that has come already. Knows no limits on requests.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { MOST_AS_TEXT, type Pieces } from '../record/pieces.ts'

/** A client that sends nothing for this long has read its answer, or waits for a 100 Continue that does not come. */
const QUIET_MS = 1_000
const LONGEST_MS = 10_000
const MOST_BYTES = 64 * 1024 * 1024

/**
 * Ends an answer of a known length. What the client still sends is read and thrown away first, within bounds: a socket that
 * is closed with bytes unread is reset, and the reset takes the answer away from clients that write before they read
 * (RFC 9112 section 9.6).
 */
export function endAfterRequest(request: IncomingMessage, response: ServerResponse, body: string | Pieces): void {
  if (request.complete || request.destroyed) {
    if (typeof body === 'string') response.end(body)
    else endWith(response, body)
    return
  }
  response.flushHeaders()
  if (typeof body !== 'string') for (const piece of body.writes) response.write(piece)
  else if (body !== '') response.write(body)
  let left = MOST_BYTES
  const end = () => {
    clearTimeout(quiet)
    clearTimeout(longest)
    response.end()
  }
  const quiet = setTimeout(end, QUIET_MS)
  const longest = setTimeout(end, LONGEST_MS)
  request.once('end', end)
  request.once('close', end)
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) end()
    else quiet.refresh()
  })
  // Whoever read the body before may have left an iterator behind, and a stream with one does not flow.
  request.removeAllListeners('readable')
  request.resume()
}

/** In one system call, head and all. */
function endWith(response: ServerResponse, { length, writes }: Pieces): void {
  if (writes.length === 1 && length <= MOST_AS_TEXT) {
    response.end(writes[0]!.toString('latin1'), 'latin1')
    return
  }
  if (writes.length < 2) {
    response.end(writes[0])
    return
  }
  response.cork()
  for (const piece of writes) response.write(piece)
  response.end()
  response.uncork()
}
