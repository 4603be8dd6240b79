import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { INFERENCE_BUCKETS_S, REQUEST_BUCKETS_S } from '../../src/telemetry/durations.ts'
import { bucketOf, NewestExemplars } from '../../src/telemetry/exemplars.ts'
import type { FinishedRequest } from '../../src/telemetry/finished.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { finishedRequest } from './finishedRequest.ts'
import { parseOpenMetrics } from './openMetricsText.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'
const live = { route: 'r', version: '1.0.0', role: 'live' } as const
const pointer = (value: number, atS: number, traceId = TRACE) => ({ traceId, spanId: SPAN, value, atS })

describe('the newest kept requests', () => {
  it('are none when none was kept', () => {
    expect(new NewestExemplars().take()).toEqual([])
  })

  it('stand for each series that a request counts in, once', () => {
    const newest = new NewestExemplars()
    const request = finishedRequest()
    newest.saw(request)
    const taken = newest.take()
    const of = taken.map(({ series }) => series.of)
    expect(of.filter(each => each === 'request')).toHaveLength(1)
    expect(of.filter(each => each === 'http')).toHaveLength(1)
    expect(of.filter(each => each === 'inference')).toHaveLength(request.inferences.length)
    expect(of.filter(each => each === 'comparison')).toHaveLength(request.comparisons.length)
    for (const { exemplar } of taken) {
      expect(exemplar).toMatchObject({ traceId: request.traceId, spanId: request.spanId })
      expect(exemplar.atS).toBeCloseTo((request.startMs + request.durationMs) / 1000, 3)
    }
    expect(newest.take()).toEqual([])
  })

  it('name no version where none was chosen', () => {
    const newest = new NewestExemplars()
    const { servedVersion: _, ...rest } = finishedRequest()
    newest.saw({ ...rest, inferences: [], comparisons: [] } satisfies FinishedRequest)
    expect(newest.take().map(({ series }) => series.of)).toEqual(['http'])
  })

  it('are those answered last, in whatever order they are told, and bounded by the buckets however many come', () => {
    const request = fc.record({
      startMs: fc.integer({ min: 1, max: 10_000 }),
      durationMs: fc.constantFrom(0, 0.1, 0.4, 0.6, 3, 30, 20_000),
    })
    fc.assert(
      fc.property(fc.array(request, { maxLength: 300 }), requests => {
        const newest = new NewestExemplars()
        for (const each of requests) newest.saw({ ...finishedRequest(), inferences: [], comparisons: [], ...each })
        const taken = newest.take()
        expect(taken.length).toBeLessThanOrEqual(REQUEST_BUCKETS_S.length + 1)
        for (const { exemplar } of taken) {
          const bucket = bucketOf(REQUEST_BUCKETS_S, exemplar.value)
          const ends = requests
            .filter(({ durationMs }) => bucketOf(REQUEST_BUCKETS_S, durationMs / 1000) === bucket)
            .map(({ startMs, durationMs }) => (startMs + durationMs) / 1000)
          expect(exemplar.atS).toBe(Math.max(...ends))
        }
      }),
      { numRuns: 50 },
    )
  })
})

describe('an exemplar', () => {
  const inferences = (metrics: Metrics, bucket: number) => {
    const counts = new Array(INFERENCE_BUCKETS_S.length + 1).fill(0)
    counts[bucket] = 1
    metrics.inferenceDelta(live, counts, 0.0007)
  }
  const shown = async (metrics: Metrics) => parseOpenMetrics((await metrics.text('openmetrics')).body)

  it('stands at the bucket that counts its value', async () => {
    const metrics = new Metrics()
    inferences(metrics, bucketOf(INFERENCE_BUCKETS_S, 0.0007))
    metrics.exemplar({ series: { of: 'inference', ...live }, exemplar: pointer(0.0007, 1_700_000_000.1234) })
    const { problems, exemplars } = await shown(metrics)
    expect(problems).toEqual([])
    expect(exemplars).toEqual([
      {
        name: 'understudy_inference_duration_seconds_bucket',
        sampleLabels: { ...live, le: '0.001' },
        labels: { trace_id: TRACE, span_id: SPAN },
        value: 0.0007,
        timestamp: 1_700_000_000.123,
      },
    ])
  })

  it('waits for its count, which another thread tells', async () => {
    const metrics = new Metrics()
    metrics.exemplar({ series: { of: 'inference', ...live }, exemplar: pointer(0.0007, 1) })
    expect(await shown(metrics)).toMatchObject({ problems: [], exemplars: [] })
    inferences(metrics, bucketOf(INFERENCE_BUCKETS_S, 0.0007))
    expect((await shown(metrics)).exemplars).toHaveLength(1)
  })

  it('stands at a counter that is counted, and is not made one', async () => {
    const metrics = new Metrics()
    const series = { of: 'comparison', route: 'r', candidate: '2.0.0', result: 'mismatch' } as const
    metrics.exemplar({ series, exemplar: pointer(1, 1) })
    expect((await metrics.text()).body).not.toContain('mismatch')
    metrics.comparisonDelta('r', '2.0.0', 'mismatch', 3)
    metrics.exemplar({ series, exemplar: pointer(1, 2) })
    const { problems, exemplars, value } = await shown(metrics)
    expect(problems).toEqual([])
    expect(value('understudy_comparisons_total{route="r",candidate="2.0.0",result="mismatch"}')).toBe(3)
    expect(exemplars).toMatchObject([{ name: 'understudy_comparisons_total', value: 1 }])
  })

  it('gives way to a newer one only', async () => {
    const metrics = new Metrics()
    inferences(metrics, bucketOf(INFERENCE_BUCKETS_S, 0.0007))
    for (const [atS, digit] of [
      [2, 'a'],
      [3, 'b'],
      [1, 'c'],
    ] as const) {
      metrics.exemplar({ series: { of: 'inference', ...live }, exemplar: pointer(0.0007, atS, digit.repeat(32)) })
    }
    expect((await shown(metrics)).exemplars.map(({ labels }) => labels.trace_id)).toEqual(['b'.repeat(32)])
  })

  it('goes when its version leaves the configuration', async () => {
    const metrics = new Metrics()
    inferences(metrics, bucketOf(INFERENCE_BUCKETS_S, 0.0007))
    metrics.exemplar({ series: { of: 'inference', ...live }, exemplar: pointer(0.0007, 1) })
    metrics.forgetVersion('r', '1.0.0')
    inferences(metrics, bucketOf(INFERENCE_BUCKETS_S, 0.0007))
    expect((await shown(metrics)).exemplars).toEqual([])
  })

  it('of a status of the conventions’ histogram stands in its coarser bucket', async () => {
    const metrics = new Metrics()
    const counts = new Array(REQUEST_BUCKETS_S.length + 1).fill(0)
    counts[bucketOf(REQUEST_BUCKETS_S, 0.0006)] = 1
    const labels = { method: 'POST', route: '/v2/models/{model_name}/infer', status: 500 }
    metrics.httpServerDuration(labels, counts, 0.0006)
    metrics.exemplar({ series: { of: 'http', ...labels }, exemplar: pointer(0.0006, 1) })
    const { problems, exemplars } = await shown(metrics)
    expect(problems).toEqual([])
    expect(exemplars.map(({ sampleLabels }) => [sampleLabels.le, sampleLabels.error_type])).toEqual([['0.005', '500']])
  })
})
