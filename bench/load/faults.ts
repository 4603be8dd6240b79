// What a bad shadow costs live requests, beside the mirrors of nginx and Envoy: hung, down, slow, endless, not reading.
// `node bench/load/faults.ts [--quick] [--starts N] [--rounds N] [--out FILE]`; `node bench/load/rivals/install.ts` first.
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/load/schedule.ts'
import { Bench } from './bench.ts'
import { faultFigures } from './faultFigures.ts'
import {
  ENDLESS_BYTES_PER_SECOND,
  FAULTS,
  type Family,
  type Fault,
  installed,
  type ModelServers,
  PROXIES,
  type ProxyName,
  SHADOW_DEADLINE_SECONDS,
  type Shadow,
  SLOW_MS,
  startFamily,
  startModelServers,
  startProxy,
} from './faultSystems.ts'
import { type FaultsResults, renderFaults } from './faultsTable.ts'
import { type Turns, turnsOf, windowsOf } from './faultTurns.ts'
import { addedAccounts, type MirrorAccount, mirrorAccount, residentMiB } from './hang.ts'
import { canPin, pinToFirst } from './pinning.ts'
import { machineLoad } from './procfs.ts'
import { expectedOf, type SameBytes, sameBytes } from './sameBytes.ts'
import { runFacts } from './saturation.ts'
import { splitRequests, systemOf } from './splitGateway.ts'
import { shuffled } from './statistics.ts'
import type { System } from './systems.ts'
import { pause } from './windows.ts'

const { values: given } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    starts: { type: 'string' },
    rounds: { type: 'string' },
    out: { type: 'string' },
  },
})
const SETTINGS = given.quick
  ? { starts: 1, rounds: 1, turnsSeconds: 0.75, warmUp: 500, giveUpMs: 1_000, settleMs: 3_000, timeoutMs: 500 }
  : {
      starts: 8,
      rounds: 5,
      turnsSeconds: 2.25,
      // V8 goes on compiling for about fifty thousand requests.
      warmUp: 60_000,
      giveUpMs: 6_000,
      settleMs: 12_000,
      timeoutMs: 1_000,
    }
const starts = given.starts === undefined ? SETTINGS.starts : Number(given.starts)
const rounds = given.rounds === undefined ? SETTINGS.rounds : Number(given.rounds)
/** nginx and Envoy have no target here, and a window of a proxy that hangs takes three times as long. */
const rivalRounds = given.quick ? 1 : 6
/** Longest warm-up: nginx with a hung mirror answers next to nothing. */
const WARM_UP_SECONDS = 15
const CAPACITY_SECONDS = 2
const CONNECTIONS = 8
/** Of what the slowest can do without a shadow. Copies are as much work again: with them it is twice this share. */
const RATE_SHARE = 0.14
const TARGETS = { serving: 1.05, p99: 1.1 }
const SEED = 20_130_103

const random = seededRandom(SEED)
const bodies = splitRequests(random, 64)
/** Uploads of 256 KB and more than a mirrored request may have are among those whose answers are compared. */
const LARGE = [
  { requests: 8, values: 15_000 },
  { requests: 2, values: 120_000 },
] as const
const large = LARGE.map(({ requests, values }) => splitRequests(random, requests, values))
// Before anything is started: it inherits where it may run.
pinToFirst()
const bench = new Bench('faults')
await bench.measured(measure, renderFaults, given.out)

/** What one start of a proxy, with a fault and without, showed. */
interface Started {
  readonly fault: Fault
  readonly turns: readonly Turns[]
  /** Of each of the three. */
  readonly systems: ReadonlyMap<Shadow, SystemFigures>
  /** Of Understudy alone. */
  readonly account: MirrorAccount | undefined
}

interface SystemFigures {
  readonly bytes: SameBytes
  readonly beforeMiB: number | undefined
  readonly windowsMiB: readonly (number | undefined)[]
}

async function measure(): Promise<FaultsResults> {
  const loadBefore = machineLoad()
  bench.tell('starting')
  const servers = await startModelServers(bench)
  const live = systemOf('live', servers.live)
  await bench.generator.run(saturating(live, 1, WARM_UP_SECONDS))
  const liveMs = (await bench.generator.run(saturating(live, 1, CAPACITY_SECONDS))).latency.p50Ms!
  const versions = new Map<ProxyName, string | undefined>(
    PROXIES.map(proxy => [proxy, proxy === 'Understudy' ? '' : installed(proxy)]),
  )
  const present = PROXIES.filter(proxy => versions.get(proxy) !== undefined)
  const ratePerSecond = await findRate(servers, present)
  const proxies = []
  let accounts: FaultsResults['accounts'] = []
  for (const proxy of present) {
    const isOurs = proxy === 'Understudy'
    const started: Started[] = []
    for (let start = 0; start < (isOurs ? starts : 1); start++) {
      for (const fault of shuffled(FAULTS, random))
        started.push(await measureStart(servers, { proxy, fault, start, order: started.length }, ratePerSecond))
    }
    const turns = started.flatMap(each => each.turns)
    const taken = (['none', 'none again', ...FAULTS] as const).map(shadow => {
      const systems = started.flatMap(each => each.systems.get(shadow) ?? [])
      return {
        shadow,
        ...windowsOf(shadow, turns),
        bytes: systems.map(({ bytes }) => bytes),
        beforeMiB: systems.map(({ beforeMiB }) => beforeMiB),
        windowsMiB: systems.map(({ windowsMiB }) => windowsMiB),
      }
    })
    const targets = isOurs && !given.quick ? TARGETS : undefined
    proxies.push({ proxy, figures: faultFigures(taken, SETTINGS.timeoutMs, targets) })
    if (isOurs)
      accounts = FAULTS.map(shadow => ({
        shadow,
        account: addedAccounts(started.flatMap(({ fault, account }) => (fault === shadow ? (account ?? []) : []))),
      }))
  }
  return {
    ...runFacts(loadBefore, given.quick),
    method: {
      starts,
      rounds,
      rivalRounds,
      turnsSeconds: SETTINGS.turnsSeconds,
      startedApart: true,
      ratePerSecond,
      connections: CONNECTIONS,
      bodyBytes: bodies[0]!.length,
      comparedBodies: [bodies, ...large].map(of => ({ bytes: of[0]!.length, requests: of.length })),
      timeoutMs: SETTINGS.timeoutMs,
      shadowDeadlineSeconds: SHADOW_DEADLINE_SECONDS,
      slowMs: SLOW_MS,
      liveMs,
      endlessBytesPerSecond: ENDLESS_BYTES_PER_SECOND,
      pinned: canPin,
    },
    versions: Object.fromEntries([...versions].filter(([, version]) => version)) as Record<string, string>,
    missing: PROXIES.filter(proxy => !present.includes(proxy)),
    proxies,
    accounts,
  }
}

/** Of what the slowest proxy without a shadow can do: one that a bad shadow stops must not stop the others' load. */
async function findRate(servers: ModelServers, present: readonly ProxyName[]): Promise<number> {
  let slowest = Number.POSITIVE_INFINITY
  for (const proxy of present) {
    const process = await startProxy(proxy, 'none', servers, bench.home())
    try {
      const none = systemOf(`${proxy}, none`, process)
      await bench.generator.run(warming(none))
      const { perSecond } = await bench.generator.run(saturating(none, CONNECTIONS, CAPACITY_SECONDS))
      bench.tell(`${none.name}: ${Math.round(perSecond)}/s`)
      slowest = Math.min(slowest, perSecond)
    } finally {
      await process.close()
    }
  }
  const rate = Math.max(50, Math.round((slowest * RATE_SHARE) / 50) * 50)
  bench.tell(`fixed rate ${rate}/s`)
  return rate
}

/** One of the starts of a proxy. */
interface Start {
  readonly proxy: ProxyName
  readonly fault: Fault
  /** Of this fault. */
  readonly start: number
  /** Of all faults: it tells apart what was started by itself. */
  readonly order: number
}

async function measureStart(
  servers: ModelServers,
  { proxy, fault, start, order }: Start,
  rate: number,
): Promise<Started> {
  const name = `${proxy}, ${fault}, start ${start + 1}`
  const family = await startFamily(proxy, fault, servers, bench.home(), random)
  try {
    const { systems } = family
    bench.tell(`${name}: warming up`)
    for (const system of shuffled(systems, random)) await bench.generator.run(warming(system))
    // Copies that were sent at saturation are answered or given up before anything is measured.
    await pause(SETTINGS.giveUpMs)
    const beforeMiB = systems.map(residentMiB)
    const windowsMiB = systems.map((): (number | undefined)[] => [])
    const windows = proxy === 'Understudy' ? rounds : rivalRounds
    const planOfRound = (round: number) => planOf(rate, start * windows + round)
    const turns = await turnsOf(bench.generator, family, order, windows, planOfRound, round => {
      bench.tell(`${name}: window ${round + 1} of ${windows}`)
      for (const [index, system] of systems.entries()) windowsMiB[index]!.push(residentMiB(system))
    })
    const bytes = await compareBytes(family, servers)
    const shadowed = systems.find(({ shadow }) => shadow === fault)!
    // Only ours keeps an account.
    const account =
      shadowed.adminUrl === undefined ? undefined : await mirrorAccount(shadowed, SETTINGS.settleMs, '2.0.0')
    const figures = systems.map(({ shadow }, index): [Shadow, SystemFigures] => [
      shadow,
      { bytes: bytes[index]!, beforeMiB: beforeMiB[index], windowsMiB: windowsMiB[index]! },
    ])
    return { fault, turns, systems: new Map(figures), account }
  } finally {
    await family.close()
  }
}

function saturating({ url }: System, connections: number, seconds: number) {
  const { timeoutMs } = SETTINGS
  return { mode: 'closed' as const, url, bodies, connections, warmUp: connections, seconds, timeoutMs }
}

function warming(system: System) {
  return { ...saturating(system, CONNECTIONS, WARM_UP_SECONDS), requests: SETTINGS.warmUp }
}

function planOf(rate: number, round: number) {
  return {
    bodies,
    connections: CONNECTIONS,
    warmUp: CONNECTIONS * 4,
    timeoutMs: SETTINGS.timeoutMs,
    rate,
    // The same arrivals for all faults of a round.
    seed: SEED + round,
    seconds: SETTINGS.turnsSeconds,
  }
}

/** Of each of its systems. */
async function compareBytes({ systems }: Family, { live, canary }: ModelServers): Promise<SameBytes[]> {
  const origins = [live, canary].map(({ ready }) => `http://127.0.0.1:${ready.port}`)
  const requests = [...bodies, ...large.flat()]
  const plain = systems.find(({ shadow }) => shadow === 'none')!
  const expected = await expectedOf(origins, plain.url, requests)
  const found: SameBytes[] = []
  for (const { url } of systems) found.push(await sameBytes(url, requests, expected))
  return found
}
