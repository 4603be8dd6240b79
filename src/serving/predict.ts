// The life of one prediction request on a serving thread: read, assign, answer, then count and record it.
// In callbacks and not in promises, of which a request that is only passed on would make six.
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
import type { Addressed } from './addresses.ts'
import { type Answer, type AnswerReader, type Client, errorBody, type Incoming } from './answer.ts'
import { answerBy } from './ask.ts'
import { type BodyReader, type ComingBody, readBody } from './body.ts'
import { allPassUntouched, checkAdmission, choose, readsBody, unknownModel } from './choose.ts'
import type { Connection, UnderWay } from './connections.ts'
import { cleanRequestId } from './headers.ts'
import type { Asked } from './path.ts'
import { refuse, respond, type Said, writeHead } from './respond.ts'
import type { Runtime, RuntimeRoute } from './runtime.ts'
import { cohortsOf } from './samples.ts'
import { requestTrace } from './trace.ts'
import type { WholeRequest } from './wholeRequest.ts'

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

/** Answers one prediction, whatever protocol it is asked for in; until then it is under way on its connection. Never throws. */
export function predict(
  context: PredictContext,
  { asked, route }: Addressed,
  request: WholeRequest,
  response: ServerResponse,
  connection: Connection,
): void {
  new Prediction(context, asked, request, response, connection).admit(route)
}

/** The steps in their order: `admit`, `read`, `#assign`, `answered`; from each of them `failed` may come next. */
class Prediction implements BodyReader, AnswerReader, Said, Client, UnderWay {
  readonly request: WholeRequest
  readonly response: ServerResponse
  readonly requestId: string
  readonly #ownId: boolean
  answeredBy: string | undefined
  call: Client['call']
  line: UnderWay['line']
  before: UnderWay['before']
  after: UnderWay['after']
  readonly #context: PredictContext
  readonly #asked: Asked
  readonly #connection: Connection
  readonly #startMs = monotonicMs()
  readonly #runtime: Runtime
  #form: BodyForm | undefined
  /** Made before the body is read, where the unit does not stand in it. */
  #choice: Choice | undefined
  #route: RuntimeRoute | undefined
  #book: Book<ServingBook> | undefined
  #admitted: Admitted | undefined
  #flowing: NodeJS.Timeout | undefined
  /** Whoever was asked may still say something when the request has failed already. */
  #isOver = false

  constructor(
    context: PredictContext,
    asked: Asked,
    request: WholeRequest,
    response: ServerResponse,
    connection: Connection,
  ) {
    this.#context = context
    this.#asked = asked
    this.request = request
    this.response = response
    this.#connection = connection
    connection.underWay.join(this)
    const givenId = cleanRequestId(request.headers['x-request-id'])
    this.#ownId = givenId === undefined
    this.requestId = givenId ?? randomUUID()
    this.#runtime = context.runtime()
    this.#runtime.underWay++
  }

  get isLast(): boolean {
    return this.#context.draining()
  }

  /** Reads the body where the route, which there may not be, has room for one more request. */
  admit(route: RuntimeRoute | undefined): void {
    try {
      if (route === undefined) throw unknownModel(this.#asked)
      this.#route = route
      route.inFlight++
      checkAdmission(route, this.#asked)
      this.#form = formOf(this.request)
      const { body: limitBytes, mirrored } = route.snapshot.limits
      if (!readsBody(route)) this.#choice = choose(route, this.#asked, this.request, undefined)
      // A long body may be passed on as it comes only where nobody must read it first.
      const mayFlow = this.#choice !== undefined && allPassUntouched(route, this.#asked)
      readBody(this.request, this.response, { limitBytes, keptBytes: mayFlow ? mirrored : undefined }, this)
    } catch (error) {
      this.failed(error)
    }
  }

  read(body: Pieces | ComingBody): void {
    if (this.#choice !== undefined) {
      this.#assign(this.#choice, body)
      return
    }
    jsonOf(body as Pieces, this.#form!, this.request, this.#route!.snapshot.limits.body).then(
      json => {
        try {
          this.#assign(choose(this.#route!, this.#asked, this.request, json), body)
        } catch (error) {
          this.failed(error)
        }
      },
      error => this.failed(error),
    )
  }

  #assign(choice: Choice, body: Pieces | ComingBody): void {
    try {
      const { ledger, originMs } = this.#context
      const route = this.#route!
      const { version } = choice
      // Only now: a client that sends its body slowly must not hold back the evidence of everybody's epoch; see `#letGo`.
      const book = ledger.book(epochAt(monotonicMs(), originMs))
      this.#book = book
      book.underWay++
      const trace = requestTrace(this.request.headers, this.#runtime.snapshot.traces.ratio)
      const cohorts = cohortsOf(route, choice, trace.spanId)
      this.answeredBy = version.snapshot.version
      const incoming: Incoming = {
        asked: this.#asked,
        request: this.request,
        response: this.response,
        body,
        form: this.#form!,
        requestId: this.requestId,
        ownId: this.#ownId,
        trace,
        inferSpanId: newSpanId(),
        client: this,
      }
      this.#admitted = {
        version,
        forced: choice.forced,
        unit: choice.unit,
        runtime: this.#runtime,
        route,
        book,
        startMs: this.#startMs,
        incoming,
        counts: countAssigned(book, route, choice, cohorts),
        cohorts,
      }
      if (!(body instanceof Pieces)) this.#watchFlow()
      answerBy(version, route, incoming, this)
    } catch (error) {
      this.failed(error)
    }
  }

  clientGone(): void {
    this.call?.cancel()
  }

  begin(status: number, headers: string[]): void {
    this.#watchFlow()
    writeHead(status, headers, this)
  }

  /** @param answer undefined: the client went away, or did not send its body in time */
  answered(answer: Answer | undefined): void {
    if (this.#isOver) return
    try {
      const { ring } = this.#context
      if (answer === undefined) {
        if (this.#admitted !== undefined) countGone(ring, this.#admitted)
        this.#admitted = undefined
        if (!this.response.destroyed) throw new UnderstudyError('BODY_TIMEOUT', 'the client was too slow')
      } else {
        if (answer.streamedBytes === undefined) respond(answer, this)
        if (this.#admitted !== undefined) account(ring, this.#admitted, answer)
      }
    } catch (error) {
      this.failed(error)
      return
    }
    this.#end()
  }

  failed(error: unknown): void {
    if (this.#isOver) return
    const { status, message, code } = asUnderstudyError(error)
    const { protocol } = this.#asked
    if (this.#admitted !== undefined) recordEnd(this.#context.ring, this.#admitted, { status, errorType: code })
    durationsOf(this.#context.refused, status, protocol).add((monotonicMs() - this.#startMs) / 1000)
    this.answeredBy = undefined
    refuse(status, errorBody(codecOf(protocol), message, status), this)
    this.#end()
  }

  /** What flows at a client's pace says nothing of the version after a while, and must not hold back everybody's evidence. */
  #watchFlow(): void {
    this.#flowing ??= setTimeout(() => this.#letGo(), this.#admitted!.version.snapshot.deadlineMs + FLOWING_MS)
  }

  #letGo(): void {
    if (this.#admitted === undefined || this.#book === undefined) return
    recordEnd(this.#context.ring, this.#admitted, { status: 0, errorType: 'BODY_TIMEOUT' })
    this.#admitted = undefined
    this.#book.underWay--
    this.#book = undefined
  }

  #end(): void {
    this.#isOver = true
    if (this.#flowing !== undefined) clearTimeout(this.#flowing)
    if (this.#route !== undefined) this.#route.inFlight--
    if (this.#book !== undefined) this.#book.underWay--
    this.#runtime.underWay--
    this.#connection.underWay.leave(this)
  }
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
