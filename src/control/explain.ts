// Adds what only the control thread knows to what the shadow thread remembers of a request: the lock, and labels.
import type { RoutesFile } from '../config/schema.ts'
import { UnderstudyError } from '../errors.ts'
import { numeral } from '../gate/wording.ts'
import type { Change } from '../rollout/ports.ts'
import type { Explanation, Found } from '../shadow/explanation.ts'
import type { Labels } from './labels.ts'

export interface ExplainParts {
  /** What the shadow thread remembers. @throws OVERLOADED */
  readonly ask: (requestId: string, route: string | undefined) => Promise<Found>
  readonly labels: Pick<Labels, 'stateOf'>
  readonly standing: () => { readonly change: Change; readonly snapshot: { readonly revision: number } }
}

/** @throws UNKNOWN_REQUEST that says which requests are remembered, UNKNOWN_MODEL, OVERLOADED */
export async function explainRequest(
  { ask, labels, standing }: ExplainParts,
  requestId: string,
  route: string | undefined,
): Promise<Found> {
  const found = await ask(requestId, route)
  const { change, snapshot } = standing()
  const { config } = change.loaded
  if (found.explanations.length === 0) {
    if (route !== undefined && config.routes[route] === undefined)
      throw new UnderstudyError('UNKNOWN_MODEL', `there is no route "${route.slice(0, 128)}"`)
    throw new UnderstudyError('UNKNOWN_REQUEST', unknownText(requestId, found.memory))
  }
  const explanations = found.explanations.map(each => ({
    ...each,
    assignment: { ...each.assignment, held: heldOf(each, change, snapshot.revision) },
    label: labelOf(each, labels, config),
  }))
  return { ...found, explanations }
}

/** Of an older revision nobody remembers what was held. */
function heldOf({ route, revision, assignment }: Explanation, { resolutions }: Change, present: number) {
  const resolution = resolutions[route]
  if (revision !== present || resolution === undefined) return assignment.held
  return resolution.held
}

/** A state store that cannot be read makes nothing else unknown. */
function labelOf({ route, requestId }: Explanation, labels: ExplainParts['labels'], config: RoutesFile) {
  try {
    return labels.stateOf(route, requestId, config) ?? null
  } catch {
    return null
  }
}

function unknownText(requestId: string, memory: Found['memory']): string {
  const { requests, most, mostBytes, perSecond, atOnce, passedOver, since } = memory
  const present = since === null ? 'none now' : `${numeral(requests)} now, back to ${since}`
  const tooFast =
    passedOver === 0
      ? ''
      : `; ${numeral(passedOver)} were passed over: of one kind ${numeral(atOnce)} are kept at once, then ${numeral(perSecond)} a second`
  return (
    `request "${requestId}" is not kept. Kept are the newest ${numeral(most)} (${Math.round(mostBytes / 2 ** 20)} MiB at most; ` +
    `${present}) that were mirrored (not to shadows that all give no answer) or scored twice, wait for a label, were sampled for a trace, failed or were slow, ` +
    `as soon as every version that looks at them has ended${tooFast}. --traces FILE looks in recorded spans`
  )
}
