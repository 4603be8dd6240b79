// Starts the proxies of the benchmark and their model servers, and sees that each passes requests and answers on unchanged.
import { messageOf } from '../../src/errors.ts'
import type { PlanInput } from '../../src/load/plan.ts'
import type { Bench } from './bench.ts'
import { forwardingFault } from './forwarding.ts'
import { MEASURED } from './pinning.ts'
import type { Running } from './processes.ts'
import type { Work } from './proxiesTable.ts'
import type { Backends } from './rivals/backends.ts'
import { findRival, RIVALS, type RivalName, startRival } from './rivals/rivals.ts'
import { saturating } from './saturation.ts'
import { startSplitGateway, systemOf } from './splitGateway.ts'
import type { System } from './systems.ts'
import { SETTLE_MS } from './windows.ts'

export interface ProxySystem extends System {
  readonly work: Work
  readonly bodies: string[]
  /** Names and values in turn. */
  readonly headers: string[]
  /** After a window, until what it caused is done. */
  readonly settleMs: number
  /** Where its copies go, a model server of its own. */
  readonly shadow: Running | undefined
}

export interface ProxySystems {
  readonly systems: readonly ProxySystem[]
  readonly versions: Readonly<Record<string, string>>
  /** Why each of these is not measured. */
  readonly missing: readonly string[]
}

const JSON_HEADERS = ['content-type', 'application/json']
/** Nothing is left to do when a proxy has answered that neither copies nor counts evidence. */
const SHORT_SETTLE_MS = 60
const CONNECTIONS = 8

export async function startProxySystems(bench: Bench, bodies: string[]): Promise<ProxySystems> {
  const server = (version: string) => bench.start('upstream', [version])
  const live = await server('1.0.0')
  const canary = await server('1.1.0')
  const split: Backends = { live: live.ready.port, canary: canary.ready.port, shadow: undefined }
  const plain = { bodies, headers: JSON_HEADERS, settleMs: SHORT_SETTLE_MS, shadow: undefined }
  const systems: ProxySystem[] = []
  const add = async (system: ProxySystem) => {
    const found = await forwardingFault(system, live, canary)
    if (found !== undefined) throw new Error(`${system.name}: ${found}`)
    systems.push(system)
  }
  /** A model server for its copies, of its own: what arrives there is then its own doing. */
  const shadowed = async () => {
    const shadow = await server('2.0.0')
    return { shadow, backends: { ...split, shadow: shadow.ready.port } }
  }
  const proxy = await bench.start('proxy', [`http://127.0.0.1:${live.ready.port}`], { processor: MEASURED })
  await add({ ...systemOf('bare proxy', proxy), ...plain, work: 'W1' })
  const passing = await bench.start('proxy', [`http://127.0.0.1:${live.ready.port}`, 'fields'], { processor: MEASURED })
  await add({ ...systemOf('bare proxy that passes fields on', passing), ...plain, work: 'W1' })
  for (const name of ['Understudy', 'Understudy again']) {
    const gateway = await bench.kept(startSplitGateway(bench.home(), split))
    await add({ ...systemOf(name, gateway), ...plain, work: 'W1', settleMs: SETTLE_MS })
  }
  for (const [name, more] of [
    ['Understudy, shadow', ''],
    ['Understudy, shadow, one by one', 'unbatched: 100'],
  ] as const) {
    const { shadow, backends } = await shadowed()
    const gateway = await bench.kept(startSplitGateway(bench.home(), backends, more))
    await add({ ...systemOf(name, gateway), ...plain, work: 'W2', settleMs: SETTLE_MS, shadow })
  }
  const versions: Record<string, string> = {}
  const missing: string[] = []
  const addRival = async (name: RivalName) => {
    const rival = findRival(name)
    if (rival === undefined) throw new Error('not installed')
    const process = await bench.kept(startRival(rival, split, bench.home(), MEASURED))
    const asks = rival.asks?.(split)
    const asked = asks && {
      url: `http://127.0.0.1:${process.ready.port}${asks.path}`,
      headers: asks.headers,
      bodies: bodies.map(asks.bodyOf),
    }
    await add({ ...systemOf(name, process), ...plain, work: 'W1', ...asked })
    if (rival.mirrors) {
      const { shadow, backends } = await shadowed()
      const mirroring = await bench.kept(startRival(rival, backends, bench.home(), MEASURED))
      await add({ ...systemOf(`${name}, mirror`, mirroring), ...plain, work: 'W2', settleMs: SETTLE_MS, shadow })
    }
    versions[name] = rival.version
  }
  for (const name of RIVALS) {
    try {
      await addRival(name)
    } catch (error) {
      missing.push(`${name} (${messageOf(error)})`)
    }
  }
  return { systems, versions, missing }
}

/** Windows at saturation, asked as the system must be asked. */
export function saturatingProxy(system: ProxySystem, seconds: number): Extract<PlanInput, { mode: 'closed' }> {
  return { ...saturating(system, system.bodies, CONNECTIONS, seconds), headers: system.headers }
}

/** Windows at a rate, whatever the answers do. */
export function pacedProxy(
  { url, bodies, headers }: ProxySystem,
  rate: number,
  seconds: number,
  seed: number,
): PlanInput {
  return {
    mode: 'open',
    url,
    bodies,
    headers,
    connections: CONNECTIONS,
    warmUp: CONNECTIONS * 2,
    rate,
    seconds,
    arrivals: 'poisson',
    seed,
  }
}
