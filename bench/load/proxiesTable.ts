// The form of bench/results/proxies.json, and its tables for a terminal and for README. Pure.
import type { CrossCheck } from './crossCheck.ts'
import type { MirrorAccount } from './hang.ts'
import type { Percentile, RateFigures } from './proxiesRates.ts'
import type { Received } from './received.ts'
import type { RunFacts } from './saturation.ts'
import type { Ratio, Spread } from './statistics.ts'
import { accountTable, cell, ratioTable, table, threadTable } from './table.ts'

/** W1: a split, one request in a hundred to the canary. W2: the same, and a copy of what live answers to a shadow. */
export type Work = 'W1' | 'W2'

export interface ProxiesResults extends RunFacts {
  readonly method: {
    readonly rounds: number
    readonly windowSeconds: number
    readonly rateRounds: number
    readonly rateSeconds: number
    /** Of the same load before each window. */
    readonly loadedSeconds: number
    readonly ratePerSecond: number
    /** The slowest, whose capacity the rate is a quarter of. */
    readonly rateSetBy: string
    /** How late the generator itself was: what the latencies may hold of it. */
    readonly generatorLateP99Ms: number
    readonly connections: number
    readonly bodyBytes: number
    readonly pinned: boolean
  }
  /** Of the other proxies, by name. */
  readonly versions: Readonly<Record<string, string>>
  /** Not measured, and why. */
  readonly missing: readonly string[]
  readonly systems: readonly {
    readonly system: string
    readonly work: Work
    readonly perSecond: Spread
    /** Of Node's systems. */
    readonly servingUs: Spread | undefined
    readonly treeUs: Spread
    readonly failures: number
    /** Median µs a request by thread; of Node's systems. */
    readonly threads: Readonly<Record<string, number>> | undefined
    /** Undefined: it was not asked at that rate. */
    readonly fixedRate: RateFigures | undefined
    /** Resident memory of the process tree, before any load and after all of it. */
    readonly beforeMiB: number | undefined
    readonly afterMiB: number | undefined
  }[]
  readonly comparisons: readonly {
    readonly question: string
    readonly ratio: Ratio
    readonly target: number | undefined
    readonly verdict: 'met' | 'missed' | 'unresolved' | undefined
  }[]
  readonly mirrors: readonly {
    readonly system: string
    /** Requests that the proxy was sent. */
    readonly sent: number
    /** Counted by the shadow's model server. */
    readonly received: Received
    readonly account: MirrorAccount | undefined
  }[]
  readonly wrk: CrossCheck | undefined
}

export function renderProxies(results: ProxiesResults): string {
  const { machine, method } = results
  const versions = Object.entries(results.versions).map(([name, version]) => `${name} ${version}`)
  if (results.wrk !== undefined) versions.push(`wrk ${results.wrk.version}`)
  return `${saturationTable(results)}

${threadTable(results.systems)}

${rateTable(results)}

${ratioTable(results.comparisons)}

${mirrorTable(results)}

${accountTable(results.mirrors.flatMap(({ system, account }) => (account === undefined ? [] : [[system, account]])))}

${results.wrk === undefined ? '' : `${wrkTable(results.wrk)}\n\nWhere wrk finds more, our generator, which shares its processor with the model servers, is the limit and not the proxy.\n\n`}W1: one request in a hundred to a canary, ${method.bodyBytes} bytes of JSON. W2: the same, and copies to a shadow: Understudy's of what live
answers, which it compares, the others' of every request, which they throw away. Portkey is sent the same numbers as a completion of the same
length, the only form in which it passes them on. Medians of ${method.rounds} windows of ${method.windowSeconds} s at saturation and ${method.rateRounds} of ${method.rateSeconds} s at
${method.ratePerSecond} requests a second, a quarter of what the slowest can do (${method.rateSetBy}; Portkey is far slower, and was not asked at a rate), in random order, each after ${method.loadedSeconds} s of the same load, quarters in brackets;
p50, p99 and p99.9 are of all requests of all windows at that rate, with 95 % intervals by resampling windows, from the moment a request was due (Poisson arrivals; the generator's own p99 of lateness is
${method.generatorLateP99Ms.toFixed(2)} ms, and is in them). CPU is read 0.35 s after a window, 0.06 s after
one at saturation of a proxy that neither copies nor counts evidence. ${method.connections} connections${
    method.pinned ? ', what is measured on a processor of its own, generator and model servers on the other' : ''
  }.
${versions.length === 0 ? '' : `${versions.join(', ')}. `}${results.missing.length === 0 ? '' : `Not measured: ${results.missing.join(', ')}. `}${machine.cpu}, ${machine.cores} cores, load ${machine.loadBefore} before and
${machine.loadAfter} after, Node ${results.node}, commit ${results.commit}, ${results.date.slice(0, 10)}${results.quick ? ', quick run: too short to judge by' : ''}.
`
}

function saturationTable({ systems }: ProxiesResults): string {
  return table(
    ['at saturation', 'work', 'req/s', 'serving thread µs/req', 'all processes µs/req', 'failed'],
    systems.map(({ system, work, perSecond, servingUs, treeUs, failures }) => [
      system,
      work,
      cell(perSecond, 0),
      cell(servingUs, 1),
      cell(treeUs, 1),
      String(failures),
    ]),
  )
}

function rateTable({ systems, method }: ProxiesResults): string {
  const ms = (found: Percentile | undefined) =>
    found === undefined ? '–' : `${found.ms.toFixed(2)} (${found.low.toFixed(2)}–${found.high.toFixed(2)})`
  const mib = (value: number | undefined) => value?.toFixed(0) ?? '–'
  return table(
    [
      `at ${method.ratePerSecond} req/s`,
      'p50 ms',
      'p99 ms',
      'p99.9 ms',
      'p99 ms of one window',
      'all processes µs/req',
      'requests',
      'failed',
      'MiB before any load',
      'MiB at the end',
    ],
    systems.map(({ system, fixedRate, beforeMiB, afterMiB }) => [
      system,
      ms(fixedRate?.p50),
      ms(fixedRate?.p99),
      ms(fixedRate?.p999),
      cell(fixedRate?.windowsP99Ms, 2),
      cell(fixedRate?.treeUs, 0),
      String(fixedRate?.requests ?? '–'),
      String(fixedRate?.failures ?? '–'),
      mib(beforeMiB),
      mib(afterMiB),
    ]),
  )
}

function mirrorTable({ mirrors }: ProxiesResults): string {
  return table(
    ['copies', 'requests that it was sent', 'rows that the shadow received', 'share', 'in requests', 'rows a request'],
    mirrors.map(({ system, sent, received: { requests, rows } }) => [
      system,
      String(sent),
      String(rows),
      `${((100 * rows) / sent).toFixed(2)} %`,
      String(requests),
      requests === 0 ? '–' : (rows / requests).toFixed(2),
    ]),
  )
}

function wrkTable({ systems, rounds, seconds }: CrossCheck): string {
  return table(
    [`req/s in ${rounds} × ${seconds} s`, 'our generator', 'wrk', 'ours / wrk', '95 % interval', 'failed: ours, wrk'],
    systems.map(({ system, ours, wrk, oursOverWrk, failures, wrkFailures }) => [
      system,
      cell(ours, 0),
      cell(wrk, 0),
      oursOverWrk.median.toFixed(2),
      `${oursOverWrk.low.toFixed(2)} to ${oursOverWrk.high.toFixed(2)}`,
      `${failures}, ${wrkFailures}`,
    ]),
  )
}
