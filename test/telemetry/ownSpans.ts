// Spans as the gateway writes them, through OTLP's JSON, without a gateway.
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer'
import { AlwaysOnSampler, InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { HandedIds } from '../../src/telemetry/spans.ts'

export type Tracer = ReturnType<TracerProvider['getTracer']>

/** One ExportTraceServiceRequest in JSON with everything that `write` writes. */
export function writtenSpans(write: (tracer: Tracer, ids: HandedIds) => void): unknown {
  const exporter = new InMemorySpanExporter()
  const ids = new HandedIds()
  const provider = new TracerProvider({
    sampler: new AlwaysOnSampler(),
    idGenerator: ids,
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  })
  write(provider.getTracer('test'), ids)
  return JSON.parse(Buffer.from(JsonTraceSerializer.serializeRequest(exporter.getFinishedSpans())!).toString())
}
