// A model server as a scorer: tensors in and out, in whatever protocol it speaks. Sends what it is told, and retries nothing.
import { messageOf } from '../errors.ts'
import type { Codec, DecodeLimits, InferRequest, WireBody } from '../protocols/codec.ts'
import { codingOf, decodedNow } from '../protocols/content.ts'
import { jsonBytesOf } from '../protocols/openInference.ts'
import type { Tensor } from '../protocols/tensor.ts'
import type { AnswerHeaders, UpstreamAnswer } from './exchange.ts'
import type { AskedFor, ScoreOutcome, Scorer } from './scorer.ts'
import type { Upstream } from './upstream.ts'

/** Largest answer once its content coding is taken off: what a few kilobytes may grow to. */
const MAX_DECODED_BYTES = 64 * 1024 * 1024

/** `headers` go with every call. */
export function upstreamScorer(upstream: Upstream, codec: Codec, model: string, headers: readonly string[]): Scorer {
  // What batches are answered differs by their rows, and must not push out what is known of answers to single requests.
  const limits = { ...upstream.answerLimits }
  let closed = false
  return {
    async score(inputs, deadlineMs, asked) {
      if (closed) return failed('VERSION_NOT_READY', 'the version is closed')
      let sent: { headers: string[]; body: Buffer }
      try {
        sent = encodedCall(codec, requestOf(inputs, asked))
      } catch (error) {
        // What this protocol cannot carry: the version is not asked.
        return failed('BAD_TENSOR', messageOf(error))
      }
      const answer = await upstream.send({
        method: 'POST',
        path: codec.predictPath(model),
        headers: [...sent.headers, ...headers],
        body: sent.body,
        deadlineMs,
      })
      return outcomeOf(answer, codec, limits)
    },
    async close() {
      if (closed) return
      closed = true
      await upstream.close()
    },
  }
}

function requestOf(inputs: readonly Tensor[], asked: AskedFor | undefined): InferRequest {
  return { id: undefined, inputs, outputs: undefined, binaryOutputs: false, columnar: false, ...asked }
}

/** Header fields and body of a call with this request. @throws what the protocol cannot carry */
export function encodedCall(codec: Codec, request: InferRequest): { headers: string[]; body: Buffer } {
  const { body, jsonBytes, contentType } = codec.encodeRequest(request)
  const headers = ['content-type', contentType]
  if (jsonBytes !== undefined) headers.push('inference-header-content-length', String(jsonBytes))
  return { headers, body: typeof body === 'string' ? Buffer.from(body) : body }
}

/** A server's answer as a body to be decoded. @throws BAD_REQUEST, BAD_CONTENT_TYPE, TOO_LARGE */
export function wireBodyOf(body: Buffer, headers: AnswerHeaders): WireBody {
  return decodedBodyOf(decodedNow(body, codingOf(single(headers['content-encoding'])), MAX_DECODED_BYTES), headers)
}

/** The same where its content coding is taken off already. */
export function decodedBodyOf(bytes: Uint8Array, headers: AnswerHeaders): WireBody {
  return {
    bytes,
    jsonBytes: jsonBytesOf(single(headers['inference-header-content-length']), bytes.length),
    contentType: single(headers['content-type']) ?? '',
  }
}

/**
 * What a server's answer means; without a codec it is not read, and only its status counts. 4xx is the model's word that
 * the input is bad.
 */
export function outcomeOf(answer: UpstreamAnswer, codec: Codec | undefined, limits: DecodeLimits): ScoreOutcome {
  const { latencyMs: inferMs, queueMs } = answer
  if (!answer.ok) {
    const code = answer.code === 'CLIENT_GONE' ? 'VERSION_DEADLINE' : answer.code
    return { ok: false, code, message: answer.message, inferMs, queueMs }
  }
  const { status } = answer
  if (status >= 400 && status < 500 && status !== 429) {
    return { ok: false, code: 'BAD_TENSOR', message: `the version answered ${status}`, inferMs, queueMs }
  }
  if (status < 200 || status >= 300) {
    return { ok: false, code: 'VERSION_FAILED', message: `the version answered ${status}`, inferMs, queueMs }
  }
  try {
    const body = wireBodyOf(answer.body.whole, answer.headers)
    if (codec === undefined) JSON.parse(textOf(body.bytes))
    const outputs = codec?.decodeResponse(body, limits).outputs ?? []
    // Pointers are followed in its JSON, not in raw tensors behind that.
    const raw = body.jsonBytes === undefined ? body.bytes : body.bytes.subarray(0, body.jsonBytes)
    return { ok: true, outputs, inferMs, queueMs, raw, ...(codec?.protocol !== 'v2' && { untyped: true }) }
  } catch (error) {
    return { ok: false, code: 'VERSION_FAILED', message: `unreadable answer: ${messageOf(error)}`, inferMs, queueMs }
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value
}

function failed(code: 'VERSION_NOT_READY' | 'BAD_TENSOR', message: string): ScoreOutcome {
  return { ok: false, code, message, inferMs: 0, queueMs: 0 }
}
