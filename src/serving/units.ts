// Decides what is assigned to a version: the sticky key of a request, or an id that the server made.
import type { IncomingMessage } from 'node:http'
import { keyAt } from '../evidence/pointer.ts'
import { parseJson } from '../protocols/json.ts'
import type { SnapshotRoute } from '../rollout/snapshot.ts'
import { uniform } from '../routing/assign.ts'
import { cookieValue } from './headers.ts'

/** The sticky key of a request, or undefined when the route has none or the request does not carry it. */
export function stickyUnit(
  route: SnapshotRoute,
  request: IncomingMessage,
  body: Uint8Array | undefined,
): string | undefined {
  const { sticky } = route
  if (sticky === undefined) return undefined
  if ('header' in sticky) {
    const value = request.headers[sticky.header.toLowerCase()]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  if ('cookie' in sticky) return cookieValue(request.headers.cookie, sticky.cookie) || undefined
  if (body === undefined) return undefined
  return keyAt(parseJson(body, route.limits.depth), sticky.pointer)
}

/**
 * Whether this unit is seen for the first time under the route's counting salt. A sticky user who comes a thousand
 * times is one randomised unit, and counting each visit raises false alarms (GATE.md). One bit a unit, shared by all
 * threads; two units on one bit count once, whatever their version, so nothing is biased; a full map counts nobody.
 */
export function firstSight(seen: SharedArrayBuffer, salt: string, unit: string): boolean {
  const words = new Int32Array(seen)
  const bit = Math.floor(uniform(salt, unit) * words.length * 32)
  const mask = 1 << (bit & 31)
  return (Atomics.or(words, bit >>> 5, mask) & mask) === 0
}
