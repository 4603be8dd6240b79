// Whether a counter has a name that the gate or a report may read: a misspelt mismatch would else count as none. Pure.
import { distance } from 'fastest-levenshtein'
import { DROP_REASONS, FAIL_REASONS, MIRROR } from '../evidence/accounting.ts'
import { SLOT, splitSlot } from '../evidence/counters.ts'

const WHOLE: ReadonlySet<string> = new Set([
  ...Object.values(SLOT),
  MIRROR.eligible,
  MIRROR.notSampled,
  MIRROR.compared,
  MIRROR.lost,
  ...DROP_REASONS.map(reason => MIRROR.dropped(reason)),
  ...FAIL_REASONS.map(reason => MIRROR.failed(reason)),
  'late.b.n',
  'late.c.n',
])

/** Slots with a bin, a quantile, a class or a reason in their name, see `evidence/counters.ts`. */
const FAMILIES: readonly RegExp[] = [
  /^(plat|lat)\.[bc]\.\d{1,4}$/,
  /^late\.p(50|95|99)\.(b|c|c\.may)$/,
  /^pair\.late\.p(50|95|99)\.(plus|minus|zero)$/,
  /^diff\.\d{1,5}$/,
  /^(loss|mean)\.-?\d{1,5}$/,
  /^arm\.[bc]\.loss\.-?\d{1,5}$/,
  /^score\.\d\.\d$/,
  /^class\..{1,400}$/s,
  /^record\.[bc]\.(n|dropped\.[a-z_]+)$/,
]

/** `slot` may carry a segment, `pair.match@origin=JFK`. */
export function isKnownSlot(slot: string): boolean {
  // A class may hold an @ of its own.
  if (slot.startsWith('class.')) return true
  const [name] = splitSlot(slot)
  return WHOLE.has(name) || FAMILIES.some(family => family.test(name))
}

/** The known name that is nearest to a misspelt one; undefined: none is near. */
export function nearestSlot(slot: string): string | undefined {
  const [name] = splitSlot(slot)
  const ranked = [...WHOLE].map(known => ({ known, far: distance(name, known) })).sort((a, b) => a.far - b.far)
  return ranked[0]!.far <= Math.max(2, Math.floor(name.length / 3)) ? ranked[0]!.known : undefined
}
