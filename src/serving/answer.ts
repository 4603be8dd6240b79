// How one version answers one request: scored here, or forwarded to its server. Counts and records nothing.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type ErrorCode, messageOf, UnderstudyError } from '../errors.ts'
import {
  checkInputs,
  checkRequestedOutputs,
  decodeInferRequest,
  encodeError,
  encodeInferResponse,
} from '../protocols/openInference.ts'
import type { Tensor } from '../protocols/tensor.ts'
import { OUTCOME, type OutcomeCode } from '../record/format.ts'
import type { OnnxTarget } from '../rollout/snapshot.ts'
import { answerHeaders, requestHeaders } from './headers.ts'
import type { RuntimeRoute, RuntimeVersion } from './runtime.ts'
import { type RequestTrace, traceHeaders } from './trace.ts'

/** An answer before it is turned into an HTTP response. */
export interface Answer {
  readonly status: number
  readonly headers: readonly string[]
  readonly body: Uint8Array | string
  readonly outcome: OutcomeCode
  readonly errorType: string
  /** In the session, or from the first byte sent to the last received; ms. */
  readonly inferMs: number
  readonly queueMs: number
}

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: Buffer
  readonly requestId: string
  readonly trace: RequestTrace
  readonly inferSpanId: string
}

export const JSON_TYPE = ['content-type', 'application/json'] as const

/**
 * The version's answer; undefined when the client went away, which is nobody's failure. What the version gets wrong is
 * an answer too, with its outcome, and so are inputs that it does not take: another version may take them.
 * @throws UnderstudyError that blames the client: BAD_JSON, BAD_REQUEST, BAD_TENSOR, NOT_SUPPORTED
 */
export async function answerBy(
  version: RuntimeVersion,
  route: RuntimeRoute,
  exchange: Exchange,
): Promise<Answer | undefined> {
  const { engine } = version
  if (engine?.upstream !== undefined) return forward(version, route, exchange)
  if (engine?.scorer !== undefined) return score(version, route, exchange)
  const name = `version ${version.snapshot.version} of model "${route.snapshot.name}"`
  return failed('VERSION_NOT_READY', `${name} is not ready`, 0, 0)
}

async function score(version: RuntimeVersion, route: RuntimeRoute, exchange: Exchange): Promise<Answer> {
  const target = version.snapshot.target as OnnxTarget
  if (exchange.request.headers['inference-header-content-length'] !== undefined) {
    throw new UnderstudyError('NOT_SUPPORTED', 'the binary tensor extension is not supported yet')
  }
  const request = decodeInferRequest(exchange.body, route.snapshot.limits)
  const refusal = refusalOf(request.inputs, target)
  if (refusal !== undefined) return failed('BAD_TENSOR', refusal, 0, 0)
  checkRequestedOutputs(request.outputs, target.outputs)
  const outcome = await version.engine!.scorer!.score(request.inputs, version.snapshot.deadlineMs)
  const { inferMs, queueMs } = outcome
  if (!outcome.ok) return failed(outcome.code, outcome.message, inferMs, queueMs)
  const text = encodeInferResponse({
    modelName: route.snapshot.name,
    modelVersion: version.snapshot.version,
    id: request.id,
    outputs: selected(outcome.outputs, request.outputs),
  })
  return { status: 200, headers: JSON_TYPE, body: text, outcome: OUTCOME.ok, errorType: '', inferMs, queueMs }
}

/** Why the model does not take these inputs. */
function refusalOf(inputs: readonly Tensor[], { inputs: signature }: OnnxTarget): string | undefined {
  try {
    checkInputs(inputs, signature)
  } catch (error) {
    return messageOf(error)
  }
  return undefined
}

function selected(outputs: readonly Tensor[], names: readonly string[] | undefined): readonly Tensor[] {
  return names === undefined ? outputs : names.map(name => outputs.find(output => output.name === name)!)
}

async function forward(version: RuntimeVersion, route: RuntimeRoute, exchange: Exchange): Promise<Answer | undefined> {
  const { request, response, body, requestId, trace, inferSpanId } = exchange
  const { target, deadlineMs } = version.snapshot
  const model = target.kind === 'url' ? target.model : route.snapshot.name
  const headers = requestHeaders(request.rawHeaders, request.headers.connection)
  headers.push('x-request-id', requestId, 'x-understudy-role', version === route.live ? 'live' : 'canary')
  headers.push(...traceHeaders(trace, inferSpanId))
  const gone = new AbortController()
  const onClose = () => gone.abort()
  response.once('close', onClose)
  const answer = await version.engine!.upstream!.send({
    method: 'POST',
    path: `/v2/models/${encodeURIComponent(model)}/infer`,
    headers,
    body,
    deadlineMs,
    signal: gone.signal,
  })
  response.off('close', onClose)
  if (!answer.ok) {
    return answer.code === 'CLIENT_GONE'
      ? undefined
      : failed(answer.code, answer.message, answer.latencyMs, answer.queueMs)
  }
  const { status } = answer
  const outcome = outcomeOfStatus(status)
  return {
    status,
    headers: answerHeaders(answer.headers),
    body: answer.body,
    outcome,
    errorType: outcome === OUTCOME.ok ? '' : String(status),
    inferMs: answer.latencyMs,
    queueMs: answer.queueMs,
  }
}

function failed(code: ErrorCode, message: string, inferMs: number, queueMs: number): Answer {
  const { status } = new UnderstudyError(code, '')
  return {
    status,
    headers: JSON_TYPE,
    body: encodeError(message),
    outcome: outcomeOf(code),
    errorType: code,
    inferMs,
    queueMs,
  }
}

function outcomeOf(code: ErrorCode): OutcomeCode {
  if (code === 'BAD_TENSOR') return OUTCOME.clientError
  if (code === 'VERSION_DEADLINE') return OUTCOME.deadline
  return code === 'VERSION_UNREACHABLE' || code === 'VERSION_NOT_READY' ? OUTCOME.unreachable : OUTCOME.failed
}

/** A prediction is a 2xx; 4xx blames the client but for 429; anything else, a redirect included, is no prediction. */
function outcomeOfStatus(status: number): OutcomeCode {
  if (status >= 200 && status < 300) return OUTCOME.ok
  return status >= 400 && status < 500 && status !== 429 ? OUTCOME.clientError : OUTCOME.failed
}
