import { describe, expect, it } from 'vitest'
import { DurationCounts, INFERENCE_BUCKETS_S, REQUEST_BUCKETS_S } from '../../src/telemetry/durations.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { type Exposition, parseExposition } from './exposition.ts'
import { METRICS } from './metricsTable.ts'

const live = { route: 'flight-delay', version: '1.0.0', role: 'live' } as const

describe('metrics', () => {
  it('has every metric that the documents name, and follows the exposition conventions', async () => {
    const { families, problems } = await exposed(used())
    expect(problems).toEqual([])
    expect([...families.keys()].sort()).toEqual(Object.keys(METRICS))
  })

  it('follows the conventions with nothing counted yet', async () => {
    const { problems, value } = await exposed(new Metrics())
    expect(problems).toEqual([])
    expect(value('understudy_config_reload_total{result="refused"}')).toBe(0)
  })

  it('says what content type its text has', async () => {
    expect((await new Metrics().text()).contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
  })

  it('adds up deltas of several threads', async () => {
    const metrics = new Metrics()
    for (const seconds of [
      [0.0004, 0.002],
      [0.002, 60],
    ]) {
      const durations = new DurationCounts(REQUEST_BUCKETS_S)
      for (const duration of seconds) durations.add(duration)
      const { buckets, count, sumSeconds } = durations.takeDelta()!
      metrics.requestDelta({ ...live, code: 200 }, count, buckets, sumSeconds)
    }
    metrics.requestDelta({ ...live, code: 503 }, 2, new Array(REQUEST_BUCKETS_S.length + 1).fill(0), 0)
    const { value } = await exposed(metrics)
    const labels = 'route="flight-delay",version="1.0.0",role="live"'
    expect(value(`understudy_requests_total{${labels},code="200"}`)).toBe(4)
    expect(value(`understudy_requests_total{${labels},code="503"}`)).toBe(2)
    expect(value(`understudy_request_duration_seconds_bucket{${labels},le="0.0005"}`)).toBe(1)
    expect(value(`understudy_request_duration_seconds_bucket{${labels},le="0.0015"}`)).toBe(1)
    expect(value(`understudy_request_duration_seconds_bucket{${labels},le="0.0025"}`)).toBe(3)
    expect(value(`understudy_request_duration_seconds_bucket{${labels},le="10"}`)).toBe(3)
    expect(value(`understudy_request_duration_seconds_bucket{${labels},le="+Inf"}`)).toBe(4)
    expect(value(`understudy_request_duration_seconds_sum{${labels}}`)).toBeCloseTo(60.0044)
  })

  it('tells HTTP server durations in the buckets that the conventions advise, from the same counts', async () => {
    const durations = new DurationCounts(REQUEST_BUCKETS_S)
    for (const seconds of [0.0006, 0.0049, 0.006, 0.3, 11]) durations.add(seconds)
    const { buckets, sumSeconds } = durations.takeDelta()!
    const metrics = new Metrics()
    metrics.httpServerDuration(
      { method: 'POST', route: '/v2/models/{model_name}/infer', status: 200 },
      buckets,
      sumSeconds,
    )
    const { families } = await exposed(metrics)
    const cumulative = families
      .get('http_server_request_duration_seconds')!
      .samples.filter(sample => sample.name.endsWith('_bucket'))
      .map(sample => [sample.labels.le, sample.value])
    expect(cumulative).toEqual([
      ['0.005', 2],
      ['0.01', 3],
      ['0.025', 3],
      ['0.05', 3],
      ['0.075', 3],
      ['0.1', 3],
      ['0.25', 3],
      ['0.5', 4],
      ['0.75', 4],
      ['1', 4],
      ['2.5', 4],
      ['5', 4],
      ['7.5', 4],
      ['10', 4],
      ['+Inf', 5],
    ])
  })

  it('does not let a client’s method become a label value', async () => {
    const metrics = new Metrics()
    const buckets = new Array(REQUEST_BUCKETS_S.length + 1).fill(0)
    for (const method of ['BREW', 'TEAPOT'])
      metrics.httpServerDuration({ method, route: '/x', status: 405 }, buckets, 0)
    const { body } = await metrics.text()
    expect(body).toContain('http_request_method="_OTHER"')
    expect(body).not.toMatch(/BREW|TEAPOT/)
  })

  it('refuses buckets that are not its own', () => {
    expect(() => new Metrics().inferenceDelta(live, [1, 2], 3)).toThrow('17 buckets, got 2')
  })

  it('accounts for every mirrored request', async () => {
    const metrics = new Metrics()
    const account = {
      eligible: 10,
      notSampled: 2,
      dropped: { queue_full: 1, too_large: 1 },
      failed: 1,
      compared: 3,
      lost: 0,
    }
    metrics.accounting('r', '2.0.0', { ...account, inFlight: 2 })
    metrics.accounting('r', '2.0.0', { ...account, eligible: 8, inFlight: 0 })
    const { families, value } = await exposed(metrics)
    const sum = (eligible: boolean) =>
      families
        .get('understudy_mirror_requests_total')!
        .samples.filter(sample => (sample.labels.state === 'eligible') === eligible)
        .reduce((total, sample) => total + sample.value, 0)
    const inFlight = value('understudy_mirror_in_flight_requests{route="r",candidate="2.0.0"}')!
    expect(sum(true)).toBe(18)
    expect(inFlight).toBe(0)
    expect(
      value('understudy_mirror_requests_total{route="r",candidate="2.0.0",state="dropped",reason="too_large"}'),
    ).toBe(2)
  })

  it('shows one verdict at a time', async () => {
    const metrics = new Metrics()
    metrics.verdict('r', '2.0.0', 'continue')
    metrics.verdict('r', '2.0.0', 'abort')
    const { families } = await exposed(metrics)
    const verdicts = families.get('understudy_gate_verdict')!.samples
    expect(verdicts).toHaveLength(5)
    expect(verdicts.filter(sample => sample.value === 1).map(sample => sample.labels.verdict)).toEqual(['abort'])
  })

  it('names the metric that has declined while it has, and no other', async () => {
    const metrics = new Metrics()
    metrics.decline('r', 20, 'errors')
    metrics.decline('other', 1, undefined)
    metrics.decline('r', 30, 'latency.p99')
    let { body } = await metrics.text()
    expect(body).toContain('understudy_declined{route="r",metric="latency.p99"} 1')
    expect(body).not.toContain('metric="errors"')
    expect(body).toContain('understudy_decline_log_evidence{route="r"} 30')
    metrics.decline('r', -3, undefined)
    body = (await metrics.text()).body
    expect(body).not.toContain('understudy_declined{')
  })

  it('shows evidence that has no finite logarithm', async () => {
    const metrics = new Metrics()
    metrics.logEvalue('r', '2.0.0', 'labels', Number.NEGATIVE_INFINITY)
    metrics.logEvalue('r', '2.0.0', 'errors', Number.POSITIVE_INFINITY)
    const { body } = await metrics.text()
    expect(body).toContain('metric="labels"} -Inf')
    expect(body).toContain('metric="errors"} +Inf')
  })

  it('tells the present digest of a version only', async () => {
    const metrics = new Metrics()
    metrics.modelInfo({ model: 'm', version: '1.0.0', digest: 'sha256:old', runtime: 'onnx' })
    metrics.modelInfo({ model: 'm', version: '1.0.0', digest: 'sha256:new', runtime: 'onnx' })
    metrics.modelInfo({ model: 'm', version: '2.0.0', digest: 'sha256:two', runtime: 'onnx' })
    const { families } = await exposed(metrics)
    expect(families.get('understudy_model_info')!.samples.map(sample => sample.labels.digest)).toEqual([
      'sha256:new',
      'sha256:two',
    ])
  })

  it('tells of a version again that left and came back with the same bytes', async () => {
    const metrics = new Metrics()
    const labels = { model: 'm', version: '1.0.0', digest: 'sha256:one', runtime: 'onnx' }
    metrics.modelInfo(labels)
    metrics.forgetVersion('m', '1.0.0')
    expect((await exposed(metrics)).families.get('understudy_model_info')?.samples ?? []).toEqual([])
    metrics.modelInfo(labels)
    expect((await exposed(metrics)).families.get('understudy_model_info')!.samples).toHaveLength(1)
  })

  it('follows ten thousand routes without searching its series for each', async () => {
    const metrics = new Metrics()
    const startedAt = performance.now()
    for (let turn = 0; turn < 3; turn++) {
      for (let route = 0; route < 10_000; route++) {
        metrics.modelInfo({ model: `m${route}`, version: '1.0.0', digest: `sha256:${turn}`, runtime: 'http' })
        metrics.logEvalueLimit(`m${route}`, '1.1.0', 'errors', Number.POSITIVE_INFINITY)
        metrics.forgetVerdict(`m${route}`, '1.0.0')
      }
    }
    expect(performance.now() - startedAt).toBeLessThan(3_000)
  })

  it('forgets a version that left the configuration, as version and as candidate, and nothing else', async () => {
    const metrics = used()
    metrics.weight('other', '2.0.0', 100)
    metrics.forgetVersion('flight-delay', '2.0.0')
    const { body } = await metrics.text()
    const samples = body.split('\n').filter(line => line.includes('"2.0.0"'))
    expect(samples).toEqual(['understudy_route_weight{route="other",version="2.0.0"} 100'])
    expect(body).toContain('version="1.0.0"')
  })

  it('forgets a route that left the configuration', async () => {
    const metrics = used()
    metrics.forgetRoute('flight-delay')
    const { body } = await metrics.text()
    expect(body).not.toContain('flight-delay')
    expect(body).toContain('http_server_request_duration_seconds_count')
  })

  it('forgets what the gate said of a version that is no candidate any more, and nothing of others', async () => {
    const metrics = used()
    metrics.verdict('flight-delay', '3.0.0', 'promote')
    metrics.logEvalueLimit('flight-delay', '2.0.0', 'errors', 5.3)
    metrics.forgetVerdict('flight-delay', '2.0.0')
    const { families, value } = await exposed(metrics)
    const judged = families.get('understudy_gate_verdict')!.samples.map(({ labels }) => labels.candidate)
    expect(new Set(judged)).toEqual(new Set(['3.0.0']))
    expect(families.get('understudy_gate_log_evalue')!.samples).toEqual([])
    expect(families.get('understudy_gate_log_evalue_limit')!.samples).toEqual([])
    expect(value('understudy_comparisons_total{route="flight-delay",candidate="2.0.0",result="match"}')).toBe(3)
  })

  it('has no limit of evidence for a metric that cannot abort, also after it could', async () => {
    const metrics = new Metrics()
    metrics.logEvalueLimit('r', '2.0.0', 'errors', 5.3)
    metrics.logEvalueLimit('r', '2.0.0', 'labels', 6)
    metrics.logEvalueLimit('r', '2.0.0', 'errors', Number.POSITIVE_INFINITY)
    const { families } = await exposed(metrics)
    const limits = families.get('understudy_gate_log_evalue_limit')!.samples
    expect(limits.map(({ labels, value }) => [labels.metric, value])).toEqual([['labels', 6]])
  })

  it('starts over when a forgotten version comes back', async () => {
    const metrics = new Metrics()
    metrics.shadowDelta('r', '2.0.0', 'answered', 5)
    metrics.forgetVersion('r', '2.0.0')
    metrics.shadowDelta('r', '2.0.0', 'answered', 1)
    const { value } = await exposed(metrics)
    expect(value('understudy_shadow_requests_total{route="r",version="2.0.0",outcome="answered"}')).toBe(1)
  })
})

/** Metrics of which each has been used for the live version 1.0.0 and the candidate 2.0.0. */
function used(): Metrics {
  const metrics = new Metrics()
  const requests = new DurationCounts(REQUEST_BUCKETS_S)
  const inferences = new DurationCounts(INFERENCE_BUCKETS_S)
  for (let ms = 0; ms < 30_000; ms += 7) {
    requests.add(ms / 1000)
    inferences.add(ms / 1000)
  }
  const request = requests.takeDelta()!
  const inference = inferences.takeDelta()!
  metrics.requestDelta({ ...live, code: 200 }, request.count, request.buckets, request.sumSeconds)
  metrics.inferenceDelta(live, inference.buckets, inference.sumSeconds)
  metrics.inferenceDelta({ ...live, version: '2.0.0', role: 'shadow' }, inference.buckets, inference.sumSeconds)
  for (const status of [200, 500]) {
    const labels = { method: 'POST', route: '/v2/models/{model_name}/infer', status }
    metrics.httpServerDuration(labels, request.buckets, request.sumSeconds)
  }
  metrics.shadowDelta('flight-delay', '2.0.0', 'answered', 3)
  metrics.comparisonDelta('flight-delay', '2.0.0', 'match', 3)
  metrics.accounting('flight-delay', '2.0.0', {
    eligible: 5,
    notSampled: 1,
    dropped: { queue_full: 1 },
    failed: 0,
    compared: 3,
    lost: 0,
    inFlight: 0,
  })
  metrics.weight('flight-delay', '1.0.0', 95)
  metrics.weight('flight-delay', '2.0.0', 5)
  metrics.verdict('flight-delay', '2.0.0', 'hold')
  metrics.decline('flight-delay', 2, 'errors')
  metrics.logEvalue('flight-delay', '2.0.0', 'latency.p99', -1.5)
  metrics.reload('applied')
  metrics.modelInfo({ model: 'flight-delay', version: '2.0.0', digest: 'sha256:ab', runtime: 'onnx' })
  metrics.ringDrops('full', 2)
  metrics.spansDropped('queue_full', 2)
  metrics.labels('flight-delay', 'joined')
  metrics.receivedSpans('flight-delay', 'taken', 2)
  return metrics
}

async function exposed(metrics: Metrics): Promise<Exposition> {
  return parseExposition((await metrics.text()).body)
}
