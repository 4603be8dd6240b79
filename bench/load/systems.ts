// Starts and ends what is measured: bare servers, model servers, and gateways with and without a shadow.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Bench, PeerPlace } from './bench.ts'
import type { Running } from './processes.ts'
import { treeOf } from './procfs.ts'

export const SYSTEM_NAMES = [
  'bare server',
  'bare proxy',
  'embedded, shadow off',
  'embedded, shadow on',
  'HTTP, shadow off',
  'HTTP, shadow on',
  'HTTP, shadow hung',
] as const
export type SystemName = (typeof SYSTEM_NAMES)[number]

/** One thing that is measured. */
export interface System {
  readonly name: string
  readonly url: string
  readonly pid: number
  /** Of a gateway. */
  readonly adminUrl: string | undefined
}

export interface Systems {
  readonly all: readonly System[]
  get(name: SystemName): System
}

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url))
const ROUTE = 'flight-delay'
const INFER = `/v2/models/${ROUTE}/infer`
const MOST_STARTS = 12

/** Starts what is wanted and what it forwards to. */
export async function startSystems(
  bench: Bench,
  wanted: readonly SystemName[] = SYSTEM_NAMES,
  gatewayFlags: readonly string[] = [],
): Promise<Systems> {
  const live = await bench.start('upstream', ['1.0.0', '0.18230406939983368'])
  const shadow = await bench.start('upstream', ['2.0.0', '0.17718204855918884'])
  const hung = await bench.start('hung')
  const bare = await bench.start('upstream')
  const proxy = await bench.start('proxy', [`http://127.0.0.1:${live.ready.port}`])
  const gateway = async (versions: string) => {
    const { pid, ready } = await startGatewayPeer(bench, versions, { flags: gatewayFlags })
    return { pid, url: urlOf(ready.port), adminUrl: `http://127.0.0.1:${ready.adminPort}` }
  }
  const embedded = `1.0.0: { onnx: ${ROUTE}/1.0.0, weight: 100 }`
  const http = `1.0.0: { url: http://127.0.0.1:${live.ready.port}, weight: 100 }`
  const shadowOf = (port: number) => `2.0.0: { url: http://127.0.0.1:${port}, shadow: 100, mirrorable: true }`
  const peer = ({ pid, ready }: Running) => ({ pid, url: urlOf(ready.port), adminUrl: undefined })
  const starts: Readonly<Record<SystemName, () => Omit<System, 'name'> | Promise<Omit<System, 'name'>>>> = {
    'bare server': () => peer(bare),
    'bare proxy': () => peer(proxy),
    'embedded, shadow off': () => gateway(embedded),
    'embedded, shadow on': () => gateway(`${embedded}\n      2.0.0: { onnx: ${ROUTE}/2.0.0, shadow: 100 }`),
    'HTTP, shadow off': () => gateway(http),
    'HTTP, shadow on': () => gateway(`${http}\n      ${shadowOf(shadow.ready.port)}`),
    'HTTP, shadow hung': () => gateway(`${http}\n      ${shadowOf(hung.ready.port)}`),
  }
  const all: System[] = []
  for (const name of wanted) all.push({ name, ...(await starts[name]()) })
  return { all, get: name => all.find(system => system.name === name)! }
}

const LOOKS = 32
const LOOK_MS = 250

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}${INFER}`
}

/**
 * Starts a gateway. The live model belongs on the serving thread, where a model goes whose p99 was under 0.2 ms when it
 * was verified; on a busy machine that measurement fails now and then, and another layout would be measured.
 */
export async function startGatewayPeer(bench: Bench, versions: string, place: PeerPlace): Promise<Running> {
  // One of the shadow thread, which scores what is compared, and one of the serving thread for a canary; live's would be
  // another.
  const embedded = versions.split('\n').filter(version => version.includes('onnx:'))
  const canaries = embedded.filter(version => version.includes('weight:')).length - 1
  const scoringProcesses = (embedded.length > 1 ? 1 : 0) + (canaries > 0 ? 1 : 0)
  const folder = bench.home()
  const routes = join(folder, 'routes.yaml')
  writeFileSync(
    routes,
    `models: ${join(REPOSITORY, 'models')}
drain: { delay: 0s, deadline: 5s }
routes:
  ${ROUTE}:
    live: 1.0.0
    versions:
      ${versions}
    compare: { output: probability, tolerance: { absolute: 0.02 } }
    expect: change
`,
  )
  for (let attempt = 0; attempt < MOST_STARTS; attempt++) {
    const gateway = await bench.start('gateway', [routes, join(folder, `state-${attempt}`)], place)
    // The process that checked the models ends by itself, five seconds after the last one; before that the one that proves which
    // of them may share runs has begun, and it ends with its last proof. So what is measured shares from its first request on.
    for (let look = 0; look < LOOKS; look++) {
      if (treeOf(gateway.pid).length - 1 <= scoringProcesses) return gateway
      await new Promise(resolve => setTimeout(resolve, LOOK_MS))
    }
    await bench.end(gateway)
  }
  throw new Error('the machine is too busy: the live model was never placed on the serving thread')
}
