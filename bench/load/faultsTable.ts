// The form of bench/results/faults.json, and its tables for a terminal and for README. Pure.
import type { FaultFigures, Judged } from './faultFigures.ts'
import type { MirrorAccount } from './hang.ts'
import type { RunFacts } from './saturation.ts'
import type { Spread } from './statistics.ts'
import { accountTable, cell, table } from './table.ts'

export interface FaultsResults extends RunFacts {
  readonly method: {
    /** How often Understudy was started, and windows of each fault in each start. */
    readonly starts: number
    readonly rounds: number
    /** Of the others, in their one start. */
    readonly rivalRounds: number
    readonly turnsSeconds: number
    /** With each shadow the proxy is started anew, and without one twice beside it. Before: all five beside the same two. */
    readonly startedApart?: boolean
    readonly ratePerSecond: number
    readonly connections: number
    readonly bodyBytes: number
    /** Bodies of the requests whose answers are compared byte by byte, by how many there are of each size. */
    readonly comparedBodies: readonly { readonly bytes: number; readonly requests: number }[]
    readonly timeoutMs: number
    readonly shadowDeadlineSeconds: number
    readonly slowMs: number
    /** Median answer time of the live server alone, without a proxy. */
    readonly liveMs: number
    readonly endlessBytesPerSecond: number
    readonly pinned: boolean
  }
  /** Of the other proxies, by name. */
  readonly versions: Readonly<Record<string, string>>
  /** Not installed where this was measured. */
  readonly missing: readonly string[]
  readonly proxies: readonly { readonly proxy: string; readonly figures: readonly FaultFigures[] }[]
  /** Of Understudy's shadows. */
  readonly accounts: readonly { readonly shadow: string; readonly account: MirrorAccount }[]
}

export function renderFaults({ machine, method, proxies, accounts, ...results }: FaultsResults): string {
  const versions = Object.entries(results.versions).map(([name, version]) => `${name} ${version}`)
  const { timeoutMs } = method
  return `${table(
    [
      'shadow',
      'serving thread µs/req',
      '× none (≤ 1.05)',
      'all processes µs/req',
      '× none',
      'serving thread waits µs/req',
      '× none',
      'live p50 ms',
      'live p99 ms',
      '× none (≤ 1.10)',
      'failed',
      'same bytes',
      'MiB before, most in first half, second half',
    ],
    proxies.flatMap(({ proxy, figures }) =>
      figures.map(({ shadow, ...figure }) => [
        `${proxy}, ${shadow}`,
        // Which thread of another's process serves is not known here.
        proxy === 'Understudy' ? cell(figure.servingUs, 0) : '–',
        proxy === 'Understudy' ? judgedCell(figure.serving) : '–',
        cell(figure.treeUs, 0),
        judgedCell(figure.tree),
        proxy === 'Understudy' ? cell(figure.waitedUs, 0) : '–',
        proxy === 'Understudy' ? judgedCell(figure.waited) : '–',
        time(figure.p50Ms, timeoutMs),
        time(figure.p99Ms, timeoutMs),
        figure.p99Ms.median >= timeoutMs ? `over ${Math.floor(figure.p99?.ratio.median ?? 0)}` : judgedCell(figure.p99),
        failedCell(figure),
        sameCell(figure.bytes),
        memoryCell(figure.memory),
      ]),
    ),
  )}

${accountTable(accounts.map(({ shadow, account }) => [`Understudy, ${shadow}`, account]))}

${notes(method)}
${versions.length === 0 ? '' : `${versions.join(', ')}. `}${results.missing.length === 0 ? '' : `Not installed and so not measured: ${results.missing.join(', ')}. `}${machine.cpu}, ${machine.cores} cores, load ${machine.loadBefore} before and
${machine.loadAfter} after, Node ${results.node}, commit ${results.commit}, ${results.date.slice(0, 10)}${results.quick ? ', quick run: too short to judge by' : ''}.
`
}

function notes(method: FaultsResults['method']): string {
  const started = method.startedApart
    ? `which is started ${method.starts} times with each shadow`
    : `which is started ${method.starts} times`
  const beside = method.startedApart
    ? 'These three are started together and asked nothing else, and their first two windows are left out.'
    : `The same two stand beside all five shadows, and
have been asked five times as much: V8 has compiled more of them. The first two windows of each shadow are left out.`
  const sizes = method.comparedBodies.map(({ bytes, requests }) => `${requests} of ${bytes} bytes`).join(', ')
  return `One request in a hundred to a canary, ${method.bodyBytes} bytes of JSON, a copy to the shadow. Open loop at ${method.ratePerSecond}/s, 14 % of what the slowest
proxy can do without a shadow and about twice that with one. Medians of ${method.starts * method.rounds} windows of Understudy, ${started}, and ${method.rivalRounds} of the others, quarters in brackets:
${method.turnsSeconds} s in which a proxy with the bad shadow and the same without, twice, take turns of a quarter of a second. ${beside}
The serving thread waits where it is ready to run and its processor is busy with another thread, of this proxy or of one that is idle.
Ratios are of the same window; their interval is by bootstrap of starts and of the windows in each, since two starts of the same program
differ by themselves. *none again* is what noise alone makes. A live answer later than ${method.timeoutMs} ms is a
failure, and where more than one in a hundred failed the CPU of a request is not told and p99 is over that time. Same bytes: status,
header fields but ids and times, and body, against the version's own and the same proxy without a shadow (${sizes}).
The live server answers at once (${method.liveMs.toFixed(2)} ms without a proxy), *slow* after ${method.slowMs} ms (${(method.slowMs / method.liveMs).toFixed(0)} ×); *endless* answers share ${method.endlessBytesPerSecond / 1e6} MB/s; *not reading* accepts and never
reads, which a proxy sees only once the kernel's buffers are full. A copy is given up after ${method.shadowDeadlineSeconds} s: Understudy's own default, nginx's
proxy_connect_, proxy_send_ and proxy_read_timeout of the mirror, Envoy's timeout of the route, which its mirrored requests share.
${method.connections} connections${method.pinned ? ', the proxies on a processor of their own, generator and model servers on the other' : ''}.`
}

function judgedCell(judged: Judged | undefined): string {
  if (judged === undefined) return '–'
  const { ratio, verdict } = judged
  const interval = `${ratio.median.toFixed(3)} (${ratio.low.toFixed(3)}–${ratio.high.toFixed(3)})`
  return verdict === undefined ? interval : `${interval} ${verdict}`
}

function time(spread: Spread, timeoutMs: number): string {
  return spread.median >= timeoutMs ? `over ${timeoutMs}` : cell(spread, 2)
}

function failedCell({ sent, failed }: Pick<FaultFigures, 'sent' | 'failed'>): string {
  const counts = countsOf(failed)
  return `${counts === '' ? '0' : counts} of ${sent}`
}

function sameCell({ asked, same, differing }: FaultFigures['bytes']): string {
  return same === asked ? `all ${asked}` : `${same} of ${asked} (${countsOf(differing)})`
}

function memoryCell({ before, firstHalf, secondHalf }: FaultFigures['memory']): string {
  return [before, firstHalf, secondHalf].map(mib => (mib === undefined ? '–' : mib.toFixed(0))).join(', ')
}

function countsOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([reason, count]) => `${count} ${reason}`)
    .join(', ')
}
