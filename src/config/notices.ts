// What a person should know of a route that is valid: settings that do nothing here, or ask for what can hardly come. Pure.
import type { Override, Route } from './schema.ts'
import { isServedElsewhere } from './traced.ts'

const DAY_MS = 86_400_000

/** A sentence each. `nowMs`: since the Unix epoch, for what has ended. */
export function noticesOfRoute(route: Route, nowMs: number): string[] {
  const { versions, gate, rollout, expect, labels, live } = route
  const hasOthers = Object.keys(versions).length > 1
  const notices: string[] = isServedElsewhere(route) ? [ELSEWHERE] : []
  for (const [version, { override }] of Object.entries(versions)) {
    if (override !== undefined && nowMs >= overrideEnd(override))
      notices.push(`the override of ${version} ended (until ${override.until}): renew it or take it out`)
  }
  const lead = versions[live]
  // As with a shadow: a model in our own process has no side effects, of an HTTP server a person must have said so.
  const isMirrorable = lead === undefined || (lead.mirrorable ?? lead.onnx !== undefined)
  if (hasOthers && gate.paired > 0 && !isMirrorable)
    notices.push(
      `canaries have no paired evidence: live ${live} does not say \`mirrorable: true\`, so it scores none of their requests`,
    )
  if (hasOthers && expect === 'change' && labels === undefined)
    notices.push('`expect: change` without `labels`: no verdict passes hold, only an override raises a version')
  if (labels?.margin === 0)
    notices.push('`labels.margin: 0` asks for proof that a version is better: one that is as good is never promoted')
  if (rollout.mode === 'manual' && rollout.window !== undefined)
    notices.push('`rollout.window` does nothing in mode manual: a person raises when they like')
  return notices
}

const ELSEWHERE =
  'its traffic is served elsewhere and known by spans only (POST /v1/traces): promote edits routes.yaml, and whoever routes the traffic must follow'

/** When an override ends, ms since the Unix epoch: a date is over with its day in UTC. */
export function overrideEnd({ until }: Pick<Override, 'until'>): number {
  const at = Date.parse(until)
  return until.includes('T') ? at : at + DAY_MS
}
