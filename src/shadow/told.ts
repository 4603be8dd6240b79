// What a finished request counted outside its pairs, and what its evidence keys stand for, as its spans tell it. Pure.
import type { RequestCount } from '../evidence/requestCount.ts'
import type { EvidenceTerms } from '../evidence/told.ts'
import { OUTCOME } from '../record/format.ts'
import type { SnapshotRoute, SnapshotVersion } from '../rollout/snapshot.ts'
import type { Ended } from './pair.ts'
import { liveOf, type Task } from './task.ts'

/**
 * The counts of one request in the words of the serving thread (serving/account, serving/counts), which is the one that
 * counts them: here they are only told.
 */
export function requestCountOf({ record, route }: Task, ended: readonly Ended[]): RequestCount {
  const served = route.versions[record.version]!
  const isLive = served.version === route.live
  const canaries = route.versions.flatMap((version, index) => {
    const isOfIt = version.weight > 0 && version.version !== route.live && (isLive || index === record.version)
    return isOfIt && version.evidenceKey !== undefined ? [{ index, key: version.evidenceKey }] : []
  })
  const { outcome } = record
  const mirrored = ended.flatMap(({ version }) => version.evidenceKey ?? [])
  return {
    arm: isLive ? 'b' : 'c',
    arms: record.counted ? canaries.map(({ key }) => key) : [],
    failed: outcome === OUTCOME.failed || outcome === OUTCOME.deadline || outcome === OUTCOME.unreachable,
    latencyMs: record.timed ? record.inferMs : undefined,
    cohorts: canaries.flatMap(({ index, key }) => ((record.cohorts & (1 << index)) === 0 ? [] : [key])),
    label: record.labelled ? (record.withheld ?? 'kept') : undefined,
    mirrored,
    notSampled: eligibleOf(route, served, record).filter(key => !mirrored.includes(key)),
  }
}

/** The evidence that could have had a pair of it. */
function eligibleOf(route: SnapshotRoute, served: SnapshotVersion, record: Task['record']): string[] {
  if (record.paired) return served.evidenceKey === undefined ? [] : [served.evidenceKey]
  if (served.version !== route.live || record.forced || record.outcome === OUTCOME.clientError) return []
  return route.versions.flatMap(({ version, shadow, evidenceKey }) =>
    version !== route.live && shadow.percent > 0 && evidenceKey !== undefined ? [evidenceKey] : [],
  )
}

/** What the evidence key of a version stands for; undefined: it has none. */
export function termsOf(route: SnapshotRoute, { version, digest, evidenceKey, period }: SnapshotVersion) {
  const live = liveOf(route)
  if (evidenceKey === undefined || period === undefined || live === undefined) return undefined
  const judged = route.versions.filter(({ period }) => period !== undefined && !period.holdback)
  const terms: EvidenceTerms = {
    route: route.name,
    key: evidenceKey,
    baseline: { version: live.version, digest: live.digest },
    candidate: { version, digest },
    candidates: judged.length,
    ...period,
  }
  return terms
}
