// The form of bench/results/pauses.json, and its table. Pure.
import type { RunFacts } from './saturation.ts'
import type { Ratio, Spread } from './statistics.ts'
import { cell, table } from './table.ts'

export interface PausesResults extends RunFacts {
  readonly method: {
    readonly rounds: number
    /** Of a window. */
    readonly requests: number
    readonly pauseSeconds: number
    readonly connections: number
    readonly pinned: boolean
  }
  readonly systems: readonly {
    readonly system: string
    /** CPU of all processes, µs a request. */
    readonly beforeUs: Spread
    readonly afterUs: Spread
    readonly ratio: Ratio
    /** Resident at the end. */
    readonly mib: number | undefined
    readonly failures: number
  }[]
}

export function renderPauses({ machine, method, systems, ...results }: PausesResults): string {
  return `${table(
    [
      'all processes, µs of CPU a request',
      'before a pause',
      `the first ${method.requests} after it`,
      'after / before',
      '95 % interval',
      'MiB',
      'failed',
    ],
    systems.map(({ system, beforeUs, afterUs, ratio, mib, failures }) => [
      system,
      cell(beforeUs, 0),
      cell(afterUs, 0),
      ratio.median.toFixed(2),
      `${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)}`,
      mib === undefined ? '–' : mib.toFixed(0),
      String(failures),
    ]),
  )}

Medians of ${method.rounds} pauses of ${method.pauseSeconds} s, quarters in brackets; before each, ${method.requests} requests that are not counted and ${method.requests} that are, at
saturation on ${method.connections} connections. "V8 as it is" has Node's own settings, the bare proxy those of a gateway's threads.
${method.pinned ? 'What is measured has a processor of its own. ' : ''}${machine.cpu}, ${machine.cores} cores, load ${machine.loadBefore} before and ${machine.loadAfter} after, Node ${results.node}, commit ${results.commit}, ${results.date.slice(0, 10)}${results.quick ? ', quick run: too short to judge by' : ''}.
`
}
