// Tells why a version was not asked about a request, or did not get it. Pure.
import type { DropReason } from '../evidence/accounting.ts'
import { OUTCOME } from '../record/format.ts'
import type { SnapshotVersion } from '../rollout/snapshot.ts'
import type { Task } from './task.ts'

const DROPPED: Readonly<Record<DropReason, string>> = {
  ring_full: 'the shadow thread was too far behind',
  too_large: 'a body was larger than mirror.bodyBytes',
  incomplete: 'it was answered before all of it had come',
  queue_full: 'its queue was full (mirror.queue)',
  expired: 'it waited in the queue past its shadow.deadline',
  stalled: 'it had given no answer several times in a row, and was asked one request at a time',
  not_ready: 'it was not ready',
  unpaired: "one side's span did not come in time (spans.within)",
  evicted: 'too many traces waited for a span',
}

/** What became of a request that was to be sent. */
export function whyDropped(reason: DropReason | 'not_sampled', { shadow }: SnapshotVersion): string {
  return reason === 'not_sampled' ? `left out by shadow.max (${shadow.max} a second)` : DROPPED[reason]
}

/**
 * Why a request was never meant for a version that looks at others; undefined: the version looks at none.
 * A forced request is nobody's evidence, a canary's goes to live alone, live's to the shadows.
 */
export function whyNotAsked(task: Task, version: SnapshotVersion): { reason: string; detail: string } | undefined {
  const { record, route } = task
  const isOfLive = route.versions[record.version]?.version === route.live
  const isLive = version.version === route.live
  const isShadow = version.shadow.percent > 0 && version.evidenceKey !== undefined
  if (!isLive && !isShadow) return undefined
  if (record.forced) return { reason: 'forced', detail: "a tester's request is nobody's evidence" }
  if (!isOfLive && !isLive) return { reason: 'not_mirrored', detail: 'only what live answers is mirrored' }
  if (isLive && route.paired <= 0)
    return { reason: 'not_paired', detail: "live scores none of a canary's requests (gate.paired is 0 here)" }
  if (isLive && (record.outcome === OUTCOME.deadline || record.outcome === OUTCOME.unreachable))
    return { reason: 'not_paired', detail: 'what did not answer in time, or at all, is left out on both sides' }
  if (!isLive && record.outcome === OUTCOME.clientError)
    return { reason: 'client_error', detail: "a request that live refuses is the client's mistake" }
  if (record.withheld !== undefined) return { reason: record.withheld, detail: DROPPED[record.withheld] }
  if (!route.mirrored) return { reason: 'mirror_off', detail: 'mirroring was off' }
  const share = isLive ? `gate.paired: ${route.paired} %` : `shadow: ${version.shadow.percent} %`
  return { reason: 'not_sampled', detail: `not in the sample (${share})` }
}
