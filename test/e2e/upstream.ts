// Model servers for tests: a well-behaved V2 one, and raw sockets that do as a script says.
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { atEnd } from './gateway.ts'

export interface Received {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly rawHeaders: readonly string[]
  readonly body: string
}

export interface ModelServer {
  readonly url: string
  readonly received: Received[]
  /** Connections open now. */
  readonly sockets: Set<Socket>
  close(): Promise<void>
}

type Behaviour = (received: Received, response: ServerResponse) => void

/** Answers every V2 inference like `tumour-risk`, probability ½ for every row. */
export const answerHalf: Behaviour = ({ body }, response) => {
  let rows: number
  try {
    rows = JSON.parse(body).inputs[0].shape[0]
  } catch {
    response.writeHead(400, { 'content-type': 'application/json' })
    response.end('{"error":"not a V2 request"}')
    return
  }
  const outputs = [
    { name: 'label', datatype: 'INT64', shape: [rows], data: new Array(rows).fill(0) },
    { name: 'probabilities', datatype: 'FP32', shape: [rows, 2], data: new Array(rows * 2).fill(0.5) },
  ]
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ model_name: 'half', model_version: 'a build', outputs }))
}

/** An HTTP model server on a free port; `behave` answers. */
export async function modelServer(behave: Behaviour = answerHalf): Promise<ModelServer> {
  const received: Received[] = []
  const server = createHttpServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('error', () => {})
    request.on('end', () => {
      const { method = '', url = '', headers, rawHeaders } = request
      const each = { method, url, headers, rawHeaders, body: Buffer.concat(parts).toString() }
      received.push(each)
      behave(each, response)
    })
  })
  return { received, ...(await listening(server)) }
}

export interface RawServer {
  readonly url: string
  readonly sockets: Set<Socket>
  /** Heads and bodies of the requests so far, one text each. */
  readonly received: string[]
  close(): Promise<void>
}

/** A socket per connection; `behave` is called with each whole request (by Content-Length). */
export async function rawServer(
  behave: (socket: Socket, request: string, number: number) => void,
  onConnection: (socket: Socket) => void = () => {},
): Promise<RawServer> {
  const received: string[] = []
  const server = createServer(socket => {
    onConnection(socket)
    let waiting = ''
    socket.on('error', () => {})
    socket.on('data', chunk => {
      waiting += chunk.toString('latin1')
      for (;;) {
        const headEnd = waiting.indexOf('\r\n\r\n')
        if (headEnd < 0) return
        const length = Number(/content-length: (\d+)/i.exec(waiting.slice(0, headEnd))?.[1] ?? 0)
        if (waiting.length < headEnd + 4 + length) return
        const request = waiting.slice(0, headEnd + 4 + length)
        waiting = waiting.slice(headEnd + 4 + length)
        received.push(request)
        behave(socket, request, received.length)
      }
    })
  })
  return { received, ...(await listening(server)) }
}

/** A server that accepts connections and never reads from them. */
export async function deafServer(): Promise<Omit<RawServer, 'received'>> {
  return listening(createServer({ pauseOnConnect: true }, socket => socket.on('error', () => {})))
}

async function listening(server: Server) {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () =>
    new Promise<void>(resolve => {
      for (const socket of sockets) socket.destroy()
      server.close(() => resolve())
    })
  atEnd(close)
  return { url: `http://127.0.0.1:${port}`, sockets, close }
}

/** An address where nobody listens. */
export async function closedAddress(): Promise<string> {
  const { url, close } = await listening(createServer())
  await close()
  return url
}

/** A whole HTTP answer as text. */
export function http(status: string, body: string, headers: readonly string[] = []): string {
  return `HTTP/1.1 ${status}\r\n${['content-type: application/json', ...headers].join('\r\n')}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

export interface RawClient {
  /** Everything received so far. */
  text(): string
  write(text: string | Uint8Array): void
  /** Resolves when the server has closed, with everything received. */
  readonly closed: Promise<string>
  readonly socket: Socket
}

/** A raw connection to a gateway. */
export function rawClient(port: number): RawClient {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', chunk => (text += chunk.toString('latin1')))
  socket.on('error', () => {})
  atEnd(() => void socket.destroy())
  return {
    text: () => text,
    write: bytes => void socket.write(bytes),
    closed: new Promise(resolve => socket.once('close', () => resolve(text))),
    socket,
  }
}

/** The status codes of the answers in a raw stream, in order. */
export function statusesIn(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
}
