// Model servers behind HTTP: sends bytes, gives back bytes and what went wrong. The only door to undici's dispatcher.
import { type Dispatcher, Pool } from 'undici'
import { Pieces } from '../record/pieces.ts'
import { Exchange, type UpstreamAnswer, type UpstreamCall } from './exchange.ts'

export interface UpstreamOptions {
  readonly urls: readonly string[]
  readonly connectMs: number
  readonly firstByteMs: number
  /** Largest answer accepted, bytes. */
  readonly maxAnswerBytes: number
  /** Most requests under way at once; further ones wait inside the pool. */
  readonly connections: number
}

/** One HTTP version: a pool of kept-alive connections per address, addresses in turn. */
export class Upstream {
  readonly #pools: readonly { readonly pool: Pool; readonly prefix: string }[]
  readonly #options: UpstreamOptions
  #turn = 0

  constructor(options: UpstreamOptions) {
    this.#options = options
    this.#pools = options.urls.map(address => {
      const url = new URL(address)
      const pool = new Pool(url.origin, {
        connections: options.connections,
        pipelining: 1,
        connect: { timeout: options.connectMs },
        headersTimeout: options.firstByteMs,
        bodyTimeout: options.firstByteMs,
        // Below the five seconds at which common servers close an idle connection, so that none is used while it closes.
        keepAliveTimeout: 4_000,
        maxResponseSize: -1,
      })
      return { pool, prefix: url.pathname.replace(/\/$/, '') }
    })
  }

  /** Sends one call. Never rejects; redirects are not followed and nothing is retried. */
  send(call: UpstreamCall): Promise<UpstreamAnswer> {
    return new Promise(resolve => this.call(call, resolve))
  }

  /** The same without a promise. `answered` is called once, perhaps before this returns, and must not throw. */
  call(call: UpstreamCall, answered: (answer: UpstreamAnswer) => void): void {
    const { pool, prefix } = this.#pools[this.#turn++ % this.#pools.length]!
    const { method, path } = call
    const { headers, body } = content(call)
    const handler = new Exchange(this.#options.maxAnswerBytes, call, answered)
    pool.dispatch({ method, path: prefix + path, headers, body }, handler)
  }

  async close(): Promise<void> {
    await Promise.all(this.#pools.map(({ pool }) => pool.close()))
  }

  /** Ends at once; calls under way fail. */
  async destroy(): Promise<void> {
    await Promise.all(this.#pools.map(({ pool }) => pool.destroy()))
  }
}

/** Several pieces are sent one after another, and then nobody but us knows how long they are together. */
function content({ headers, body }: UpstreamCall): Required<Pick<Dispatcher.DispatchOptions, 'headers' | 'body'>> {
  const writes = body instanceof Pieces ? body.writes : []
  const several = body instanceof Pieces && writes.length > 1
  const sent = !(body instanceof Pieces) ? body : several ? writes : body.whole
  return {
    headers: (several ? [...headers, 'content-length', String(body.length)] : headers) as string[],
    // undici's types know buffers and node's streams; it takes whatever can be iterated.
    body: (sent as Buffer | undefined) ?? null,
  }
}
