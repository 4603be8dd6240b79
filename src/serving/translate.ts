// Asks a model server that speaks another protocol than the client, or calls its tensors otherwise.
import type { Codec } from '../protocols/codec.ts'
import { codecOf } from '../protocols/codecs.ts'
import { conformOutputs } from '../protocols/conform.ts'
import { codingOf, decoded } from '../protocols/content.ts'
import { signatureToClient, toClient, toVersion } from '../protocols/rename.ts'
import type { Tensor } from '../protocols/tensor.ts'
import type { UpstreamTarget } from '../rollout/snapshot.ts'
import type { AnswerHeaders, UpstreamAnswer } from '../scoring/exchange.ts'
import { wireBodyOf as answerBodyOf, decodedBodyOf, encodedCall } from '../scoring/upstreamScorer.ts'
import {
  type Answer,
  encodedPrediction,
  errorBody,
  failed,
  type Incoming,
  JSON_FORM,
  JSON_TYPE,
  outcomeOfStatus,
} from './answer.ts'
import { selected, wireBodyOf } from './embedded.ts'
import { addOwnHeaders } from './forward.ts'
import { requestHeaders } from './headers.ts'
import type { RuntimeRoute, RuntimeVersion } from './runtime.ts'

export async function translate(
  version: RuntimeVersion,
  route: RuntimeRoute,
  incoming: Incoming,
  codec: Codec,
): Promise<Answer | undefined> {
  const { snapshot, engine } = version
  const target = snapshot.target as UpstreamTarget
  const theirs = codecOf(target.protocol)!
  const signature = await engine!.signature!.of(snapshot.deadlineMs)
  const known = signature === undefined ? undefined : signatureToClient(signature, snapshot.rename)
  const request = codec.decodeRequest(await wireBodyOf(incoming, route), route.snapshot.limits, known)
  const sent = encodedCall(theirs, toVersion(request, snapshot.rename))
  const headers = [...withoutContent(incoming), ...sent.headers]
  addOwnHeaders(headers, version, route, incoming)
  const upstream = engine!.upstream!
  const answer = await upstream.send({
    method: 'POST',
    path: theirs.predictPath(target.model),
    headers,
    body: sent.body,
    deadlineMs: snapshot.deadlineMs,
    caller: incoming.client,
  })
  if (!answer.ok) {
    const { code, message, latencyMs: inferMs, queueMs } = answer
    return code === 'CLIENT_GONE' ? undefined : failed(code, message, codec, { inferMs, queueMs })
  }
  const times = { inferMs: answer.latencyMs, queueMs: answer.queueMs }
  if (answer.status < 200 || answer.status >= 300) return refused(answer, codec, times)
  let outputs: readonly Tensor[]
  try {
    const coding = codingOf([answer.headers['content-encoding'] ?? ''].flat().join(','))
    const bytes = await decoded(answer.body.whole, coding, route.snapshot.limits.body)
    const response = theirs.decodeResponse(decodedBodyOf(bytes, answer.headers), upstream.answerLimits)
    outputs = toClient(conformOutputs(response.outputs, signature?.outputs ?? []), snapshot.rename)
  } catch {
    return failed('VERSION_FAILED', `the version gave no readable ${target.protocol} answer`, codec, times)
  }
  const missing = request.outputs?.find(({ name }) => !outputs.some(output => output.name === name))
  if (missing !== undefined) {
    const given = outputs.map(({ name }) => name).join(', ')
    return failed('BAD_TENSOR', `unknown output "${missing.name.slice(0, 80)}"; the model gives ${given}`, codec, times)
  }
  return encodedPrediction({ version, route, incoming, codec, request }, selected(outputs, request.outputs), times)
}

/** Header fields of the client without those that describe a body which is not sent. */
function withoutContent({ request }: Incoming): string[] {
  const headers = requestHeaders(request.rawHeaders, request.headers.connection)
  const kept: string[] = []
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (!OF_CONTENT.has(headers[index]!)) kept.push(headers[index]!, headers[index + 1]!)
  }
  return kept
}

const OF_CONTENT = new Set(['content-type', 'content-encoding', 'inference-header-content-length', 'accept'])

/** The server's status, and what it says of it in the client's form. */
function refused(
  answer: Extract<UpstreamAnswer, { ok: true }>,
  codec: Codec,
  times: { inferMs: number; queueMs: number },
): Answer {
  const said = saidOf(answer) ?? `the version answered ${answer.status}`
  // A redirect is never followed, and means nothing to a client that knows another address.
  const status = answer.status < 400 ? 502 : answer.status
  return {
    status,
    headers: [...JSON_TYPE, ...adviceOf(answer.headers)],
    body: errorBody(codec, said, status),
    form: JSON_FORM,
    streamedBytes: undefined,
    outcome: outcomeOfStatus(status),
    errorType: String(answer.status),
    ...times,
  }
}

/** What a client is told beside the text of an error, in every protocol the same. */
function adviceOf(headers: AnswerHeaders): string[] {
  return ['retry-after', 'www-authenticate'].flatMap(name =>
    [headers[name] ?? []].flat().flatMap(value => [name, value]),
  )
}

/** What is longer is no sentence for a client, and would be read on the serving thread. */
const MOST_SAID_BYTES = 16 * 1024

/** The text in an error body of any of the protocols; a server that fails may say more than a client should see. */
function saidOf({ status, body, headers }: Extract<UpstreamAnswer, { ok: true }>): string | undefined {
  if (status >= 500 || body.length > MOST_SAID_BYTES) return undefined
  try {
    const { error, message } = JSON.parse(Buffer.from(answerBodyOf(body.whole, headers).bytes).toString('utf8'))
    const text = typeof error === 'string' ? error : message
    return typeof text === 'string' ? text.slice(0, 500) : undefined
  } catch {
    return undefined
  }
}
