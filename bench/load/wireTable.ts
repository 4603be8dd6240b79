// The form of bench/results/wire.json, and its tables for a terminal and for README. Pure.
import type { RunFacts, SaturatedFigures } from './saturation.ts'
import type { Ratio } from './statistics.ts'
import { cell, ratioTable, table } from './table.ts'

export interface WireResults extends RunFacts {
  readonly method: {
    readonly rounds: number
    readonly windowSeconds: number
    readonly connections: number
    readonly passedBytes: number
    /** What is measured had a processor of its own. */
    readonly pinned: boolean
  }
  readonly systems: readonly ({ readonly system: string } & SaturatedFigures)[]
  readonly comparisons: readonly {
    readonly question: string
    readonly ratio: Ratio
    readonly target: number | undefined
    readonly verdict: 'met' | 'missed' | 'unresolved' | undefined
  }[]
  /** CPU a request, with spans of 1 % less without. */
  readonly spans: {
    /** Of all threads but the serving thread, and of that a hundredth of what spans of all cost it. */
    readonly apartUs: Ratio
    /** By which all threads but the serving thread of two gateways without spans differ. */
    readonly noiseUs: Ratio
    /** Of all threads, as it was read: the serving thread's noise is in it. */
    readonly wholeUs: Ratio
    /** The serving thread's part of `apartUs`. */
    readonly servingUs: Ratio
    readonly targetUs: number
    readonly verdict: 'met' | 'missed' | 'unresolved' | undefined
  }
}

export function renderWire({ machine, method, systems, comparisons, spans, ...results }: WireResults): string {
  const { loadBefore, loadAfter } = machine
  return `${table(
    ['system', 'req/s at saturation', 'serving thread µs/req', 'all processes µs/req', 'failed'],
    systems.map(({ system, perSecond, servingUs, treeUs, failures }) => [
      system,
      cell(perSecond, 0),
      cell(servingUs, 1),
      cell(treeUs, 1),
      String(failures),
    ]),
  )}

${ratioTable(comparisons)}

Spans of one request in a hundred cost ${interval(spans.apartUs)} µs of CPU a request in all (target: under ${spans.targetUs}${spans.verdict === undefined ? '' : `, ${spans.verdict}`}): what the other
threads cost more, where two gateways without spans differ by ${interval(spans.noiseUs)}, and ${interval(spans.servingUs)} of the serving thread, a hundredth of
what spans of all cost it. Read as one difference of all threads it is ${interval(spans.wholeUs)}. Medians of paired windows with their 95 % intervals.
Above, medians of ${method.rounds} windows of ${method.windowSeconds} s (half of them for the passed bodies) in random order, quarters in brackets, ${method.connections} connections${method.pinned ? ',\nwhat is measured on a processor of its own' : ''};
${method.passedBytes} bytes in each direction for the passed bodies, rows of flight-delay for the spans. ${machine.cpu}, ${machine.cores} cores, load ${loadBefore} before and
${loadAfter} after, Node ${results.node}, commit ${results.commit}, ${results.date.slice(0, 10)}${results.quick ? ', quick run: too short to judge by' : ''}.
`
}

function interval({ median, low, high }: Ratio): string {
  return `${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`
}
