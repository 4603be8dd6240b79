// What requests cost after a quiet time, beside those before it: V8 uses quiet times to make heaps smaller, and may throw away
// what it had compiled. `node bench/load/pauses.ts [--quick] [--rounds N] [--out FILE]`
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Generator } from '../../src/load/generator.ts'
import { seededRandom } from '../../src/load/schedule.ts'
import { residentMiB } from './hang.ts'
import { type PausesResults, renderPauses } from './pausesTable.ts'
import { canPin, MEASURED, pinToFirst } from './pinning.ts'
import { type Running, startPeer } from './processes.ts'
import { machineLoad } from './procfs.ts'
import { runFacts, saturating, timesOf } from './saturation.ts'
import { splitRequests, startSplitGateway, systemOf } from './splitGateway.ts'
import { pairedRatio, shuffled, spreadOf } from './statistics.ts'
import type { System } from './systems.ts'
import { pause, runWindow, type Window } from './windows.ts'

const { values: given } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, out: { type: 'string' }, rounds: { type: 'string' } },
})
const rounds = given.rounds === undefined ? (given.quick ? 1 : 12) : Number(given.rounds)
/** V8 begins to collect after eight seconds in which little happened. */
const PAUSE_SECONDS = given.quick ? 1 : 20
const REQUESTS = given.quick ? 200 : 2_000
const WARM_UP = given.quick ? 500 : 60_000
const CONNECTIONS = 8
const SEED = 20_130_104
/** Undoes what `startPeer` gives a bare proxy. */
const V8_AS_IT_IS = ['--memory-reducer', '--scavenger-updates-allocation-limit', '--min-semi-space-size=0']

const random = seededRandom(SEED)
const bodies = splitRequests(random, 64)
const folder = mkdtempSync(join(tmpdir(), 'understudy-pauses-'))
const running: Running[] = []
// Before anything is started: it inherits where it may run.
pinToFirst()
const generator = new Generator()
try {
  const results = await measure()
  const file = given.out ?? fileURLToPath(new URL('../results/pauses.json', import.meta.url))
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`)
  process.stdout.write(renderPauses(results))
} finally {
  await generator.close()
  for (const each of running.toReversed()) await each.close()
  rmSync(folder, { recursive: true, force: true })
}

async function measure(): Promise<PausesResults> {
  const loadBefore = machineLoad()
  const systems = await startSystems()
  for (const system of systems) await generator.run(asked(system, WARM_UP))
  const before = new Map<System, Window[]>(systems.map(system => [system, []]))
  const after = new Map<System, Window[]>(systems.map(system => [system, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const system of shuffled(systems, random)) {
      await generator.run(asked(system, REQUESTS))
      before.get(system)!.push(await runWindow(generator, system, asked(system, REQUESTS)))
    }
    await pause(PAUSE_SECONDS * 1000)
    for (const system of shuffled(systems, random))
      after.get(system)!.push(await runWindow(generator, system, asked(system, REQUESTS)))
    process.stderr.write(`round ${round} of ${rounds}\n`)
  }
  return {
    ...runFacts(loadBefore, given.quick),
    method: { rounds, requests: REQUESTS, pauseSeconds: PAUSE_SECONDS, connections: CONNECTIONS, pinned: canPin },
    systems: systems.map(system => {
      const times = { before: timesOf(before.get(system)!, 'treeUs'), after: timesOf(after.get(system)!, 'treeUs') }
      return {
        system: system.name,
        beforeUs: spreadOf(times.before),
        afterUs: spreadOf(times.after),
        ratio: pairedRatio(times.after, times.before),
        mib: residentMiB(system),
        failures: [...before.get(system)!, ...after.get(system)!].reduce((sum, { failures }) => sum + failures, 0),
      }
    }),
  }
}

async function startSystems(): Promise<System[]> {
  const kept = async (starting: Promise<Running>) => {
    const process = await starting
    running.push(process)
    return process
  }
  const [live, canary, shadow] = await Promise.all(
    ['1.0.0', '1.1.0', '2.0.0'].map(version => kept(startPeer('upstream', [version]))),
  )
  const split = { live: live!.ready.port, canary: canary!.ready.port, shadow: undefined }
  const origin = `http://127.0.0.1:${split.live}`
  const proxy = (flags: readonly string[]) => kept(startPeer('proxy', [origin], flags, MEASURED))
  const gateway = (name: string, port?: number) =>
    kept(startSplitGateway(join(folder, name), { ...split, shadow: port }))
  return [
    systemOf('bare proxy, V8 as it is', await proxy(V8_AS_IT_IS)),
    systemOf('bare proxy', await proxy([])),
    systemOf('Understudy', await gateway('split')),
    systemOf('Understudy, shadow', await gateway('shadow', shadow!.ready.port)),
  ]
}

function asked(system: System, requests: number) {
  return {
    ...saturating(system, bodies, CONNECTIONS, 120),
    headers: ['content-type', 'application/json'],
    requests,
  }
}
