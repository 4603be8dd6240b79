// What requests cost after a quiet time, beside those before it: V8 uses quiet times to make heaps smaller, and may throw away
// what it had compiled. `node bench/load/pauses.ts [--quick] [--rounds N] [--out FILE]`
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/load/schedule.ts'
import { Bench } from './bench.ts'
import { residentMiB } from './hang.ts'
import { type PausesResults, renderPauses } from './pausesTable.ts'
import { canPin, MEASURED, pinToFirst } from './pinning.ts'
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
// Before anything is started: it inherits where it may run.
pinToFirst()
const bench = new Bench('pauses')
await bench.measured(measure, renderPauses, given.out)

async function measure(): Promise<PausesResults> {
  const loadBefore = machineLoad()
  const systems = await startSystems()
  for (const system of systems) await bench.generator.run(asked(system, WARM_UP))
  const before = new Map<System, Window[]>(systems.map(system => [system, []]))
  const after = new Map<System, Window[]>(systems.map(system => [system, []]))
  for (let round = 1; round <= rounds; round++) {
    for (const system of shuffled(systems, random)) {
      await bench.generator.run(asked(system, REQUESTS))
      before.get(system)!.push(await runWindow(bench.generator, system, asked(system, REQUESTS)))
    }
    await pause(PAUSE_SECONDS * 1000)
    for (const system of shuffled(systems, random))
      after.get(system)!.push(await runWindow(bench.generator, system, asked(system, REQUESTS)))
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
  const [live, canary, shadow] = await Promise.all(
    ['1.0.0', '1.1.0', '2.0.0'].map(version => bench.start('upstream', [version])),
  )
  const split = { live: live!.ready.port, canary: canary!.ready.port, shadow: undefined }
  const origin = `http://127.0.0.1:${split.live}`
  const proxy = (flags: readonly string[]) => bench.start('proxy', [origin], { flags, processor: MEASURED })
  const gateway = (port?: number) => bench.kept(startSplitGateway(bench.home(), { ...split, shadow: port }))
  return [
    systemOf('bare proxy, V8 as it is', await proxy(V8_AS_IT_IS)),
    systemOf('bare proxy', await proxy([])),
    systemOf('Understudy', await gateway()),
    systemOf('Understudy, shadow', await gateway(shadow!.ready.port)),
  ]
}

function asked(system: System, requests: number) {
  return {
    ...saturating(system, bodies, CONNECTIONS, 120),
    headers: ['content-type', 'application/json'],
    requests,
  }
}
