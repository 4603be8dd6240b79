// Where a request's processor time goes, by layer: the kernel, node, V8, libraries, our own code. Needs `perf` of Linux.
// `node bench/load/layers.ts [--quick] [--out FILE]`
// Sampling sees what no counter of a process tells; a sample every quarter of a millisecond costs a few percent itself.
import { execFile } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { seededRandom } from '../../src/load/schedule.ts'
import { inferPaths, rotated, routesText } from '../growth/routesText.ts'
import { NOT_MEASURED } from '../notMeasured.ts'
import { Bench } from './bench.ts'
import { type LayersResults, layerOf, type Profiled, renderLayers } from './layersTable.ts'
import { canPin, MEASURED, pinToFirst } from './pinning.ts'
import { type Running, startPeer } from './processes.ts'
import { machineLoad } from './procfs.ts'
import { runFacts, saturating } from './saturation.ts'
import { splitRequests, startSplitGateway, systemOf } from './splitGateway.ts'
import { shuffled } from './statistics.ts'
import type { System } from './systems.ts'
import { pause, SETTLE_MS } from './windows.ts'

const { values: given } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, out: { type: 'string' } },
})
const ROUNDS = given.quick ? 1 : 8
const SECONDS = given.quick ? 1 : 3
const WARM_UP = given.quick ? 1_000 : 60_000
const PER_SECOND = 4_000
const CONNECTIONS = 8
const ROUTES = given.quick ? 1_000 : 10_000
const SEED = 20_130_106
/** So that perf knows the names of what V8 has compiled: both have them in /tmp, wherever else temporary files are. */
const FLAGS = ['--perf-basic-prof', '--interpreted-frames-native-stack']

const run = promisify(execFile)
const random = seededRandom(SEED)
const bodies = splitRequests(random, 64)
// Before anything is started: it inherits where it may run.
pinToFirst()
const bench = new Bench('layers')
/** Of processes whose functions V8 tells perf. */
const told: number[] = []
if (await hasPerf()) {
  try {
    await bench.measured(measure, renderLayers, given.out)
  } finally {
    for (const pid of told) rmSync(`/tmp/perf-${pid}.map`, { force: true })
  }
} else {
  await bench.close()
  process.stderr.write('not measured: perf is not installed\n')
  process.exitCode = NOT_MEASURED
}

function hasPerf(): Promise<boolean> {
  return run('perf', ['--version']).then(
    () => true,
    () => false,
  )
}

async function measure(): Promise<LayersResults> {
  const loadBefore = machineLoad()
  const systems = await startSystems()
  for (const system of systems) await load(system, { requests: WARM_UP, seconds: 120 })
  await pause(1_000)
  const found = new Map(systems.map(({ name }) => [name, { requests: 0, us: {} as Record<string, number> }]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const system of shuffled(systems, random)) {
      process.stderr.write(`round ${round + 1} of ${ROUNDS}: ${system.name}\n`)
      const { requests, us } = await profiled(system)
      const sum = found.get(system.name)!
      sum.requests += requests
      for (const [layer, more] of Object.entries(us)) sum.us[layer] = (sum.us[layer] ?? 0) + more
    }
  }
  return {
    ...runFacts(loadBefore, given.quick),
    method: { rounds: ROUNDS, seconds: SECONDS, perSecond: PER_SECOND, connections: CONNECTIONS, pinned: canPin },
    systems: [...found].map(([system, { requests, us }]) => ({
      system,
      requests,
      layersUs: Object.fromEntries(Object.entries(us).map(([layer, total]) => [layer, total / requests])),
    })),
  }
}

interface Asked extends System {
  /** Asked in turn instead of the one of the address. */
  readonly paths?: readonly string[]
}

async function startSystems(): Promise<Asked[]> {
  const named = async (starting: Promise<Running>) => {
    const process = await bench.kept(starting)
    told.push(process.pid)
    return process
  }
  const [live, canary, shadow] = await Promise.all(
    ['1.0.0', '1.1.0', '2.0.0'].map(version => bench.start('upstream', [version])),
  )
  const backends = { live: live!.ready.port, canary: canary!.ready.port }
  const origin = `http://127.0.0.1:${backends.live}`
  const proxy = (...mode: string[]) => named(startPeer('proxy', [origin, ...mode], FLAGS, MEASURED))
  const gateway = (port?: number, threads = 1) =>
    named(startSplitGateway(bench.home(), { ...backends, shadow: port }, '', FLAGS, threads))
  const routes = join(bench.folder, 'routes.yaml')
  writeFileSync(routes, routesText({ routes: ROUTES, url: origin }))
  const many = await named(startPeer('gateway', [routes, bench.home(), '1'], FLAGS, MEASURED))
  return [
    systemOf('bare proxy', await proxy()),
    systemOf('bare proxy that passes fields on', await proxy('fields')),
    systemOf('Understudy', await gateway()),
    systemOf('Understudy, shadow', await gateway(shadow!.ready.port)),
    systemOf('Understudy, two serving threads', await gateway(undefined, 2)),
    { ...systemOf(`Understudy, ${ROUTES} routes asked in turn`, many), paths: inferPaths(ROUTES) },
  ]
}

function load(system: Asked, { requests, seconds }: { readonly requests?: number; readonly seconds: number }) {
  const headers = ['content-type', 'application/json']
  const paths = system.paths && rotated(system.paths, random)
  const plan = { ...saturating(system, bodies, CONNECTIONS, seconds), headers }
  return bench.generator.run({ ...plan, ...(requests && { requests }), ...(paths && { paths }) })
}

/** Samples of one window, and of what it leaves to do. */
async function profiled(system: Asked): Promise<Pick<Profiled, 'requests'> & { readonly us: Record<string, number> }> {
  const file = join(bench.folder, 'perf.data')
  const seconds = String(SECONDS + (2 * SETTLE_MS) / 1_000)
  const record = ['record', '-e', 'cpu-clock', '-F', String(PER_SECOND), '-p', String(system.pid), '-o', file]
  const recording = run('perf', [...record, '--', 'sleep', seconds])
  await pause(SETTLE_MS / 2)
  const { sent, warmedUp } = await load(system, { seconds: SECONDS })
  await recording
  const fields = ['--sort', 'comm,dso,symbol', '-F', 'sample,comm,dso,symbol', '--field-separator', '|']
  const report = await run('perf', ['report', '-i', file, '--no-children', '-g', 'none', ...fields], {
    maxBuffer: 1 << 28,
  })
  const us: Record<string, number> = {}
  for (const line of report.stdout.split('\n')) {
    const [samples, thread, object, symbol] = line.split('|').map(field => field.trim())
    if (line.startsWith('#') || symbol === undefined) continue
    const layer = layerOf({ thread: thread!, object: object!, symbol })
    us[layer] = (us[layer] ?? 0) + (Number(samples) * 1_000_000) / PER_SECOND
  }
  return { requests: sent + warmedUp, us }
}
