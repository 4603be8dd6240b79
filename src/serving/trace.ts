// Which trace a request belongs to, and what its upstream is told of it. Makes ids and no spans.
import type { IncomingHttpHeaders } from 'node:http'
import { keepsHead } from '../telemetry/keep.ts'
import { formatTraceparent, type TraceContext, traceContextOf, withoutOwnBaggage } from '../telemetry/traceContext.ts'

export interface RequestTrace extends TraceContext {
  readonly baggage: string | undefined
  /** Kept whatever the outcome, by the trace id alone. */
  readonly headSampled: boolean
}

/** The caller's trace, or a new one where there is none that is valid. */
export function requestTrace(headers: IncomingHttpHeaders, ratio: number): RequestTrace {
  const context = traceContextOf(single(headers.traceparent), single(headers.tracestate), ratio)
  return {
    traceId: context.traceId,
    spanId: context.spanId,
    parentSpanId: context.parentSpanId,
    flags: context.flags,
    tracestate: context.tracestate,
    baggage: withoutOwnBaggage(single(headers.baggage)),
    headSampled: keepsHead(context.traceId, ratio),
  }
}

/** The trace fields of an upstream call whose span is `spanId`, names and values in turn. */
export function traceHeaders(trace: RequestTrace, spanId: string): string[] {
  const fields = ['traceparent', formatTraceparent(trace.traceId, spanId, trace.flags)]
  if (trace.tracestate !== '') fields.push('tracestate', trace.tracestate)
  if (trace.baggage !== undefined) fields.push('baggage', trace.baggage)
  return fields
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value
}
