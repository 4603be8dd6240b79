import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import fc from 'fast-check'
import { Client } from 'undici'
import { afterEach, expect, it } from 'vitest'
import { Pieces } from '../../src/record/pieces.ts'
import { connectorFor } from '../../src/scoring/connection.ts'
import type { UpstreamAnswer } from '../../src/scoring/exchange.ts'
import { Upstream } from '../../src/scoring/upstream.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

function upstreamOf(url: string, connectMs = 1_000): Upstream {
  const options = { connectMs, firstByteMs: 5_000, maxAnswerBytes: 1 << 26, connections: 4 }
  const upstream = new Upstream({ urls: [url], ...options })
  closing.push(() => upstream.destroy())
  return upstream
}

async function modelServer(listener: RequestListener, host = '127.0.0.1') {
  const sockets = new Set<Socket>()
  const server = createServer(listener).on('connection', socket => sockets.add(socket))
  server.listen(0, host)
  await once(server, 'listening')
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port: (server.address() as AddressInfo).port, sockets }
}

function post(upstream: Upstream, body: Pieces, headers: string[] = []): Promise<UpstreamAnswer> {
  return upstream.send({ method: 'POST', path: '/', headers, body, deadlineMs: 10_000 })
}

function bodyOf(answer: UpstreamAnswer): Buffer {
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`)
  return answer.body.whole
}

const echo: RequestListener = (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => response.end(Buffer.concat(chunks)))
}

it('sends and reads bodies of any bytes and any length as they are, over connections that stay open', async () => {
  const { port, sockets } = await modelServer(echo)
  const upstream = upstreamOf(`http://127.0.0.1:${port}`)
  const edges = [0, 1, 11_000, 12_288, 16_384, 65_535, 65_536, 65_537, 300_000, 3_000_000]
  const lengths = fc.oneof(fc.constantFrom(...edges), fc.nat(20_000))
  await fc.assert(
    fc.asyncProperty(lengths, fc.nat(255), fc.boolean(), async (length, first, halved) => {
      const body = Buffer.from(Uint8Array.from({ length }, (_, index) => first + index))
      const pieces = halved ? [body.subarray(0, length >> 1), body.subarray(length >> 1)] : [body]
      expect(bodyOf(await post(upstream, new Pieces(pieces))).equals(body)).toBe(true)
    }),
    { numRuns: 60 },
  )
  expect(sockets.size).toBeLessThan(5)
})

it('sends a field of ISO 8859-1 as its bytes, together with a body of other bytes', async () => {
  const { port } = await modelServer((request, response) => {
    echo(request, response.setHeader('x-name', request.headers['x-name']!))
  })
  const body = Buffer.from('{"text":"größe €"}')
  const answer = await post(upstreamOf(`http://127.0.0.1:${port}`), Pieces.of(body), ['x-name', 'größe'])
  expect(bodyOf(answer).equals(body)).toBe(true)
  expect(answer).toMatchObject({ headers: { 'x-name': 'größe' } })
})

it('reads an answer that comes byte by byte, its head too', async () => {
  const text = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello'
  const server = createTcpServer(socket => {
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.once('data', async () => {
      for (const letter of text) {
        socket.write(letter)
        await new Promise(resolve => setTimeout(resolve, 2))
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => server.close())
  const upstream = upstreamOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  expect(bodyOf(await post(upstream, Pieces.of(Buffer.from('x')))).toString()).toBe('hello')
})

it('loses nothing of an answer whose reader falls behind, and reads no more than it must meanwhile', async () => {
  const length = 24 * 1024 * 1024
  let written = 0
  const { port } = await modelServer(async (_request, response) => {
    for (let value = 0; written < length; value++) {
      const more = response.write(Buffer.alloc(65_536, value & 255))
      written += 65_536
      if (!more) await once(response, 'drain')
    }
    response.end()
  })
  const upstream = upstreamOf(`http://127.0.0.1:${port}`)
  let passed = 0
  let expected = 0
  let writtenMeanwhile = 0
  const sink = {
    begin: () => {},
    write(chunk: Buffer) {
      for (const byte of [chunk[0]!, chunk.at(-1)!]) if (byte !== (expected & 255)) expected++
      passed += chunk.length
      return passed < 400_000 || passed > 500_000
    },
    whenCaughtUp: (call: () => void) => {
      setTimeout(() => {
        writtenMeanwhile = Math.max(writtenMeanwhile, written)
        call()
      }, 100)
    },
    end: () => {},
    breakOff: () => {},
  }
  const answer = await upstream.send({
    method: 'POST',
    path: '/',
    headers: [],
    body: Pieces.of(Buffer.from('x')),
    deadlineMs: 10_000,
    sink,
    keptBytes: 0,
  })
  expect(answer).toMatchObject({ ok: true, bytes: length, streamed: true })
  expect(passed).toBe(length)
  expect(expected).toBe(length / 65_536 - 1)
  expect(writtenMeanwhile).toBeLessThan(length)
})

it('knows an answer that breaks off, and a server that closes the connection after each', async () => {
  const { port, sockets } = await modelServer((request, response) => {
    request.resume()
    if (request.url === '/broken') {
      response.writeHead(200, { 'content-length': '10' })
      response.write('half', () => response.destroy())
    } else response.writeHead(200, { connection: 'close' }).end('whole')
  })
  const upstream = upstreamOf(`http://127.0.0.1:${port}`)
  const call = { method: 'POST', headers: [], body: Pieces.of(Buffer.from('x')), deadlineMs: 5_000 } as const
  expect(await upstream.send({ ...call, path: '/broken' })).toMatchObject({ ok: false, code: 'VERSION_BROKE_OFF' })
  for (let time = 0; time < 3; time++) {
    expect(bodyOf(await upstream.send({ ...call, path: '/' })).toString()).toBe('whole')
  }
  expect(sockets.size).toBe(4)
})

it('connects to names and to addresses of IPv6, and says what cannot be reached', async () => {
  const { port } = await modelServer(echo, 'localhost')
  const body = Pieces.of(Buffer.from('x'))
  expect(bodyOf(await post(upstreamOf(`http://localhost:${port}`), body)).toString()).toBe('x')
  const six = await modelServer(echo, '::1').catch(() => undefined)
  if (six !== undefined) expect(bodyOf(await post(upstreamOf(`http://[::1]:${six.port}`), body)).toString()).toBe('x')
  const gone = await modelServer(echo)
  closing.pop()!()
  for (const url of [`http://127.0.0.1:${gone.port}`, 'http://nobody.invalid:80'])
    expect(await post(upstreamOf(url), body)).toMatchObject({ ok: false, code: 'VERSION_UNREACHABLE' })
})

it('is an object with a shape: undici asks it for forty properties a request, and V8 would look each up by its name', async () => {
  const { port } = await modelServer(echo)
  const opened: Socket[] = []
  const connector = connectorFor(`http://127.0.0.1:${port}`, 1_000)!
  const client = new Client(`http://127.0.0.1:${port}`, {
    connect: (options, callback) =>
      connector(options, (...[error, socket]) => {
        if (error !== null) return callback(error, null)
        opened.push(socket)
        callback(null, socket)
      }),
  })
  closing.push(() => client.destroy())
  const { body } = await client.request({ path: '/', method: 'POST', body: Buffer.from('x') })
  expect(await body.text()).toBe('x')
  setFlagsFromString('--allow-natives-syntax')
  const hasShape = new Function('object', 'return %HasFastProperties(object)')
  setFlagsFromString('--no-allow-natives-syntax')
  expect(hasShape(opened[0])).toBe(true)
})

// Its kernel takes a few connections for it and drops what asks after them, as a host does that is switched off.
const DEAF = `const server = require('node:net').createServer()
server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
  require('node:fs').writeSync(1, server.address().port + '\\n')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000)
})`

it.runIf(process.platform === 'linux')(
  'gives up connecting after its own time, not the deadline of the call',
  async () => {
    const child = spawn(process.execPath, ['-e', DEAF], { stdio: ['ignore', 'pipe', 'inherit'] })
    closing.push(() => child.kill('SIGKILL'))
    const [port] = (await once(child.stdout, 'data')) as [Buffer]
    const fillers = Array.from({ length: 8 }, () => connect(Number(port), '127.0.0.1').on('error', () => {}))
    closing.push(() => fillers.forEach(filler => void filler.destroy()))
    await new Promise(resolve => setTimeout(resolve, 200))
    const answer = await post(upstreamOf(`http://127.0.0.1:${Number(port)}`, 300), Pieces.of(Buffer.from('x')))
    expect(answer).toMatchObject({ ok: false, code: 'VERSION_UNREACHABLE' })
    expect(answer.latencyMs).toBeLessThan(5_000)
  },
)
