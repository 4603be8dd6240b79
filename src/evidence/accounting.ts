// What becomes of every request that could be a pair: eligible = not sampled + dropped + failed + compared + in flight + lost.
import type { ReadonlyCounters } from './counters.ts'

/**
 * Why a request came to no pair: it did not reach the version that was to be asked (`incomplete`: it was answered before all
 * of it had come, so nobody has it), or (`expired`, `not_ready`) live was not
 * to be had for a canary's request. Where traffic is served elsewhere: one side's span did not come in time (`unpaired`), or
 * more traces were open than are kept (`evicted`).
 */
export const DROP_REASONS = [
  'ring_full',
  'too_large',
  'incomplete',
  'queue_full',
  'expired',
  'stalled',
  'not_ready',
  'unpaired',
  'evicted',
] as const
export type DropReason = (typeof DROP_REASONS)[number]

/** Why a mirrored request gave no comparison of two answers. */
export const FAIL_REASONS = ['candidate_error', 'timeout', 'baseline_error', 'unparseable'] as const
export type FailReason = (typeof FAIL_REASONS)[number]

export const MIRROR = {
  eligible: 'mirror.eligible',
  notSampled: 'mirror.not_sampled',
  compared: 'mirror.compared',
  lost: 'mirror.lost',
  dropped: (reason: DropReason) => `mirror.dropped.${reason}`,
  failed: (reason: FailReason) => `mirror.failed.${reason}`,
} as const

/** Why an answer could not be kept for its label: it never came to the shadow thread. */
export const RECORD_DROP_REASONS = ['ring_full', 'too_large', 'incomplete'] as const
export type RecordDropReason = (typeof RECORD_DROP_REASONS)[number]

/** Live answers that were to wait for their label, by arm: see `labels.affectedByAnswer`. */
export const RECORD = {
  all: (arm: 'b' | 'c') => `record.${arm}.n`,
  dropped: (arm: 'b' | 'c', reason: RecordDropReason) => `record.${arm}.dropped.${reason}`,
} as const

export interface Account {
  readonly eligible: number
  readonly notSampled: number
  readonly dropped: Readonly<Record<DropReason, number>>
  readonly failed: Readonly<Record<FailReason, number>>
  readonly compared: number
  readonly lost: number
}

/** The account of one candidate from its evidence counters. */
export function accountOf(counters: ReadonlyCounters): Account {
  const at = (slot: string) => counters.get(slot) ?? 0
  const by = <R extends string>(reasons: readonly R[], slot: (reason: R) => string) =>
    Object.fromEntries(reasons.map(reason => [reason, at(slot(reason))])) as Record<R, number>
  return {
    eligible: at(MIRROR.eligible),
    notSampled: at(MIRROR.notSampled),
    dropped: by(DROP_REASONS, MIRROR.dropped),
    failed: by(FAIL_REASONS, MIRROR.failed),
    compared: at(MIRROR.compared),
    lost: at(MIRROR.lost),
  }
}

/** Requests handed to the mirror whose end is not counted yet. */
export function unsettledOf(account: Account): number {
  return (
    account.eligible - account.notSampled - droppedOf(account) - failedOf(account) - account.compared - account.lost
  )
}

export function droppedOf(account: Account): number {
  return DROP_REASONS.reduce((sum, reason) => sum + account.dropped[reason], 0)
}

export function failedOf(account: Account): number {
  return FAIL_REASONS.reduce((sum, reason) => sum + account.failed[reason], 0)
}

/** Requests that should be evidence, and how many of them were dropped or lost on the way. */
export interface Intake {
  readonly eligible: number
  readonly dropped: number
}

/**
 * The intake that lost the greatest share over some periods: of the pairs, or of one arm's labelled answers. They are not
 * added up: a canary at 5 % could otherwise drop a fifth of its answers below a limit of 1 %.
 */
export function worstIntake(periods: readonly ReadonlyCounters[]): Intake {
  const sum = (slot: string) => periods.reduce((all, counters) => all + (counters.get(slot) ?? 0), 0)
  const accounts = periods.map(accountOf)
  let worst: Intake = {
    eligible: accounts.reduce((all, { eligible }) => all + eligible, 0),
    dropped: accounts.reduce((all, account) => all + droppedOf(account) + account.lost, 0),
  }
  for (const arm of ['b', 'c'] as const) {
    const eligible = sum(RECORD.all(arm))
    const dropped = RECORD_DROP_REASONS.reduce((all, reason) => all + sum(RECORD.dropped(arm, reason)), 0)
    const isFirst = worst.eligible + worst.dropped === 0
    if (isFirst || dropped * worst.eligible > worst.dropped * eligible) worst = { eligible, dropped }
  }
  return worst
}
