// Pause and resume: a person stops what a route raises by itself, on record, and lets it go on. What is safer is never paused.
import { UnderstudyError } from '../errors.ts'
import { inTurn, type RolloutPorts } from './ports.ts'
import { type ActionRequest, type ActionResult, alreadyDone, begin, bodyOf } from './promote.ts'
import { recordLater } from './record.ts'
import { LOG_FAILED, resolved } from './rollback.ts'
import type { RouteState } from './state.ts'

/**
 * Raises nobody by itself any more, over restarts too, until `resume`. A promote by a person goes through, and so does
 * every abort and rollback. A route that is paused already stays paused by whom it was.
 * @throws BAD_REQUEST without a reason, UNKNOWN_MODEL, and what `apply` rejects with.
 */
export function pause(ports: RolloutPorts, request: ActionRequest): Promise<ActionResult> {
  if (request.reason.trim() === '')
    return Promise.reject(new UnderstudyError('BAD_REQUEST', 'expected a reason: it goes on record'))
  return switched(ports, request, 'pause', state =>
    state.paused === undefined
      ? { ...state, paused: { who: request.who, reason: request.reason, at: ports.now() } }
      : undefined,
  )
}

/** Lets a paused route raise by itself again; one that is not paused stays so. @throws as `pause`. */
export function resume(ports: RolloutPorts, request: ActionRequest): Promise<ActionResult> {
  return switched(ports, request, 'resume', ({ paused, ...state }) => (paused === undefined ? undefined : state))
}

/** @param next the state from here on; undefined: it is so already, and nothing goes on record */
function switched(
  ports: RolloutPorts,
  request: ActionRequest,
  kind: 'pause' | 'resume',
  next: (state: RouteState) => RouteState | undefined,
): Promise<ActionResult> {
  return inTurn(ports, async () => {
    const repeated = alreadyDone(ports, request, kind)
    if (repeated !== undefined) return repeated
    const begun = begin(ports, request)
    const { text } = begun.loaded
    const wanted = next(begun.state)
    const same = { before: text, after: text, diff: '', entries: [], problems: [], resolution: undefined }
    if (wanted === undefined) return { ...same, outcome: 'repeated' }
    // The hash of last time: this is no occasion to raise anybody.
    const resolution = await resolved(ports, request.route, begun, wanted, text, begun.state.fileHash)
    if (request.dryRun) return { ...same, resolution, outcome: 'dry-run' }
    // On record first: whatever becomes of the threads, the next raise asks the record.
    const entry = recordLater(ports, request.route, {
      ...bodyOf(request, kind),
      phase: 'applied',
      state: resolution.state,
    })
    await ports.apply({ loaded: begun.loaded, resolutions: { [request.route]: resolution } })
    return {
      ...same,
      resolution,
      outcome: 'applied',
      entries: entry === undefined ? [] : [entry],
      problems: entry === undefined ? [LOG_FAILED] : [],
    }
  })
}
