// A route that climbs within seconds: a really better model, a policy of a few hundred requests, traffic with its labels.
import {
  atEnd,
  inParallel,
  postJson,
  predict,
  routesOf,
  type TestGateway,
  TUMOUR_ROWS,
  tumourRequest,
} from './gateway.ts'

/** Limits so wide that a few hundred requests decide, and labels that count. */
export const content = (rollout: object = {}, versions: object = {}, more: object = {}) =>
  routesOf({
    risk: {
      live: '1.0.0',
      versions: {
        '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
        '2.0.0': { onnx: 'tumour-risk/2.0.0', shadow: 100 },
        ...versions,
      },
      compare: { output: 'probabilities' },
      expect: 'change',
      labels: { loss: 'brier', margin: 0.2 },
      gate: {
        errors: { ratio: 10, floor: 0.5 },
        latency: { p50: 1000, p95: 1000, p99: 1000, slack: '1s' },
        // A better model's scores lie elsewhere.
        distribution: 0.95,
        exposure: { requests: 50, for: '0s' },
        drops: 1,
      },
      rollout: { steps: [20, 60, 100], mode: 'auto', every: '0s', ...rollout },
      ...more,
    },
  })

/** Traffic with its labels, until the test ends; `flip` lies about the truth. */
export function flow(gateway: () => TestGateway, flip = false): { stop: () => Promise<void> } {
  let isOn = true
  let sent = 0
  const run = async () => {
    while (isOn) {
      const to = gateway()
      const first = sent
      sent += 40
      try {
        const labels = await inParallel(40, 8, async index => {
          const row = TUMOUR_ROWS[(first + index) % TUMOUR_ROWS.length]!
          const { headers } = await predict(to, 'risk', tumourRequest(row.slice(0, 30)))
          return { request_id: headers['x-request-id'], label: flip ? 1 - row[30]! : row[30]!, route: 'risk' }
        })
        await postJson(`${to.predictions}/v1/labels`, { labels })
      } catch {
        // The gateway is being killed.
        await new Promise(resolve => setTimeout(resolve, 50))
      }
    }
  }
  const running = run()
  const stop = async () => {
    isOn = false
    await running
  }
  atEnd(stop)
  return { stop }
}
