// A gateway to which everything has happened that its metrics can tell of; for tests that read its /metrics.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { content, flow } from '../e2e/climbing.ts'
import {
  inParallel,
  predict,
  routesOf,
  scratch,
  send,
  startGateway,
  type TestGateway,
  tumourRequest,
  until,
} from '../e2e/gateway.ts'
import { answerHalf, modelServer } from '../e2e/upstream.ts'
import { hook } from '../notify/hooks.ts'

export interface BusyGateway {
  readonly gateway: TestGateway
  /** OTLP JSON lines of the spans that were kept: a third of the ordinary requests, and every error. */
  readonly spansFile: string
}

/** The whole of `/metrics` in the format that `accept` asks for. */
export async function scrape(gateway: TestGateway, accept?: string): Promise<{ body: string; contentType: string }> {
  const { status, text, headers } = await send(`${gateway.admin}/metrics`, {
    headers: accept === undefined ? {} : { accept },
  })
  if (status !== 200) throw new Error(`/metrics answered ${status}: ${text}`)
  return { body: text, contentType: String(headers['content-type']) }
}

/**
 * `tried` has a candidate in the shadow; the route `risk` has climbed from shadow through canary to live, with labels and a webhook; the live version of `worn`
 * has declined against its holdback; one request named no model, one span was of no route; and routes.yaml is refused as it stands.
 */
export async function busyGateway(): Promise<BusyGateway> {
  const folder = await scratch()
  const spansFile = join(folder, 'spans.jsonl')
  const webhook = await hook()
  let isBroken = false
  const old = await modelServer()
  const current = await modelServer((received, response) => {
    if (!isBroken) return answerHalf(received, response)
    response.writeHead(500, { 'content-type': 'application/json' })
    response.end('{"error":"out of memory"}')
  })
  const routes = (live: string, held: number) => {
    const { risk } = JSON.parse(content({ steps: [50, 100] }, {}, { notify: [{ url: webhook.url }] })).routes
    const worn = {
      live,
      versions: {
        '1.0.0': { url: old.url, identity: { literal: 'a' }, weight: live === '1.0.0' ? 100 : held },
        '2.0.0': { url: current.url, identity: { literal: 'b' }, weight: live === '2.0.0' ? 100 - held : 0 },
      },
      gate: { latency: { p50: 1000, p95: 1000, p99: 1000, slack: '10s' } },
      rollout: { steps: [50, 100], holdback: 20, detector: 'tell' },
    }
    const tried = {
      live: '1.0.0',
      versions: {
        '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
        '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow: 100 },
      },
      compare: { output: 'probabilities', tolerance: { absolute: 0.05 } },
    }
    return routesOf({ risk, worn, tried }, { traces: { file: spansFile, ratio: 0.33, slow: '10s' } })
  }
  const first = await startGateway({ folder, routes: routes('1.0.0', 0) })
  await first.stop()
  const env = { OTEL_BSP_SCHEDULE_DELAY: '100' }
  const gateway = await startGateway({ folder, routes: routes('2.0.0', 20), args: ['--adopt'], threads: 2, env })

  const shows = async (what: string) => (await scrape(gateway)).body.includes(what)
  const climbing = flow(() => gateway)
  const wear = async () => void (await inParallel(40, 8, () => predict(gateway, 'worn', tumourRequest())))
  await until(async () => wear().then(() => shows('understudy_decline_log_evidence{route="worn"}')), {
    timeoutMs: 60_000,
    what: () => 'a reference of worn',
  })
  isBroken = true
  await until(async () => wear().then(() => shows('understudy_declined{route="worn"')), {
    timeoutMs: 60_000,
    what: () => 'the decline of worn',
  })
  await until(async () => (await gateway.status()).routes.find(({ name }) => name === 'risk')?.live === '2.0.0', {
    timeoutMs: 90_000,
    what: () => `risk to be promoted: ${gateway.log()}`,
  })
  await climbing.stop()
  await inParallel(100, 8, () => predict(gateway, 'tried', tumourRequest()))
  await until(() => shows('understudy_gate_log_evalue{route="tried"'), { what: () => 'tried to be judged' })
  await predict(gateway, 'nobody', tumourRequest())
  const span = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), startTimeUnixNano: '1', endTimeUnixNano: '2' }
  await send(`${gateway.admin}/v1/traces`, {
    body: JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }),
  })
  await writeFile(gateway.routesFile, 'routes: {}\n')
  await until(() => shows('\nunderstudy_config_valid 0\n'), { what: () => 'routes.yaml refused' })
  await until(() => shows('\nunderstudy_config_reload_total{result="refused"} 1\n'), {
    what: () => 'that to be counted',
  })
  await until(() => shows('code="404"'), { what: () => 'the request without a model to be counted' })
  return { gateway, spansFile }
}
