import { readFile, writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { Verdict } from '../../src/gate/evidence.ts'
import type { Report } from '../../src/report/status.ts'
import { asJson, asProtobuf, writtenSpans } from '../telemetry/writtenSpans.ts'
import { predicted, traceIdOf } from '../traced/route.ts'
import { countedOf } from './evidence.ts'
import {
  accountSums,
  atEnd,
  getJson,
  postJson,
  predict,
  routesOf,
  send,
  startGateway,
  type TestGateway,
  tumourRequest,
  understudy,
  until,
} from './gateway.ts'
import { type ServiceOptions, tracingService } from './tracingService.ts'

const SPANS = { name: 'predict', version: 'model.version', output: 'prediction', request: 'request.id', within: '2s' }
const VERSIONS = { '1.0.0': { traced: true, weight: 100 }, '1.1.0': { traced: true, shadow: 100 } }
const churn = (more: object = {}) => ({ live: '1.0.0', versions: VERSIONS, spans: SPANS, ...more })
const PROTOBUF = { 'content-type': 'application/x-protobuf' }

function serviceOf(gateway: TestGateway, options: ServiceOptions = {}) {
  const service = tracingService(gateway.admin, options)
  atEnd(() => service.stop().catch(() => {}))
  return service
}

const reportOf = async (gateway: TestGateway) => (await getJson(`${gateway.admin}/v1/routes/churn/report`)) as Report
const verdictOf = async (gateway: TestGateway) => (await getJson(`${gateway.admin}/v1/routes/churn/gate`)) as Verdict

/** The report once so many requests are accounted for; the account adds up at every look on the way. */
function settled(gateway: TestGateway, eligible: number): Promise<Report> {
  let last: unknown
  return until(
    async () => {
      const report = await reportOf(gateway)
      const sums = accountSums(report.account)
      expect(sums.accounted).toBe(sums.eligible)
      last = report.account
      return report.account.inFlight === 0 && report.account.eligible === eligible ? report : undefined
    },
    { timeoutMs: 30_000, what: () => `${eligible} requests: ${JSON.stringify(last)}` },
  )
}

describe('traffic that is served elsewhere', () => {
  it('is compared by the spans that a real exporter sends, and a worse version is aborted', async () => {
    const gateway = await startGateway({
      routes: routesOf({ churn: churn({ compare: { tolerance: { absolute: 0.01 }, segments: ['region'] } }) }),
    })
    const REQUESTS = 3_000
    for (const [encoding, from] of [
      ['protobuf', 0],
      ['json', REQUESTS / 2],
    ] as const) {
      const service = serviceOf(gateway, { encoding })
      for (let request = from; request < from + REQUESTS / 2; request++) {
        const probability = 0.5 + (request % 40) / 100
        const attributes = { region: request % 4 === 0 ? 'north' : 'south' }
        const differs = request % 100 < 3
        service.request([
          { version: '1.0.0', prediction: [1 - probability, probability], attributes },
          { version: '1.1.0', prediction: [1 - probability, probability - (differs ? 0.3 : 0.001)], ms: 6 },
        ])
      }
      await service.exported()
    }
    const report = await settled(gateway, REQUESTS)
    expect(report.comparison).toMatchObject({ compared: REQUESTS, mismatches: 0.03 * REQUESTS })
    expect(report.errors).toEqual({ both: 0, baselineOnly: 0, candidateOnly: 0, neither: REQUESTS })
    expect(report.latency.baseline.n).toBe(REQUESTS - 100)
    expect(Math.abs(report.latency.baseline.p50Ms! - 5)).toBeLessThan(0.5)
    expect(Math.abs(report.latency.candidate.p50Ms! - 6)).toBeLessThan(0.5)
    expect(report.segments.map(({ segment, compared }) => [segment, compared]).sort()).toEqual([
      ['region=north', REQUESTS / 4],
      ['region=south', (3 * REQUESTS) / 4],
    ])
    expect(report.baseline.target).toBe('served elsewhere, known by its spans')
    const verdict = await until(async () => {
      const now = await verdictOf(gateway)
      return now.decision === 'abort' ? now : undefined
    })
    expect(verdict.reason).toMatch(/share of answers that differ is 3 %/)
    const status = await until(async () => {
      const now = await gateway.status()
      return now.routes[0]!.versions[1]!.latched === undefined ? undefined : now
    })
    expect(status.ready).toBe(true)
    expect(status.routes[0]!.notices.join('\n')).toMatch(/served elsewhere and known by spans only/)
    const { text } = await send(`${gateway.admin}/metrics`)
    expect(text).toContain(`understudy_received_spans_total{route="churn",outcome="taken"} ${2 * REQUESTS}`)
    expect(text).toContain(`understudy_received_spans_total{route="",outcome="other"} ${REQUESTS}`)
    expect(text).toMatch(
      /understudy_mirror_requests_total\{route="churn",candidate="1.1.0",state="compared",reason=""\} 3000/,
    )
    const { out } = await understudy(['status', '--admin', gateway.admin])
    expect(out).toContain('served elsewhere')
    await gateway.stop()
  }, 90_000)

  it('promotes a version that is as good into the file, which is all it can do, and outlives a restart', async () => {
    const routes = routesOf({
      churn: churn({ gate: { disagreement: 0.05, errors: { floor: 0.05 }, exposure: { requests: 500, for: '1s' } } }),
    })
    let gateway = await startGateway({ routes })
    const service = serviceOf(gateway)
    for (let request = 0; request < 800; request++) {
      service.request([
        { version: '1.0.0', prediction: 'stays' },
        { version: '1.1.0', prediction: 'stays' },
      ])
    }
    await service.exported()
    await settled(gateway, 800)
    await gateway.stop()
    gateway = await startGateway({ routes, folder: gateway.folder })
    expect((await reportOf(gateway)).comparison.compared, 'after a restart').toBe(800)
    await until(async () => (await verdictOf(gateway)).decision === 'promote')

    const answer = await predict(gateway, 'churn', tumourRequest())
    expect([answer.status, answer.json.error]).toEqual([501, expect.stringMatching(/"churn" is served elsewhere/)])
    const held = await send(`${gateway.admin}/v1/routes/churn/weight`, {
      body: JSON.stringify({ version: '1.1.0', weight: 5 }),
    })
    expect(held.status, 'there is no share of it to give').toBe(422)
    expect(held.text).toMatch(/expected `shadow` instead/)

    const { code, out, err } = await understudy(['promote', 'churn', '--admin', gateway.admin])
    expect([code, err]).toEqual([0, expect.anything()])
    expect(out + err).toMatch(/whoever routes it must follow/)
    const file = parse(await readFile(gateway.routesFile, 'utf8'))
    expect(file.routes.churn.live).toBe('1.1.0')
    expect([file.routes.churn.versions['1.0.0'].weight, file.routes.churn.versions['1.1.0'].weight]).toEqual([0, 100])
    expect((await gateway.status()).routes[0]!.live).toBe('1.1.0')
    expect((await understudy(['rollback', 'churn', '--reason', 'complaints', '--admin', gateway.admin])).code).toBe(0)
    expect(parse(await readFile(gateway.routesFile, 'utf8')).routes.churn.live).toBe('1.0.0')
    expect((await gateway.status()).routes[0]!.live).toBe('1.0.0')
    await gateway.stop()
  }, 90_000)

  it('is held by the gate when a hand edit promotes a version that is not proven', async () => {
    const gateway = await startGateway({ routes: routesOf({ churn: churn() }) })
    const versions = { '1.0.0': { traced: true, weight: 0 }, '1.1.0': { traced: true, weight: 100, shadow: 100 } }
    await writeFile(gateway.routesFile, routesOf({ churn: churn({ live: '1.1.0', versions }) }))
    const route = await until(async () => {
      const now = (await gateway.status()).routes[0]!
      return now.held.length > 0 ? now : undefined
    })
    expect(route.live).toBe('1.0.0')
    expect(route.versions.map(({ version, weight }) => [version, weight])).toEqual([
      ['1.0.0', 100],
      ['1.1.0', 0],
    ])
    await gateway.stop()
  })

  it('has its errors counted, and its labels joined by request id or trace id', async () => {
    const gateway = await startGateway({
      routes: routesOf({ churn: churn({ expect: 'change', labels: { loss: 'brier', margin: 0.5 } }) }),
    })
    const service = serviceOf(gateway)
    for (let request = 0; request < 60; request++) {
      const attributes = { 'request.id': `r-${request}` }
      service.request([
        { version: '1.1.0', prediction: request < 10 ? undefined : 0.9 },
        { version: '1.0.0', prediction: request < 5 ? undefined : 0.8, attributes },
      ])
    }
    await service.exported()
    const spans = await writtenSpans([
      { name: 'predict', traceId: traceIdOf(7), attributes: { 'model.version': '1.0.0', prediction: 0.25 } },
      { name: 'predict', traceId: traceIdOf(7), attributes: { 'model.version': '1.1.0', prediction: 0.75 } },
    ])
    expect((await send(`${gateway.admin}/v1/traces`, { body: asJson(spans) })).text).toBe('{}')
    const report = await settled(gateway, 61)
    expect(report.errors).toEqual({ both: 5, baselineOnly: 0, candidateOnly: 5, neither: 51 })
    const labels = [
      ...Array.from({ length: 60 }, (_, request) => ({ request_id: `r-${request}`, label: 1 })),
      { request_id: traceIdOf(7), label: 1 },
    ]
    const { json } = await postJson(`${gateway.predictions}/v1/labels`, labels)
    expect(json.joined, 'all where the baseline answered').toBe(56)
    await until(async () => (await countedOf(gateway, '1.1.0', 'churn')).sum('loss.') === 56)
    await gateway.stop()
  })
})

describe('what is sent to POST /v1/traces', () => {
  it('may be anything: it is refused or passed over, and nothing else suffers', async () => {
    const token = 'a-token-of-sixteen-and-more'
    const gateway = await startGateway({
      routes: routesOf(
        { churn: churn(), risk: { live: '1.0.0', versions: { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 } } } },
        { admin: { token } },
      ),
    })
    const authorization = `Bearer ${token}`
    const post = (body: string | Uint8Array, headers: Record<string, string>) =>
      send(`${gateway.admin}/v1/traces`, { body, headers: { authorization, ...headers } })
    const span = (attributes: Record<string, never>, name = 'predict') => ({ name, attributes })
    const good = asProtobuf(await writtenSpans([span({ 'model.version': '1.0.0', prediction: 1 } as never)]))
    expect((await send(`${gateway.admin}/v1/traces`, { body: good, headers: PROTOBUF })).status).toBe(401)
    expect((await post(good, { ...PROTOBUF, authorization: 'Bearer wrong-token-of-sixteen' })).status).toBe(401)
    expect((await post(good.subarray(0, -3), PROTOBUF)).status).toBe(400)
    expect((await post('{"resourceSpans":', { 'content-type': 'application/json' })).status).toBe(400)
    expect((await post(good, { 'content-type': 'text/plain' })).status).toBe(415)
    const bomb = gzipSync(new Uint8Array(64 * 1024 * 1024))
    expect((await post(bomb, { ...PROTOBUF, 'content-encoding': 'gzip' })).status).toBe(413)
    const get = await send(`${gateway.admin}/v1/traces`, { headers: { authorization } })
    expect([get.status, get.headers.allow]).toEqual([405, 'POST'])

    const strange = await writtenSpans([
      span({ 'model.version': '9.9.9', prediction: 1 } as never),
      span({ 'model.version': '1.0.0', prediction: 'x'.repeat(3 * 1024 * 1024) } as never),
      span({ ['__proto__']: 'x', 'model.version': '1.0.0', prediction: '{"__proto__":{"polluted":1}}' } as never),
      span({ 'model.name': 'nobody' } as never, 'infer nobody'),
    ])
    const answer = await post(asJson(strange), { 'content-type': 'application/json' })
    expect(answer.json.partialSuccess).toEqual({
      rejectedSpans: '1',
      errorMessage: 'route churn has no version that spans call "9.9.9" (1)',
    })
    const prediction = await predict(gateway, 'risk', tumourRequest())
    expect(prediction.status).toBe(200)
    expect((await send(`${gateway.predictions}/readyz`)).status, 'nothing is missing').toBe(200)
    expect((await send(`${gateway.predictions}/v2/models/risk/ready`)).status).toBe(200)
    expect((await send(`${gateway.predictions}/v2/models/churn/ready`)).status, 'it is not answered here').toBe(503)
    const metrics = await send(`${gateway.admin}/metrics`, { headers: { authorization } })
    expect(metrics.text).toContain('understudy_received_spans_total{route="churn",outcome="unknown_version"} 1')
    expect(gateway.log()).not.toMatch(/error/i)
    expect((await gateway.stop()).code).toBe(0)
  })

  it('may be sent twice, and counts once', async () => {
    const gateway = await startGateway({ routes: routesOf({ churn: churn() }) })
    const batch = await writtenSpans(
      Array.from({ length: 100 }, (_, index) => ({
        name: 'predict',
        traceId: traceIdOf(index % 50),
        attributes: { 'model.version': index < 50 ? '1.0.0' : '1.1.0', prediction: 1 },
      })),
    )
    for (let time = 0; time < 3; time++) {
      expect((await send(`${gateway.admin}/v1/traces`, { body: asProtobuf(batch), headers: PROTOBUF })).status).toBe(
        200,
      )
    }
    const { account } = await settled(gateway, 50)
    expect(account.compared).toBe(50)
    const { text } = await send(`${gateway.admin}/metrics`)
    expect(text).toContain('understudy_received_spans_total{route="churn",outcome="repeated"} 200')
    await gateway.stop()
  })

  it('may be a flood, or lack one side: what that costs is accounted for and makes the verdict invalid, and live answers go on', async () => {
    const gateway = await startGateway({
      routes: routesOf(
        { churn: churn(), risk: { live: '1.0.0', versions: { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 } } } },
        { mirror: { queue: '64KiB' } },
      ),
    })
    // Beyond the start: what is lost from then on is lost.
    await until(async () => {
      const { loadedAt } = (await gateway.status()).configuration
      return Date.now() - Date.parse(loadedAt) > 3_000
    })
    let isFlooding = true
    const times: number[] = []
    const predicting = (async () => {
      while (isFlooding) {
        const startMs = performance.now()
        const { status } = await predict(gateway, 'risk', tumourRequest())
        times.push(performance.now() - startMs)
        expect(status).toBe(200)
      }
    })()
    const TRACES = 4_000
    const lone = Array.from({ length: TRACES }, (_, trace) =>
      predicted(trace, '1.0.0', 'x'.repeat(trace < TRACES - 10 ? 500 : 1)),
    )
    for (let from = 0; from < TRACES; from += 1_000) {
      const answer = await send(`${gateway.admin}/v1/traces`, { body: otlpJson(lone.slice(from, from + 1_000)) })
      expect([answer.status, answer.text]).toEqual([200, '{}'])
    }
    isFlooding = false
    await predicting
    const { account } = await settled(gateway, TRACES)
    expect(account.dropped.evicted! + account.dropped.unpaired!).toBe(TRACES)
    expect(account.dropped.evicted).toBeGreaterThan(3_000)
    expect(account.dropped.unpaired).toBeGreaterThan(0)
    await until(async () => (await verdictOf(gateway)).decision === 'invalid')
    expect(times.length).toBeGreaterThan(5)
    await gateway.stop()
  }, 90_000)
})

/** OTLP JSON written by hand, since an SDK makes its own trace ids. */
function otlpJson(spans: readonly ReturnType<typeof predicted>[]): string {
  const written = spans.map(({ traceId, spanId, name, attributes }) => ({
    traceId,
    spanId,
    name,
    startTimeUnixNano: '1790000000000000000',
    endTimeUnixNano: '1790000000004000000',
    attributes: [
      { key: 'model.version', value: { stringValue: attributes.version } },
      { key: 'prediction', value: { stringValue: attributes.prediction } },
    ],
  }))
  return JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: written }] }] })
}
