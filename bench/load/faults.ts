// What a bad shadow costs live requests, beside the mirrors of nginx and Envoy: hung, down, slow, endless, not reading.
// `node bench/load/faults.ts [--quick] [--rounds N] [--out FILE]`; `node bench/load/rivals/install.ts` first.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Generator } from '../../src/load/generator.ts'
import { seededRandom } from '../../src/load/schedule.ts'
import { faultFigures } from './faultFigures.ts'
import {
  ENDLESS_BYTES_PER_SECOND,
  FAULTS,
  type Family,
  type FaultSystems,
  SHADOW_DEADLINE_SECONDS,
  SLOW_MS,
  startFaultSystems,
} from './faultSystems.ts'
import { type FaultsResults, renderFaults } from './faultsTable.ts'
import { type Turns, turnsOf, windowsOf } from './faultTurns.ts'
import { mirrorAccount, residentMiB } from './hang.ts'
import { canPin, pinToFirst } from './pinning.ts'
import { machineLoad } from './procfs.ts'
import { expectedOf, type SameBytes, sameBytes } from './sameBytes.ts'
import { runFacts } from './saturation.ts'
import { splitRequests, systemOf } from './splitGateway.ts'
import { shuffled } from './statistics.ts'
import type { System } from './systems.ts'
import { pause } from './windows.ts'

const { values: given } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, out: { type: 'string' }, rounds: { type: 'string' } },
})
const SETTINGS = given.quick
  ? {
      rounds: 1,
      turnsSeconds: 0.75,
      warmUpSeconds: 0.3,
      giveUpMs: 1_000,
      settleMs: 3_000,
      timeoutMs: 500,
    }
  : {
      rounds: 30,
      turnsSeconds: 2.25,
      // V8 goes on compiling for about thirty thousand requests.
      warmUpSeconds: 8,
      giveUpMs: 6_000,
      settleMs: 12_000,
      timeoutMs: 1_000,
    }
const rounds = given.rounds === undefined ? SETTINGS.rounds : Number(given.rounds)
/** nginx and Envoy have no target here, and a window of a proxy that hangs takes three times as long. */
const rivalRounds = Math.max(1, Math.round(rounds / 5))
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
const folder = mkdtempSync(join(tmpdir(), 'understudy-faults-'))
// Before anything is started: it inherits where it may run.
pinToFirst()
const generator = new Generator()
let systems: FaultSystems | undefined
try {
  say('starting')
  systems = await startFaultSystems(folder)
  const results = await measure(systems)
  const file = given.out ?? fileURLToPath(new URL('../results/faults.json', import.meta.url))
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`)
  process.stdout.write(renderFaults(results))
} finally {
  await generator.close()
  await systems?.close()
  rmSync(folder, { recursive: true, force: true })
}

interface Loaded {
  readonly family: Family
  readonly before: ReadonlyMap<string, number | undefined>
  readonly rounds: Map<string, (number | undefined)[]>
  readonly turns: Turns[]
}

async function measure({ live, canary, families, missing }: FaultSystems): Promise<FaultsResults> {
  const loadBefore = machineLoad()
  const { liveMs, ratePerSecond } = await warmAndRate(systemOf('live', live), families)
  const loaded: Loaded[] = []
  for (const family of families) loaded.push(await takeTurns(family, ratePerSecond))
  const origins = [live, canary].map(({ ready }) => `http://127.0.0.1:${ready.port}`)
  const proxies = []
  for (const { family, before, rounds: roundsMiB, turns } of loaded) {
    say(`${family.proxy}: the same bytes`)
    const bytes = await compareBytes(family, origins)
    const taken = family.systems.map(({ name, shadow }) => ({
      shadow,
      ...windowsOf(shadow, turns),
      bytes: bytes.get(name)!,
      beforeMiB: before.get(name),
      roundsMiB: roundsMiB.get(name)!,
    }))
    const targets = family.proxy === 'Understudy' && !given.quick ? TARGETS : undefined
    proxies.push({ proxy: family.proxy, figures: faultFigures(taken, SETTINGS.timeoutMs, targets) })
  }
  const accounts = []
  for (const system of families.flatMap(family => family.systems)) {
    if (system.adminUrl === undefined || system.shadow.startsWith('none')) continue
    accounts.push({ shadow: system.shadow, account: await mirrorAccount(system, SETTINGS.settleMs, '2.0.0') })
  }
  return {
    ...runFacts(loadBefore, given.quick),
    method: {
      rounds,
      rivalRounds,
      turnsSeconds: SETTINGS.turnsSeconds,
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
    versions: Object.fromEntries(
      families.flatMap(({ proxy, version }) => (version === undefined ? [] : [[proxy, version]])),
    ),
    missing,
    proxies,
    accounts,
  }
}

/** Warms each system and finds the rate: a proxy that a bad shadow stops must not stop the others' load. */
async function warmAndRate(
  live: System,
  families: readonly Family[],
): Promise<{ liveMs: number; ratePerSecond: number }> {
  const saturate = ({ url }: System, connections: number) =>
    generator.run({
      mode: 'closed',
      url,
      bodies,
      connections,
      warmUp: connections,
      seconds: SETTINGS.warmUpSeconds,
      timeoutMs: SETTINGS.timeoutMs,
    })
  await saturate(live, 1)
  const liveMs = (await saturate(live, 1)).latency.p50Ms!
  let slowest = Number.POSITIVE_INFINITY
  for (const system of families.flatMap(family => family.systems)) {
    say(`warming up: ${system.name}`)
    await saturate(system, CONNECTIONS)
    // All of them, though the rate needs few: a gateway that has run longer is compiled better than the one beside it.
    const { perSecond } = await saturate(system, CONNECTIONS)
    if (system.shadow === 'none') slowest = Math.min(slowest, perSecond)
  }
  const ratePerSecond = Math.max(50, Math.round((slowest * RATE_SHARE) / 50) * 50)
  say(`slowest ${Math.round(slowest)}/s, fixed rate ${ratePerSecond}/s`)
  // Copies that were sent at saturation are answered or given up before anything is measured.
  await pause(SETTINGS.giveUpMs)
  return { liveMs, ratePerSecond }
}

async function takeTurns(family: Family, rate: number): Promise<Loaded> {
  const memory = new Map<string, (number | undefined)[]>(family.systems.map(({ name }) => [name, []]))
  const before = new Map(family.systems.map(system => [system.name, residentMiB(system)]))
  const turns: Turns[] = []
  const rounds = roundsOf(family)
  for (const fault of shuffled(FAULTS, random)) {
    const planOfRound = (round: number) => planOf(rate, round)
    const found = await turnsOf(generator, family, fault, rounds, planOfRound, (round, systems) => {
      say(`${family.proxy}, ${fault}: window ${round + 1} of ${rounds}`)
      for (const system of systems) memory.get(system.name)!.push(residentMiB(system))
    })
    turns.push(...found)
  }
  return { family, before, rounds: memory, turns }
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

async function compareBytes(family: Family, origins: readonly string[]): Promise<Map<string, SameBytes>> {
  const requests = [...bodies, ...large.flat()]
  const none = family.systems.find(({ shadow }) => shadow === 'none')!
  const expected = await expectedOf(origins, none.url, requests)
  const found = new Map<string, SameBytes>()
  for (const { name, url } of family.systems) found.set(name, await sameBytes(url, requests, expected))
  return found
}

function roundsOf({ proxy }: Family): number {
  return proxy === 'Understudy' ? rounds : rivalRounds
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}
