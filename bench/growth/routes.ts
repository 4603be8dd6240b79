// What a request costs among 10,000 routes and on two serving threads, beside one route on one thread.

import { MEASURED } from '../load/pinning.ts'
import type { Running } from '../load/processes.ts'
import { cpuOf } from '../load/procfs.ts'
import { flightRequests } from '../load/rows.ts'
import { type SaturatedFigures, saturating, summaryOf, timesOf } from '../load/saturation.ts'
import { groupedRatio, judgeTarget, median, shuffled } from '../load/statistics.ts'
import type { System } from '../load/systems.ts'
import { pause, runWindows, type Windows } from '../load/windows.ts'
import type { GrowthBench } from './bench.ts'
import type { Judged } from './growthTable.ts'
import { inferPaths, rotated, routesText } from './routesText.ts'

/** A quick run starts no gateway that takes half a minute for it. */
export const manyRoutes = (quick: boolean) => (quick ? 1_000 : 10_000)
/** As many routes as see most of the traffic of a large gateway. */
const BUSY = 100
const CPU_TARGET = 1.05
export const CONNECTIONS = 16

/** Long beside the ticks of an idle gateway, which a window is charged with too. */
export const windowSeconds = (quick: boolean) => (quick ? 0.4 : 1)

export interface RequestCosts {
  readonly systems: readonly ({ readonly system: string } & SaturatedFigures)[]
  readonly comparisons: readonly Judged[]
  /** Part of the serving threads' processor time that the less busy of two took. */
  readonly lessBusyThread: number | undefined
}

interface Asked extends System {
  readonly paths: readonly string[]
  readonly running: Running
}

const ONE = 'one route'
const AGAIN = 'one route again'
const THREADED = 'one route, two serving threads'

/** What one start of all gateways showed. */
interface Started {
  readonly windows: Windows
  readonly lessBusyThread: number | undefined
}

export async function requestCosts(bench: GrowthBench): Promise<RequestCosts> {
  const upstream = await bench.start('upstream', ['1.0.0'])
  const url = `http://127.0.0.1:${upstream.ready.port}`
  const started: Started[] = []
  for (let start = 1; start <= bench.starts; start++) started.push(await measureStart(bench, url, start))
  const routes = manyRoutes(bench.quick)
  const [single, busy, all] = [1, BUSY, routes].map(count => askedOf(routes, count)) as [string, string, string]
  const names = [ONE, AGAIN, THREADED, single, busy, all]
  const windows = new Map(names.map(name => [name, started.flatMap(each => each.windows.get(name)!)]))
  const groups = started.flatMap((each, start) => each.windows.get(ONE)!.map(() => start))
  const ratio = (over: string, under: string, figure: 'treeUs' | 'servingUs', target?: number): Judged => {
    const of = (name: string) => timesOf(windows.get(name)!, figure)
    const found = groupedRatio(of(over), of(under), groups)
    return {
      question: `${figure === 'treeUs' ? 'CPU of all processes' : 'serving-thread CPU'}, ${over} / ${under}`,
      ratio: found,
      target,
      verdict: target === undefined || bench.quick ? undefined : judgeTarget(found, target),
    }
  }
  const lessBusyThreads = started.map(each => each.lessBusyThread).filter(share => share !== undefined)
  return {
    systems: names.map(name => ({ system: name, ...summaryOf(windows.get(name)!) })),
    comparisons: [
      ...[single, busy, all].flatMap(name => [
        ratio(name, ONE, 'treeUs', CPU_TARGET),
        ratio(name, ONE, 'servingUs', CPU_TARGET),
      ]),
      ratio(THREADED, ONE, 'treeUs', CPU_TARGET),
      ratio(AGAIN, ONE, 'treeUs'),
      ratio(AGAIN, ONE, 'servingUs'),
    ],
    lessBusyThread: lessBusyThreads.length === 0 ? undefined : median(lessBusyThreads),
  }
}

/** Gateways that are started and warmed in random order: the first one is not the same beside the last. */
async function measureStart(bench: GrowthBench, url: string, start: number): Promise<Started> {
  const routes = manyRoutes(bench.quick)
  const one = { text: routesText({ routes: 1, url }), count: 1, threads: 1 }
  // A gateway each: what is left to do of a window that asks for all would fall into the next one's.
  const many = (count: number) => ({
    name: askedOf(routes, count),
    text: routesText({ routes, url }),
    count,
    threads: 1,
  })
  const wanted = [
    { ...one, name: ONE },
    { ...one, name: AGAIN },
    { ...one, name: THREADED, threads: 2 },
    ...[1, BUSY, routes].map(many),
  ]
  const systems: Asked[] = []
  for (const { name, text, count, threads } of shuffled(wanted, bench.random)) {
    bench.tell(`start ${start} of ${bench.starts}: ${name}`)
    const running = await bench.gateway(text, { threads, processor: MEASURED })
    const { pid, ready } = running
    const paths = inferPaths(count)
    systems.push({ name, pid, url: `http://127.0.0.1:${ready.port}${paths[0]}`, adminUrl: undefined, paths, running })
  }
  const bodies = flightRequests(64)
  const planOf = (system: Asked) => ({
    ...saturating(system, bodies, CONNECTIONS, windowSeconds(bench.quick)),
    paths: rotated(system.paths, bench.random),
  })
  for (const system of shuffled(systems, bench.random)) {
    // V8 goes on compiling for about thirty thousand requests of a thread.
    const requests = Math.max(bench.quick ? 500 : 60_000, system.paths.length)
    await bench.generator.run({ ...planOf(system), requests, seconds: 120 })
  }
  await pause(1_000)
  const threaded = systems.find(({ name }) => name === THREADED)!
  const before = threadTimes(threaded.running)
  const windows = await runWindows(bench.generator, [systems], bench.rounds, bench.random, planOf, round =>
    bench.tell(`requests, start ${start} of ${bench.starts}: round ${round} of ${bench.rounds}`),
  )
  const after = threadTimes(threaded.running)
  for (const { running } of systems) await bench.end(running)
  return { windows, lessBusyThread: lessBusy(before, after) }
}

function askedOf(routes: number, count: number): string {
  return `${routes} routes, ${count === routes ? 'all' : count === 1 ? 'one' : count} asked`
}

function threadTimes({ pid }: Running): readonly number[] {
  const threads = [...(cpuOf(pid)?.byThread ?? [])].filter(([name]) => name.startsWith('serving-'))
  return threads.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, ns]) => ns)
}

/** Undefined where threads are not told apart. */
export function lessBusy(before: readonly number[], after: readonly number[]): number | undefined {
  if (after.length < 2 || before.length !== after.length) return undefined
  const used = after.map((ns, index) => ns - before[index]!)
  return Math.min(...used) / used.reduce((sum, ns) => sum + ns, 0)
}
