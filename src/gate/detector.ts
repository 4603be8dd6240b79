// P5: says when a promoted version has declined, from integer counts epoch by epoch. Knows no gateway, clock or store.
//
// An e-Shiryaev-Roberts detector (Shin, Ramdas & Rinaldo 2024, "E-detectors"): M_k ← L_k·(M_k + 1), alarm at Σ w_k·M_k ≥ 1/α.
// L_k is an epoch's product of bets, at most 1 in expectation under the null whatever came before, so E[M_n] ≤ n, and
// the mean time to a false alarm is at least 1/α epochs, at whatever moment a decline begins. Evidence that merges in any
// order ends at the epoch: all replicas' counts of it are added first, then the recursion is applied once.
import type { MetricName } from '../config/schema.ts'
import { highDifference, lowDifference } from '../evidence/histogram.ts'
import { type ArmLosses, armLossesHarm } from './armLabels.ts'
import {
  type ArmCounts,
  type Bet,
  type Bounded,
  bettingHarm,
  confidenceSequence,
  LOSS_FRACTIONS,
  labelOddsHarm,
  logSumExp,
  mix,
  shareHarm,
} from './eprocess.ts'

/** Length of an epoch, ms. */
export const DECLINE_EPOCH_MS = 10_000
/** Per epoch: a false alarm in 10⁶ epochs of 10 s, 116 days of traffic, or more. */
export const ALPHA_DECLINE = 1e-6
/** Error rates that the frozen reference bets on, as multiples of p0. */
export const REFERENCE_RATIOS = [1.2, 1.5, 2, 3, 5, 10, 30] as const
/** Answers without which no reference is taken. */
export const LEAST_REFERENCE = 1_000
/** Level of the upper bound that becomes the reference. */
const REFERENCE_ALPHA = 0.05

type Increment = Pick<Bet, 'weight' | 'log'>

/** Observations, and the sum of what was observed: events, or losses. */
export interface Tally {
  readonly n: number
  readonly sum: number
}

/** What one epoch says of one metric. */
export interface EpochStream {
  /** Its name in the state: a metric, or one with its reference. */
  readonly id: string
  readonly metric: MetricName
  /** Its share of Σ w·M; the shares of all streams sum to at most 1 and follow the policy alone. */
  readonly share: number
  /** The logarithms are the epoch's increments. */
  readonly bets: readonly Increment[]
  /** Bets against a second null that would excuse a decline too; the smaller of both sums counts. Empty: there is none. */
  readonly guard: readonly Increment[]
  readonly live: Tally
  readonly reference: Tally
}

/** One bet of a stream. JSON; logarithms are natural, all are finite. */
export interface BetState {
  /** ln(M + 1), 0 at the start. */
  readonly log: number
  /** Page's sum max(0, sum + increment): where it was last 0, a decline of this size may have begun. */
  readonly page: number
  /** That moment, ms, and what was counted since. */
  readonly since: number
  readonly live: Tally
  readonly reference: Tally
}

export interface StreamState {
  readonly bets: readonly BetState[]
  /** ln(M + 1) of the guard's bets. */
  readonly guard: readonly number[]
}

export interface DetectorState {
  readonly epochs: number
  readonly streams: Readonly<Record<string, StreamState>>
}

export const FRESH: DetectorState = { epochs: 0, streams: {} }

/** One step of the recursion: ln(M + 1) of each bet, from before and the epoch's increments. */
export function nextLogs(before: readonly number[], increments: readonly Pick<Increment, 'log'>[]): number[] {
  return increments.map(({ log }, k) => softplus(log + (before[k] ?? 0)))
}

/** ln Σ w_k·M_k; −Infinity before the first epoch. */
export function mixtureLog(logs: readonly number[], bets: readonly Pick<Increment, 'weight'>[]): number {
  return logSumExp(bets.map(({ weight }, k) => Math.log(weight) + logMinusOne(logs[k] ?? 0)))
}

/**
 * The state after one epoch that ended at `at` (ms). A stream without observations stays: an epoch of silence is none.
 * One whose bets are others than before (another grid) starts anew.
 */
export function observe(state: DetectorState, streams: readonly EpochStream[], at: number): DetectorState {
  const seen = streams.filter(({ live, reference }) => live.n + reference.n > 0)
  if (seen.length === 0) return state
  const next = { ...state.streams }
  for (const stream of seen) next[stream.id] = advanced(next[stream.id], stream, at)
  return { epochs: state.epochs + 1, streams: next }
}

function advanced(before: StreamState | undefined, stream: EpochStream, at: number): StreamState {
  const { bets, guard, live, reference } = stream
  const fits = before?.bets.length === bets.length && before.guard.length === guard.length
  const start: BetState = { log: 0, page: 0, since: at - DECLINE_EPOCH_MS, live: NONE, reference: NONE }
  return {
    bets: bets.map(({ log }, k) => {
      const from = (fits ? before.bets[k] : undefined) ?? start
      const page = Math.max(0, from.page + log)
      const next = softplus(log + from.log)
      if (page === 0) return { log: next, page, since: at, live: NONE, reference: NONE }
      const { since } = from
      return { log: next, page, since, live: plus(from.live, live), reference: plus(from.reference, reference) }
    }),
    guard: nextLogs(fits ? before.guard : [], guard),
  }
}

const NONE: Tally = { n: 0, sum: 0 }

function plus(a: Tally, b: Tally): Tally {
  return { n: a.n + b.n, sum: a.sum + b.sum }
}

/** How far the detector is: ln Σ w·M over all streams, and of each stream alone. The alarm is at `declineNeeded`. */
export function levelOf(
  state: DetectorState,
  streams: readonly Pick<EpochStream, 'id' | 'share' | 'bets' | 'guard'>[],
): { readonly log: number; readonly byStream: Readonly<Record<string, number>> } {
  const byStream: Record<string, number> = {}
  for (const { id, share, bets, guard } of streams) {
    const known = state.streams[id]
    if (known === undefined) continue
    const odds = mixtureLog(
      known.bets.map(bet => bet.log),
      bets,
    )
    byStream[id] = Math.log(share) + (guard.length === 0 ? odds : Math.min(odds, mixtureLog(known.guard, guard)))
  }
  return { log: logSumExp(Object.values(byStream)), byStream }
}

/** The bet of a stream that has won most, which says since when and by how much; −1: there is none. */
export function leadingBet({ bets }: StreamState): number {
  return bets.reduce((best, { log }, k) => (best < 0 || log > bets[best]!.log ? k : best), -1)
}

/** ln(1/α). */
export function declineNeeded(alpha = ALPHA_DECLINE): number {
  return -Math.log(alpha)
}

/** ln(1 + e^x) without overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))
}

/** ln(e^x − 1) for x ≥ 0 without overflow; −Infinity at 0. */
function logMinusOne(x: number): number {
  return x + Math.log(-Math.expm1(-x))
}

/**
 * Errors of live against the holdback: P1 with live as the arm in question. H0: live fails at most as often as the
 * holdback; or at most as often as is always fine, which the guard bets against. `arms`: an entry a share, `candidate` is live.
 */
export function errorDecline(
  arms: readonly ArmCounts[],
  floor: number,
): Pick<EpochStream, 'bets' | 'guard' | 'live' | 'reference'> {
  const { live, reference } = talliesOf(arms)
  return {
    // Where live fails as a whole its errors say little, since it has nearly all traffic; that the rest stays well says much.
    bets: mix([
      [0.5, labelOddsHarm(arms)],
      [0.5, labelOddsHarm(arms, [0.05, 0.3])],
    ]),
    guard: shareHarm(live.sum, live.n, floor),
    live,
    reference,
  }
}

/** Answers over the limit: live's over r·τ against the holdback's over τ, its own quantile. `baseRate`: 1 − p, where events are common. */
export function latencyDecline(
  arms: readonly ArmCounts[],
  baseRate: number,
): Pick<EpochStream, 'bets' | 'guard' | 'live' | 'reference'> {
  return { bets: labelOddsHarm(arms, [baseRate]), guard: [], ...talliesOf(arms) }
}

function talliesOf(arms: readonly ArmCounts[]): Pick<EpochStream, 'live' | 'reference'> {
  const sum = (of: (arm: ArmCounts) => number) => arms.reduce((total, arm) => total + of(arm), 0)
  return {
    live: { n: sum(arm => arm.candidate), sum: sum(arm => arm.candidateEvents) },
    reference: { n: sum(arm => arm.baseline), sum: sum(arm => arm.baselineEvents) },
  }
}

/** Paired loss differences, live − holdback: P2. H0: their running mean is at most 0. */
export function lossDecline(differences: Bounded): Pick<EpochStream, 'bets' | 'guard' | 'live' | 'reference'> {
  const n = differences.reduce((sum, [, amount]) => sum + amount, 0)
  const sum = differences.reduce((total, [value, amount]) => total + value * amount, 0)
  return { bets: bettingHarm(differences, 0, LOSS_FRACTIONS), guard: [], live: { n, sum }, reference: { n, sum: 0 } }
}

/**
 * Losses of labelled answers, each arm's own: H0 "live's mean loss is at most the holdback's". `arms`: an entry a share,
 * `candidate` is live; losses in [0, 1] by the bins of differences.
 */
export function armLossDecline(arms: readonly ArmLosses[]): Pick<EpochStream, 'bets' | 'guard' | 'live' | 'reference'> {
  const tally = (of: (arm: ArmLosses) => ArmLosses['candidate']): Tally => {
    const bins = arms.flatMap(of)
    const middle = (bin: number) => (lowDifference(bin) + highDifference(bin)) / 2
    return {
      n: bins.reduce((sum, [, amount]) => sum + amount, 0),
      sum: bins.reduce((sum, [bin, amount]) => sum + middle(bin) * amount, 0),
    }
  }
  return {
    bets: armLossesHarm(arms, 0),
    guard: [],
    live: tally(arm => arm.candidate),
    reference: tally(arm => arm.baseline),
  }
}

/** Pairs that differ: P2. H0: at most the share `limit` of them does. */
export function disagreementDecline(
  mismatches: number,
  pairs: number,
  limit: number,
): Pick<EpochStream, 'bets' | 'guard' | 'live' | 'reference'> {
  return {
    bets: shareHarm(mismatches, pairs, limit),
    guard: [],
    live: { n: pairs, sum: mismatches },
    reference: { n: pairs, sum: pairs * limit },
  }
}

/**
 * The error rate p0 that live is held against where there is no holdback: the upper bound of what it had at its promotion,
 * valid whenever the promotion came, and the margin on top. It is never adapted: a running mean follows a slow decline
 * and never sees it.
 */
export function referenceRate(errors: number, n: number, margin: number): number {
  const values: Bounded = [
    [1, errors],
    [0, n - errors],
  ]
  return Math.min(0.95, Math.max(0, confidenceSequence(values, values, REFERENCE_ALPHA)[1]) + margin)
}

/** Likelihood ratios Bernoulli(p0·g) against Bernoulli(p0). H0: every conditional error rate is at most p0, inside (0, 1). */
export function referenceBets(errors: number, n: number, p0: number): Bet[] {
  const possible: number[] = REFERENCE_RATIOS.filter(g => g * p0 < 1)
  const grid = possible.length > 0 ? possible : [(1 + p0) / (2 * p0)]
  return grid.map(g => {
    const log = errors * Math.log(g) + (n - errors) * Math.log((1 - p0 * g) / (1 - p0))
    return { weight: 1 / grid.length, log, rate: log / n }
  })
}

/** Errors of live against the frozen p0. */
export function referenceDecline(
  errors: number,
  n: number,
  p0: number,
): Pick<EpochStream, 'bets' | 'guard' | 'live' | 'reference'> {
  return { bets: referenceBets(errors, n, p0), guard: [], live: { n, sum: errors }, reference: { n, sum: n * p0 } }
}
