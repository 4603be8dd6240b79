import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { AlwaysOnSampler, InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { describe, expect, it } from 'vitest'
import type { FinishedPromotion, FinishedRequest } from '../../src/telemetry/finished.ts'
import { HandedIds, writePromotionSpan, writeRequestSpans } from '../../src/telemetry/spans.ts'
import { finishedRequest, START_MS, TRACE_ID } from './finishedRequest.ts'

describe('the spans of a request', () => {
  it('are a SERVER span in the caller’s trace and, under it, each version’s work and each comparison', () => {
    const spans = written(finishedRequest())
    expect(spans.map(span => [span.name, span.kind])).toEqual([
      ['POST /v2/models/{model_name}/infer', SpanKind.SERVER],
      ['infer flight-delay', SpanKind.INTERNAL],
      ['infer flight-delay', SpanKind.CLIENT],
      ['compare flight-delay', SpanKind.INTERNAL],
    ])
    for (const span of spans) expect(span.spanContext().traceId).toBe(TRACE_ID)
    const [server, ...under] = spans
    expect(server!.parentSpanContext?.spanId).toBe('bbbbbbbbbbbbbbbb')
    expect(server!.parentSpanContext?.isRemote).toBe(true)
    for (const span of under) expect(span.parentSpanContext?.spanId).toBe('aaaaaaaaaaaaaaaa')
  })

  it('have the ids that were sent upstream, and new ones where none were', () => {
    const [server, live, shadow, comparison] = written(finishedRequest())
    expect(server!.spanContext().spanId).toBe('aaaaaaaaaaaaaaaa')
    expect(shadow!.spanContext().spanId).toBe('cccccccccccccccc')
    const made = [live!.spanContext().spanId, comparison!.spanContext().spanId]
    for (const id of made) expect(id).toMatch(/^[0-9a-f]{16}$/)
    expect(new Set([...made, 'aaaaaaaaaaaaaaaa', 'cccccccccccccccc']).size).toBe(4)
  })

  it('carry the caller’s tracestate on, and none of ours', () => {
    for (const span of written(finishedRequest())) expect(span.spanContext().traceState?.serialize()).toBe('foo=1')
    for (const span of written(finishedRequest({ tracestate: '' })))
      expect(span.spanContext().traceState).toBeUndefined()
  })

  it('start a trace with the id that was made for it when there is no caller', () => {
    const [server] = written(finishedRequest({ parentSpanId: '' }))
    expect(server!.parentSpanContext).toBeUndefined()
    expect(server!.spanContext()).toMatchObject({ traceId: TRACE_ID, spanId: 'aaaaaaaaaaaaaaaa' })
  })

  it('stand where they happened in time', () => {
    const times = written(finishedRequest()).map(span => [ms(span.startTime), ms(span.endTime)])
    const expected = [
      [0, 4.5],
      [1, 3],
      [10, 17],
      [17, 17.1],
    ]
    times.forEach(([start, end], index) => {
      expect(start! - START_MS).toBeCloseTo(expected[index]![0]!, 2)
      expect(end! - START_MS).toBeCloseTo(expected[index]![1]!, 2)
    })
  })

  it('never end before they start, and carry whole seconds over', () => {
    const [server] = written(finishedRequest({ startMs: 1_790_000_000_999 + 0.9999, durationMs: -5 }))
    expect(server!.startTime[1]).toBeLessThan(1e9)
    expect(server!.endTime).toEqual(server!.startTime)
  })

  it('have the attributes that the documents name', () => {
    const [server, live, shadow, comparison] = written(finishedRequest())
    expect(server!.attributes).toEqual({
      'http.request.method': 'POST',
      'http.route': '/v2/models/{model_name}/infer',
      'http.response.status_code': 200,
      'url.path': '/v2/models/flight-delay/infer',
      'url.scheme': 'http',
      'network.protocol.version': '1.1',
      'understudy.route': 'flight-delay',
      'understudy.request.id': 'req-1',
      'understudy.protocol': 'v2',
      'understudy.config.revision': 7,
      'feature_flag.key': 'flight-delay',
      'feature_flag.result.variant': '1.0.0',
      'feature_flag.result.reason': 'split',
    })
    expect(live!.attributes).toEqual({
      'understudy.route': 'flight-delay',
      'understudy.role': 'live',
      'understudy.model.name': 'flight-delay',
      'understudy.model.version': '1.0.0',
      'understudy.model.digest': 'sha256:one',
      'understudy.runtime': 'onnx',
      'understudy.queue.duration_ms': 0.5,
    })
    expect(shadow!.attributes).toMatchObject({
      'understudy.role': 'shadow',
      'understudy.runtime': 'http',
      'http.request.method': 'POST',
      'http.response.status_code': 200,
      'server.address': 'models.internal',
      'server.port': 8000,
      'url.full': 'http://models.internal:8000/v2/models/delay/infer',
    })
    expect(comparison!.attributes).toEqual({
      'understudy.route': 'flight-delay',
      'understudy.request.id': 'req-1',
      'understudy.compare.result': 'mismatch',
      'understudy.compare.kind': 'number',
      'understudy.compare.max_abs_diff': 0.25,
      'understudy.compare.max_rel_diff': 0.5,
      'understudy.baseline.version': '1.0.0',
      'understudy.baseline.digest': 'sha256:one',
      'understudy.baseline.value': 0.5,
      'understudy.baseline.latency_ms': 2,
      'understudy.candidate.version': '2.0.0',
      'understudy.candidate.digest': 'sha256:two',
      'understudy.candidate.value': 0.75,
      'understudy.candidate.latency_ms': 7,
      'understudy.sample.weight': 1,
      'understudy.sample.reason': 'mismatch',
    })
  })

  it('never hold credentials or the query of an upstream’s address', () => {
    expect(JSON.stringify(written(finishedRequest()).map(span => span.attributes))).not.toContain('secret')
  })

  it.each<[string, Partial<FinishedRequest>, SpanStatusCode, string | undefined]>([
    ['a good answer', {}, SpanStatusCode.UNSET, undefined],
    ['a client’s mistake', { status: 400, errorType: 'BAD_TENSOR' }, SpanStatusCode.UNSET, 'BAD_TENSOR'],
    ['our failure', { status: 504, errorType: 'VERSION_DEADLINE' }, SpanStatusCode.ERROR, 'VERSION_DEADLINE'],
    ['a failure that the version answered itself', { status: 500 }, SpanStatusCode.ERROR, '500'],
    ['a client that left', { status: 0, errorType: 'CLIENT_GONE' }, SpanStatusCode.ERROR, 'CLIENT_GONE'],
  ])('tell errors of the server by the HTTP conventions: %s', (_, changes, code, errorType) => {
    const [server] = written(finishedRequest(changes))
    expect(server!.status.code).toBe(code)
    expect(server!.attributes['error.type']).toBe(errorType)
    expect(server!.attributes['http.response.status_code']).toBe(
      changes.status === 0 ? undefined : (changes.status ?? 200),
    )
  })

  it.each([
    ['a 4xx', 404, '', '404'],
    ['a 5xx', 503, '', '503'],
    ['no answer', 0, 'VERSION_DEADLINE', 'VERSION_DEADLINE'],
  ])('tell errors of a version behind HTTP: %s', (_, status, errorType, expected) => {
    const [, called] = finishedRequest().inferences
    const inference = { ...called!, errorType, http: { url: 'https://models.internal/x', status } }
    const [, span] = written(finishedRequest({ inferences: [inference], comparisons: [] }))
    expect(span!.status.code).toBe(SpanStatusCode.ERROR)
    expect(span!.attributes['error.type']).toBe(expected)
    expect(span!.attributes['server.port']).toBe(443)
  })

  it('tell labels as labels, and numbers that JSON cannot say as labels too', () => {
    const [comparison] = finishedRequest().comparisons
    const sides = {
      ...comparison!,
      maxAbsDiff: Number.POSITIVE_INFINITY,
      maxRelDiff: null,
      baseline: { ...comparison!.baseline, answer: 'x'.repeat(5000) },
      candidate: { ...comparison!.candidate, answer: Number.NaN },
    }
    const attributes = written(finishedRequest({ comparisons: [sides] })).at(-1)!.attributes
    expect(attributes['understudy.baseline.label']).toBe('x'.repeat(200))
    expect(attributes['understudy.candidate.label']).toBe('NaN')
    expect(attributes).not.toHaveProperty(['understudy.candidate.value'])
    expect(attributes).not.toHaveProperty(['understudy.compare.max_abs_diff'])
    expect(attributes).not.toHaveProperty(['understudy.compare.max_rel_diff'])
  })

  it('tell a side that gave no answer without one', () => {
    const [comparison] = finishedRequest().comparisons
    const failed = {
      result: 'timeout' as const,
      baseline: comparison!.baseline,
      candidate: { version: '2.0.0', digest: 'sha256:two' },
      startMs: START_MS,
      durationMs: 0,
    }
    const attributes = written(finishedRequest({ comparisons: [failed] })).at(-1)!.attributes
    expect(attributes['understudy.compare.result']).toBe('timeout')
    expect(Object.keys(attributes).filter(key => key.startsWith('understudy.candidate'))).toEqual([
      'understudy.candidate.version',
      'understudy.candidate.digest',
    ])
  })

  it('are one SERVER span when no version was reached', () => {
    const spans = written(finishedRequest({ status: 404, inferences: [], comparisons: [] }))
    expect(spans).toHaveLength(1)
  })
})

describe('the span of a promotion', () => {
  const promotion: FinishedPromotion = {
    route: 'flight-delay',
    by: 'alice',
    from: '1.0.0',
    to: '2.0.0',
    evidenceDigest: 'sha256:ev',
    startMs: START_MS,
    durationMs: 12,
    errorType: '',
    links: [{ traceId: TRACE_ID, spanId: 'dddddddddddddddd' }],
  }

  it('is the root of a trace of its own, and links to comparisons', () => {
    const [span] = written(promotion)
    expect(span!.name).toBe('promote flight-delay')
    expect(span!.parentSpanContext).toBeUndefined()
    expect(span!.spanContext().traceId).not.toBe(TRACE_ID)
    expect(span!.links.map(link => link.context.spanId)).toEqual(['dddddddddddddddd'])
    expect(span!.attributes).toEqual({
      'understudy.route': 'flight-delay',
      'understudy.promote.by': 'alice',
      'understudy.promote.from': '1.0.0',
      'understudy.promote.to': '2.0.0',
      'understudy.evidence.digest': 'sha256:ev',
    })
  })

  it('tells that a promotion failed', () => {
    const [span] = written({ ...promotion, errorType: 'CONFLICT' })
    expect(span!.status.code).toBe(SpanStatusCode.ERROR)
    expect(span!.attributes['error.type']).toBe('CONFLICT')
  })
})

/** The spans that are written of it, SERVER first. */
function written(finished: FinishedRequest | FinishedPromotion) {
  const exporter = new InMemorySpanExporter()
  const ids = new HandedIds()
  const provider = new TracerProvider({
    sampler: new AlwaysOnSampler(),
    idGenerator: ids,
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  })
  const tracer = provider.getTracer('test')
  if ('by' in finished) writePromotionSpan(tracer, ids, finished)
  else writeRequestSpans(tracer, ids, finished)
  const spans = exporter.getFinishedSpans()
  return [...spans].sort((a, b) => Number(b.kind === SpanKind.SERVER) - Number(a.kind === SpanKind.SERVER))
}

function ms([seconds, nanos]: readonly [number, number]): number {
  return seconds * 1000 + nanos / 1e6
}
