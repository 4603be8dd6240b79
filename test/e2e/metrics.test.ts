import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { type ReadSpan, readSpans } from '../../src/telemetry/readSpans.ts'
import { type BusyGateway, busyGateway, scrape } from '../telemetry/busyGateway.ts'
import { type Exposition, parseExposition } from '../telemetry/exposition.ts'
import { METRICS } from '../telemetry/metricsTable.ts'
import { parseOpenMetrics } from '../telemetry/openMetricsText.ts'
import { HAS_PROMTOOL, promtool } from '../telemetry/promtool.ts'
import { until } from './gateway.ts'

// As Prometheus 2 sends it.
const PROMETHEUS =
  'application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2'

let busy: BusyGateway

beforeAll(async () => {
  busy = await busyGateway()
}, 240_000)

describe('/metrics of a gateway to which everything has happened', () => {
  it('has a sample of every metric, each with the labels that are documented', async () => {
    const { body, contentType } = await scrape(busy.gateway)
    expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
    const { families, problems } = parseExposition(body)
    expect(problems).toEqual([])
    expect(labelsByName(families)).toEqual(METRICS)
  })

  it.skipIf(!HAS_PROMTOOL)('has nothing that promtool complains about', async () => {
    const { body } = await scrape(busy.gateway)
    expect(await promtool(['check', 'metrics'], body)).toEqual({ status: 0, output: '' })
  })

  it('counts time that a thread was busy, which is never more than there was', async () => {
    const { value: first } = parseExposition((await scrape(busy.gateway)).body)
    const startedS = first('process_start_time_seconds')!
    for (const thread of ['control', 'shadow', 'serving-1', 'serving-2']) {
      const seconds = first(`understudy_thread_busy_seconds_total{thread="${thread}"}`)
      expect(seconds).toBeGreaterThan(0)
      expect(seconds).toBeLessThan(Date.now() / 1000 - startedS)
    }
    expect(first('process_cpu_seconds_total')).toBeGreaterThan(1)
    expect(first('process_resident_memory_bytes')).toBeGreaterThan(50e6)
  })

  it('says that routes.yaml is refused as it stands, and that the gateway is ready nonetheless', async () => {
    const { value } = parseExposition((await scrape(busy.gateway)).body)
    expect([value('understudy_config_valid'), value('understudy_ready'), value('understudy_state_store_up')]).toEqual([
      0, 1, 1,
    ])
  })

  it('says nothing more of a verdict on a version that is live by now', async () => {
    const { families } = parseExposition((await scrape(busy.gateway)).body)
    const judged = new Set(families.get('understudy_gate_verdict')!.samples.map(({ labels }) => labels.route))
    expect([...judged]).toEqual(['tried'])
  })
})

describe('/metrics as Prometheus asks for it', () => {
  it('is OpenMetrics with the same metrics, labels and units', async () => {
    const { body, contentType } = await scrape(busy.gateway, PROMETHEUS)
    expect(contentType).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8')
    const { families, problems, units } = parseOpenMetrics(body)
    expect(problems).toEqual([])
    expect(labelsByName(families)).toEqual(METRICS)
    expect(units.get('understudy_request_duration_seconds')).toBe('seconds')
    expect(units.get('process_resident_memory_bytes')).toBe('bytes')
  })

  it('leaves the plain text of the next one as it is: counters keep their names, and no exemplar stands there', async () => {
    await scrape(busy.gateway, PROMETHEUS)
    const { body } = await scrape(busy.gateway, 'text/plain')
    expect(parseExposition(body).problems).toEqual([])
    expect(body).toContain('# TYPE understudy_requests_total counter')
    expect(body).not.toContain('trace_id')
  })

  it('has exemplars on durations and comparisons, all of requests whose spans are in the traces file', async () => {
    const { exemplars } = parseOpenMetrics((await scrape(busy.gateway, PROMETHEUS)).body)
    expect(new Set(exemplars.map(({ name }) => name))).toEqual(
      new Set([
        'understudy_request_duration_seconds_bucket',
        'understudy_inference_duration_seconds_bucket',
        'http_server_request_duration_seconds_bucket',
        'understudy_comparisons_total',
      ]),
    )
    const roles = exemplars
      .filter(({ name }) => name.startsWith('understudy_inference'))
      .map(({ sampleLabels }) => sampleLabels.role)
    expect(new Set(roles)).toEqual(new Set(['live', 'canary', 'shadow']))
    expect(exemplars.some(({ sampleLabels }) => sampleLabels.error_type === '500')).toBe(true)
    const nowS = Date.now() / 1000
    for (const { timestamp } of exemplars) {
      expect(timestamp).toBeGreaterThan(nowS - 240)
      expect(timestamp).toBeLessThanOrEqual(nowS)
    }
    const pointers = exemplars.map(({ labels }) => `${labels.trace_id}/${labels.span_id}`)
    expect(pointers.length).toBeGreaterThan(30)
    // Spans are written in batches, a moment after their request was counted.
    await until(
      async () => {
        const spans = await storedSpans()
        return pointers.every(pointer => spans.has(pointer))
      },
      { what: () => 'the spans of every exemplar' },
    )
    // A third of the ordinary requests are kept: had any request been taken, most of these would lead nowhere.
    const { value } = parseExposition((await scrape(busy.gateway)).body)
    const answered = value('understudy_requests_total{route="worn",version="2.0.0",role="live",code="200"}')!
    const stored = [...(await storedSpans()).values()].filter(
      ({ kind, attributes }) =>
        kind === 2 &&
        attributes['understudy.route'] === 'worn' &&
        attributes['feature_flag.result.variant'] === '2.0.0' &&
        attributes['http.response.status_code'] === 200,
    )
    expect(stored.length).toBeGreaterThan(answered / 5)
    expect(stored.length).toBeLessThan(answered / 2)
    const ofWorn = exemplars.filter(
      ({ name, sampleLabels }) =>
        name === 'understudy_request_duration_seconds_bucket' &&
        sampleLabels.route === 'worn' &&
        sampleLabels.role === 'canary',
    )
    expect(ofWorn.length).toBeGreaterThan(3)
  })
})

/** Every span in the traces file, by `traceId/spanId`. */
async function storedSpans(): Promise<Map<string, ReadSpan>> {
  const lines = (await readFile(busy.spansFile, 'utf8')).split('\n').slice(0, -1)
  const spans = lines.flatMap(line => readSpans(JSON.parse(line)))
  return new Map(spans.map(span => [`${span.traceId}/${span.spanId}`, span]))
}

function labelsByName(families: Exposition['families']): Record<string, string[]> {
  return Object.fromEntries(
    [...families].map(([name, { samples }]) => [
      name,
      [...new Set(samples.flatMap(({ labels }) => Object.keys(labels)))].filter(label => label !== 'le').sort(),
    ]),
  )
}
