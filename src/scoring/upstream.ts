// Model servers behind HTTP: sends bytes, gives back bytes and what went wrong. The only door to undici's dispatcher.
import { type Dispatcher, Pool } from 'undici'
import { messageOf } from '../errors.ts'
import { decodeInferResponse, encodeInferRequest } from '../protocols/openInference.ts'
import type { ScoreOutcome, Scorer } from './scorer.ts'

export interface UpstreamOptions {
  readonly urls: readonly string[]
  readonly connectMs: number
  readonly firstByteMs: number
  /** Largest answer accepted, bytes. */
  readonly maxAnswerBytes: number
  /** Most requests under way at once; further ones wait inside the pool. */
  readonly connections: number
}

export interface UpstreamCall {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Names and values in turn. */
  readonly headers: readonly string[]
  readonly body: Uint8Array | undefined
  readonly deadlineMs: number
  /** Aborting it cancels the call (the client went away). */
  readonly signal?: AbortSignal
}

export type UpstreamAnswer =
  | {
      readonly ok: true
      readonly status: number
      readonly headers: Readonly<Record<string, string | string[] | undefined>>
      /** The whole body: an answer that breaks off is never passed on as complete. */
      readonly body: Buffer
      /** From the first byte sent to the last received, ms. */
      readonly latencyMs: number
      /** Before that: waiting for a free connection, or for a new one; ms. */
      readonly queueMs: number
    }
  | {
      readonly ok: false
      readonly code: Extract<ScoreOutcome, { ok: false }>['code'] | 'CLIENT_GONE'
      readonly message: string
      readonly latencyMs: number
      readonly queueMs: number
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
    const { pool, prefix } = this.#pools[this.#turn++ % this.#pools.length]!
    return new Promise(resolve => {
      const handler = new AnswerCollector(this.#options.maxAnswerBytes, call, resolve)
      pool.dispatch(
        {
          method: call.method,
          path: prefix + call.path,
          headers: call.headers as string[],
          body: (call.body as Buffer | undefined) ?? null,
        },
        handler,
      )
    })
  }

  async close(): Promise<void> {
    await Promise.all(this.#pools.map(({ pool }) => pool.close()))
  }

  /** Ends at once; calls under way fail. */
  async destroy(): Promise<void> {
    await Promise.all(this.#pools.map(({ pool }) => pool.destroy()))
  }
}

class AnswerCollector implements Dispatcher.DispatchHandler {
  readonly #calledAt = performance.now()
  #sentAt: number | undefined
  readonly #maxBytes: number
  readonly #deadlineMs: number
  readonly #signal: AbortSignal | undefined
  readonly #resolve: (answer: UpstreamAnswer) => void
  readonly #timer: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | undefined
  #status = 0
  #headers: UpstreamAnswer extends infer A ? (A extends { headers: infer H } ? H : never) : never = {}
  #chunks: Buffer[] = []
  #bytes = 0
  #informational = 0
  #settled = false

  constructor(maxBytes: number, call: UpstreamCall, resolve: (answer: UpstreamAnswer) => void) {
    this.#maxBytes = maxBytes
    this.#deadlineMs = call.deadlineMs
    this.#resolve = resolve
    this.#timer = setTimeout(
      () => this.#fail('VERSION_DEADLINE', 'the version did not answer in time'),
      call.deadlineMs,
    )
    this.#signal = call.signal
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    this.#sentAt ??= performance.now()
    if (this.#settled) controller.abort(new Error('settled'))
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) {
      if (++this.#informational > MAX_INFORMATIONAL)
        this.#fail('VERSION_BROKE_OFF', 'the version sent too many 1xx answers')
      return
    }
    this.#status = status
    this.#headers = headers
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > this.#maxBytes) this.#fail('ANSWER_TOO_LARGE', 'the answer of the version is too large')
    else this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    // A timer counts whole milliseconds and may be late: the clock decides.
    if (performance.now() - this.#calledAt >= this.#deadlineMs) {
      this.#fail('VERSION_DEADLINE', 'the version did not answer in time')
      return
    }
    const body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#bytes)
    this.#settle({
      ok: true,
      status: this.#status,
      headers: this.#headers,
      body,
      ...this.#times(),
    })
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const code = (error as { code?: string }).code ?? ''
    if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
      this.#fail('VERSION_DEADLINE', 'the version did not answer in time')
    } else if (CANNOT_CONNECT.has(code)) this.#fail('VERSION_UNREACHABLE', 'the version cannot be reached')
    else this.#fail('VERSION_BROKE_OFF', 'the version broke off its answer')
  }

  /** A call that was never sent has waited all the time, and its wait is what its caller felt. */
  #times(): { latencyMs: number; queueMs: number } {
    const now = performance.now()
    if (this.#sentAt === undefined) return { latencyMs: now - this.#calledAt, queueMs: 0 }
    return { latencyMs: now - this.#sentAt, queueMs: this.#sentAt - this.#calledAt }
  }

  #onAbort = () => this.#fail('CLIENT_GONE', 'the client went away')

  #fail(code: Extract<UpstreamAnswer, { ok: false }>['code'], message: string): void {
    if (this.#settled) return
    this.#settle({ ok: false, code, message, ...this.#times() })
    this.#controller?.abort(new Error(message))
  }

  #settle(answer: UpstreamAnswer): void {
    if (this.#settled) return
    this.#settled = true
    clearTimeout(this.#timer)
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#chunks = answer.ok ? this.#chunks : []
    this.#resolve(answer)
  }
}

const MAX_INFORMATIONAL = 16
const CANNOT_CONNECT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_DESTROYED',
  'UND_ERR_CLOSED',
])

/** A V2 model server as a scorer: tensors in and out, for the shadow path's batches and the scorer contract. */
export function upstreamScorer(upstream: Upstream, path: string, headers: readonly string[]): Scorer {
  let closed = false
  return {
    async score(inputs, deadlineMs) {
      if (closed)
        return { ok: false, code: 'VERSION_NOT_READY', message: 'the version is closed', inferMs: 0, queueMs: 0 }
      const body = Buffer.from(encodeInferRequest({ id: undefined, inputs, outputs: undefined }))
      const answer = await upstream.send({
        method: 'POST',
        path,
        headers: ['content-type', 'application/json', ...headers],
        body,
        deadlineMs,
      })
      return outcomeOf(answer)
    },
    async close() {
      if (closed) return
      closed = true
      await upstream.close()
    },
  }
}

const ANSWER_LIMITS = { depth: 64, elements: 64_000_000 }

/** What an upstream's answer to a V2 inference means. 4xx is the model's word that the input is bad. */
export function outcomeOf(answer: UpstreamAnswer): ScoreOutcome {
  const { latencyMs: inferMs, queueMs } = answer
  if (!answer.ok) {
    const code = answer.code === 'CLIENT_GONE' ? 'VERSION_DEADLINE' : answer.code
    return { ok: false, code, message: answer.message, inferMs, queueMs }
  }
  if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) {
    return { ok: false, code: 'BAD_TENSOR', message: `the version answered ${answer.status}`, inferMs, queueMs }
  }
  if (answer.status !== 200) {
    return { ok: false, code: 'VERSION_FAILED', message: `the version answered ${answer.status}`, inferMs, queueMs }
  }
  try {
    const { outputs } = decodeInferResponse(answer.body, ANSWER_LIMITS)
    return { ok: true, outputs, inferMs, queueMs, raw: answer.body }
  } catch (error) {
    return { ok: false, code: 'VERSION_FAILED', message: `unreadable answer: ${messageOf(error)}`, inferMs, queueMs }
  }
}
