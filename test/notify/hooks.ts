// A webhook receiver on loopback that remembers what it was sent and answers as it is told.
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll } from 'vitest'
import type { Notice } from '../../src/notify/notice.ts'

export interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: Notice
  readonly path: string
}

/** A status code, or to hang. */
export type Reply = number | 'hang'

export interface Hook {
  readonly url: string
  readonly received: Received[]
  /** Requests whose sender went away before it was answered. */
  readonly brokenOff: () => number
  /** Answers in turn; the last one for good. */
  answer(...replies: Reply[]): void
  /** From now on connections are refused, until `open`. */
  close(): Promise<void>
  open(): Promise<void>
}

const closers = new Set<() => Promise<void>>()
afterAll(async () => {
  for (const close of closers) await close()
})

export async function hook(location?: string): Promise<Hook> {
  const received: Received[] = []
  let replies: Reply[] = [200]
  let brokenOff = 0
  let port = 0
  const make = () =>
    createServer((request, response) => {
      let text = ''
      response.on('close', () => (brokenOff += response.writableFinished ? 0 : 1))
      request.on('data', (chunk: Buffer) => (text += chunk))
      request.on('end', () => {
        received.push({ headers: request.headers, body: JSON.parse(text) as Notice, path: request.url ?? '' })
        const reply = replies.length > 1 ? replies.shift()! : replies[0]!
        if (reply === 'hang') return
        response.writeHead(reply, location === undefined ? {} : { location }).end('thank you')
      })
    })
  let server = make()
  const open = () =>
    new Promise<void>(resolve => {
      server = make()
      server.listen(port, '127.0.0.1', () => {
        port = (server.address() as AddressInfo).port
        resolve()
      })
    })
  const close = () =>
    new Promise<void>(resolve => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  await open()
  closers.add(close)
  return {
    url: `http://127.0.0.1:${port}/T0/secret`,
    received,
    brokenOff: () => brokenOff,
    answer: (...next) => (replies = next),
    close,
    open,
  }
}
