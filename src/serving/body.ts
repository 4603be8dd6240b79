// Reads a request body whole, within a limit.
import type { IncomingMessage } from 'node:http'
import { UnderstudyError } from '../errors.ts'

/**
 * The body of a request.
 * @throws TOO_LARGE before anything is read where Content-Length says so, CLIENT_GONE when the client breaks off,
 *   NOT_SUPPORTED for a content coding
 */
export function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const coding = request.headers['content-encoding']
  if (coding !== undefined && coding !== 'identity') {
    throw new UnderstudyError('NOT_SUPPORTED', `content coding ${coding.slice(0, 40)} is not supported yet`)
  }
  const declared = Number(request.headers['content-length'] ?? 0)
  if (declared > limitBytes) throw tooLarge(limitBytes)
  return new Promise((resolve, reject) => {
    let only: Buffer | undefined
    let chunks: Buffer[] | undefined
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > limitBytes) {
        request.removeAllListeners('data')
        request.pause()
        reject(tooLarge(limitBytes))
      } else if (only === undefined) only = chunk
      else if (chunks === undefined) chunks = [only, chunk]
      else chunks.push(chunk)
    })
    request.on('end', () => resolve(chunks === undefined ? (only ?? Buffer.alloc(0)) : Buffer.concat(chunks, length)))
    request.on('error', cause =>
      reject(new UnderstudyError('CLIENT_GONE', 'the client broke off its request', { cause })),
    )
    request.on('close', () => {
      if (!request.complete) reject(new UnderstudyError('CLIENT_GONE', 'the client broke off its request'))
    })
  })
}

function tooLarge(limitBytes: number): UnderstudyError {
  return new UnderstudyError('TOO_LARGE', `the request body is larger than ${limitBytes} bytes`)
}
