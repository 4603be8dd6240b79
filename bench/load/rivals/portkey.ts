// How Portkey's gateway is asked so that it splits by weight and passes the whole body on. Its routes for any path
// (`/v1/proxy/*`) answer 500 under Node: they change headers that fetch made immutable (Portkey-AI/gateway, issue 1389).
import { type Backends, CANARY_PERCENT } from './backends.ts'
import type { Asks } from './rivals.ts'

export const PORTKEY_PACKAGE = '@portkey-ai/gateway'

/** As a completion, whose unknown keys it drops: the numbers go as `prompt`. It is told versions and weights in a header. */
export function askPortkey({ live, canary }: Backends): Asks {
  const target = (port: number, weight: number) => ({
    provider: 'openai',
    api_key: 'none',
    custom_host: `http://127.0.0.1:${port}`,
    weight,
  })
  const config = {
    strategy: { mode: 'loadbalance' },
    targets: [target(live, 100 - CANARY_PERCENT), target(canary, CANARY_PERCENT)],
  }
  return {
    path: '/v1/completions',
    headers: ['content-type', 'application/json', 'x-portkey-config', JSON.stringify(config)],
    bodyOf: completionOf,
  }
}

/** A completion of the numbers of a V2 request, and of its length: the model's name fills it up. */
export function completionOf(body: string): string {
  const { inputs } = JSON.parse(body) as { inputs: [{ data: number[] }] }
  const completion = (model: string) => JSON.stringify({ model, prompt: inputs[0].data })
  return completion('m'.padEnd(1 + Math.max(0, body.length - completion('m').length), 'm'))
}
