// What the benchmarks beside other proxies send, and the gateway that splits it as those do.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MEASURED } from './pinning.ts'
import { type Running, startPeer } from './processes.ts'
import { type Backends, CANARY_PERCENT } from './rivals/backends.ts'
import type { System } from './systems.ts'

const PATH = '/v2/models/m/infer'
/** Numbers of a request: with their JSON around them 1 KB. */
const VALUES = 60

/** JSON of 1 KB where no number of values is given: one row of numbers. */
export function splitRequests(random: () => number, count: number, values = VALUES): string[] {
  return Array.from({ length: count }, () => {
    const data = Array.from({ length: values }, () => Number((random() * 100).toFixed(12)))
    return JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, values], data }] })
  })
}

/**
 * A gateway with a live version, a canary and, where there is one, a shadow of all requests.
 * @param home its folder, made where it is not there
 * @param more further keys of the shadow's settings
 * @param flags of node
 * @param threads serving threads
 */
export function startSplitGateway(
  home: string,
  { live, canary, shadow }: Backends,
  more = '',
  flags: readonly string[] = [],
  threads = 1,
): Promise<Running> {
  mkdirSync(home, { recursive: true })
  const routes = join(home, 'routes.yaml')
  const url = (port: number) => `url: "http://127.0.0.1:${port}"`
  const shadowed =
    shadow === undefined
      ? ''
      : `\n      2.0.0: { ${url(shadow)}, shadow: ${more === '' ? '100' : `{ percent: 100, ${more} }`}, mirrorable: true }`
  writeFileSync(
    routes,
    `drain: { delay: 0s, deadline: 5s }
traces: { ratio: 0 }
routes:
  m:
    live: 1.0.0
    versions:
      1.0.0: { ${url(live)}, weight: ${100 - CANARY_PERCENT} }
      1.1.0: { ${url(canary)}, weight: ${CANARY_PERCENT} }${shadowed}
    compare: { output: probability, tolerance: { absolute: 0.02 } }
    expect: change
`,
  )
  return startPeer('gateway', [routes, join(home, 'state'), String(threads)], flags, MEASURED)
}

export function systemOf(name: string, { pid, ready }: Running): System {
  const adminUrl = ready.adminPort === undefined ? undefined : `http://127.0.0.1:${ready.adminPort}`
  return { name, pid, url: `http://127.0.0.1:${ready.port}${PATH}`, adminUrl }
}
