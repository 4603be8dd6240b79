// Decides from a request's head, and its body where its unit stands there, which route and version it belongs to.
import type { IncomingMessage } from 'node:http'
import { UnderstudyError } from '../errors.ts'
import { assign, assignDrawn } from '../routing/assign.ts'
import { draw } from '../routing/draw.ts'
import type { Choice } from './account.ts'
import { passesUntouched } from './ask.ts'
import type { Asked } from './path.ts'
import type { RuntimeRoute } from './runtime.ts'
import { stickyUnit } from './units.ts'

/** Why nobody answers what is asked. */
export function unknownModel({ model, path }: Asked): UnderstudyError {
  return new UnderstudyError(
    'UNKNOWN_MODEL',
    model === undefined
      ? `no model answers at ${path}: a route of several must say "path: ${path}"`
      : `unknown model "${model.slice(0, 128)}"`,
  )
}

/** @throws NOT_SUPPORTED, OVERLOADED when the route takes no such request, or none more */
export function checkAdmission(route: RuntimeRoute, asked: Asked): void {
  if (route.snapshot.spans !== undefined) throw new UnderstudyError('NOT_SUPPORTED', servedElsewhere(route))
  if (route.inFlight > route.snapshot.limits.inFlight) {
    throw new UnderstudyError('OVERLOADED', 'too many requests under way for this model')
  }
  if (asked.protocol === 'v1' && asked.verb !== 'predict') {
    throw new UnderstudyError('NOT_SUPPORTED', `:${asked.verb.slice(0, 40)} is not supported, only :predict`)
  }
}

function servedElsewhere({ snapshot: { name } }: RuntimeRoute): string {
  return `model "${name}" is served elsewhere: this gateway knows it by its spans only and answers no predictions of it`
}

/**
 * Whether bodies may flow: by the route and not by the version, since a body that its client breaks off would else be
 * assigned in one arm and not in the other.
 */
export function allPassUntouched({ versions }: RuntimeRoute, asked: Asked): boolean {
  for (const version of versions) if (version.engine !== undefined && !passesUntouched(asked, version)) return false
  return true
}

/** Whether the unit of assignment stands in the body. */
export function readsBody({ snapshot: { sticky }, sole }: RuntimeRoute): boolean {
  return sole === undefined && sticky !== undefined && 'pointer' in sticky
}

/** The version that answers. @throws FORBIDDEN, UNKNOWN_VERSION when a version is asked for that may not be */
export function choose(
  route: RuntimeRoute,
  path: Asked,
  request: IncomingMessage,
  body: Uint8Array | undefined,
): Choice {
  const { force, name, salts, sticky } = route.snapshot
  const header = force === undefined ? undefined : request.headers[force.toLowerCase()]
  const asked = path.version ?? (typeof header === 'string' ? header : undefined)
  if (asked !== undefined) {
    const version = route.versions.find(({ snapshot }) => snapshot.version === asked)
    if (version === undefined)
      throw new UnderstudyError('UNKNOWN_VERSION', `model "${name}" has no version "${asked.slice(0, 128)}"`)
    if (force === undefined) {
      throw new UnderstudyError(
        'FORBIDDEN',
        `model "${name}" does not let requests pick a version (the route has no "force")`,
      )
    }
    return { version, forced: true, unit: undefined }
  }
  if (route.sole !== undefined) return { version: route.sole, forced: false, unit: undefined }
  const unit = sticky === undefined ? undefined : stickyUnit(route.snapshot, request, body)
  // Without a key the server draws: an id from the client would let it pick its version.
  const assigned = unit === undefined ? assignDrawn(draw(), route.arms) : assign(salts.split, unit, route.arms)
  const version = route.versions.find(({ snapshot }) => snapshot.version === assigned) ?? route.live
  return { version, forced: false, unit }
}
