// Writes an answer to its client: what stands on every answer, and how long ones and late ones end.
import { Buffer } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Answer, JSON_TYPE } from './answer.ts'
import { endAfterRequest } from './linger.ts'

/** What stands on every answer. */
export interface Said {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly requestId: string
  /** The version that answers; undefined: none does. */
  readonly answeredBy: string | undefined
  /** The gateway drains: clients are to come back on another connection. */
  readonly isLast: boolean
}

export function respond(answer: Answer, said: Said): void {
  const { request, response } = said
  if (response.destroyed || response.headersSent) return
  const length = typeof answer.body === 'string' ? Buffer.byteLength(answer.body) : answer.body.length
  const { status } = answer
  // These two have no body, and a length would be that of one (RFC 9110 section 8.6).
  const headers = [...answer.headers]
  if (status !== 204 && status !== 304) headers.push('content-length', String(length))
  writeHead(status, headers, said)
  endAfterRequest(request, response, answer.body)
}

/** @param headers of the answer: what stands on every answer is added to them */
export function writeHead(status: number, headers: string[], said: Said): void {
  const { request, response, requestId, answeredBy, isLast } = said
  // A version that says when to come again knows it better.
  if (status === 503 && !headers.some((name, index) => index % 2 === 0 && name === 'retry-after'))
    headers.push('retry-after', '1')
  headers.push('x-request-id', requestId)
  if (answeredBy !== undefined) headers.push('x-understudy-version', answeredBy)
  // The rest of a body that is not wanted would otherwise be read as the next request.
  if (!request.complete || isLast) headers.push('connection', 'close')
  response.writeHead(status, headers)
}

/** An answer that no version gave. */
export function refuse(status: number, body: string, said: Said): void {
  const { request, response } = said
  if (response.destroyed || response.headersSent) return
  writeHead(status, [...JSON_TYPE, 'content-length', String(Buffer.byteLength(body))], said)
  // A client that was too slow with its body is not waited for any longer.
  if (status === 408) response.end(body)
  else endAfterRequest(request, response, body)
}
