// The form of bench/results/proxies.json, and its tables for a terminal and for README. Pure.
import type { MirrorAccount } from './hang.ts'
import type { RunFacts } from './saturation.ts'
import type { Ratio, Spread } from './statistics.ts'
import { accountTable, cell, ratioTable, table } from './table.ts'

/** W1: a split, one request in a hundred to the canary. W2: the same, and a copy of what live answers to a shadow. */
export type Work = 'W1' | 'W2'

export interface ProxiesResults extends RunFacts {
  readonly method: {
    readonly rounds: number
    readonly windowSeconds: number
    readonly connections: number
    readonly bodyBytes: number
    readonly pinned: boolean
  }
  /** Of the other proxies, by name. */
  readonly versions: Readonly<Record<string, string>>
  /** Not installed where this was measured. */
  readonly missing: readonly string[]
  readonly systems: readonly {
    readonly system: string
    readonly work: Work
    readonly perSecond: Spread
    /** Of Node's systems. */
    readonly servingUs: Spread | undefined
    readonly treeUs: Spread
    readonly failures: number
  }[]
  readonly comparisons: readonly {
    readonly question: string
    readonly ratio: Ratio
    readonly target: number | undefined
    readonly verdict: 'met' | 'missed' | 'unresolved' | undefined
  }[]
  readonly accounts: readonly ({ readonly system: string } & MirrorAccount)[]
}

export function renderProxies({ machine, method, systems, comparisons, ...results }: ProxiesResults): string {
  const versions = Object.entries(results.versions).map(([name, version]) => `${name} ${version}`)
  return `${table(
    ['system', 'work', 'req/s at saturation', 'serving thread µs/req', 'all processes µs/req', 'failed'],
    systems.map(({ system, work, perSecond, servingUs, treeUs, failures }) => [
      system,
      work,
      cell(perSecond, 0),
      cell(servingUs, 1),
      cell(treeUs, 1),
      String(failures),
    ]),
  )}

${ratioTable(comparisons)}

${accountTable(results.accounts.map(account => [account.system, account]))}

W1: one request in a hundred to a canary, ${method.bodyBytes} bytes of JSON. W2: the same, and copies to a shadow: Understudy's of what live
answers, which it compares, the others' of every request, which they throw away. Medians of ${method.rounds} windows of ${method.windowSeconds} s in random order, quarters in brackets,
${method.connections} connections${method.pinned ? ', what is measured on a processor of its own, generator and model servers on the other' : ''}.
${versions.length === 0 ? '' : `${versions.join(', ')}. `}${results.missing.length === 0 ? '' : `Not installed and so not measured: ${results.missing.join(', ')}. `}${machine.cpu}, ${machine.cores} cores, load ${machine.loadBefore} before and
${machine.loadAfter} after, Node ${results.node}, commit ${results.commit}, ${results.date.slice(0, 10)}${results.quick ? ', quick run: too short to judge by' : ''}.
`
}
