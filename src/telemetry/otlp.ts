// Where spans go, by the standard OTEL_* variables and the configuration's file. Knows nothing of what they say.
import { Agent } from 'node:http'
import { context, trace } from '@opentelemetry/api'
import {
  getBooleanFromEnv,
  getNumberFromEnv,
  getStringFromEnv,
  getStringListFromEnv,
  setGlobalErrorHandler,
} from '@opentelemetry/core'
import type { SpanExporter } from '@opentelemetry/sdk-trace'
import { messageOf } from '../errors.ts'
import type { EvidenceTerms } from '../evidence/told.ts'
import type { BoundedExport, DropReason } from './boundedExport.ts'
import type { FinishedPromotion, FinishedRequest } from './finished.ts'
import { HandedIds, writePromotionSpan, writeRequestSpans, writeTermsSpan } from './spans.ts'

export interface TracingOptions {
  /** `traces.file`: OTLP JSON lines are appended here. */
  readonly file?: string | undefined
  /** Our own version, on the resource. */
  readonly version?: string
  readonly log: { readonly info: (message: string) => void; readonly warn: (message: string) => void }
}

export interface Tracing {
  /**
   * Writes the spans of a request that is kept. Never throws and never waits.
   * @returns whether an exporter that works had room for all of them, as far as is known yet
   */
  request(request: FinishedRequest): boolean
  promotion(promotion: FinishedPromotion): void
  /** Says what an evidence key stands for; `atMs` since the Unix epoch. */
  terms(terms: EvidenceTerms, atMs: number): void
  /** Spans dropped since the last call, by exporter and reason, such as `otlp_queue_full`; only what is not 0. */
  takeDrops(): Record<string, number>
  /** Exports what waits now. Never rejects. */
  flush(): Promise<void>
  /** Exports what waits, for `deadlineMs` at most; the rest is counted as dropped. Never rejects. */
  shutdown(deadlineMs: number): Promise<void>
}

type ExporterName = 'otlp' | 'console' | 'file'

/**
 * Opens tracing for this thread; undefined when nobody asked for spans, and then the SDK is not even loaded (it takes
 * 0.3 s and 45 MB).
 *
 * OTEL_SDK_DISABLED ends it all. OTEL_TRACES_EXPORTER lists otlp, console or none; when it is unset, otlp is used if
 * OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set, where the standard would send to localhost.
 * Protocols: http/protobuf (the default) and http/json. The exporter itself reads …_HEADERS, …_TIMEOUT, …_COMPRESSION and
 * …_CERTIFICATE; NodeSDK reads OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME, OTEL_LOG_LEVEL and the span limits; OTEL_BSP_*
 * apply. OTEL_TRACES_SAMPLER does not: what comes here was kept already. One per thread: NodeSDK is global to it.
 */
export async function openTracing(options: TracingOptions): Promise<Tracing | undefined> {
  const { log, file } = options
  if (getBooleanFromEnv('OTEL_SDK_DISABLED')) return undefined
  const names: ExporterName[] = [...exportersFromEnv(log), ...(file === undefined ? [] : (['file'] as const))]
  if (names.length === 0) return undefined

  const { NodeSDK, resources, sdkTrace, BoundedExport } = await loadSdk()
  const bounded = new Map<ExporterName, BoundedExport>()
  const processors: BoundedExport[] = []
  const cuts: (() => void)[] = []
  for (const name of names) {
    let opened: Opened
    try {
      opened = await openExporter(name, file)
    } catch (error) {
      log.warn(`spans are not exported to ${name}: ${messageOf(error)}`)
      continue
    }
    const processor = new BoundedExport({
      exporter: opened.exporter,
      ...batchingFromEnv(),
      onChange: error =>
        error
          ? log.warn(`spans cannot be exported to ${name}: ${messageOf(error)}`)
          : log.info(`spans are exported to ${name} again`),
    })
    cuts.push(opened.cut)
    bounded.set(name, processor)
    processors.push(processor)
  }
  if (processors.length === 0) return undefined
  // What fails is told above; the SDK would tell it again, through a logger that nobody set.
  setGlobalErrorHandler(() => {})

  const ids = new HandedIds()
  const { detectResources, envDetector, defaultResource, resourceFromAttributes, serviceInstanceIdDetector } = resources
  const sdk = new NodeSDK({
    resource: defaultResource()
      .merge(
        resourceFromAttributes({
          'service.name': 'understudy',
          ...(options.version !== undefined && { 'service.version': options.version }),
        }),
      )
      .merge(detectResources({ detectors: [serviceInstanceIdDetector, envDetector] })),
    // The SDK's own choice of detectors would tell the command line and the host's name.
    ...(getStringFromEnv('OTEL_NODE_RESOURCE_DETECTORS') === undefined && { autoDetectResources: false }),
    sampler: new sdkTrace.AlwaysOnSampler(),
    idGenerator: ids,
    spanProcessors: processors,
    textMapPropagator: null,
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [],
  })
  sdk.start()
  const tracer = trace.getTracer('understudy', options.version)
  let unwritable = 0

  const guarded = (write: () => void): boolean => {
    try {
      write()
      return true
    } catch (error) {
      if (unwritable === 0) log.warn(`spans could not be written: ${messageOf(error)}`)
      unwritable += 1
      return false
    }
  }

  return {
    request(request) {
      const isWritten = guarded(() => writeRequestSpans(tracer, ids, request))
      // One that is full after the last span may have turned that one away: better no word of this trace.
      return isWritten && processors.some(processor => processor.isTaking)
    },
    promotion(promotion) {
      guarded(() => writePromotionSpan(tracer, ids, promotion))
    },
    terms(terms, atMs) {
      guarded(() => writeTermsSpan(tracer, ids, terms, atMs))
    },
    takeDrops() {
      const drops: Record<string, number> = {}
      for (const [name, processor] of bounded) {
        for (const [reason, count] of Object.entries(processor.takeDrops()) as [DropReason, number][]) {
          if (count > 0) drops[`${name}_${reason}`] = count
        }
      }
      if (unwritable > 0) drops.unwritable = unwritable
      unwritable = 0
      return drops
    },
    async flush() {
      await Promise.allSettled(processors.map(processor => processor.forceFlush()))
    },
    async shutdown(deadlineMs) {
      const deadline = Promise.withResolvers<void>()
      const timer = setTimeout(deadline.resolve, deadlineMs)
      try {
        // A failed export rejects, but it is counted where it failed.
        await Promise.race([sdk.shutdown().catch(() => {}), deadline.promise])
      } finally {
        clearTimeout(timer)
        for (const processor of bounded.values()) processor.abandon()
        for (const cut of cuts) cut()
        trace.disable()
        context.disable()
      }
    },
  }
}

async function loadSdk() {
  const [{ NodeSDK }, resources, sdkTrace, { BoundedExport }] = await Promise.all([
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/sdk-trace'),
    import('./boundedExport.ts'),
  ])
  return { NodeSDK, resources, sdkTrace, BoundedExport }
}

function exportersFromEnv(log: TracingOptions['log']): ExporterName[] {
  const listed = getStringListFromEnv('OTEL_TRACES_EXPORTER') ?? []
  if (listed.length === 0) {
    return endpointFromEnv() === undefined ? [] : ['otlp']
  }
  if (listed.includes('none')) return []
  return [...new Set(listed)].filter((name): name is ExporterName => {
    if (name === 'otlp' || name === 'console') return true
    log.warn(`OTEL_TRACES_EXPORTER: expected otlp, console or none, got ${name}`)
    return false
  })
}

interface Opened {
  readonly exporter: SpanExporter
  /** Breaks off what is under way, so that it does not keep the thread alive. */
  readonly cut: () => void
}

async function openExporter(name: ExporterName, file: string | undefined): Promise<Opened> {
  if (name === 'file') return { exporter: new (await import('./spanFile.ts')).SpanFileExporter(file!), cut: () => {} }
  if (name === 'console') {
    return { exporter: new (await import('@opentelemetry/sdk-trace')).ConsoleSpanExporter(), cut: () => {} }
  }
  const protocol =
    getStringFromEnv('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL') ??
    getStringFromEnv('OTEL_EXPORTER_OTLP_PROTOCOL') ??
    'http/protobuf'
  // A hung request holds its thread for the exporter's timeout. Over TLS the SDK's own agent is left: it has the certificates.
  const agent = new Agent({ keepAlive: true })
  const config = endpointFromEnv()?.startsWith('https:') ? {} : { httpAgentOptions: () => agent }
  const cut = () => cutOff(agent)
  switch (protocol.trim()) {
    case 'http/protobuf':
      return { exporter: new (await import('@opentelemetry/exporter-trace-otlp-proto')).OTLPTraceExporter(config), cut }
    case 'http/json':
      return { exporter: new (await import('@opentelemetry/exporter-trace-otlp-http')).OTLPTraceExporter(config), cut }
    default:
      throw new Error(`expected protocol http/protobuf or http/json, got ${protocol}`)
  }
}

/** Errors without a code: those with one are tried again by the exporter. */
function cutOff(agent: Agent): void {
  agent.createConnection = () => {
    throw new Error('shut down')
  }
  for (const sockets of [...Object.values(agent.sockets), ...Object.values(agent.freeSockets)]) {
    for (const socket of sockets ?? []) socket.destroy(new Error('shut down'))
  }
}

function endpointFromEnv(): string | undefined {
  return getStringFromEnv('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT') ?? getStringFromEnv('OTEL_EXPORTER_OTLP_ENDPOINT')
}

/** The standard's defaults, and its variables. */
function batchingFromEnv() {
  const positive = (name: string, otherwise: number) => {
    const value = getNumberFromEnv(name)
    return value !== undefined && value > 0 ? value : otherwise
  }
  const maxQueueSize = positive('OTEL_BSP_MAX_QUEUE_SIZE', 2048)
  return {
    maxQueueSize,
    maxExportBatchSize: Math.min(maxQueueSize, positive('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512)),
    scheduledDelayMillis: positive('OTEL_BSP_SCHEDULE_DELAY', 5000),
    exportTimeoutMillis: positive('OTEL_BSP_EXPORT_TIMEOUT', 30_000),
  }
}
