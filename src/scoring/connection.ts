// A plain connection to a model server, made for many short exchanges: what is read comes out of one buffer and past the
// stream's machinery, and a short request leaves as one text. Knows nothing of HTTP.
import { Buffer } from 'node:buffer'
import { Socket } from 'node:net'
import { type buildConnector, errors } from 'undici'
import { MOST_AS_TEXT } from '../record/pieces.ts'

/** Most bytes of one read. */
const READ_BYTES = 64 * 1024
const KEEP_ALIVE_MS = 60_000

/** How connections to `origin` are opened; undefined: undici's own way, which TLS needs. */
export function connectorFor(origin: string, connectMs: number): buildConnector.connector | undefined {
  return origin.startsWith('http:') ? (options, opened) => connect(options, connectMs, opened) : undefined
}

function connect(
  { hostname, port, localAddress }: buildConnector.Options,
  connectMs: number,
  opened: buildConnector.Callback,
): void {
  const connection = new Connection()
  let isOver = false
  const over = (...result: Parameters<buildConnector.Callback>) => {
    if (isOver) return
    isOver = true
    clearTimeout(timer)
    opened(...result)
  }
  const timer = setTimeout(() => connection.destroy(tooSlow(connectMs)), connectMs)
  // node tries a name's addresses in turn and has a time of its own for each.
  connection.on('error', (error: NodeJS.ErrnoException) => over(isTimeout(error) ? tooSlow(connectMs) : error, null))
  connection.once('connect', () => over(null, connection as Socket))
  connection.setNoDelay(true)
  connection.setKeepAlive(true, KEEP_ALIVE_MS)
  connection.connect({
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(port) || 80,
    ...(localAddress != null && { localAddress }),
  })
  // node gives a socket that connects its own `write` again, since one that has ended may be connected anew. Deleting that
  // would make a dictionary of the object: everything that undici asks of it would be looked up by name.
  connection.write = Connection.prototype.write
}

function tooSlow(connectMs: number): Error {
  return new errors.ConnectTimeoutError(`not connected after ${connectMs} ms`)
}

function isTimeout(error: NodeJS.ErrnoException): boolean {
  if (error.code === 'ETIMEDOUT') return true
  return error instanceof AggregateError && error.errors.some(each => each?.code === 'ETIMEDOUT')
}

/**
 * Where all connections of a thread read into: whatever comes is copied out of it within the same call. A buffer for each
 * read, which node makes otherwise, costs more than copying a short answer, and its memory calls for collections.
 */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES)

class Connection extends Socket {
  /** Came just now, and is given to whoever reads within the same call. */
  #come: Buffer | undefined
  #isCorked = false
  /** Texts that wait for what is written after them. */
  #held = ''

  constructor() {
    // Types know `onread` with `connect` only, but it is the constructor that reads it.
    const options = { highWaterMark: READ_BYTES, onread: { buffer: readBuffer, callback: came } }
    super(options as ConstructorParameters<typeof Socket>[0])
  }

  /** @returns false: no more for now */
  came(length: number): boolean {
    const chunk = Buffer.allocUnsafe(length)
    readBuffer.copy(chunk, 0, 0, length)
    this.#come = chunk
    this.emit('readable')
    const left = this.#come
    this.#come = undefined
    return left === undefined || this.push(left)
  }

  override read(size?: number): Buffer | null {
    if (size !== undefined || this.readableLength > 0) return super.read(size)
    const chunk = this.#come
    this.#come = undefined
    // Whoever reads until nothing is left must not start a read of a stream for it.
    return chunk ?? null
  }

  override cork(): void {
    this.#isCorked = true
  }

  override uncork(): void {
    this.#isCorked = false
    if (this.#held === '') return
    const text = this.#held
    this.#held = ''
    super.write(text, 'latin1')
  }

  /** As undici writes: texts in ISO 8859-1, bytes, and no callbacks. */
  override write(chunk: string | Uint8Array, encoding?: unknown): boolean {
    if (!this.#isCorked) return super.write(chunk, encoding as BufferEncoding)
    if (typeof chunk === 'string') {
      this.#held += chunk
      return !this.writableNeedDrain
    }
    const head = this.#held
    this.#held = ''
    if (head === '') return super.write(chunk)
    if (head.length + chunk.length <= MOST_AS_TEXT) return super.write(head + latin1Of(chunk), 'latin1')
    super.cork()
    super.write(head, 'latin1')
    const takesMore = super.write(chunk)
    super.uncork()
    return takesMore
  }
}

// node calls it on the socket.
function came(this: Connection, length: number): boolean {
  return this.came(length)
}

function latin1Of({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('latin1')
}
