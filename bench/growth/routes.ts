// What a request costs among 10,000 routes and on two serving threads, beside one route on one thread.

import { MEASURED } from '../load/pinning.ts'
import type { Running } from '../load/processes.ts'
import { cpuOf } from '../load/procfs.ts'
import { flightRequests } from '../load/rows.ts'
import { type SaturatedFigures, saturating, summaryOf, timesOf } from '../load/saturation.ts'
import { judgeTarget, pairedRatio } from '../load/statistics.ts'
import type { System } from '../load/systems.ts'
import { pause, runWindows } from '../load/windows.ts'
import type { Bench } from './bench.ts'
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
}

export async function requestCosts(bench: Bench): Promise<RequestCosts> {
  const upstream = await bench.start('upstream', ['1.0.0'])
  const url = `http://127.0.0.1:${upstream.ready.port}`
  const routes = manyRoutes(bench.quick)
  const one = routesText({ routes: 1, url })
  const asked = (name: string, { pid, ready }: Running, count: number): Asked => {
    const paths = inferPaths(count)
    return { name, pid, url: `http://127.0.0.1:${ready.port}${paths[0]}`, adminUrl: undefined, paths }
  }
  const small = asked('one route', await bench.gateway(one, { processor: MEASURED }), 1)
  const again = asked('one route again', await bench.gateway(one, { processor: MEASURED }), 1)
  const two = await bench.gateway(one, { threads: 2, processor: MEASURED })
  const threaded = asked('one route, two serving threads', two, 1)
  // A gateway each: what is left to do of a window that asks for all would fall into the next one's.
  const many: Running[] = []
  const large = async (what: string, count: number) => {
    bench.tell(`starting a gateway with ${routes} routes: ${what}`)
    const gateway = await bench.gateway(routesText({ routes, url }), { processor: MEASURED })
    many.push(gateway)
    return asked(`${routes} routes, ${what}`, gateway, count)
  }
  const single = await large('one asked', 1)
  const busy = await large(`${BUSY} asked`, BUSY)
  const all = await large('all asked', routes)
  const systems = [small, again, threaded, single, busy, all]
  const bodies = flightRequests(64)
  const planOf = (system: System) => ({
    ...saturating(system, bodies, CONNECTIONS, windowSeconds(bench.quick)),
    paths: rotated((system as Asked).paths, bench.random),
  })
  for (const system of systems) {
    // V8 goes on compiling for about thirty thousand requests of a thread.
    const requests = Math.max(bench.quick ? 500 : 60_000, system.paths.length)
    await bench.generator.run({ ...planOf(system), requests, seconds: 120 })
  }
  await pause(1_000)
  const before = threadTimes(two)
  const windows = await runWindows(bench.generator, [systems], bench.rounds, bench.random, planOf, round =>
    bench.tell(`requests: round ${round} of ${bench.rounds}`),
  )
  const after = threadTimes(two)
  const ratio = (over: System, under: System, figure: 'treeUs' | 'servingUs', target?: number): Judged => {
    const of = (system: System) => timesOf(windows.get(system.name)!, figure)
    const found = pairedRatio(of(over), of(under))
    return {
      question: `${figure === 'treeUs' ? 'CPU of all processes' : 'serving-thread CPU'}, ${over.name} / ${under.name}`,
      ratio: found,
      target,
      verdict: target === undefined || bench.quick ? undefined : judgeTarget(found, target),
    }
  }
  for (const running of [...many, two]) await bench.end(running)
  return {
    systems: systems.map(({ name }) => ({ system: name, ...summaryOf(windows.get(name)!) })),
    comparisons: [
      ...[single, busy, all].flatMap(system => [
        ratio(system, small, 'treeUs', CPU_TARGET),
        ratio(system, small, 'servingUs', CPU_TARGET),
      ]),
      ratio(threaded, small, 'treeUs', CPU_TARGET),
      ratio(again, small, 'treeUs'),
      ratio(again, small, 'servingUs'),
    ],
    lessBusyThread: lessBusy(before, after),
  }
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
