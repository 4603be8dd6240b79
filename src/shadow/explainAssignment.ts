// Tells why a request was given to the version that answered it, from the record and the shares of its revision. Pure.
import { keyAt } from '../evidence/pointer.ts'
import type { SnapshotRoute } from '../rollout/snapshot.ts'
import { drawsOf } from '../routing/assign.ts'
import type { ExplainedAssignment, ExplainedUnit } from './explanation.ts'
import type { Task } from './task.ts'

/** What the lock holds is not known here. */
export function explainAssignment(task: Task): ExplainedAssignment {
  const { record, route } = task
  const { version } = route.versions[record.version]!
  const weights = route.versions.map(each => ({ version: each.version, weight: each.weight }))
  const isSplit = weights.filter(({ weight }) => weight > 0).length > 1
  const told = { version, weights, held: null }
  if (record.forced) {
    const by = route.force === undefined ? 'by the path' : `by the path or the header ${route.force}`
    return { ...told, reason: 'targeting_match', why: `the client named the version, ${by}`, sticky: null }
  }
  if (!isSplit) return { ...told, reason: 'static', why: 'no other version had a share', sticky: null }
  const sticky = unitOf(route, () => task.requestJson)
  return { ...told, reason: 'split', why: whySplit(sticky), sticky }
}

function whySplit(sticky: ExplainedUnit | null): string {
  if (sticky === null) return 'by weight, with a number drawn for this request alone'
  const { by, unit } = sticky
  if (unit === 'used') return `by weight, with the key in ${by}: requests with this key go together`
  if (unit === 'missing') return `by weight, with a number drawn for this request alone: it has no key in ${by}`
  return `by weight, with the key in ${by} if it had one (headers are not recorded), else with a number of its own`
}

/** A key in a header or a cookie is not in the record, and must not be. */
function unitOf({ sticky, salts, versions }: SnapshotRoute, body: () => unknown): ExplainedUnit | null {
  if (sticky === undefined) return null
  if ('header' in sticky) return { by: `header ${sticky.header}`, unit: 'unknown', draws: null }
  if ('cookie' in sticky) return { by: `cookie ${sticky.cookie}`, unit: 'unknown', draws: null }
  const by = `body ${sticky.pointer}`
  let unit: string | undefined
  try {
    unit = keyAt(body(), sticky.pointer)
  } catch {
    return { by, unit: 'unknown', draws: null }
  }
  if (unit === undefined) return { by, unit: 'missing', draws: null }
  return { by, unit: 'used', draws: drawsOf(salts.split, unit, versions) }
}
