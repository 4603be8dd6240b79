// The gate's streams as watched mixtures, and counts as evidence for `judge`. Every bet comes from the product's functions;
// which of them a stream mixes is repeated here, and held against `judge` at every decision and at the end of runs.
import { Route } from '../../src/config/schema.ts'
import { type ArmCounts, bettingHarm, errorOddsHarm, latencyOddsHarm, shareHarm } from '../../src/gate/eprocess.ts'
import type { Evidence, MetricVerdict, Period, Policy, Verdict } from '../../src/gate/evidence.ts'
import { ALPHA_ABORT } from '../../src/gate/levels.ts'
import { judge } from '../../src/gate/verdict.ts'
import { LinearBets, ledgersOf, type WatchedStream } from './linear.ts'
import { demand } from './scenario.ts'

/** Outcomes of one request of the split. */
export const CANDIDATE_EVENT = 0
export const BASELINE_EVENT = 1
export const CANDIDATE_QUIET = 2
export const BASELINE_QUIET = 3

/** The policy of a route entry with these settings; everything else by default. */
export function policyOf(settings: Record<string, unknown> = {}): Policy {
  const { expect, labels, gate } = Route.parse({
    live: '1.0.0',
    versions: { '1.0.0': { onnx: 'm/1.0.0', weight: 100 } },
    ...settings,
  })
  return { expect, labels, gate }
}

export function evidenceOf(periods: readonly Period[]): Evidence {
  return {
    route: 'bench',
    baseline: { version: '1.0.0', digest: 'b' },
    candidate: { version: '1.1.0', digest: 'c' },
    attempt: 1,
    candidates: 1,
    stepElapsedMs: 7_200_000,
    mirrored: { eligible: 0, dropped: 0 },
    periods,
  }
}

export function canaryPeriod(share: number, counters: Record<string, number>): Period {
  return {
    key: `k${share}`,
    stage: 'canary',
    step: share * 100,
    share,
    counters: new Map(Object.entries(counters).filter(([, amount]) => amount > 0)),
  }
}

export function shadowPeriod(counters: Record<string, number>): Period {
  return { ...canaryPeriod(0, counters), stage: 'shadow', step: 0 }
}

/** Which of two rows of a metric: of the live split, or of pairs. */
export const LIVE = /live/
export const PAIRED = /same requests|share of answers/

/** A row of the verdict about the whole traffic. */
export function metricOf(verdict: Verdict, metric: string, what: RegExp): MetricVerdict {
  const row = verdict.metrics.find(row => row.metric === metric && row.segment === undefined && what.test(row.what))
  demand(row !== undefined, `the verdict has no row ${metric} ${what}`)
  return row
}

/** A metric's share v of α_A under a policy: a row of the verdict is guilty at ln 1/(α_A·v). */
export function weightOf(policy: Policy, metric: string, what: RegExp): number {
  return weightAt(metricOf(emptyVerdict(policy), metric, what))
}

/** The shares of all metrics that can abort; those without data have E = 1. */
export function weightOfAll(policy: Policy): number {
  const checks = ['split', 'arrival']
  return emptyVerdict(policy)
    .metrics.filter(({ metric, segment }) => segment === undefined && !checks.includes(metric))
    .reduce((sum, row) => sum + weightAt(row), 0)
}

function emptyVerdict(policy: Policy): Verdict {
  return judged([canaryPeriod(0.5, {})], policy)
}

function weightAt({ logHarmNeeded }: MetricVerdict): number {
  return Math.exp(-logHarmNeeded) / ALPHA_ABORT
}

/** Counts of the four outcomes as one period of arms. */
export function armsOf(share: number, counts: readonly number[]): ArmCounts {
  const [candidateEvents = 0, baselineEvents = 0, candidateQuiet = 0, baselineQuiet = 0] = counts
  return {
    share,
    candidateEvents,
    baselineEvents,
    candidate: candidateEvents + candidateQuiet,
    baseline: baselineEvents + baselineQuiet,
  }
}

/** The same counts as evidence slots. */
export function armCounters(arms: ArmCounts): Record<string, number> {
  return {
    'arm.c.n': arms.candidate,
    'arm.c.err': arms.candidateEvents,
    'arm.b.n': arms.baseline,
    'arm.b.err': arms.baselineEvents,
  }
}

/** Groups of the live error stream's bets at one share; at other shares they are the same groups in the same order. */
export function liveErrorGroups(share: number): LinearBets[] {
  const bets = (at: number) => new LinearBets(4, counts => errorOddsHarm([armsOf(at, counts)]))
  return bets(share).groups(bets(0.5))
}

/** Groups of a latency stream: the non-events of p50 count half. */
export function latencyGroups(share: number, quantile: 'p50' | 'p95' | 'p99'): LinearBets[] {
  const bets = (at: number) => new LinearBets(4, counts => latencyOddsHarm([armsOf(at, counts)], quantile === 'p50'))
  return bets(share).groups(bets(0.5))
}

/** Bets of events among observations against a limit; outcomes event and no event. */
export function shareBets(limit: number): LinearBets {
  return new LinearBets(2, ([events = 0, quiet = 0]) => shareHarm(events, events + quiet, limit))
}

/** Bets of paired errors; outcomes only the candidate, only the baseline, both or neither. */
export function pairedErrorBets(floor: number): LinearBets {
  return new LinearBets(3, ([plus = 0, minus = 0, zero = 0]) =>
    bettingHarm(
      [
        [1, plus],
        [-1, minus],
        [0, zero],
      ],
      floor,
    ),
  )
}

/** The live error stream alone, as the verdict reads it. */
export function liveErrors(policy: Policy, share: number, weight: number): WatchedStream {
  return {
    weight,
    ledgers: ledgersOf(liveErrorGroups(share)),
    guard: ledgersOf(shareBets(policy.gate.errors.floor).groups()),
  }
}

/** `judge`, with the complaint of its own bookkeeping turned into ours: evidence of the benchmark must be sound. */
export function judged(periods: readonly Period[], policy: Policy): Verdict {
  const verdict = judge(evidenceOf(periods), policy)
  demand(!verdict.reason.startsWith('the evidence cannot be judged'), verdict.reason)
  return verdict
}

/** ln E of a metric's harm as `judge` says it. */
export function logHarmOf(verdict: Verdict, metric: string, what: RegExp): number {
  return metricOf(verdict, metric, what).logHarm
}

/** Holds a logarithm of ours against `judge`'s. */
export function demandEqual(ours: number, theirs: number, what: string): void {
  demand(
    Math.abs(ours - theirs) <= 1e-6 * Math.max(1, Math.abs(theirs)),
    `${what}: ln E is ${theirs} to the gate and ${ours} to the benchmark`,
  )
}
