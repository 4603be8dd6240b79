// What an answer is before it is turned into an HTTP response, and how it is made. Asks nobody.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { asUnderstudyError, type ErrorCode, UnderstudyError } from '../errors.ts'
import type { Codec, EncodedBody, InferRequest } from '../protocols/codec.ts'
import { type BodyForm, codingFor, encoded } from '../protocols/content.ts'
import type { Tensor } from '../protocols/tensor.ts'
import { OUTCOME, type OutcomeCode } from '../record/format.ts'
import { Pieces } from '../record/pieces.ts'
import type { Caller } from '../scoring/exchange.ts'
import type { ComingBody } from './body.ts'
import type { Asked } from './path.ts'
import type { RuntimeRoute, RuntimeVersion } from './runtime.ts'
import type { RequestTrace } from './trace.ts'

/** An answer before it is turned into an HTTP response, or, where it was streamed, after. */
export interface Answer {
  readonly status: number
  readonly headers: readonly string[]
  /** Where it was streamed: what was kept for the record, empty when it was too long. */
  readonly body: Pieces | string
  readonly form: BodyForm
  /** Its length where it was streamed: it went to the client while it came, and there is nothing more to send. */
  readonly streamedBytes: number | undefined
  readonly outcome: OutcomeCode
  readonly errorType: string
  /** In the session, or the model server's time; ms. */
  readonly inferMs: number
  readonly queueMs: number
  /** Its times are not evidence, see `Sharing`. */
  readonly untimed?: boolean
}

/** A request as it came in, its body read or coming. */
export interface Incoming {
  readonly asked: Asked
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: Pieces | ComingBody
  readonly form: BodyForm
  readonly requestId: string
  /** Made here: no request before had it. */
  readonly ownId: boolean
  readonly trace: RequestTrace
  readonly inferSpanId: string
  readonly client: Client
}

/** Whoever asked. */
export interface Client extends Caller {
  /** Takes the answer's head, when its status line must go out before its end has come. */
  begin(status: number, headers: string[]): void
}

/** Whoever waits for an answer. */
export interface AnswerReader {
  /** @param answer undefined: the client went away, or did not send its body in time, which is nobody's failure */
  answered(answer: Answer | undefined): void
  /** Instead of `answered`. */
  failed(error: unknown): void
}

export const JSON_TYPE = ['content-type', 'application/json'] as const
export const JSON_FORM: BodyForm = { contentType: 'application/json', coding: '', jsonBytes: undefined }

/** Which request of a client a version's outputs answer. */
interface Answering {
  readonly version: RuntimeVersion
  readonly route: RuntimeRoute
  readonly incoming: Incoming
  readonly codec: Codec
  readonly request: InferRequest
}

/**
 * A prediction in the client's form, in the coding that it asks for. What that form cannot carry is an answer too: where
 * the client asked for it so (BAD_TENSOR) its own mistake, else the version's failure (NOT_SUPPORTED).
 */
export async function encodedPrediction(
  { version, route, incoming, codec, request }: Answering,
  outputs: readonly Tensor[],
  { inferMs, queueMs, untimed = false }: Pick<Answer, 'inferMs' | 'queueMs' | 'untimed'>,
): Promise<Answer> {
  const named = { modelName: route.snapshot.name, modelVersion: version.snapshot.version, id: request.id, outputs }
  let encodedBody: EncodedBody
  try {
    encodedBody = codec.encodeResponse(named, request)
  } catch (error) {
    const { code, message } = asUnderstudyError(error)
    return failed(code, message, codec, { inferMs, queueMs })
  }
  const { body, jsonBytes, contentType } = encodedBody
  const headers = ['content-type', contentType]
  if (jsonBytes !== undefined) headers.push('inference-header-content-length', String(jsonBytes))
  const form = { contentType, coding: '', jsonBytes }
  const times = { streamedBytes: undefined, outcome: OUTCOME.ok, errorType: '', inferMs, queueMs, untimed }
  const coding = codingFor(incoming.request.headers['accept-encoding'] as string | undefined, body.length)
  if (coding === undefined) return { status: 200, headers, body: bodyOf(body), form, ...times }
  headers.push('content-encoding', coding, 'vary', 'accept-encoding')
  return { status: 200, headers, body: Pieces.of(await encoded(body, coding)), form: { ...form, coding }, ...times }
}

function bodyOf(body: Uint8Array | string): Pieces | string {
  return typeof body === 'string' ? body : Pieces.of(body)
}

export function failed(
  code: ErrorCode,
  message: string,
  codec: Codec | undefined,
  { inferMs = 0, queueMs = 0, streamedBytes }: { inferMs?: number; queueMs?: number; streamedBytes?: number } = {},
): Answer {
  const { status } = new UnderstudyError(code, '')
  return {
    status,
    headers: JSON_TYPE,
    body: errorBody(codec, message, status),
    form: JSON_FORM,
    streamedBytes,
    outcome: outcomeOf(code),
    errorType: code,
    inferMs,
    queueMs,
  }
}

/** An error in the client's form; in that of V2 and V1 where its form is not known. */
export function errorBody(codec: Codec | undefined, message: string, status: number): string {
  return codec === undefined ? JSON.stringify({ error: message }) : codec.encodeError(message, status)
}

function outcomeOf(code: ErrorCode): OutcomeCode {
  if (code === 'BAD_TENSOR') return OUTCOME.clientError
  if (code === 'VERSION_DEADLINE') return OUTCOME.deadline
  return code === 'VERSION_UNREACHABLE' || code === 'VERSION_NOT_READY' ? OUTCOME.unreachable : OUTCOME.failed
}

/** A prediction is a 2xx; 4xx blames the client but for 429; anything else, a redirect included, is no prediction. */
export function outcomeOfStatus(status: number): OutcomeCode {
  if (status >= 200 && status < 300) return OUTCOME.ok
  return status >= 400 && status < 500 && status !== 429 ? OUTCOME.clientError : OUTCOME.failed
}
