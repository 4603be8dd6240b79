import { describe, expect, it } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import {
  accountSums,
  getJson,
  inParallel,
  postJson,
  predict,
  routesOf,
  startGateway,
  type TestGateway,
  TUMOUR_ROWS,
  tumourRequest,
  until,
} from './gateway.ts'
import { closedAddress, modelServer, rawServer } from './upstream.ts'

async function accountOf(gateway: TestGateway, route: string, candidate: string): Promise<Report['account']> {
  const url = `${gateway.admin}/v1/routes/${route}/report?candidate=${candidate}`
  return ((await getJson(url)) as Report).account
}

/** The account once nothing is in flight any more; checked to add up at every look on the way. */
function settled(gateway: TestGateway, route: string, candidate: string, eligible: number, timeoutMs = 30_000) {
  let last: unknown
  return until(
    async () => {
      const account = await accountOf(gateway, route, candidate)
      last = account
      const sums = accountSums(account)
      expect(sums.accounted).toBe(sums.eligible)
      expect(account.inFlight).toBeGreaterThanOrEqual(0)
      return account.eligible === eligible && account.inFlight === 0 ? account : undefined
    },
    { timeoutMs, what: () => `${eligible} eligible requests of ${candidate} to settle: ${JSON.stringify(last)}` },
  )
}

const rows = (index: number) => tumourRequest(TUMOUR_ROWS[index % TUMOUR_ROWS.length]!.slice(0, 30))
const live = { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 } }
const compare = { output: 'probabilities', tolerance: { absolute: 0.05 } }

describe('every request that could be mirrored is accounted for', () => {
  it('with embedded and HTTP shadows, one that is down, one that hangs and one that is slow, under load', async () => {
    const http = await modelServer()
    const hanging = await rawServer(() => {})
    // A busy machine may be late: only the one that hangs may miss a deadline.
    const patient = { deadline: '60s' }
    const url = (address: string, more: object = {}) => ({
      url: address,
      mirrorable: true,
      shadow: { percent: 100, ...patient, ...more },
    })
    const gateway = await startGateway({
      threads: 2,
      routes: routesOf({
        risk: {
          live: '1.0.0',
          versions: {
            ...live,
            '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow: { percent: 100, ...patient } },
            '2.0.0': { onnx: 'tumour-risk/2.0.0', shadow: { percent: 40, ...patient } },
            '3.0.0': url(http.url),
            '4.0.0': url(await closedAddress()),
            '5.0.0': url(hanging.url, { deadline: '1s' }),
            '6.0.0': url(http.url, { max: '20/s' }),
          },
          compare,
        },
      }),
    })
    const answers = await inParallel(3000, 16, index => predict(gateway, 'risk', rows(index)))
    expect(answers.every(({ status }) => status === 200)).toBe(true)

    const embedded = await settled(gateway, 'risk', '1.1.0', 3000)
    expect(embedded.compared).toBe(3000)
    const sampled = await settled(gateway, 'risk', '2.0.0', 3000)
    expect(Math.abs(sampled.notSampled - 1800)).toBeLessThan(4 * Math.sqrt(3000 * 0.4 * 0.6))
    expect(sampled.compared).toBe(3000 - sampled.notSampled)
    const overHttp = await settled(gateway, 'risk', '3.0.0', 3000)
    expect(overHttp.compared).toBe(3000)
    const down = await settled(gateway, 'risk', '4.0.0', 3000)
    // It is not tried with every request.
    expect(down.failed.candidate_error).toBeGreaterThan(0)
    expect(down.failed.candidate_error + down.dropped.stalled!).toBe(3000)
    const hung = await settled(gateway, 'risk', '5.0.0', 3000)
    expect(hung.compared).toBe(0)
    expect(hung.failed.timeout).toBeGreaterThan(0)
    expect(hung.dropped.expired! + hung.dropped.stalled!).toBeGreaterThan(0)
    const limited = await settled(gateway, 'risk', '6.0.0', 3000)
    expect(limited.notSampled).toBeGreaterThan(0)
    expect(limited.compared).toBe(3000 - limited.notSampled)
    expect((await gateway.stop()).code).toBe(0)
  })

  it('where the ring is tiny: what does not fit is dropped as ring_full and live notices nothing', async () => {
    const gateway = await startGateway({
      routes: routesOf(
        {
          risk: { live: '1.0.0', versions: { ...live, '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow: 100 } }, compare },
        },
        { mirror: { ring: '4KiB' } },
      ),
    })
    const wide = (index: number) => {
      const data = Array.from({ length: 4 }, (_, at) => TUMOUR_ROWS[(index + at) % TUMOUR_ROWS.length]!.slice(0, 30))
      return { inputs: [{ name: 'features', datatype: 'FP32', shape: [4, 30], data: data.flat() }] }
    }
    const answers = await inParallel(2000, 64, index => predict(gateway, 'risk', wide(index)))
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    const account = await settled(gateway, 'risk', '1.1.0', 2000)
    expect(account.dropped.ring_full).toBeGreaterThan(0)
    expect(account.compared).toBe(2000 - account.dropped.ring_full)
    await gateway.stop()
  })

  it('where bodies are too large to mirror: dropped as too_large, answered by live', async () => {
    const gateway = await startGateway({
      routes: routesOf(
        {
          risk: { live: '1.0.0', versions: { ...live, '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow: 100 } }, compare },
        },
        { mirror: { bodyBytes: '1KiB' } },
      ),
    })
    const padded = { ...rows(0), parameters: { padding: 'x'.repeat(2000) } }
    for (let request = 0; request < 20; request++) {
      expect((await predict(gateway, 'risk', request % 2 === 0 ? padded : rows(request))).status).toBe(200)
    }
    const account = await settled(gateway, 'risk', '1.1.0', 20)
    expect(account).toMatchObject({ compared: 10, dropped: { too_large: 10 } })
    await gateway.stop()
  })

  it('where mirroring is switched off and on again: not sampled meanwhile', async () => {
    const gateway = await startGateway({
      routes: routesOf({
        risk: { live: '1.0.0', versions: { ...live, '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow: 100 } }, compare },
      }),
    })
    const ask = (count: number) => inParallel(count, 4, index => predict(gateway, 'risk', rows(index)))
    await ask(10)
    await settled(gateway, 'risk', '1.1.0', 10)
    const change = { who: 'a test', reason: 'to see', dryRun: false }
    expect((await postJson(`${gateway.admin}/v1/mirror`, { on: false, ...change })).status).toBe(200)
    await ask(15)
    expect(await settled(gateway, 'risk', '1.1.0', 25)).toMatchObject({ compared: 10, notSampled: 15 })
    expect((await postJson(`${gateway.admin}/v1/mirror`, { on: true, ...change })).status).toBe(200)
    await ask(5)
    expect(await settled(gateway, 'risk', '1.1.0', 30)).toMatchObject({ compared: 15, notSampled: 15 })
    await gateway.stop()
  })

  it('and requests that the client got wrong, or that live did not answer, are no evidence of a match', async () => {
    const failing = await modelServer((_, response) => {
      response.writeHead(500, { 'content-type': 'application/json' })
      response.end('{"error":"broken today"}')
    })
    const gateway = await startGateway({
      routes: routesOf({
        risk: { live: '1.0.0', versions: { ...live, '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow: 100 } }, compare },
        remote: {
          live: '1.0.0',
          versions: {
            '1.0.0': { url: failing.url, weight: 100 },
            '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow: 100 },
          },
          compare,
        },
      }),
    })
    for (let request = 0; request < 5; request++) {
      expect((await predict(gateway, 'risk', { inputs: [] })).status).toBe(400)
      expect((await predict(gateway, 'remote', rows(request))).status).toBe(500)
    }
    expect((await predict(gateway, 'risk', rows(0))).status).toBe(200)
    await settled(gateway, 'risk', '1.1.0', 1)
    const account = await settled(gateway, 'remote', '1.1.0', 5)
    expect(account).toMatchObject({ compared: 0, failed: { baseline_error: 5 } })
    await gateway.stop()
  })
})
