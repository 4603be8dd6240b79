// What a serving thread tells the shadow thread of one request: ids, times, status and bytes, packed for the ring.
import { Buffer } from 'node:buffer'
import { PROTOCOLS, type Protocol } from '../config/protocols.ts'
import type { Pieces } from './pieces.ts'
import type { PackedPlace, RingProducer } from './ring.ts'

/** How the live side of a request ended. */
export const OUTCOME = { ok: 0, clientError: 1, failed: 2, deadline: 3, unreachable: 4 } as const
export type OutcomeCode = (typeof OUTCOME)[keyof typeof OUTCOME]

/** Why the bodies of a request are not told: one is larger than is mirrored, or it was answered before all of it had come. */
export const WITHHELD = ['too_large', 'incomplete'] as const
export type Withheld = (typeof WITHHELD)[number]

export interface RequestRecord {
  /** Configuration revision that served it; route and version are indices into that snapshot. */
  readonly revision: number
  readonly route: number
  readonly version: number
  readonly epoch: number
  /** One bit per version index of the route: mirror to it. */
  readonly candidates: number
  /** A canary's answer: live is to score the request too. */
  readonly paired: boolean
  /** It waits for its label as an answer of its arm. */
  readonly labelled: boolean
  readonly outcome: OutcomeCode
  readonly status: number
  /** The tester chose the version: never evidence. */
  readonly forced: boolean
  /** Its bodies flowed through while they came: its times are those of two networks. */
  readonly streamed: boolean
  /** The client's protocol, in which the bodies are. */
  readonly protocol: Protocol
  /** Kept by the head-sampling decision, whatever the outcome. */
  readonly headSampled: boolean
  /** It counts in its arm: nobody forced it, and its sticky unit is seen for the first time. */
  readonly counted: boolean
  /** Its latency (`inferMs`) counts in its arm. */
  readonly timed: boolean
  /** Its times are nobody's evidence: live may have scored it together with others. */
  readonly untimed: boolean
  /** Why the bodies were left out, and what was wanted of it besides its answer is dropped. */
  readonly withheld: Withheld | undefined
  /** Cohorts that it is compared in by blocks, one bit per version index of the route. */
  readonly cohorts: number
  /** traceparent's flags. */
  readonly traceFlags: number
  /** Monotonic ms at admission. */
  readonly startMs: number
  /** Admission to the last byte handed to the socket, ms. */
  readonly durationMs: number
  /** Inside the session (embedded) or the upstream call, ms. */
  readonly inferMs: number
  readonly queueMs: number
  /** Lower-case hexadecimal of 32, 16, 16 and 16 digits; empty parent: root. */
  readonly traceId: string
  readonly serverSpanId: string
  readonly inferSpanId: string
  readonly parentSpanId: string
  /** Like all texts here in ISO 8859-1: what stands in header fields is no more. */
  readonly requestId: string
  /** The gateway made its id, which no request before it had. */
  readonly ownId: boolean
  readonly errorType: string
  readonly tracestate: string
  /** Where it was asked for, as the client wrote it: a path of the route's own, if it is one, and the query, if there is one. */
  readonly path: string
  /** Content type, content coding and length of the JSON part, see protocols/content; empty: plain JSON. */
  readonly requestForm: string
  readonly answerForm: string
  readonly request: Uint8Array
  readonly answer: Uint8Array
}

/** What is packed: a request as it came, an answer as it came or as the text that it was written as. */
export interface PackedRecord extends Omit<RequestRecord, 'request' | 'answer'> {
  readonly request: Pieces
  readonly answer: Pieces | string
}

const FIXED_BYTES = 104

/**
 * Packs a record into the ring.
 * @returns false when the ring is too full: the caller counts the drop
 */
export function writeRecord(ring: RingProducer, record: PackedRecord): boolean {
  const { requestId, errorType, tracestate, path, requestForm, answerForm, request, answer } = record
  const ids = record.traceId + record.serverSpanId + record.inferSpanId + (record.parentSpanId || NO_PARENT)
  // Written and read at once: a call for each would cost more than all its characters.
  const texts = ids + requestId + errorType + tracestate + path + requestForm + answerForm
  const answerLength = bytesOf(answer)
  const size = FIXED_BYTES + texts.length + request.length + answerLength
  const start = ring.reserve(size)
  if (start < 0) return false
  const { view, bytes } = ring
  view.setUint32(start, record.revision, true)
  view.setUint16(start + 4, record.route, true)
  view.setUint16(start + 6, record.version, true)
  view.setUint32(start + 8, record.epoch, true)
  view.setUint32(start + 12, record.candidates, true)
  view.setUint16(start + 16, record.status, true)
  view.setUint8(start + 18, record.outcome)
  view.setUint8(start + 19, flagsOf(record))
  view.setUint8(start + 20, record.traceFlags)
  view.setUint8(start + 21, PROTOCOLS.indexOf(record.protocol))
  view.setUint8(start + 22, record.withheld === undefined ? 0 : WITHHELD.indexOf(record.withheld) + 1)
  view.setUint8(start + 23, record.ownId ? 1 : 0)
  view.setUint32(start + 24, requestId.length, true)
  view.setUint32(start + 28, errorType.length, true)
  view.setUint32(start + 32, tracestate.length, true)
  view.setUint32(start + 36, request.length, true)
  view.setUint32(start + 40, answerLength, true)
  view.setFloat64(start + 48, record.startMs, true)
  view.setFloat64(start + 56, record.durationMs, true)
  view.setFloat64(start + 64, record.inferMs, true)
  view.setFloat64(start + 72, record.queueMs, true)
  view.setUint32(start + 80, path.length, true)
  view.setUint32(start + 84, requestForm.length, true)
  view.setUint32(start + 88, answerForm.length, true)
  view.setUint32(start + 100, record.cohorts, true)
  const at = start + FIXED_BYTES
  bytes.write(texts, at, 'latin1')
  request.copyTo(bytes, at + texts.length)
  const answerAt = at + texts.length + request.length
  if (typeof answer === 'string') bytes.write(answer, answerAt, answerLength, 'utf8')
  else answer.copyTo(bytes, answerAt)
  ring.publish(isAwaited(record))
  return true
}

/** As UTF-8, where it is a text. */
export function bytesOf(body: Pieces | string): number {
  return typeof body === 'string' ? Buffer.byteLength(body) : body.length
}

/** Whether a candidate, a comparison or a label waits for it; the others are told for spans and explanations alone. */
export function isAwaited({ candidates, paired, labelled }: PackedRecord | RequestRecord): boolean {
  return candidates !== 0 || paired || labelled
}

function flagsOf(record: PackedRecord): number {
  const { forced, headSampled, paired, labelled, counted, timed, untimed, streamed } = record
  const wanted = (paired ? 4 : 0) | (labelled ? 8 : 0)
  const counts = (counted ? 16 : 0) | (timed ? 32 : 0) | (untimed ? 64 : 0)
  return (forced ? 1 : 0) | (headSampled ? 2 : 0) | wanted | counts | (streamed ? 128 : 0)
}

/** Unpacks a record, copying every byte out of shared memory. */
export function readRecord({ bytes, view, start, end }: PackedPlace): RequestRecord {
  const requestLength = view.getUint32(start + 36, true)
  const answerLength = view.getUint32(start + 40, true)
  const flags = view.getUint8(start + 19)
  const bodiesAt = end - requestLength - answerLength
  const texts = bytes.toString('latin1', start + FIXED_BYTES, bodiesAt)
  let at = 0
  const next = (length: number) => {
    const from = at
    at += length
    return texts.slice(from, at)
  }
  const traceId = next(32)
  const serverSpanId = next(16)
  const inferSpanId = next(16)
  const parentSpanId = next(16)
  const requestId = next(view.getUint32(start + 24, true))
  const errorType = next(view.getUint32(start + 28, true))
  const tracestate = next(view.getUint32(start + 32, true))
  const path = next(view.getUint32(start + 80, true))
  const requestForm = next(view.getUint32(start + 84, true))
  const answerForm = next(view.getUint32(start + 88, true))
  // One copy for both bodies: shared memory is never handed to a socket, the producer will overwrite it.
  const bodies = Buffer.allocUnsafe(requestLength + answerLength)
  bytes.copy(bodies, 0, bodiesAt, end)
  return {
    revision: view.getUint32(start, true),
    route: view.getUint16(start + 4, true),
    version: view.getUint16(start + 6, true),
    epoch: view.getUint32(start + 8, true),
    candidates: view.getUint32(start + 12, true),
    status: view.getUint16(start + 16, true),
    outcome: view.getUint8(start + 18) as OutcomeCode,
    forced: (flags & 1) !== 0,
    headSampled: (flags & 2) !== 0,
    paired: (flags & 4) !== 0,
    labelled: (flags & 8) !== 0,
    counted: (flags & 16) !== 0,
    timed: (flags & 32) !== 0,
    untimed: (flags & 64) !== 0,
    withheld: WITHHELD[view.getUint8(start + 22) - 1],
    streamed: (flags & 128) !== 0,
    cohorts: view.getUint32(start + 100, true),
    protocol: PROTOCOLS[view.getUint8(start + 21)]!,
    traceFlags: view.getUint8(start + 20),
    startMs: view.getFloat64(start + 48, true),
    durationMs: view.getFloat64(start + 56, true),
    inferMs: view.getFloat64(start + 64, true),
    queueMs: view.getFloat64(start + 72, true),
    traceId,
    serverSpanId,
    inferSpanId,
    parentSpanId: parentSpanId === NO_PARENT ? '' : parentSpanId,
    requestId,
    ownId: view.getUint8(start + 23) !== 0,
    errorType,
    tracestate,
    path,
    requestForm,
    answerForm,
    request: bodies.subarray(0, requestLength),
    answer: bodies.subarray(requestLength),
  }
}

const NO_PARENT = '0000000000000000'
