// The form of bench/results/scoring.json, and its tables for a terminal and for README. Pure.
import type { MirrorAccount } from './hang.ts'
import type { Agreement } from './sameAnswers.ts'
import type { RunFacts } from './saturation.ts'
import { judgeTarget, pairedRatio, type Ratio, type Spread } from './statistics.ts'
import { accountTable, cell, table, threadTable } from './table.ts'

/** `atLeast` holds where the ratio is to be large, `atMost` where it is to be small. */
export interface Target {
  readonly bound: 'atLeast' | 'atMost'
  readonly value: number
}

export interface ScoringRatio {
  readonly question: string
  readonly ratio: Ratio
  readonly target: Target | undefined
  readonly verdict: 'met' | 'missed' | 'unresolved' | undefined
}

export interface ScoringResults extends RunFacts {
  readonly method: {
    readonly rounds: number
    readonly windowSeconds: number
    /** Before all windows, of what runs on Node. Servers in Python have no compiler that would need them. */
    readonly warmUp: number
    /** Of load before each window. */
    readonly loadedSeconds: number
    readonly connections: number
    readonly rows: number
    readonly bodyBytes: number
    readonly pinned: boolean
  }
  /** Of the other servers and of the runtime that each has, by name. */
  readonly versions: Readonly<Record<string, string>>
  /** Not installed where this was measured. */
  readonly missing: readonly string[]
  /** Every configuration that was tried first; the quickest of each server is the one that is compared. */
  readonly tried: readonly {
    readonly server: string
    readonly configuration: string
    readonly perSecond: Spread
    readonly failures: number
    readonly taken: boolean
  }[]
  /** Over all rows: how far a system's answers are from the bare server's. */
  readonly agreement: readonly Agreement[]
  readonly systems: readonly {
    readonly system: string
    readonly perSecond: Spread
    /** Of Node's systems. */
    readonly servingUs: Spread | undefined
    readonly treeUs: Spread
    /** Medians, µs a request; results from before they were told have none. */
    readonly threads?: Readonly<Record<string, number>>
    readonly failures: number
  }[]
  readonly ratios: readonly ScoringRatio[]
  readonly accounts: readonly ({ readonly system: string } & MirrorAccount)[]
}

/** Pairs of windows as a ratio; judged where there is a target and the run was long enough. */
export function scoringRatio(
  question: string,
  over: readonly number[],
  under: readonly number[],
  target: Target | undefined,
  quick: boolean,
): ScoringRatio {
  const ratio = pairedRatio(over, under)
  if (target === undefined || quick) return { question, ratio, target, verdict: undefined }
  const mirrored = { ...ratio, median: -ratio.median, low: -ratio.high, high: -ratio.low }
  const verdict = target.bound === 'atMost' ? judgeTarget(ratio, target.value) : judgeTarget(mirrored, -target.value)
  return { question, ratio, target, verdict }
}

export function renderScoring({ machine, method, ...results }: ScoringResults): string {
  const versions = Object.entries(results.versions).map(([name, version]) => `${name} ${version}`)
  const furthest = Math.max(...results.agreement.map(({ largestDifference }) => largestDifference))
  return `${table(
    ['system', 'req/s at saturation', 'serving thread µs/req', 'all processes µs/req', 'failed'],
    results.systems.map(({ system, perSecond, servingUs, treeUs, failures }) => [
      system,
      cell(perSecond, 0),
      cell(servingUs, 1),
      cell(treeUs, 1),
      String(failures),
    ]),
  )}

${threadTable(results.systems)}

${table(
  ['ratio of paired windows', 'median', '95 % interval', 'target', ''],
  results.ratios.map(({ question, ratio, target, verdict }) => [
    question,
    ratio.median.toFixed(2),
    `${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)}`,
    target === undefined ? '–' : `${target.bound === 'atLeast' ? '≥' : '≤'} ${target.value.toFixed(2)}`,
    verdict ?? '',
  ]),
)}

${accountTable(results.accounts.map(account => [account.system, account]))}

${triedText(results.tried)}The same flight-delay 1.0.0 in all, ${method.rows} real rows as V2 JSON of ${method.bodyBytes} bytes, one row a request. Every system's answers to all of
them are ${furthest === 0 ? 'the same to the last digit' : `the bare server's to ${furthest.toExponential(0)}`}. Understudy sends one request in a hundred to 1.1.0 as a canary and, with a shadow,
copies all that live answers to 2.0.0 and compares; the others serve the one model and compare nothing. Each system has one
thread for the model and${method.pinned ? ' one processor for all of its processes, the generator has the other' : ' shares the processors with the generator'}. Medians of ${method.rounds} windows of ${method.windowSeconds} s in
random order, each after ${method.loadedSeconds} s of the same load and all after ${method.warmUp} requests to each that runs on Node, quarters in brackets, ${method.connections} connections.
${versions.length === 0 ? '' : `${versions.join(', ')}. `}${results.missing.length === 0 ? '' : `Not installed and so not measured: ${results.missing.join(', ')}. `}${machine.cpu}, ${machine.cores} cores, load ${machine.loadBefore} before and
${machine.loadAfter} after, Node ${results.node}, commit ${results.commit}, ${results.date.slice(0, 10)}${results.quick ? ', quick run: too short to judge by' : ''}.
`
}

function triedText(tried: ScoringResults['tried']): string {
  if (tried.length === 0) return ''
  return `${table(
    ['configuration that was tried', 'req/s', 'failed', ''],
    tried.map(({ server, configuration, perSecond, failures, taken }) => [
      `${server}, ${configuration}`,
      cell(perSecond, 0),
      String(failures),
      taken ? 'taken' : '',
    ]),
  )}

`
}
