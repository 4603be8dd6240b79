// Starts what the benchmark of bad shadows measures: a proxy with a bad shadow, and beside it the same without one, twice.
import { join } from 'node:path'
import type { Bench } from './bench.ts'
import { MEASURED } from './pinning.ts'
import type { Running } from './processes.ts'
import type { Backends } from './rivals/backends.ts'
import { findRival, startRival } from './rivals/rivals.ts'
import { startSplitGateway, systemOf } from './splitGateway.ts'
import { shuffled } from './statistics.ts'
import type { System } from './systems.ts'

export const FAULTS = ['hung', 'down', 'slow', 'endless', 'not reading'] as const
export type Fault = (typeof FAULTS)[number]

/** What a system's shadow does. `none again`: what noise alone makes of `none`. */
export type Shadow = 'none' | 'none again' | Fault

export const PROXIES = ['Understudy', 'nginx', 'Envoy'] as const
export type ProxyName = (typeof PROXIES)[number]

/** Understudy's own default, and given to the others: after it an unanswered copy is given up. */
export const SHADOW_DEADLINE_SECONDS = 5
/** The live server answers at once. */
export const SLOW_MS = 20
/** Of all endless answers together, as if they came over one network of 400 Mbit/s. */
export const ENDLESS_BYTES_PER_SECOND = 50_000_000

export interface Faulty extends System {
  readonly shadow: Shadow
}

/**
 * One start of a proxy with a bad shadow and, twice, without one. Nothing else is measured with these: what V8 has compiled
 * depends on how much a process has been asked, for longer than any warm-up, so each must have been asked alike.
 */
export interface Family {
  readonly proxy: ProxyName
  readonly fault: Fault
  readonly systems: readonly Faulty[]
  close(): Promise<void>
}

/** Live and canary version, and a bad shadow of each kind. They stay while proxies come and go. */
export interface ModelServers {
  readonly live: Running
  readonly canary: Running
  readonly shadows: ReadonlyMap<Shadow, Running>
}

export async function startModelServers(bench: Bench): Promise<ModelServers> {
  const live = await bench.start('timed', ['1.0.0'])
  const canary = await bench.start('timed', ['1.1.0'])
  const shadows = new Map<Shadow, Running>()
  for (const fault of FAULTS) {
    const [peer, ...args] = shadowPeer(fault)
    shadows.set(fault, await bench.start(peer, args))
  }
  return { live, canary, shadows }
}

/** Version of another proxy that is installed here. */
export function installed(proxy: Exclude<ProxyName, 'Understudy'>): string | undefined {
  return findRival(proxy)?.version
}

/**
 * @param folder where the proxies keep their files, made by them
 * @param random in which order they are started: what is started first is not the same beside what comes last
 */
export async function startFamily(
  proxy: ProxyName,
  fault: Fault,
  servers: ModelServers,
  folder: string,
  random: () => number,
): Promise<Family> {
  const proxies: Running[] = []
  // Together: each may wait for its bad shadow.
  const close = async () => void (await Promise.all(proxies.map(each => each.close())))
  const systems: Faulty[] = []
  try {
    for (const shadow of shuffled<Shadow>(['none', 'none again', fault], random)) {
      const process = await startProxy(proxy, shadow, servers, join(folder, shadow.replaceAll(' ', '-')))
      proxies.push(process)
      systems.push({ ...systemOf(`${proxy}, ${shadow}`, process), shadow })
    }
    return { proxy, fault, systems, close }
  } catch (error) {
    await close()
    throw error
  }
}

export async function startProxy(
  proxy: ProxyName,
  shadow: Shadow,
  { live, canary, shadows }: ModelServers,
  home: string,
): Promise<Running> {
  const backends: Backends = {
    live: live.ready.port,
    canary: canary.ready.port,
    shadow: shadows.get(shadow)?.ready.port,
    shadowDeadline: SHADOW_DEADLINE_SECONDS,
  }
  if (proxy === 'Understudy') return startSplitGateway(home, backends)
  const rival = findRival(proxy)
  if (rival === undefined) throw new Error(`${proxy} is not installed`)
  return startRival(rival, backends, home, MEASURED)
}

/** Which of peers/ it is, and its arguments. */
function shadowPeer(fault: Fault): [peer: string, ...args: string[]] {
  switch (fault) {
    case 'hung':
      return ['hung']
    case 'down':
      return ['down']
    case 'slow':
      return ['timed', '2.0.0', String(SLOW_MS)]
    case 'endless':
      return ['endless', String(ENDLESS_BYTES_PER_SECOND)]
    case 'not reading':
      return ['notReading']
  }
}
