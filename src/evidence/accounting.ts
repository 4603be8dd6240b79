// What becomes of every request that could be mirrored: eligible = not sampled + dropped + failed + compared + in flight + lost.
import type { Counters } from './counters.ts'

/** Why a mirrored request was dropped before it reached the candidate. */
export const DROP_REASONS = ['ring_full', 'too_large', 'queue_full', 'expired', 'stalled', 'not_ready'] as const
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

export interface Account {
  readonly eligible: number
  readonly notSampled: number
  readonly dropped: Readonly<Record<DropReason, number>>
  readonly failed: Readonly<Record<FailReason, number>>
  readonly compared: number
  readonly lost: number
}

/** The account of one candidate from its evidence counters. */
export function accountOf(counters: Counters): Account {
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
