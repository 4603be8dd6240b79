// Spans as another service writes them, through the real SDK and its official encoders.
import { type Attributes, type HrTime, SpanKind, SpanStatusCode } from '@opentelemetry/api'
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
}

const START: HrTime = [1_790_000_000, 0]

/** Each span is a trace of its own. */
export async function writtenSpans(spans: readonly Written[], service = 'scorer'): Promise<ReadableSpan[]> {
  const exporter = new InMemorySpanExporter()
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service }),
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  })
  const tracer = provider.getTracer('test')
  for (const { name, attributes, isError, startTime = START, durationMs = 2, kind } of spans) {
    const span = tracer.startSpan(name, { attributes, startTime, kind: kind ?? SpanKind.INTERNAL, root: true })
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
