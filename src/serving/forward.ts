// Passes a request on to a model server that speaks the client's protocol, and its answer back: no byte of either is changed.
import { codecOf } from '../protocols/codecs.ts'
import { codingOf, passableCodings } from '../protocols/content.ts'
import { OUTCOME } from '../record/format.ts'
import { Pieces } from '../record/pieces.ts'
import type { UpstreamTarget } from '../rollout/snapshot.ts'
import type { AnswerHeaders, AnswerSink, UpstreamAnswer, UpstreamCall } from '../scoring/exchange.ts'
import { type Answer, type AnswerReader, failed, type Incoming, outcomeOfStatus } from './answer.ts'
import { answerHeaders, requestHeaders } from './headers.ts'
import { endAfterRequest } from './linger.ts'
import type { RuntimeRoute, RuntimeVersion } from './runtime.ts'
import { traceHeaders } from './trace.ts'
import { tooLarge } from './wholeRequest.ts'

export function forward(version: RuntimeVersion, route: RuntimeRoute, incoming: Incoming, reader: AnswerReader): void {
  const { request, body, asked, client } = incoming
  const target = version.snapshot.target as UpstreamTarget
  const headers = requestHeaders(request.rawHeaders, request.headers.connection)
  addOwnHeaders(headers, version, route, incoming)
  const codings = passableCodings(request.headers['accept-encoding'] as string | undefined)
  if (codings !== undefined) headers.push('accept-encoding', codings)
  const comes = !(body instanceof Pieces)
  const declared = request.headers['content-length']
  if (comes && declared !== undefined) headers.push('content-length', declared)
  const call: UpstreamCall = {
    method: 'POST',
    path: (version.predictPath ?? (target.hasPath ? '' : asked.path)) + asked.query,
    headers,
    body,
    bodyWaitMs: comes ? body.waitMs : undefined,
    deadlineMs: version.snapshot.deadlineMs,
    caller: client,
    sink: new ClientSink(incoming),
    keptBytes: route.snapshot.limits.mirrored,
  }
  version.engine!.upstream!.call(call, answer => {
    let known: Answer | undefined
    try {
      known = asAnswer(answer, incoming, route.snapshot.limits.body)
    } catch (error) {
      reader.failed(error)
      return
    }
    reader.answered(known)
  })
}

/** Adds what we say of a request ourselves. */
export function addOwnHeaders(
  headers: string[],
  version: RuntimeVersion,
  route: RuntimeRoute,
  { requestId, trace, inferSpanId }: Incoming,
): void {
  headers.push('via', '1.1 understudy', 'x-request-id', requestId)
  headers.push('x-understudy-role', version === route.live ? 'live' : 'canary')
  headers.push(...traceHeaders(trace, inferSpanId))
}

/** @throws TOO_LARGE when the client's body was */
function asAnswer(answer: UpstreamAnswer, { asked, body }: Incoming, limitBytes: number): Answer | undefined {
  if (!answer.ok) {
    const { code, message, latencyMs: inferMs, queueMs, streamed } = answer
    if (code !== 'CLIENT_GONE')
      return failed(code, message, codecOf(asked.protocol), { inferMs, queueMs, ...(streamed && { streamedBytes: 0 }) })
    if (!(body instanceof Pieces) && body.isTooLarge()) throw tooLarge(limitBytes)
    return undefined
  }
  const { status, headers, bytes, streamed } = answer
  const outcome = outcomeOfStatus(status)
  return {
    status,
    headers: streamed ? [] : answerHeaders(headers),
    body: answer.body,
    form: formOf(headers),
    streamedBytes: streamed ? bytes : undefined,
    outcome,
    errorType: outcome === OUTCOME.ok ? '' : String(status),
    inferMs: answer.latencyMs,
    queueMs: answer.queueMs,
  }
}

function formOf(headers: AnswerHeaders) {
  const field = (name: string) => {
    const value = headers[name]
    return Array.isArray(value) ? value.join(',') : value
  }
  const jsonBytes = field('inference-header-content-length')
  return {
    contentType: field('content-type') ?? '',
    coding: codingOf(field('content-encoding')),
    jsonBytes: jsonBytes === undefined ? undefined : Number(jsonBytes),
  }
}

/** Where a long answer goes while it comes. */
class ClientSink implements AnswerSink {
  readonly #incoming: Incoming

  constructor(incoming: Incoming) {
    this.#incoming = incoming
  }

  begin(status: number, headers: AnswerHeaders): void {
    const fields = answerHeaders(headers)
    const length = headers['content-length']
    if (typeof length === 'string') fields.push('content-length', length)
    this.#incoming.client.begin(status, fields)
  }

  write(chunk: Buffer): boolean {
    const { response } = this.#incoming
    return response.destroyed || response.write(chunk)
  }

  whenCaughtUp(call: () => void): void {
    this.#incoming.response.once('drain', call)
  }

  end(): void {
    const { request, response } = this.#incoming
    endAfterRequest(request, response, '')
  }

  /** Whatever the status line said: an answer that breaks off is never a clean one. */
  breakOff(): void {
    this.#incoming.response.destroy()
  }
}
