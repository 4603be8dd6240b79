// The form of bench/results/growth.json, and its tables for a terminal and for README. Pure.
import type { RunFacts } from '../load/saturation.ts'
import type { Ratio, Spread } from '../load/statistics.ts'
import { cell, ratioTable, table } from '../load/table.ts'
import type { EvidenceGrowth } from './evidence.ts'
import type { FileCosts } from './largeFile.ts'
import type { ModelStart } from './models.ts'
import type { ReportGrowth } from './reports.ts'
import type { RequestCosts } from './routes.ts'

/** A ratio, and the target that its whole interval is held against. */
export interface Judged {
  readonly question: string
  readonly ratio: Ratio
  readonly target: number | undefined
  readonly verdict: 'met' | 'missed' | 'unresolved' | undefined
}

/** What was not asked for is undefined. */
export interface GrowthResults extends RunFacts {
  readonly method: {
    /** How often all gateways were started, and windows of each in each start. */
    readonly starts: number
    readonly rounds: number
    readonly windowSeconds: number
    readonly connections: number
    readonly pinned: boolean
  }
  readonly requests: RequestCosts | undefined
  readonly files: readonly FileCosts[] | undefined
  readonly evidence: EvidenceGrowth | undefined
  readonly reports: ReportGrowth | undefined
  readonly models:
    | { readonly count: number; readonly targetSeconds: number; readonly starts: readonly ModelStart[] }
    | undefined
}

export function renderGrowth(results: GrowthResults): string {
  const { machine, requests, files, evidence, reports, models } = results
  const parts = [
    requests && requestsText(requests, results.method),
    files && filesText(files),
    evidence && evidenceText(evidence),
    reports && reportsText(reports),
    models && modelsText(models),
    `${machine.cpu}, ${machine.cores} cores, load ${machine.loadBefore} before and ${machine.loadAfter} after, Node ${results.node}, commit ${
      results.commit
    }, ${results.date.slice(0, 10)}${results.quick ? ', quick run: too short to judge by' : ''}.`,
  ]
  return `${parts.filter(part => part !== undefined).join('\n\n')}\n`
}

function requestsText({ systems, comparisons, lessBusyThread }: RequestCosts, method: GrowthResults['method']): string {
  const share =
    lessBusyThread === undefined
      ? ''
      : ` The less busy of the two threads did ${(100 * lessBusyThread).toFixed(0)} % of their work.`
  return `${table(
    ['system', 'req/s at saturation', 'serving threads µs/req', 'all processes µs/req', 'failed'],
    systems.map(({ system, perSecond, servingUs, treeUs, failures }) => [
      system,
      cell(perSecond, 0),
      cell(servingUs, 1),
      cell(treeUs, 1),
      String(failures),
    ]),
  )}

${ratioTable(comparisons)}

Every route has one HTTP version of its own name, all on one model server; "all asked" asks the routes in turn. A gateway for each row.
Medians of ${method.starts * method.rounds} windows of ${method.windowSeconds} s in random order, quarters in brackets, of ${method.starts} starts of each; intervals are by
bootstrap of starts and of the windows in each. ${method.connections} connections${
    method.pinned ? ', what is measured on one processor, generator and model server on the other' : ''
  }.${share}`
}

function filesText(files: readonly FileCosts[]): string {
  return `${table(
    ['routes', 'file KB', '`validate` s', 'start s', 'reload of one weight s', 'idle CPU ms/s', 'memory MiB'],
    files.map(file => [
      String(file.routes),
      (file.fileBytes / 1024).toFixed(1),
      cell(file.validateSeconds, 2),
      cell(file.startSeconds, 2),
      cell(file.reloadSeconds, 2),
      cell(file.idleMsPerSecond, 1),
      cell(file.residentMiB, 0),
    ]),
  )}

Start: a new state folder, from the start of the process until it listens. Reload: from the write of the file until it is served.`
}

function evidenceText({ memory, comparisons }: EvidenceGrowth): string {
  const kb = (bytes: number) => (bytes / 1024).toFixed(1)
  return `${table(
    [
      'comparisons',
      'values',
      'counters',
      'metric slots',
      'KB a candidate',
      'KB a slot',
      'largest slot',
      'its KB',
      'KB on disk',
    ],
    memory.map(each => [
      String(each.comparisons),
      each.kind,
      each.counters.toFixed(0),
      each.metricSlots.toFixed(0),
      kb(each.candidateBytes),
      kb(each.slotBytes),
      each.largestSlot,
      kb(each.largestSlotBytes),
      kb(each.storeBytes),
    ]),
  )}

${ratioTable(comparisons)}

A metric slot is one metric of one candidate, over all traffic or in one segment; the quantiles of a latency share one. Bytes are what the
control thread's evidence and the gate's reading of it hold after a full collection, of a canary with labels, latencies and 16 segments.`
}

function reportsText({ times, comparisons }: ReportGrowth): string {
  const names = Object.keys(times[0]?.ms ?? {})
  return `${table(
    ['comparisons', 'counters', ...names.map(name => `${name}, ms`)],
    times.map(each => [String(each.comparisons), String(each.counters), ...names.map(name => cell(each.ms[name], 1))]),
  )}

${ratioTable(comparisons)}

A running gateway is asked over HTTP, the gateways in random order. More comparisons fill more bins of the histograms, up to a bound.`
}

function modelsText({ count, targetSeconds, starts }: NonNullable<GrowthResults['models']>): string {
  const seconds = (spread: Spread) => cell(spread, 2)
  return `${table(
    [`start with ${count} models`, 'ready s', 'each has answered s', '95 % interval', 'target', '', 'failed'],
    starts.map(({ start, readySeconds, answeredSeconds, answered, verdict, failures }) => [
      start,
      seconds(readySeconds),
      seconds(answeredSeconds),
      `${answered.low.toFixed(2)} to ${answered.high.toFixed(2)}`,
      `≤ ${targetSeconds} s`,
      verdict ?? '',
      String(failures),
    ]),
  )}

From the start of \`understudy serve\`; each model has bytes of its own and a route of its own. Cold: no compiled code and no state; warm: both of
the start before. Every start verifies every model anew.`
}
