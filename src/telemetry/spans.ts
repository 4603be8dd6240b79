// Turns what is known of a finished request into spans, backdated. Knows nothing of who keeps, exports or reads them.
import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  type TraceState,
  trace,
} from '@opentelemetry/api'
import type { IdGenerator } from '@opentelemetry/sdk-trace'
import { ATTR_ERROR_TYPE } from '@opentelemetry/semantic-conventions'
import type { EvidenceTerms } from '../evidence/told.ts'
import { comparisonAttributes, errorOf, inferenceAttributes, SPAN, serverAttributes } from './attributes.ts'
import { termsAttributes } from './evidenceAttributes.ts'
import type { FinishedPromotion, FinishedRequest } from './finished.ts'
import { newSpanId, newTraceId } from './traceContext.ts'

/** Hands the SDK the ids that other threads made and sent upstream already; makes new ones where there are none. */
export class HandedIds implements IdGenerator {
  #traceId = ''
  #spanId = ''

  /** The ids of the next span; an empty one is made up. */
  hand(traceId: string, spanId: string): void {
    this.#traceId = traceId
    this.#spanId = spanId
  }

  generateTraceId(): string {
    return this.#traceId === '' ? newTraceId() : this.#traceId
  }

  generateSpanId(): string {
    return this.#spanId === '' ? newSpanId() : this.#spanId
  }
}

/**
 * Writes the spans of one request: SERVER, and under it each version's work and each comparison.
 * @param ids the generator that `tracer`'s provider was made with
 */
export function writeRequestSpans(tracer: Tracer, ids: HandedIds, request: FinishedRequest): void {
  const { route, traceId } = request
  const parent =
    request.parentSpanId === ''
      ? ROOT_CONTEXT
      : trace.setSpanContext(ROOT_CONTEXT, {
          traceId,
          spanId: request.parentSpanId,
          traceFlags: TraceFlags.SAMPLED,
          isRemote: true,
          ...(request.tracestate !== '' && { traceState: asTraceState(request.tracestate) }),
        })
  ids.hand(traceId, request.spanId)
  const server = tracer.startSpan(
    `${request.method} ${request.httpRoute}`,
    { kind: SpanKind.SERVER, startTime: hrTime(request.startMs), attributes: serverAttributes(request) },
    parent,
  )
  // A client's mistake is no error of the server: the conventions leave the status of 4xx unset.
  if (request.status >= 500 || request.status === 0) server.setStatus({ code: SpanStatusCode.ERROR })
  const context = trace.setSpan(ROOT_CONTEXT, server)

  for (const inference of request.inferences) {
    ids.hand(traceId, inference.spanId)
    const span = tracer.startSpan(
      `infer ${route}`,
      {
        kind: inference.runtime === 'http' ? SpanKind.CLIENT : SpanKind.INTERNAL,
        startTime: hrTime(inference.startMs),
        attributes: inferenceAttributes(route, inference),
      },
      context,
    )
    if (errorOf(inference) !== '') span.setStatus({ code: SpanStatusCode.ERROR })
    span.end(hrTime(inference.startMs + Math.max(0, inference.durationMs)))
  }
  for (const comparison of request.comparisons) {
    ids.hand(traceId, '')
    const span = tracer.startSpan(
      `compare ${route}`,
      { startTime: hrTime(comparison.startMs), attributes: comparisonAttributes(request, comparison) },
      context,
    )
    span.end(hrTime(comparison.startMs + Math.max(0, comparison.durationMs)))
  }
  server.end(hrTime(request.startMs + Math.max(0, request.durationMs)))
}

/** Writes the root span of one promotion. */
export function writePromotionSpan(tracer: Tracer, ids: HandedIds, promotion: FinishedPromotion): void {
  ids.hand('', '')
  const span = tracer.startSpan(
    `promote ${promotion.route}`,
    {
      root: true,
      startTime: hrTime(promotion.startMs),
      links: promotion.links.map(context => ({ context: { ...context, traceFlags: TraceFlags.SAMPLED } })),
      attributes: {
        [SPAN.route]: promotion.route,
        [SPAN.promoteBy]: promotion.by,
        [SPAN.promoteFrom]: promotion.from,
        [SPAN.promoteTo]: promotion.to,
        [SPAN.evidenceDigest]: promotion.evidenceDigest,
        ...(promotion.errorType !== '' && { [ATTR_ERROR_TYPE]: promotion.errorType }),
      },
    },
    ROOT_CONTEXT,
  )
  if (promotion.errorType !== '') span.setStatus({ code: SpanStatusCode.ERROR })
  span.end(hrTime(promotion.startMs + Math.max(0, promotion.durationMs)))
}

/** Writes the root span that says what an evidence key stands for. */
export function writeTermsSpan(tracer: Tracer, ids: HandedIds, terms: EvidenceTerms, atMs: number): void {
  ids.hand('', '')
  const span = tracer.startSpan(
    `evidence ${terms.route}`,
    { root: true, startTime: hrTime(atMs), attributes: termsAttributes(terms) },
    ROOT_CONTEXT,
  )
  span.end(hrTime(atMs))
}

/** Seconds and nanoseconds: the SDK would take a number below its own uptime for something else. */
function hrTime(unixMs: number): [number, number] {
  const seconds = Math.floor(unixMs / 1000)
  const nanos = Math.round((unixMs - seconds * 1000) * 1e6)
  return nanos < 1e9 ? [seconds, nanos] : [seconds + 1, 0]
}

/** A tracestate that is only ever passed on. */
function asTraceState(list: string): TraceState {
  const state: TraceState = {
    serialize: () => list,
    get: () => undefined,
    set: () => state,
    unset: () => state,
  }
  return state
}
