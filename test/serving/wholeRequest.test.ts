import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { UnderstudyError } from '../../src/errors.ts'
import type { Pieces } from '../../src/record/pieces.ts'
import { WholeRequest } from '../../src/serving/wholeRequest.ts'

const LIMIT = 100

const server = createServer({ IncomingMessage: WholeRequest }, answer)
let port = 0
const clients: Socket[] = []
let seen: { request: WholeRequest; body: string | undefined; code: string | undefined; times: number }[] = []

beforeEach(async () => {
  seen = []
  if (server.listening) return
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  await new Promise(resolve => server.close(resolve))
})

function answer(request: WholeRequest, response: ServerResponse): void {
  const one = { request, body: undefined as string | undefined, code: undefined as string | undefined, times: 0 }
  seen.push(one)
  if (request.url === '/stream') {
    request.on('data', (chunk: Buffer) => (one.body = (one.body ?? '') + chunk.toString()))
    request.on('end', () => response.end(one.body))
    return
  }
  if (request.url === '/early') response.end('early')
  request.readWhole(LIMIT, {
    read: (body: Pieces) => {
      one.times++
      one.body = body.whole.toString('latin1')
      if (request.url !== '/silent' && request.url !== '/early') response.end(one.body)
    },
    failed: (error: unknown) => {
      one.times++
      one.code = (error as UnderstudyError).code
      if (request.destroyed) return
      response.writeHead(413, ['content-length', '0', 'connection', 'close']).flushHeaders()
      request.on('end', () => response.end()).resume()
    },
  })
}

function client(): Socket {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  clients.push(socket)
  return socket
}

function post(path: string, body: string): string {
  return `POST ${path} HTTP/1.1\r\nhost: h\r\ncontent-length: ${body.length}\r\n\r\n${body}`
}

function chunked(...pieces: string[]): string {
  return pieces.map(piece => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('')
}

const CHUNKED_HEAD = 'POST /whole HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n'

async function until(holds: () => boolean): Promise<void> {
  const latest = Date.now() + 5_000
  while (!holds() && Date.now() < latest) await new Promise(resolve => setTimeout(resolve, 5))
  expect(holds()).toBe(true)
}

it('reads each body of a connection that is used again and again, pipelined, empty, in pieces and with the stream in between', async () => {
  const socket = client()
  let text = ''
  socket.on('data', chunk => (text += chunk.toString('latin1')))
  socket.write(post('/whole', 'first') + post('/whole', '') + post('/stream', 'streamed') + CHUNKED_HEAD)
  for (const piece of ['ab', 'c', 'déf']) {
    socket.write(Buffer.from(chunked(piece), 'latin1'))
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  socket.write(`0\r\n\r\n${post('/whole', 'last')}`)
  await until(() => text.endsWith('last'))
  expect(seen.map(({ body }) => body)).toEqual(['first', '', 'streamed', 'abcdéf', 'last'])
  expect(seen.map(({ code }) => code)).toEqual(Array(5).fill(undefined))
})

it('fails once with TOO_LARGE at the piece that is too much, and gives what comes after it to the stream', async () => {
  const socket = client()
  let text = ''
  socket.on('data', chunk => (text += chunk.toString()))
  socket.write(CHUNKED_HEAD + chunked('x'.repeat(LIMIT)))
  await until(() => seen.length === 1)
  expect(seen[0]!.times).toBe(0)
  socket.write(chunked('x'))
  await until(() => text.startsWith('HTTP/1.1 413'))
  // The rest is still taken, much more than sockets hold: a client that writes before it reads gets its answer.
  const rest = chunked('y'.repeat(60_000))
  for (let time = 0; time < 200; time++) if (!socket.write(rest)) await once(socket, 'drain')
  socket.write('0\r\n\r\n')
  await once(socket, 'end')
  expect(seen[0]).toMatchObject({ code: 'TOO_LARGE', times: 1, body: undefined })
})

it('fails once with CLIENT_GONE when the client breaks off', async () => {
  const socket = client()
  socket.write('POST /whole HTTP/1.1\r\nhost: h\r\ncontent-length: 50\r\n\r\nhalf')
  await until(() => seen.length === 1)
  socket.destroy()
  await until(() => seen[0]!.times === 1)
  await new Promise(resolve => setTimeout(resolve, 50))
  expect(seen[0]).toMatchObject({ code: 'CLIENT_GONE', times: 1, body: undefined })
})

it('is complete and not aborted when its client leaves after the body, and says nothing more', async () => {
  const socket = client()
  socket.write(post('/silent', 'body'))
  await until(() => seen[0]?.body === 'body')
  socket.destroy()
  await until(() => seen[0]!.request.destroyed)
  expect(seen[0]).toMatchObject({ times: 1, code: undefined })
  expect(seen[0]!.request).toMatchObject({ complete: true, readableEnded: true, aborted: false })
})

it('is read to its end though it was answered before', async () => {
  const socket = client()
  let text = ''
  socket.on('data', chunk => (text += chunk.toString()))
  socket.write('POST /early HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\n')
  await until(() => text.endsWith('early'))
  socket.write(`late${post('/whole', 'next')}`)
  await until(() => text.endsWith('next'))
  expect(seen.map(({ body }) => body)).toEqual(['late', 'next'])
})

it('is held by its connection no longer than its answer', async () => {
  const socket = client()
  socket.write(post('/whole', 'body'))
  await once(socket, 'data')
  const { parser } = seen[0]!.request.socket as Socket & { parser: { incoming: unknown } }
  await until(() => parser.incoming === null)
})
