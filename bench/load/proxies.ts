// What splitting and mirroring cost beside the proxies that a user would put in front instead, which compare nothing.
// `node bench/load/proxies.ts [--quick] [--rounds N] [--out FILE]`; `node bench/load/rivals/install.ts` first.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Generator } from '../../src/load/generator.ts'
import { seededRandom } from '../../src/load/schedule.ts'
import { mirrorAccount } from './hang.ts'
import { canPin, MEASURED, pinToFirst } from './pinning.ts'
import { type Running, startPeer } from './processes.ts'
import { machineLoad } from './procfs.ts'
import { type ProxiesResults, renderProxies, type Work } from './proxiesTable.ts'
import type { Backends } from './rivals/backends.ts'
import { findRival, RIVALS, startRival } from './rivals/rivals.ts'
import { runFacts, saturating, summaryOf, timesOf } from './saturation.ts'
import { splitRequests, startSplitGateway, systemOf } from './splitGateway.ts'
import { judgeTarget, pairedRatio } from './statistics.ts'
import type { System } from './systems.ts'
import { pause, runWindows } from './windows.ts'

const { values: given } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, out: { type: 'string' }, rounds: { type: 'string' } },
})
const rounds = given.rounds === undefined ? (given.quick ? 3 : 100) : Number(given.rounds)
const WINDOW_SECONDS = 0.25
const CONNECTIONS = 8
const WARM_UP = given.quick ? 500 : 5_000
const SEED = 20_130_102

const random = seededRandom(SEED)
const folder = mkdtempSync(join(tmpdir(), 'understudy-proxies-'))
const running: Running[] = []
// Before anything is started: it inherits where it may run.
pinToFirst()
const generator = new Generator()
try {
  const results = await measure()
  const file = given.out ?? fileURLToPath(new URL('../results/proxies.json', import.meta.url))
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`)
  process.stdout.write(renderProxies(results))
} finally {
  await generator.close()
  for (const each of running.toReversed()) await each.close()
  rmSync(folder, { recursive: true, force: true })
}

interface Measured extends System {
  readonly work: Work
}

async function measure(): Promise<ProxiesResults> {
  const loadBefore = machineLoad()
  const live = await start('upstream', ['1.0.0'])
  const canary = await start('upstream', ['1.1.0'])
  const shadow = await start('upstream', ['2.0.0'])
  const split: Backends = { live: live.ready.port, canary: canary.ready.port, shadow: undefined }
  const mirrored: Backends = { ...split, shadow: shadow.ready.port }
  const proxy = await start('proxy', [`http://127.0.0.1:${live.ready.port}`], MEASURED)
  const systems: Measured[] = [
    { ...systemOf('bare proxy', proxy), work: 'W1' },
    await gateway('Understudy', 'W1', split),
    await gateway('Understudy again', 'W1', split),
    await gateway('Understudy, shadow', 'W2', mirrored),
    await gateway('Understudy, shadow, one by one', 'W2', mirrored, 'unbatched: 100'),
  ]
  const versions: Record<string, string> = {}
  const missing: string[] = []
  for (const name of RIVALS) {
    const rival = findRival(name)
    if (rival === undefined) {
      missing.push(name)
      continue
    }
    versions[name] = rival.version
    const started = async (work: Work, backends: Backends) => {
      const home = join(folder, `${name.replaceAll(/\W/g, '-')}-${work}`)
      const process = await startRival(rival, backends, home, MEASURED)
      running.push(process)
      systems.push({ ...systemOf(work === 'W1' ? name : `${name}, mirror`, process), work })
    }
    await started('W1', split)
    if (rival.mirrors) await started('W2', mirrored)
  }
  const bodies = splitRequests(random, 64)
  for (const system of systems)
    await generator.run({ ...saturating(system, bodies, CONNECTIONS, WINDOW_SECONDS), requests: WARM_UP, seconds: 60 })
  await pause(1_000)
  const windows = await runWindows(
    generator,
    [systems],
    rounds,
    random,
    system => saturating(system, bodies, CONNECTIONS, WINDOW_SECONDS),
    round => process.stderr.write(`round ${round} of ${rounds}\n`),
  )
  const of = (name: string) => windows.get(name)!
  const ratio = (over: string, under: string, figure: 'treeUs' | 'servingUs', target?: number) => {
    if (!windows.has(under)) return []
    const found = pairedRatio(timesOf(of(over), figure), timesOf(of(under), figure))
    const verdict = target === undefined || given.quick ? undefined : judgeTarget(found, target)
    const what = figure === 'treeUs' ? 'CPU of all processes' : 'serving-thread CPU'
    return [{ question: `${what}, ${over} / ${under}`, ratio: found, target, verdict }]
  }
  const gateways = systems.filter(({ name, adminUrl }) => adminUrl !== undefined && name.includes('shadow'))
  await pause(2_000)
  const accounts = []
  for (const system of gateways)
    accounts.push({ system: system.name, ...(await mirrorAccount(system, 5_000, '2.0.0')) })
  return {
    ...runFacts(loadBefore, given.quick),
    method: {
      rounds,
      windowSeconds: WINDOW_SECONDS,
      connections: CONNECTIONS,
      bodyBytes: bodies[0]!.length,
      pinned: canPin,
    },
    versions,
    missing,
    systems: systems.map(({ name, work }) => {
      const { servingUs, ...others } = summaryOf(of(name))
      // Which thread of another's process serves is not known here.
      return {
        system: name,
        work,
        ...others,
        servingUs: RIVALS.some(rival => name.startsWith(rival)) ? undefined : servingUs,
      }
    }),
    comparisons: [
      ...ratio('Understudy', 'bare proxy', 'treeUs', 1.1),
      ...ratio('Understudy', 'bare proxy', 'servingUs'),
      ...ratio('Understudy again', 'Understudy', 'treeUs'),
      ...ratio('Understudy', '@fastify/http-proxy', 'treeUs', 1),
      ...ratio('Understudy', 'Envoy', 'treeUs', 1),
      ...ratio('Understudy', 'nginx', 'treeUs'),
      ...ratio('Understudy', 'HAProxy', 'treeUs'),
      ...ratio('Understudy, shadow', 'nginx, mirror', 'treeUs', 1),
      ...ratio('Understudy, shadow', 'Envoy, mirror', 'treeUs', 0.9),
      ...ratio('Understudy, shadow', 'Understudy', 'servingUs', 1.1),
      ...ratio('Understudy, shadow, one by one', 'nginx, mirror', 'treeUs'),
    ],
    accounts,
  }
}

async function start(peer: string, args: readonly string[], processor?: number): Promise<Running> {
  const process = await startPeer(peer, args, [], processor)
  running.push(process)
  return process
}

async function gateway(name: string, work: Work, backends: Backends, more = ''): Promise<Measured> {
  const process = await startSplitGateway(join(folder, name.replaceAll(/\W/g, '-')), backends, more)
  running.push(process)
  return { ...systemOf(name, process), work }
}
