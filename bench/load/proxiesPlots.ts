// Which plots the figures of the proxies make. Knows no SVG.
import { type Dot, dotPlot } from '../dotPlot.ts'
import type { Percentile } from './proxiesRates.ts'
import type { ProxiesResults } from './proxiesTable.ts'
import type { Spread } from './statistics.ts'

const WORKS = { W1: 'W1: split', W2: 'W2: split and mirror' } as const

/** Name and SVG of each plot. */
export function proxyPlots(results: ProxiesResults): (readonly [name: string, svg: string])[] {
  const { method } = results
  const groups = (dotsOf: (system: ProxiesResults['systems'][number]) => (Dot | undefined)[]) =>
    (['W1', 'W2'] as const).map(work => ({
      name: WORKS[work],
      rows: results.systems
        .filter(system => system.work === work && dotsOf(system).some(dot => dot !== undefined))
        .map(system => ({ name: system.system, dots: dotsOf(system) })),
    }))
  return [
    [
      'cpu',
      dotPlot({
        title: 'Processor time of a request',
        subtitle: ['All threads of all processes of the proxy; medians of windows, bars are quarters.'],
        x: { label: 'µs a request', scale: 'log', ticks: [5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000] },
        series: ['at saturation', `at ${method.ratePerSecond} requests a second`],
        groups: groups(({ treeUs, fixedRate }) => [spread(treeUs), fixedRate && spread(fixedRate.treeUs)]),
      }),
    ],
    [
      'latency',
      dotPlot({
        title: `Latency at ${method.ratePerSecond} requests a second`,
        subtitle: [
          'From the moment a request was due, percentiles of all requests; bars are 95 % intervals.',
          `The generator and the model server are in it: the generator alone is late by ${method.generatorLateP99Ms.toFixed(2)} ms at p99.`,
        ],
        x: { label: 'ms', scale: 'log', ticks: [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000] },
        series: ['p50', 'p99', 'p99.9'],
        groups: groups(({ fixedRate }) => [fixedRate?.p50, fixedRate?.p99, fixedRate?.p999].map(dotOf)),
      }),
    ],
  ]
}

/** None where the machine does not tell processor time. */
function spread({ median, low, high }: Spread): Dot | undefined {
  return Number.isFinite(median) ? { value: median, low, high } : undefined
}

function dotOf(found: Percentile | undefined): Dot | undefined {
  return found && { value: found.ms, low: found.low, high: found.high }
}
