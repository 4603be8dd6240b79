// One call of a model server from its first byte to its last: limits, and what went wrong. Opens no connection, and is told
// when to look at its deadline.
import { performance } from 'node:perf_hooks'
import { NO_PIECES, Pieces } from '../record/pieces.ts'
import type { ScoreOutcome } from './scorer.ts'

export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>

/** Takes an answer that is too long to be kept whole before anybody sees it. */
export interface AnswerSink {
  begin(status: number, headers: AnswerHeaders): void
  /** @returns false when the reader is behind */
  write(chunk: Buffer): boolean
  /** Calls once when the reader has taken what it was behind with. */
  whenCaughtUp(call: () => void): void
  end(): void
  /** The answer breaks off here: what has gone out must not look complete. */
  breakOff(): void
}

/** Whoever is to be answered: when it goes away, the call that is made for it is cancelled. */
export interface Caller {
  /** While there is one. */
  call: { cancel(): void } | undefined
}

export interface UpstreamCall {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Names and values in turn. */
  readonly headers: readonly string[]
  /** A body that still comes is sent on as it comes. */
  readonly body: Uint8Array | Pieces | AsyncIterable<Uint8Array> | undefined
  /** Of a body that still comes: how long it was waited for so far, ms. That is its sender's time and not the version's. */
  readonly bodyWaitMs?: (() => number) | undefined
  readonly deadlineMs: number
  /** Not a signal and not an emitter: listening and not listening any more would cost more than this for each request. */
  readonly caller?: Caller
  /** Without one the whole answer is kept. */
  readonly sink?: AnswerSink
  /** With a sink: how much of the answer is kept beside it; longer ones not at all. */
  readonly keptBytes?: number
}

export type UpstreamAnswer =
  | {
      readonly ok: true
      readonly status: number
      readonly headers: AnswerHeaders
      /** The whole body: an answer that breaks off is never passed on as complete. Empty where it was too long to keep. */
      readonly body: Pieces
      /** Its length, kept or not. */
      readonly bytes: number
      /** It went to the sink; the status line is out. */
      readonly streamed: boolean
      /** From the first byte sent to the last received, without the time that was spent waiting for the client, ms. */
      readonly latencyMs: number
      /** Before that: waiting for a free connection, or for a new one; ms. */
      readonly queueMs: number
    }
  | {
      readonly ok: false
      /** CLIENT_GONE: left, or did not send its body in time. */
      readonly code: Extract<ScoreOutcome, { ok: false }>['code'] | 'CLIENT_GONE'
      readonly message: string
      /** The status line is out, and the answer was broken off. */
      readonly streamed: boolean
      readonly latencyMs: number
      readonly queueMs: number
    }

/** What may be done to a call under way. */
interface CallControl {
  abort(reason: Error): void
  pause(): void
  resume(): void
}

/** An answer up to this length is there whole before its status line goes out, so that one that breaks off is a 502. */
export const WHOLE_BYTES = 256 * 1024
const MAX_INFORMATIONAL = 16
/** A client that trickles is served no longer than this beside its version's own time. */
const LONGEST_CLIENT_MS = 300_000
const LATE = 'the version did not answer in time'

const ZERO = 0x30

/** The value of a Content-Length; NaN where it is none. `Number` would go to V8's runtime for every text. */
export function lengthIn(field: string | string[] | undefined): number {
  if (typeof field !== 'string' || field === '') return Number.NaN
  let length = 0
  for (let index = 0; index < field.length; index++) {
    const digit = field.charCodeAt(index) - ZERO
    if (digit < 0 || digit > 9) return Number.NaN
    length = length * 10 + digit
  }
  return length
}

/** Collects one answer; the methods are those of undici's dispatch handlers. */
export class Exchange {
  readonly #calledAt = performance.now()
  readonly #maxBytes: number
  readonly #call: UpstreamCall
  readonly #resolve: (answer: UpstreamAnswer) => void
  #control: CallControl | undefined
  #sentAt: number | undefined
  #status = 0
  #headers: AnswerHeaders = {}
  #chunks: Buffer[] = []
  #bytes = 0
  #informational = 0
  #streaming = false
  /** The client reads slower than the version answers: not the version's time. */
  #pausedAt: number | undefined
  #pausedMs = 0
  #settled = false

  constructor(maxBytes: number, call: UpstreamCall, resolve: (answer: UpstreamAnswer) => void) {
    this.#maxBytes = maxBytes
    this.#call = call
    this.#resolve = resolve
    if (call.caller !== undefined) call.caller.call = this
  }

  /** The client went away. */
  cancel(): void {
    this.#fail('CLIENT_GONE', 'the client went away')
  }

  onRequestStart(control: CallControl): void {
    this.#control = control
    this.#sentAt ??= performance.now()
    if (this.#settled) control.abort(new Error('settled'))
  }

  onResponseStart(_control: unknown, status: number, headers: AnswerHeaders): void {
    if (status < 200) {
      if (++this.#informational > MAX_INFORMATIONAL)
        this.#fail('VERSION_BROKE_OFF', 'the version sent too many 1xx answers')
      return
    }
    this.#status = status
    this.#headers = headers
    if (lengthIn(headers['content-length']) > this.#maxBytes) this.#tooLarge()
  }

  onResponseData(_control: unknown, chunk: Buffer): void {
    if (this.#settled) return
    this.#bytes += chunk.length
    if (this.#bytes > this.#maxBytes) {
      this.#tooLarge()
      return
    }
    const { sink, keptBytes = 0 } = this.#call
    if (sink === undefined) {
      this.#chunks.push(chunk)
      return
    }
    if (!this.#streaming) {
      this.#chunks.push(chunk)
      if (this.#bytes <= WHOLE_BYTES) return
      this.#streaming = true
      sink.begin(this.#status, this.#headers)
      for (const each of this.#chunks) this.#pass(sink, each)
    } else {
      this.#pass(sink, chunk)
      this.#chunks.push(chunk)
    }
    if (this.#bytes > keptBytes) this.#chunks = []
  }

  onResponseEnd(): void {
    if (this.#settled) return
    const now = performance.now()
    // Whoever watches deadlines may be late: the clock decides.
    if (this.#spentMs(now) >= this.#call.deadlineMs) {
      this.#fail('VERSION_DEADLINE', LATE)
      return
    }
    const kept = !this.#streaming || this.#bytes <= (this.#call.keptBytes ?? 0)
    const body = kept ? new Pieces(this.#chunks, this.#bytes) : NO_PIECES
    if (this.#streaming) this.#call.sink!.end()
    this.#settle({
      ok: true,
      status: this.#status,
      headers: this.#headers,
      body,
      bytes: this.#bytes,
      streamed: this.#streaming,
      latencyMs: this.#latencyMs(now),
      queueMs: this.#queueMs,
    })
  }

  onResponseError(_control: unknown, error: Error): void {
    const code = (error as { code?: string }).code ?? ''
    if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
      // Nor does it run while a body is waited for: undici starts it when the version takes nothing, or all is sent.
      this.#fail('VERSION_DEADLINE', LATE)
    } else if (CANNOT_CONNECT.has(code)) this.#fail('VERSION_UNREACHABLE', 'the version cannot be reached')
    else if (isOfClient(error)) this.#fail('CLIENT_GONE', 'the client broke off its request')
    else this.#fail('VERSION_BROKE_OFF', 'the version broke off its answer')
  }

  #pass(sink: AnswerSink, chunk: Buffer): void {
    if (sink.write(chunk)) return
    if (this.#pausedAt !== undefined) return
    this.#pausedAt = performance.now()
    this.#control?.pause()
    sink.whenCaughtUp(() => {
      this.#pausedMs += performance.now() - this.#pausedAt!
      this.#pausedAt = undefined
      if (!this.#settled) this.#control?.resume()
    })
  }

  /** The version's own time so far: neither the client's sending nor its reading is in it. */
  #spentMs(now: number): number {
    return now - this.#calledAt - this.#clientMs(now)
  }

  /** What the client took so far, to send and to read. */
  #clientMs(now: number): number {
    return (this.#call.bodyWaitMs?.() ?? 0) + this.#pausedMs + (this.#pausedAt === undefined ? 0 : now - this.#pausedAt)
  }

  /** When its deadline is, on this thread's clock, if its client takes no time of it. */
  get dueAt(): number {
    return this.#calledAt + this.#call.deadlineMs
  }

  /** Fails if its deadline is here. @returns ms until it may be; infinite when it is settled */
  lookAt(now: number): number {
    if (!this.#settled) {
      const leftMs = this.#call.deadlineMs - this.#spentMs(now)
      if (leftMs <= 0) this.#fail('VERSION_DEADLINE', LATE)
      else if (this.#clientMs(now) > LONGEST_CLIENT_MS) this.#fail('CLIENT_GONE', 'the client is too slow')
      else return leftMs
    }
    return Number.POSITIVE_INFINITY
  }

  #tooLarge(): void {
    this.#fail('ANSWER_TOO_LARGE', 'the answer of the version is too large')
  }

  /** A call that was never sent has waited all the time, and its wait is what its caller felt. */
  #latencyMs(now: number): number {
    return this.#sentAt === undefined ? now - this.#calledAt : Math.max(0, now - this.#sentAt - this.#clientMs(now))
  }

  get #queueMs(): number {
    return this.#sentAt === undefined ? 0 : this.#sentAt - this.#calledAt
  }

  #fail(code: Extract<UpstreamAnswer, { ok: false }>['code'], message: string): void {
    if (this.#settled) return
    if (this.#streaming) this.#call.sink!.breakOff()
    const latencyMs = this.#latencyMs(performance.now())
    this.#settle({ ok: false, code, message, streamed: this.#streaming, latencyMs, queueMs: this.#queueMs })
    this.#control?.abort(new Error(message))
  }

  #settle(answer: UpstreamAnswer): void {
    this.#settled = true
    if (this.#call.caller !== undefined) this.#call.caller.call = undefined
    this.#chunks = []
    this.#resolve(answer)
  }
}

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

/** Thrown by a body that still comes, when its client breaks it off or sends too much. */
export class BodyBroken extends Error {}

function isOfClient(error: Error): boolean {
  return error instanceof BodyBroken
}
