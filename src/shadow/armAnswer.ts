// What of a live answer waits for its label, and in whose arms it counts. Pure.
import type { ArmPending } from '../evidence/armLabels.ts'
import { predictionOf } from '../evidence/loss.ts'
import type { SnapshotVersion } from '../rollout/snapshot.ts'
import { segmentsOfTask } from './pair.ts'
import type { Task } from './task.ts'

/**
 * A live answer as it waits for its label: live's belongs to the baseline arm of every canary's evidence, a canary's to
 * the candidate arm of its own.
 * @param takeSegment the slot of a segment within one version's evidence
 */
export function armPendingOf(
  task: Task,
  takeSegment: (version: SnapshotVersion, key: string, segment: string) => string,
): ArmPending {
  const { route, record, served, servedOk } = task
  const isLive = route.versions[record.version]!.version === route.live
  const canaries = route.versions.flatMap((version, index) => {
    const isOfIt = version.weight > 0 && version.version !== route.live && (isLive || index === record.version)
    return isOfIt && version.evidenceKey !== undefined ? [{ version, key: version.evidenceKey }] : []
  })
  const spec = route.compare[0] ?? { output: undefined, kind: undefined }
  return {
    arms: canaries.map(({ key }) => [key, isLive ? 'b' : 'c'] as const),
    p: servedOk && served !== undefined ? predictionOf(served, spec) : null,
    // One name for all evidence keys, within the bounds of each.
    // By inputs only: what the baseline would have answered is not known of the other arm.
    s: segmentsOfTask(task).map(segment =>
      canaries.reduce((name, { version, key }) => takeSegment(version, key, name), segment),
    ),
  }
}
