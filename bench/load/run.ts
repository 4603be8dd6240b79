// The load benchmark: what the gateway costs beside bare servers, with its shadow off, on and hung.
// `node bench/load/run.ts [--quick] [--rounds N] [--out FILE]`
import { cpus, platform, release, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import type { Generator } from '../../src/load/generator.ts'
import type { PlanInput, TurnsPlanInput } from '../../src/load/plan.ts'
import { seededRandom } from '../../src/load/schedule.ts'
import { commit } from '../commit.ts'
import { Bench } from './bench.ts'
import { mirrorAccount, watchMemory } from './hang.ts'
import { cpuOf, hasProcfs, machineLoad } from './procfs.ts'
import type { Comparison, LoadResults, SystemFigures, WindowFigures } from './results.ts'
import { flightRequests } from './rows.ts'
import { judgeTarget, median, pairedRatio, type Ratio, spreadOf } from './statistics.ts'
import { type System, type SystemName, type Systems, startSystems } from './systems.ts'
import { renderLoad } from './table.ts'
import { pause, runTurnRounds, runWindows, type Window, type Windows } from './windows.ts'

const { values: given } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, out: { type: 'string' }, rounds: { type: 'string' } },
})
const quick = given.quick
const SETTINGS = quick
  ? {
      rounds: 2,
      turnRounds: 2,
      windowSeconds: 1,
      saturationSeconds: 0.7,
      warmUp: 300,
      turnsSeconds: 1.5,
      memorySeconds: 2,
      idleMs: 500,
    }
  : {
      rounds: 15,
      turnRounds: 24,
      windowSeconds: 2,
      saturationSeconds: 1.5,
      warmUp: 5_000,
      turnsSeconds: 6,
      memorySeconds: 15,
      idleMs: 2_000,
    }
const rounds = given.rounds === undefined ? SETTINGS.rounds : Number(given.rounds)
const turnRounds = given.rounds === undefined ? SETTINGS.turnRounds : Number(given.rounds)
const CONNECTIONS = 8
const SATURATION_CONNECTIONS = 16
/** Of what the slowest system can do. */
const RATE_SHARE = 0.28
const SERVING_TARGET = 1.15
const HUNG_TARGET = 1.1
/** A shadow's deadline of 5 s, and the ticks after it. */
const HUNG_SETTLE_MS = 12_000
const SEED = 20_130_101

const bodies = flightRequests(64)
const random = seededRandom(SEED)
const loadBefore = machineLoad()
const bench = new Bench('load')
bench.tell('starting')
await bench.measured(async () => measure(await startSystems(bench), bench.generator), renderLoad, given.out)

async function measure(systems: Systems, generator: Generator): Promise<LoadResults> {
  const at = (name: SystemName) => systems.get(name)
  const saturated = [
    [at('bare server'), at('bare proxy')],
    [at('embedded, shadow off'), at('embedded, shadow on')],
    [at('HTTP, shadow off'), at('HTTP, shadow on')],
  ]
  const fixed = [saturated[0]!, saturated[1]!, [...saturated[2]!, at('HTTP, shadow hung')]]
  const ratePerSecond = await warmAndRate(systems, generator, saturated.flat())
  const idle = await idleTimes(systems)
  const fixedRate = await runWindows(generator, fixed, rounds, random, openPlan(ratePerSecond), tellRound('fixed rate'))
  const saturation = await runWindows(generator, saturated, rounds, random, closedPlan, tellRound('saturation'))
  const turns = await runTurnRounds(generator, turnRounds, turnsPlan(at, ratePerSecond), tellRound('hung shadow'))
  const [off, hungP99, offAgain] = [0, 1, 2].map(turn => turns.p99Ms.map(round => round[turn]!)) as Turns
  bench.tell('memory')
  const steady = (system: System) =>
    watchMemory(generator, system, { ...openPlan(ratePerSecond)(system, 0), seconds: SETTINGS.memorySeconds })
  const hung = {
    p99Ms: { shadowOff: spreadOf(off), shadowHung: spreadOf(hungP99), shadowOffAgain: spreadOf(offAgain) },
    failures: turns.failures,
    shadowOff: await steady(at('HTTP, shadow off')),
    shadowHung: await steady(at('HTTP, shadow hung')),
    account: await mirrorAccount(at('HTTP, shadow hung'), HUNG_SETTLE_MS),
    shadowOnEmbedded: await mirrorAccount(at('embedded, shadow on'), HUNG_SETTLE_MS),
    shadowOnHttp: await mirrorAccount(at('HTTP, shadow on'), HUNG_SETTLE_MS),
  }
  return {
    resultsVersion: 1,
    date: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      system: `${platform()} ${release()}`,
      loadBefore,
      loadAfter: machineLoad(),
    },
    node: process.version,
    commit: commit(),
    quick,
    method: {
      rounds,
      windowSeconds: SETTINGS.windowSeconds,
      saturationSeconds: SETTINGS.saturationSeconds,
      ratePerSecond,
      connections: CONNECTIONS,
      warmUpRequests: SETTINGS.warmUp,
      generatorLateP99Ms: median([...fixedRate.values()].flat().map(({ lateP99Ms }) => lateP99Ms)),
    },
    systems: systems.all.map(({ name }): SystemFigures => {
      const closed = saturation.get(name)
      return {
        system: name,
        fixedRate: figuresOf(fixedRate.get(name)!),
        saturation: closed === undefined ? undefined : figuresOf(closed),
        idleTreeMsPerSecond: idle.get(name),
      }
    }),
    comparisons: [
      ...compare('serving-thread CPU, embedded, shadow on / off', fixedRate, 'embedded', 'servingUs', SERVING_TARGET),
      ...compare('serving-thread CPU, HTTP, shadow on / off', fixedRate, 'HTTP', 'servingUs', SERVING_TARGET),
      {
        question: 'live p99 in turns, HTTP, shadow hung / off',
        over: 'HTTP, shadow hung',
        under: 'HTTP, shadow off',
        ...judged(pairedRatio(hungP99, off), HUNG_TARGET),
      },
      {
        question: 'the same, shadow off / off: what noise alone makes',
        over: 'HTTP, shadow off',
        under: 'HTTP, shadow off',
        ...judged(pairedRatio(offAgain, off), undefined),
      },
      ...compare(
        'serving-thread CPU at saturation, embedded, shadow on / off',
        saturation,
        'embedded',
        'servingUs',
        SERVING_TARGET,
      ),
      ...compare(
        'serving-thread CPU at saturation, HTTP, shadow on / off',
        saturation,
        'HTTP',
        'servingUs',
        SERVING_TARGET,
      ),
      ...compare('CPU of all processes, embedded, shadow on / off', fixedRate, 'embedded', 'treeUs'),
      ...compare('CPU of all processes, HTTP, shadow on / off', fixedRate, 'HTTP', 'treeUs'),
      ...compare('live p99, embedded, shadow on / off', fixedRate, 'embedded', 'p99Ms'),
      ...compare('live p99, HTTP, shadow on / off', fixedRate, 'HTTP', 'p99Ms'),
      ...compare('throughput at saturation, embedded, shadow on / off', saturation, 'embedded', 'perSecond'),
      ...compare('throughput at saturation, HTTP, shadow on / off', saturation, 'HTTP', 'perSecond'),
      ...compareSystems(
        'serving-thread CPU, HTTP, shadow hung / off',
        fixedRate,
        'HTTP, shadow hung',
        'HTTP, shadow off',
        'servingUs',
      ),
      ...compareSystems(
        'CPU of all processes, HTTP, shadow off / bare proxy',
        fixedRate,
        'HTTP, shadow off',
        'bare proxy',
        'treeUs',
      ),
    ],
    hung,
  }
}

/** Warms every system up and finds the rate: a share of what the slowest did. */
async function warmAndRate(systems: Systems, generator: Generator, saturated: readonly System[]): Promise<number> {
  let slowest = Number.POSITIVE_INFINITY
  for (const system of systems.all) {
    bench.tell(`warming up: ${system.name}`)
    const { statuses, errors, sent } = await generator.run({
      ...closedPlan(system),
      requests: SETTINGS.warmUp,
      seconds: 60,
    })
    if (statuses['200'] !== sent)
      throw new Error(`${system.name} does not answer: ${JSON.stringify(statuses)} ${JSON.stringify(errors)}`)
    if (!saturated.includes(system)) continue
    const { perSecond } = await generator.run(closedPlan(system))
    slowest = Math.min(slowest, perSecond)
  }
  const rate = Math.round((slowest * RATE_SHARE) / 50) * 50
  bench.tell(`slowest ${Math.round(slowest)}/s, fixed rate ${rate}/s`)
  return Math.max(50, rate)
}

/** Processor time without load, ms a second. */
async function idleTimes(systems: Systems): Promise<Map<string, number | undefined>> {
  await pause(1_000)
  const before = systems.all.map(({ pid }) => cpuOf(pid)?.treeNs)
  await pause(SETTINGS.idleMs)
  return new Map(
    systems.all.map(({ name, pid }, index) => {
      const start = before[index]
      const end = cpuOf(pid)?.treeNs
      return [name, start === undefined || end === undefined ? undefined : (end - start) / 1000 / SETTINGS.idleMs]
    }),
  )
}

function openPlan(rate: number): (system: System, round: number) => Extract<PlanInput, { mode: 'open' }> {
  return ({ url }, round) => ({
    mode: 'open',
    url,
    bodies,
    connections: CONNECTIONS,
    warmUp: CONNECTIONS * 4,
    rate,
    seconds: SETTINGS.windowSeconds,
    // The same arrivals for both sides of a pair.
    seed: SEED + round,
  })
}

/** p99 by round: without a shadow, with a hung one, and without again. */
type Turns = [off: number[], hung: number[], offAgain: number[]]

function turnsPlan(at: (name: SystemName) => System, rate: number): (round: number) => TurnsPlanInput {
  const names = ['HTTP, shadow off', 'HTTP, shadow hung', 'HTTP, shadow off'] as const
  return round => ({
    mode: 'turns',
    urls: names.map(name => at(name).url),
    bodies,
    connections: CONNECTIONS,
    warmUp: CONNECTIONS * 4,
    rate,
    seconds: SETTINGS.turnsSeconds,
    seed: SEED + round,
  })
}

function closedPlan({ url }: System): Extract<PlanInput, { mode: 'closed' }> {
  return {
    mode: 'closed',
    url,
    bodies,
    connections: SATURATION_CONNECTIONS,
    warmUp: SATURATION_CONNECTIONS * 2,
    seconds: SETTINGS.saturationSeconds,
  }
}

function figuresOf(windows: readonly Window[]): WindowFigures {
  const spread = (figure: 'perSecond' | 'p50Ms' | 'p99Ms' | 'servingUs' | 'treeUs') => {
    const values = windows.map(window => window[figure]).filter(value => value !== undefined)
    return values.length === 0 ? undefined : spreadOf(values)
  }
  return {
    perSecond: spread('perSecond')!,
    p50Ms: spread('p50Ms')!,
    p99Ms: spread('p99Ms')!,
    servingUs: spread('servingUs'),
    treeUs: spread('treeUs'),
    requests: windows.reduce((sum, { requests }) => sum + requests, 0),
    failures: windows.reduce((sum, { failures }) => sum + failures, 0),
  }
}

type Figure = 'servingUs' | 'treeUs' | 'p99Ms' | 'perSecond'

function compare(
  question: string,
  windows: Windows,
  version: 'embedded' | 'HTTP',
  figure: Figure,
  target?: number,
): Comparison[] {
  return compareSystems(question, windows, `${version}, shadow on`, `${version}, shadow off`, figure, target)
}

/** Nothing where the machine does not tell processor time. */
function compareSystems(
  question: string,
  windows: Windows,
  over: SystemName,
  under: SystemName,
  figure: Figure,
  target?: number,
): Comparison[] {
  if (!hasProcfs && (figure === 'servingUs' || figure === 'treeUs')) return []
  const valuesOf = (name: SystemName) => windows.get(name)!.map(window => window[figure]!)
  return [{ question, over, under, ...judged(pairedRatio(valuesOf(over), valuesOf(under)), target) }]
}

/** A quick run is too short, and its code too cold, to judge by. */
function judged(ratio: Ratio, target: number | undefined): Pick<Comparison, 'ratio' | 'target' | 'verdict'> {
  return { ratio, target, verdict: target === undefined || quick ? undefined : judgeTarget(ratio, target) }
}

function tellRound(what: string): (round: number) => void {
  return round => bench.tell(`${what}: round ${round}`)
}
