// The life of one prediction request on a serving thread: read, assign, answer, then count and record it.
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { asUnderstudyError, UnderstudyError } from '../errors.ts'
import { codecOf } from '../protocols/codecs.ts'
import { type BodyForm, codingOf, decoded } from '../protocols/content.ts'
import { jsonBytesOf } from '../protocols/openInference.ts'
import { epochAt, monotonicMs } from '../record/clock.ts'
import type { Book, EpochLedger } from '../record/epochs.ts'
import { Pieces } from '../record/pieces.ts'
import type { RingProducer } from '../record/ring.ts'
import { assign, assignDrawn } from '../routing/assign.ts'
import { draw } from '../routing/draw.ts'
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
import { type Answer, errorBody, type Incoming, JSON_TYPE } from './answer.ts'
import { answerBy, passesUntouched } from './ask.ts'
import { readBody } from './body.ts'
import { cleanRequestId } from './headers.ts'
import { endAfterRequest } from './linger.ts'
import type { Asked } from './path.ts'
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
  /** Durations of answers given before a version was chosen, see `durationsOf`. */
  readonly refused: Map<number, DurationCounts>
  readonly draining: () => boolean
}

/** How much longer than its version's deadline a request may take that flows, until its evidence is let go. */
const FLOWING_MS = 5_000

/** Answers one prediction, whatever protocol it is asked for in. Never rejects. */
export async function predict(
  context: PredictContext,
  asked: Asked,
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
  let flowing: NodeJS.Timeout | undefined
  try {
    route = routeOf(runtime, asked)
    route.inFlight++
    if (route.snapshot.spans !== undefined) throw new UnderstudyError('NOT_SUPPORTED', servedElsewhere(route))
    if (route.inFlight > route.snapshot.limits.inFlight) {
      throw new UnderstudyError('OVERLOADED', 'too many requests under way for this model')
    }
    if (asked.protocol === 'v1' && asked.verb !== 'predict') {
      throw new UnderstudyError('NOT_SUPPORTED', `:${asked.verb.slice(0, 40)} is not supported, only :predict`)
    }
    const form = formOf(request)
    const { body: limitBytes, mirrored } = route.snapshot.limits
    // A long body may be passed on as it comes only where nobody must read it first.
    const early = readsBody(route) ? undefined : choose(route, asked, request, undefined)
    const mayFlow = early !== undefined && allPassUntouched(route, asked)
    const body = await readBody(request, response, limitBytes, mayFlow ? mirrored : undefined)
    const choice = early ?? choose(route, asked, request, await jsonOf(body as Pieces, form, request, limitBytes))
    // Only now: a client that sends its body slowly must not hold back the evidence of everybody's epoch; see `letGo`.
    book = context.ledger.book(epochAt(monotonicMs(), context.originMs))
    book.underWay++
    const trace = requestTrace(request.headers, runtime.snapshot.traces.ratio)
    const cohorts = cohortsOf(route, choice, trace.spanId)
    const said = { requestId, version: choice.version, close: context.draining() }
    const incoming: Incoming = {
      asked,
      request,
      response,
      body,
      form,
      requestId,
      trace,
      inferSpanId: newSpanId(),
      begin(status, headers) {
        flowing ??= setTimeout(letGo, letGoMs)
        writeHead(request, response, status, headers, said)
      },
    }
    const counts = countAssigned(book, route, choice, cohorts)
    const { version, forced, unit } = choice
    admitted = { version, forced, unit, runtime, route, book, startMs, incoming, counts, cohorts }
    // What flows at a client's pace says nothing of the version from here on, and must not hold back everybody's evidence.
    const letGoMs = version.snapshot.deadlineMs + FLOWING_MS
    const letGo = () => {
      if (admitted === undefined || book === undefined) return
      recordEnd(context.ring, admitted, { status: 0, errorType: 'BODY_TIMEOUT' })
      admitted = undefined
      book.underWay--
      book = undefined
    }
    if (!(body instanceof Pieces)) flowing = setTimeout(letGo, letGoMs)
    const answer = await answerBy(version, route, incoming)
    if (answer === undefined) {
      if (admitted !== undefined) countGone(context.ring, admitted)
      admitted = undefined
      if (!response.destroyed) throw new UnderstudyError('BODY_TIMEOUT', 'the client was too slow')
      return
    }
    if (answer.streamedBytes === undefined) {
      respond(request, response, answer, { ...said, close: context.draining() })
    }
    if (admitted !== undefined) account(context.ring, admitted, answer)
  } catch (error) {
    const { status, message, code } = asUnderstudyError(error)
    if (admitted !== undefined) recordEnd(context.ring, admitted, { status, errorType: code })
    durationsOf(context.refused, status, asked.protocol).add((monotonicMs() - startMs) / 1000)
    refuse(request, response, status, errorBody(codecOf(asked.protocol), message, status), {
      requestId,
      version: undefined,
      close: context.draining(),
    })
  } finally {
    clearTimeout(flowing)
    if (route !== undefined) route.inFlight--
    if (book !== undefined) book.underWay--
    runtime.underWay--
  }
}

function servedElsewhere({ snapshot: { name } }: RuntimeRoute): string {
  return `model "${name}" is served elsewhere: this gateway knows it by its spans only and answers no predictions of it`
}

/** @throws UNKNOWN_MODEL */
function routeOf(runtime: Runtime, { model, path }: Asked): RuntimeRoute {
  const route = model === undefined ? runtime.paths.get(path) : runtime.routes.get(model)
  if (route !== undefined) return route
  throw new UnderstudyError(
    'UNKNOWN_MODEL',
    model === undefined
      ? `no model answers at ${path}: a route of several must say "path: ${path}"`
      : `unknown model "${model.slice(0, 128)}"`,
  )
}

function formOf({ headers }: IncomingMessage): BodyForm {
  const jsonBytes = headers['inference-header-content-length']
  return {
    contentType: headers['content-type'] ?? '',
    coding: codingOf(headers['content-encoding']),
    // Read strictly by whoever decodes it; here it only goes with the record.
    jsonBytes: typeof jsonBytes === 'string' && /^\d{1,15}$/.test(jsonBytes) ? Number(jsonBytes) : undefined,
  }
}

/**
 * Whether bodies may flow: by the route and not by the version, since a body that its client breaks off would else be
 * assigned in one arm and not in the other.
 */
function allPassUntouched({ versions }: RuntimeRoute, asked: Asked): boolean {
  for (const version of versions) if (version.engine !== undefined && !passesUntouched(asked, version)) return false
  return true
}

/** Whether the unit of assignment stands in the body. */
function readsBody({ snapshot: { sticky }, sole }: RuntimeRoute): boolean {
  return sole === undefined && sticky !== undefined && 'pointer' in sticky
}

/** The JSON in a body. @throws what it blames the client for */
async function jsonOf(
  body: Pieces,
  { coding }: BodyForm,
  { headers }: IncomingMessage,
  limitBytes: number,
): Promise<Uint8Array> {
  const bytes = await decoded(body.whole, coding, limitBytes)
  const jsonBytes = jsonBytesOf(headers['inference-header-content-length'] as string | undefined, bytes.length)
  return jsonBytes === undefined ? bytes : bytes.subarray(0, jsonBytes)
}

/** The version that answers. @throws FORBIDDEN, UNKNOWN_VERSION when a version is asked for that may not be */
function choose(route: RuntimeRoute, path: Asked, request: IncomingMessage, body: Uint8Array | undefined): Choice {
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
  // Without a key the server draws: an id from the client would let it pick its version.
  const assigned = unit === undefined ? assignDrawn(draw(), route.arms) : assign(salts.split, unit, route.arms)
  const version = route.versions.find(({ snapshot }) => snapshot.version === assigned) ?? route.live
  return { version, forced: false, unit }
}

/** What stands on every answer. */
interface Said {
  readonly requestId: string
  readonly version: RuntimeVersion | undefined
  readonly close: boolean
}

function respond(request: IncomingMessage, response: ServerResponse, answer: Answer, said: Said): void {
  if (response.destroyed || response.headersSent) return
  const length = typeof answer.body === 'string' ? Buffer.byteLength(answer.body) : answer.body.length
  const { status } = answer
  // These two have no body, and a length would be that of one (RFC 9110 section 8.6).
  const headers = [...answer.headers]
  if (status !== 204 && status !== 304) headers.push('content-length', String(length))
  writeHead(request, response, status, headers, said)
  endAfterRequest(request, response, answer.body)
}

/** @param headers of the answer: what stands on every answer is added to them */
function writeHead(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  headers: string[],
  { requestId, version, close }: Said,
): void {
  // A version that says when to come again knows it better.
  if (status === 503 && !headers.some((name, index) => index % 2 === 0 && name === 'retry-after'))
    headers.push('retry-after', '1')
  headers.push('x-request-id', requestId)
  if (version !== undefined) headers.push('x-understudy-version', version.snapshot.version)
  // The rest of a body that is not wanted would otherwise be read as the next request.
  if (!request.complete || close) headers.push('connection', 'close')
  response.writeHead(status, headers)
}

function refuse(request: IncomingMessage, response: ServerResponse, status: number, body: string, said: Said): void {
  if (response.destroyed || response.headersSent) return
  writeHead(request, response, status, [...JSON_TYPE, 'content-length', String(Buffer.byteLength(body))], said)
  // A client that was too slow with its body is not waited for any longer.
  if (status === 408) response.end(body)
  else endAfterRequest(request, response, body)
}
