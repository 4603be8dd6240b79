// What embedded scoring costs beside MLServer and LitServe with the same ONNX file, and beside the least that Node can do.
// `node bench/load/scoring.ts [--quick] [--rounds N] [--out FILE]`; `node bench/load/rivals/install.ts` first.
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/load/schedule.ts'
import { Bench } from './bench.ts'
import { mirrorAccount } from './hang.ts'
import { canPin, MEASURED, pinToFirst } from './pinning.ts'
import type { Running } from './processes.ts'
import { machineLoad } from './procfs.ts'
import { CANARY_PERCENT } from './rivals/backends.ts'
import {
  configurationsOf,
  PYTHON_SERVERS,
  type PythonServer,
  startPythonServer,
  versionOf,
} from './rivals/pythonServers.ts'
import { flightRequests } from './rows.ts'
import { sameAnswers } from './sameAnswers.ts'
import { runFacts, saturating, summaryOf, threadsOf, timesOf } from './saturation.ts'
import { renderScoring, type ScoringResults, scoringRatio, type Target } from './scoringTable.ts'
import { sessionWindow } from './sessionLoop.ts'
import { shuffled } from './statistics.ts'
import { type System, startGatewayPeer } from './systems.ts'
import { pause, runWindow, type Window } from './windows.ts'

const { values: given } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, out: { type: 'string' }, rounds: { type: 'string' } },
})
const rounds = given.rounds === undefined ? (given.quick ? 2 : 40) : Number(given.rounds)
/** Long enough for the servers in Python, which answer 500 requests in it. */
const WINDOW_SECONDS = given.quick ? 0.5 : 1
/**
 * Load before each window, not in its figures: a system has idled for seconds since its last one, while all others had
 * theirs, and saturation is what it reaches, not what it begins with.
 */
const LOADED_SECONDS = given.quick ? 0.1 : 0.5
const TRIES = given.quick ? 1 : 5
const CONNECTIONS = 16
/** V8 goes on compiling for about thirty thousand requests, and the shadow's thread is behind the serving one. */
const WARM_UP = given.quick ? 1_000 : 60_000
const PYTHON_WARM_UP = given.quick ? 100 : 2_000
const ROWS = 64
const SEED = 20_130_103
const PATH = '/v2/models/flight-delay/infer'
const MODEL = fileURLToPath(new URL('../../models/flight-delay/1.0.0/model.onnx', import.meta.url))

const LIMIT = 'session.run alone'
const BARE = 'bare node:http'
const SPLIT = 'Understudy, split'
const SHADOW = 'Understudy, split and shadow'
const AGAIN = 'Understudy, split and shadow again'

interface Measured {
  readonly system: System
  readonly isPython: boolean
  window(): Promise<Window>
}

const random = seededRandom(SEED)
const bodies = flightRequests(ROWS)
// Before anything is started: it inherits where it may run.
pinToFirst()
const bench = new Bench('scoring')
await bench.measured(measure, renderScoring, given.out)

async function measure(): Promise<ScoringResults> {
  const loadBefore = machineLoad()
  const limit = systemOf(LIMIT, await bench.start('scorer', [MODEL], { processor: MEASURED }))
  const bare = systemOf(BARE, await bench.start('scorer', [MODEL], { processor: MEASURED }))
  const split = [`1.0.0: { onnx: flight-delay/1.0.0, weight: ${100 - CANARY_PERCENT} }`, canary()].join('\n      ')
  const shadowed = `${split}\n      2.0.0: { onnx: flight-delay/2.0.0, shadow: 100 }`
  const gateways = [await gateway(SPLIT, split), await gateway(SHADOW, shadowed), await gateway(AGAIN, shadowed)]
  const systems = [httpMeasured(bare), ...gateways.map(system => httpMeasured(system))]
  const versions: Record<string, string> = {}
  const missing: PythonServer[] = []
  const tried: ScoringResults['tried'][number][] = []
  for (const server of PYTHON_SERVERS) {
    const version = versionOf(server)
    if (version === undefined) {
      missing.push(server)
      continue
    }
    versions[server] = version
    const tries = await tryAll(server)
    tried.push(...tries)
    const { configuration } = tries.find(({ taken }) => taken)!
    systems.push(httpMeasured(systemOf(server, await startPython(server, configuration)), true))
  }
  const agreement = await sameAnswers([limit, ...systems.map(({ system }) => system)], bare, bodies)
  for (const { system, isPython } of systems) await warmUp(system, isPython ? PYTHON_WARM_UP : WARM_UP)
  await pause(1_000)
  const windows = await measureAll([{ system: limit, isPython: false, window: () => limitWindow(limit) }, ...systems])
  const of = (name: string) => windows.get(name)!
  const rates = (name: string) => of(name).map(({ perSecond }) => perSecond)
  const rate = (over: string, under: string, least?: number) =>
    windows.has(under)
      ? [ratioOf(`requests a second, ${over} / ${under}`, rates(over), rates(under), 'atLeast', least)]
      : []
  const cpu = (over: string, under: string, figure: 'treeUs' | 'servingUs', most?: number) => {
    if (!windows.has(over)) return []
    const what = figure === 'treeUs' ? 'CPU of all processes' : 'serving-thread CPU'
    const question = `${what}, ${over} / ${under}`
    return [ratioOf(question, timesOf(of(over), figure), timesOf(of(under), figure), 'atMost', most)]
  }
  // What is still under way when the load ends is sent and compared.
  await pause(2_000)
  const accounts = []
  for (const system of gateways.slice(1))
    accounts.push({ system: system.name, ...(await mirrorAccount(system, 10_000, '2.0.0')) })
  return {
    ...runFacts(loadBefore, given.quick),
    method: {
      rounds,
      windowSeconds: WINDOW_SECONDS,
      warmUp: WARM_UP,
      loadedSeconds: LOADED_SECONDS,
      connections: CONNECTIONS,
      rows: ROWS,
      bodyBytes: Math.round(bodies.reduce((sum, body) => sum + Buffer.byteLength(body), 0) / ROWS),
      pinned: canPin,
    },
    versions,
    missing,
    tried,
    agreement,
    systems: [...windows].map(([system, ofSystem]) => {
      const { servingUs, ...others } = summaryOf(ofSystem)
      // Which thread of another's process serves is not known here.
      return system in versions
        ? { system, ...others, servingUs: undefined }
        : { system, ...others, servingUs, threads: threadsOf(ofSystem) }
    }),
    ratios: [
      ...rate(SHADOW, 'MLServer', 20),
      ...rate(SHADOW, 'LitServe', 10),
      ...rate(SPLIT, 'MLServer'),
      ...rate(SPLIT, 'LitServe'),
      // With nothing decided, and nothing copied: what HTTP, JSON and the model leave of the distance.
      ...rate(BARE, 'MLServer'),
      ...rate(BARE, 'LitServe'),
      ...rate(LIMIT, 'MLServer'),
      ...rate(LIMIT, 'LitServe'),
      ...cpu('MLServer', SHADOW, 'treeUs'),
      ...cpu('LitServe', SHADOW, 'treeUs'),
      ...cpu(SHADOW, BARE, 'servingUs', 1.25),
      ...cpu(SPLIT, BARE, 'servingUs'),
      ...cpu(SHADOW, BARE, 'treeUs'),
      ...cpu(AGAIN, SHADOW, 'servingUs'),
      ...cpu(BARE, LIMIT, 'servingUs'),
    ],
    accounts,
  }
}

function canary(): string {
  return `1.1.0: { onnx: flight-delay/1.1.0, weight: ${CANARY_PERCENT} }`
}

function ratioOf(
  question: string,
  over: readonly number[],
  under: readonly number[],
  bound: Target['bound'],
  value: number | undefined,
) {
  return scoringRatio(question, over, under, value === undefined ? undefined : { bound, value }, given.quick)
}

/** Every configuration alone, one after another, or two of them in a quick run; the one with the best median is taken. */
async function tryAll(server: PythonServer): Promise<ScoringResults['tried'][number][]> {
  const tries = []
  for (const configuration of configurationsOf(server).slice(given.quick ? -2 : 0)) {
    process.stderr.write(`${server}, ${configuration}\n`)
    const python = await startPython(server, configuration)
    const system = systemOf(server, python)
    await warmUp(system, PYTHON_WARM_UP)
    const windows: Window[] = []
    for (let index = 0; index < TRIES; index++) windows.push(await httpWindow(system))
    const { perSecond, failures } = summaryOf(windows)
    tries.push({ server, configuration, perSecond, failures })
    await bench.end(python)
  }
  const best = Math.max(...tries.map(({ perSecond }) => perSecond.median))
  return tries.map(each => ({ ...each, taken: each.perSecond.median === best }))
}

async function measureAll(systems: readonly Measured[]): Promise<Map<string, Window[]>> {
  const windows = new Map<string, Window[]>(systems.map(({ system }) => [system.name, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const { system, window } of shuffled(systems, random)) windows.get(system.name)!.push(await window())
    process.stderr.write(`round ${round} of ${rounds}\n`)
  }
  return windows
}

function httpMeasured(system: System, isPython = false): Measured {
  return { system, isPython, window: () => httpWindow(system) }
}

async function limitWindow(limit: System): Promise<Window> {
  await sessionWindow(limit, LOADED_SECONDS)
  return sessionWindow(limit, WINDOW_SECONDS)
}

async function httpWindow(system: System): Promise<Window> {
  await bench.generator.run(saturating(system, bodies, CONNECTIONS, LOADED_SECONDS))
  return runWindow(bench.generator, system, saturating(system, bodies, CONNECTIONS, WINDOW_SECONDS))
}

async function warmUp(system: System, requests: number): Promise<void> {
  await bench.generator.run({ ...saturating(system, bodies, CONNECTIONS, 30), requests })
}

async function gateway(name: string, versions: string): Promise<System> {
  return systemOf(name, await startGatewayPeer(bench, versions, { processor: MEASURED }))
}

function startPython(server: PythonServer, configuration: string): Promise<Running> {
  return bench.kept(startPythonServer(server, configuration, MODEL, bench.home(), PATH, bodies[0]!, MEASURED))
}

function systemOf(name: string, { pid, ready }: Running): System {
  const adminUrl = ready.adminPort === undefined ? undefined : `http://127.0.0.1:${ready.adminPort}`
  return { name, pid, url: `http://127.0.0.1:${ready.port}${PATH}`, adminUrl }
}
