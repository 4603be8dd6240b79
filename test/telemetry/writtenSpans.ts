// Spans as another service writes them, through the real SDK and its official encoders.
import {
  type Attributes,
  type HrTime,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api'
import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'

export interface Written {
  readonly name: string
  readonly attributes: Attributes
  readonly isError?: boolean
  readonly startTime?: HrTime
  readonly durationMs?: number
  readonly kind?: SpanKind
  /** A trace of its own by default. */
  readonly traceId?: string
}

const START: HrTime = [1_790_000_000, 0]

export async function writtenSpans(spans: readonly Written[], service = 'scorer'): Promise<ReadableSpan[]> {
  const exporter = new InMemorySpanExporter()
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service }),
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  })
  const tracer = provider.getTracer('test')
  for (const { name, attributes, isError, startTime = START, durationMs = 2, kind, traceId } of spans) {
    const parent =
      traceId === undefined
        ? ROOT_CONTEXT
        : trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId: 'bbbbbbbbbbbbbbbb', traceFlags: TraceFlags.SAMPLED })
    const span = tracer.startSpan(name, { attributes, startTime, kind: kind ?? SpanKind.INTERNAL }, parent)
    if (isError) span.setStatus({ code: SpanStatusCode.ERROR, message: 'broken' })
    span.addEvent('looked', { at: 1 })
    span.end([startTime[0], startTime[1] + Math.round(durationMs * 1e6)])
  }
  await provider.forceFlush()
  const finished = exporter.getFinishedSpans()
  await provider.shutdown()
  return finished
}

export function asProtobuf(spans: ReadableSpan[]): Uint8Array {
  return ProtobufTraceSerializer.serializeRequest(spans)!
}

export function asJson(spans: ReadableSpan[]): Uint8Array {
  return JsonTraceSerializer.serializeRequest(spans)!
}
