// The short table of README: every target of the data plane with what was found, one row each, misses too. Pure.
import type { GrowthResults } from './growth/growthTable.ts'
import type { FaultsResults } from './load/faultsTable.ts'
import type { ProxiesResults } from './load/proxiesTable.ts'
import type { LoadResults } from './load/results.ts'
import type { ScoringResults } from './load/scoringTable.ts'
import type { Ratio } from './load/statistics.ts'
import { table } from './load/table.ts'
import type { WireResults } from './load/wireTable.ts'

/** Whatever of them was measured. */
export interface Measured {
  readonly proxies?: ProxiesResults
  readonly scoring?: ScoringResults
  readonly faults?: FaultsResults
  readonly growth?: GrowthResults
  readonly load?: LoadResults
  readonly wire?: WireResults
}

interface Row {
  readonly what: string
  readonly ratio: Ratio
  readonly target: string
  readonly verdict: 'met' | 'missed' | 'unresolved' | undefined
}

export function renderJudged({ proxies, scoring, faults, growth, load, wire }: Measured): string {
  const rows: Row[] = [
    ...atMost(proxies?.comparisons ?? []),
    ...(scoring?.ratios ?? []).flatMap(({ question, ratio, target, verdict }) =>
      target === undefined
        ? []
        : [{ what: question, ratio, target: `${target.bound === 'atMost' ? '≤' : '≥'} ${target.value}`, verdict }],
    ),
    ...faultRows(faults),
    ...atMost(growth?.requests?.comparisons ?? []),
    ...atMost(growth?.evidence?.comparisons ?? []),
    ...atMost(growth?.reports?.comparisons ?? []),
    ...(growth?.models?.starts ?? []).map(({ start, answered, verdict }) => ({
      what: `seconds until ${growth!.models!.count} models have answered, ${start} start`,
      ratio: answered,
      target: `≤ ${growth!.models!.targetSeconds}`,
      verdict,
    })),
    ...atMost(load?.comparisons ?? []),
    ...atMost(wire?.comparisons ?? []),
  ]
  return `${table(
    ['what', 'median', '95 % interval', 'target', ''],
    rows.map(({ what, ratio, target, verdict }) => [
      what,
      ratio.median.toFixed(3),
      `${ratio.low.toFixed(3)} to ${ratio.high.toFixed(3)}`,
      target,
      verdict ?? '',
    ]),
  )}
`
}

interface AtMost {
  readonly question: string
  readonly ratio: Ratio
  readonly target: number | undefined
  readonly verdict: Row['verdict']
}

function atMost(comparisons: readonly AtMost[]): Row[] {
  return comparisons.flatMap(({ question, ratio, target, verdict }) =>
    target === undefined ? [] : [{ what: question, ratio, target: `≤ ${target}`, verdict }],
  )
}

function faultRows(faults: FaultsResults | undefined): Row[] {
  const ours = faults?.proxies.find(({ proxy }) => proxy === 'Understudy')?.figures ?? []
  return ours.flatMap(({ shadow, serving, p99 }) => [
    ...atMost(serving === undefined ? [] : [{ question: `serving-thread CPU, shadow ${shadow} / none`, ...serving }]),
    ...atMost(p99 === undefined ? [] : [{ question: `live p99, shadow ${shadow} / none`, ...p99 }]),
  ])
}
