// What splitting and mirroring cost beside the proxies that a user would put in front instead, which compare nothing.
// `node bench/load/proxies.ts [--quick] [--rounds N] [--out FILE]`; `node bench/load/rivals/install.ts` first.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { PlanInput } from '../../src/load/plan.ts'
import { seededRandom } from '../../src/load/schedule.ts'
import { Bench } from './bench.ts'
import { crossCheck } from './crossCheck.ts'
import { mirrorAccount, residentMiB } from './hang.ts'
import { canPin, pinToFirst } from './pinning.ts'
import { machineLoad } from './procfs.ts'
import { proxyPlots } from './proxiesPlots.ts'
import { rateFiguresOf, rateOf } from './proxiesRates.ts'
import { type ProxiesResults, renderProxies } from './proxiesTable.ts'
import { type ProxySystem, pacedProxy, saturatingProxy, startProxySystems } from './proxySystems.ts'
import { receivedBy } from './received.ts'
import { RIVALS } from './rivals/rivals.ts'
import { runFacts, summaryOf, threadsOf, timesOf } from './saturation.ts'
import { splitRequests } from './splitGateway.ts'
import { judgeTarget, median, pairedRatio } from './statistics.ts'
import { pause, runWindows, type Windows } from './windows.ts'

const { values: given } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, out: { type: 'string' }, rounds: { type: 'string' } },
})
const rounds = given.rounds === undefined ? (given.quick ? 2 : 300) : Number(given.rounds)
/** A window at the fixed rate is four times as long, and its requests are taken together with those of the others. */
const rateRounds = Math.ceil(rounds / 7)
const WRK_ROUNDS = given.quick ? 1 : 5
const WINDOW_SECONDS = 0.25
const RATE_SECONDS = 1
/**
 * Load before each window, not in its figures: a system has idled for ten seconds since its last one, while all others had
 * theirs, and none is to be charged with that.
 */
const LOADED_SECONDS = 0.15
const CONNECTIONS = 8
/** V8 goes on compiling for about so many requests: with a copy of each, and one processor for all, this took the longest. */
const WARM_UP = given.quick ? 500 : 60_000
/** Of what is far slower, and compiled by then. */
const SHORT_WARM_UP = given.quick ? 100 : 2_000
const SEED = 20_130_102

/** Measured at saturation alone. */
const FAR_SLOWER = 'Portkey'

const random = seededRandom(SEED)
// Before anything is started: it inherits where it may run.
pinToFirst()
const bench = new Bench('proxies')
const { results, stem } = await bench.measured(measure, renderProxies, given.out)
for (const [name, svg] of proxyPlots(results)) writeFileSync(`${stem}-${name}.svg`, svg)

async function measure(): Promise<ProxiesResults> {
  const loadBefore = machineLoad()
  const bodies = splitRequests(random, 64)
  const { systems, versions, missing } = await startProxySystems(bench, bodies)
  const beforeMiB = new Map(systems.map(system => [system.name, residentMiB(system)]))
  const sent = new Map<string, number>()
  for (const system of systems) {
    const requests = system.name === FAR_SLOWER ? SHORT_WARM_UP : WARM_UP
    const warmUp = await bench.generator.run({ ...saturatingProxy(system, 60), requests })
    // And the one that showed that it forwards.
    sent.set(system.name, 1 + warmUp.sent + warmUp.warmedUp)
  }
  await pause(1_000)
  const loaded = async (system: ProxySystem, plan: PlanInput) => {
    const load = await bench.generator.run(plan)
    if (load.sent > load.latency.n) throw new Error(`${system.name} fails under load`)
    sent.set(system.name, sent.get(system.name)! + load.sent + load.warmedUp)
  }
  const saturated = await runWindows(
    bench.generator,
    [systems],
    rounds,
    random,
    system => saturatingProxy(system, WINDOW_SECONDS),
    round => process.stderr.write(`saturation: round ${round} of ${rounds}\n`),
    {
      settleMsOf: ({ settleMs }) => settleMs,
      before: system => loaded(system, saturatingProxy(system, LOADED_SECONDS)),
    },
  )
  // A quarter of what it can do would leave the others idle, and p99.9 to a handful of requests.
  const timed = systems.filter(({ name }) => name !== FAR_SLOWER)
  const rate = rateOf(
    timed.map(({ name }) => ({
      system: name,
      perSecond: median(saturated.get(name)!.map(({ perSecond }) => perSecond)),
    })),
  )
  const paced = await runWindows(
    bench.generator,
    [timed],
    rateRounds,
    random,
    (system, round) => pacedProxy(system, rate.perSecond, RATE_SECONDS, SEED + round),
    round => process.stderr.write(`${rate.perSecond} a second: round ${round} of ${rateRounds}\n`),
    {
      before: (system, round) => loaded(system, pacedProxy(system, rate.perSecond, LOADED_SECONDS, SEED - 1 - round)),
    },
  )
  for (const windows of [saturated, paced])
    for (const { name } of systems)
      sent.set(
        name,
        (windows.get(name) ?? []).reduce((sum, window) => sum + window.requests, sent.get(name)!),
      )
  await pause(2_000)
  const mirrors = []
  for (const system of systems) {
    if (system.shadow === undefined) continue
    const received = await receivedBy(system.shadow)
    // Only ours keeps an account.
    const account = system.adminUrl === undefined ? undefined : await mirrorAccount(system, 5_000, '2.0.0')
    mirrors.push({ system: system.name, sent: sent.get(system.name)!, received, account })
  }
  const afterMiB = new Map(systems.map(system => [system.name, residentMiB(system)]))
  const splitting = systems.filter(({ work }) => work === 'W1')
  const wrk = await crossCheck(bench.generator, splitting, WRK_ROUNDS, random, join(bench.folder, 'wrk.lua'))
  return {
    ...runFacts(loadBefore, given.quick),
    method: {
      rounds,
      windowSeconds: WINDOW_SECONDS,
      rateRounds,
      rateSeconds: RATE_SECONDS,
      loadedSeconds: LOADED_SECONDS,
      ratePerSecond: rate.perSecond,
      rateSetBy: rate.slowest,
      generatorLateP99Ms: median([...paced.values()].flat().map(({ lateP99Ms }) => lateP99Ms)),
      connections: CONNECTIONS,
      bodyBytes: bodies[0]!.length,
      pinned: canPin,
    },
    versions,
    missing: wrk === undefined ? [...missing, 'wrk (not installed)'] : missing,
    systems: systems.map(({ name, work }) => {
      const { servingUs, ...others } = summaryOf(saturated.get(name)!)
      return {
        system: name,
        work,
        ...others,
        // Which thread of another's process serves is not known here.
        servingUs: RIVALS.some(rival => name.startsWith(rival)) ? undefined : servingUs,
        threads: RIVALS.some(rival => name.startsWith(rival)) ? undefined : threadsOf(saturated.get(name)!),
        fixedRate: paced.has(name) ? rateFiguresOf(paced.get(name)!) : undefined,
        beforeMiB: beforeMiB.get(name),
        afterMiB: afterMiB.get(name),
      }
    }),
    comparisons: comparisonsOf(saturated, paced),
    mirrors,
    wrk,
  }
}

function comparisonsOf(saturated: Windows, paced: Windows): ProxiesResults['comparisons'] {
  const ratio = (over: string, under: string, figure: 'treeUs' | 'servingUs', target?: number, windows = saturated) => {
    if (!windows.has(under)) return []
    const found = pairedRatio(timesOf(windows.get(over)!, figure), timesOf(windows.get(under)!, figure))
    const verdict = target === undefined || given.quick ? undefined : judgeTarget(found, target)
    const what = figure === 'treeUs' ? 'CPU of all processes' : 'serving-thread CPU'
    const when = windows === paced ? ' at the fixed rate' : ''
    return [{ question: `${what}${when}, ${over} / ${under}`, ratio: found, target, verdict }]
  }
  return [
    ...ratio('Understudy', 'bare proxy', 'treeUs', 1.1),
    ...ratio('Understudy', 'bare proxy', 'servingUs'),
    ...ratio('bare proxy that passes fields on', 'bare proxy', 'treeUs'),
    ...ratio('Understudy', 'bare proxy that passes fields on', 'treeUs'),
    ...ratio('Understudy again', 'Understudy', 'treeUs'),
    ...ratio('Understudy', '@fastify/http-proxy', 'treeUs', 1),
    ...ratio('Understudy', 'Portkey', 'treeUs'),
    ...ratio('Understudy', 'Envoy', 'treeUs', 1),
    ...ratio('Understudy', 'nginx', 'treeUs'),
    ...ratio('Understudy', 'HAProxy', 'treeUs'),
    ...ratio('Understudy, shadow', 'nginx, mirror', 'treeUs', 1),
    ...ratio('Understudy, shadow', 'Envoy, mirror', 'treeUs', 0.9),
    // What Node itself leaves for a mirror: this one passes on what a gateway must, and copies nothing.
    ...ratio('bare proxy that passes fields on', 'nginx, mirror', 'treeUs'),
    ...ratio('bare proxy that passes fields on', 'Envoy, mirror', 'treeUs'),
    ...ratio('Understudy, shadow', 'Understudy', 'servingUs', 1.1),
    ...ratio('Understudy, shadow, one by one', 'nginx, mirror', 'treeUs'),
    ...ratio('Understudy', 'bare proxy', 'treeUs', undefined, paced),
    ...ratio('Understudy', '@fastify/http-proxy', 'treeUs', undefined, paced),
    ...ratio('Understudy, shadow', 'nginx, mirror', 'treeUs', undefined, paced),
    ...ratio('Understudy, shadow', 'Envoy, mirror', 'treeUs', undefined, paced),
  ]
}
