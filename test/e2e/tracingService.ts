// A service that asks two versions of a model and writes a span for each, with the real OpenTelemetry SDK and exporters.
import { type Attributes, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'

export interface Scored {
  readonly version: string
  /** Undefined: it failed. */
  readonly prediction: number | string | readonly number[] | undefined
  readonly ms?: number
  readonly attributes?: Attributes
}

export interface ServiceOptions {
  readonly encoding?: 'protobuf' | 'json'
  readonly token?: string
}

export interface TracingService {
  /** One request: a trace with a span for each version's answer, one after another. */
  request(scored: readonly Scored[]): void
  /** Resolves when everything is exported. @throws when the gateway refuses it */
  exported(): Promise<void>
  stop(): Promise<void>
}

/** @param admin address of the admin listener */
export function tracingService(admin: string, { encoding = 'protobuf', token }: ServiceOptions = {}): TracingService {
  const Exporter = encoding === 'json' ? JsonExporter : ProtobufExporter
  const exporter = new Exporter({
    url: `${admin}/v1/traces`,
    ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
    // Of the enumeration, whose package is not ours to import.
    compression: 'gzip' as never,
  })
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'churn-scorer' }),
    spanProcessors: [new BatchSpanProcessor({ exporter, maxQueueSize: 100_000, maxExportBatchSize: 512 })],
  })
  const tracer = provider.getTracer('scorer')
  return {
    request(scored) {
      const root = tracer.startSpan('POST /score', {}, ROOT_CONTEXT)
      const context = trace.setSpan(ROOT_CONTEXT, root)
      let at = Date.now()
      for (const { version, prediction, ms = 5, attributes } of scored) {
        const span = tracer.startSpan('predict', { startTime: at, attributes: { 'model.version': version } }, context)
        at += ms
        if (prediction === undefined) span.setStatus({ code: SpanStatusCode.ERROR })
        else span.setAttribute('prediction', prediction as number)
        if (attributes !== undefined) span.setAttributes(attributes)
        span.end(at)
      }
      root.end()
    },
    exported: () => provider.forceFlush(),
    stop: () => provider.shutdown(),
  }
}
