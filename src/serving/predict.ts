// The life of one prediction request on a serving thread: read, assign, answer, then count and record it.
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { asUnderstudyError, UnderstudyError } from '../errors.ts'
import { encodeError } from '../protocols/openInference.ts'
import { epochAt, monotonicMs } from '../record/clock.ts'
import type { Book, EpochLedger } from '../record/epochs.ts'
import type { RingProducer } from '../record/ring.ts'
import { assign } from '../routing/assign.ts'
import type { DurationCounts } from '../telemetry/durations.ts'
import { newSpanId } from '../telemetry/traceContext.ts'
import {
  type Admitted,
  account,
  type Choice,
  countAssigned,
  countGone,
  durationsOf,
  recordEnd,
  type ServingBook,
} from './account.ts'
import { type Answer, answerBy, JSON_TYPE } from './answer.ts'
import { readBody } from './body.ts'
import { cleanRequestId } from './headers.ts'
import type { ModelPath } from './path.ts'
import type { Runtime, RuntimeRoute, RuntimeVersion } from './runtime.ts'
import { cohortsOf } from './samples.ts'
import { requestTrace } from './trace.ts'
import { stickyUnit } from './units.ts'

export interface PredictContext {
  /** The revision that new requests are admitted under. */
  readonly runtime: () => Runtime
  readonly ring: RingProducer
  readonly ledger: EpochLedger<ServingBook>
  readonly originMs: number
  /** Durations of answers given before a version was chosen, by status. */
  readonly refused: Map<number, DurationCounts>
  readonly draining: () => boolean
}

/** Answers `POST /v2/models/{model}[/versions/{version}]/infer`. Never rejects. */
export async function predict(
  context: PredictContext,
  path: ModelPath,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const startMs = monotonicMs()
  const runtime = context.runtime()
  runtime.underWay++
  const requestId = cleanRequestId(request.headers['x-request-id']) ?? randomUUID()
  let route: RuntimeRoute | undefined
  let book: Book<ServingBook> | undefined
  let admitted: Admitted | undefined
  try {
    route = runtime.routes.get(path.model)
    if (route === undefined) throw new UnderstudyError('UNKNOWN_MODEL', `unknown model "${path.model.slice(0, 128)}"`)
    route.inFlight++
    if (route.inFlight > route.snapshot.limits.inFlight) {
      throw new UnderstudyError('OVERLOADED', 'too many requests under way for this model')
    }
    const body = await readBody(request, route.snapshot.limits.body)
    const choice = choose(route, path, request, body)
    // Only now: a client that sends its body slowly must not hold back the evidence of everybody's epoch.
    book = context.ledger.book(epochAt(monotonicMs(), context.originMs))
    book.underWay++
    const trace = requestTrace(request.headers, runtime.snapshot.traces.ratio)
    const cohorts = cohortsOf(route, choice, trace.spanId)
    admitted = {
      ...choice,
      runtime,
      route,
      book,
      startMs,
      requestId,
      trace,
      inferSpanId: newSpanId(),
      body,
      counts: countAssigned(book, route, choice, cohorts),
      cohorts,
    }
    const answer = await answerBy(choice.version, route, { ...admitted, request, response })
    if (answer === undefined) return countGone(context.ring, admitted)
    respond(response, answer, choice.version, requestId, context.draining())
    account(context.ring, admitted, answer)
  } catch (error) {
    const { status, message, code } = asUnderstudyError(error)
    if (admitted !== undefined) recordEnd(context.ring, admitted, { status, errorType: code })
    durationsOf(context.refused, status).add((monotonicMs() - startMs) / 1000)
    refuse(request, response, status, message, requestId, context.draining())
  } finally {
    if (route !== undefined) route.inFlight--
    if (book !== undefined) book.underWay--
    runtime.underWay--
  }
}

/** The version that answers. @throws FORBIDDEN, UNKNOWN_VERSION when a version is asked for that may not be */
function choose(route: RuntimeRoute, path: ModelPath, request: IncomingMessage, body: Uint8Array): Choice {
  const { force, name, salts, sticky } = route.snapshot
  const header = force === undefined ? undefined : request.headers[force.toLowerCase()]
  const asked = path.version ?? (typeof header === 'string' ? header : undefined)
  if (asked !== undefined) {
    const version = route.versions.find(({ snapshot }) => snapshot.version === asked)
    if (version === undefined)
      throw new UnderstudyError('UNKNOWN_VERSION', `model "${name}" has no version "${asked.slice(0, 128)}"`)
    if (force === undefined) {
      throw new UnderstudyError(
        'FORBIDDEN',
        `model "${name}" does not let requests pick a version (the route has no "force")`,
      )
    }
    return { version, forced: true, unit: undefined }
  }
  if (route.sole !== undefined) return { version: route.sole, forced: false, unit: undefined }
  const unit = sticky === undefined ? undefined : stickyUnit(route.snapshot, request, body)
  // Without a key the unit is an id that the server makes: an id from the client would let it pick its version.
  const assigned = assign(salts.split, unit ?? randomUUID(), route.arms)
  const version = route.versions.find(({ snapshot }) => snapshot.version === assigned) ?? route.live
  return { version, forced: false, unit }
}

function respond(
  response: ServerResponse,
  answer: Answer,
  version: RuntimeVersion,
  requestId: string,
  close: boolean,
): void {
  if (response.destroyed) return
  const length = typeof answer.body === 'string' ? Buffer.byteLength(answer.body) : answer.body.length
  const headers = [
    ...answer.headers,
    'content-length',
    String(length),
    'x-request-id',
    requestId,
    'x-understudy-version',
    version.snapshot.version,
  ]
  if (answer.status === 503) headers.push('retry-after', '1')
  if (close) headers.push('connection', 'close')
  response.writeHead(answer.status, headers)
  response.end(answer.body)
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  message: string,
  requestId: string,
  close: boolean,
): void {
  if (response.destroyed || response.headersSent) return
  const body = encodeError(message)
  const headers = [...JSON_TYPE, 'content-length', String(Buffer.byteLength(body)), 'x-request-id', requestId]
  if (status === 503) headers.push('retry-after', '1')
  // The rest of a body that is not wanted would otherwise be read as the next request.
  if (!request.complete || close) headers.push('connection', 'close')
  response.writeHead(status, headers)
  response.end(body)
}
