// Starts what the benchmark of bad shadows measures: for each proxy one without a shadow, and one for each fault of it.
import { join } from 'node:path'
import { MEASURED } from './pinning.ts'
import { type Running, startPeer } from './processes.ts'
import type { Backends } from './rivals/backends.ts'
import { findRival, startRival } from './rivals/rivals.ts'
import { startSplitGateway, systemOf } from './splitGateway.ts'
import type { System } from './systems.ts'

export const FAULTS = ['hung', 'down', 'slow', 'endless', 'not reading'] as const
export type Fault = (typeof FAULTS)[number]

/** What a system's shadow does. `none again`: what noise alone makes of `none`. */
export type Shadow = 'none' | 'none again' | Fault

export const PROXIES = ['Understudy', 'nginx', 'Envoy'] as const
export type Proxy = (typeof PROXIES)[number]

/** Understudy's own default, and given to the others: after it an unanswered copy is given up. */
export const SHADOW_DEADLINE_SECONDS = 5
/** The live server answers at once. */
export const SLOW_MS = 20
/** Of all endless answers together, as if they came over one network of 400 Mbit/s. */
export const ENDLESS_BYTES_PER_SECOND = 50_000_000

export interface Faulty extends System {
  readonly shadow: Shadow
}

export interface Family {
  readonly proxy: Proxy
  /** Undefined for Understudy. */
  readonly version: string | undefined
  readonly systems: readonly Faulty[]
}

export interface FaultSystems {
  readonly live: Running
  readonly canary: Running
  readonly families: readonly Family[]
  /** Not installed here. */
  readonly missing: readonly string[]
  close(): Promise<void>
}

/** @param folder where the proxies keep their files */
export async function startFaultSystems(folder: string): Promise<FaultSystems> {
  const servers: Running[] = []
  const proxies: Running[] = []
  const close = async () => {
    // Together: each may wait for its bad shadow. And before what they send to.
    await Promise.all(proxies.map(each => each.close()))
    for (const each of servers) await each.close()
  }
  const server = async (peer: string, ...args: string[]) => {
    const process = await startPeer(peer, args)
    servers.push(process)
    return process
  }
  try {
    const live = await server('timed', '1.0.0')
    const canary = await server('timed', '1.1.0')
    const ports = new Map<Shadow, number>()
    for (const fault of FAULTS) ports.set(fault, (await server(...shadowPeer(fault))).ready.port)
    const backendsOf = (shadow: Shadow): Backends => ({
      live: live.ready.port,
      canary: canary.ready.port,
      shadow: ports.get(shadow),
      shadowDeadline: SHADOW_DEADLINE_SECONDS,
    })
    const families: Family[] = []
    const missing: string[] = []
    for (const proxy of PROXIES) {
      const rival = proxy === 'Understudy' ? undefined : findRival(proxy)
      if (proxy !== 'Understudy' && rival === undefined) {
        missing.push(proxy)
        continue
      }
      const systems: Faulty[] = []
      for (const shadow of ['none', 'none again', ...FAULTS] as const) {
        const home = join(folder, `${proxy}-${shadow.replaceAll(' ', '-')}`)
        const process = await (rival === undefined
          ? startSplitGateway(home, backendsOf(shadow))
          : startRival(rival, backendsOf(shadow), home, MEASURED))
        proxies.push(process)
        systems.push({ ...systemOf(`${proxy}, ${shadow}`, process), shadow })
      }
      families.push({ proxy, version: rival?.version, systems })
    }
    return { live, canary, families, missing, close }
  } catch (error) {
    await close()
    throw error
  }
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
