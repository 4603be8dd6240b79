// Names what was judged: one hash of counters and policy. Judges nothing.
import { hash } from 'node:crypto'
import { SLOT } from '../evidence/counters.ts'
import type { Evidence, Policy } from './evidence.ts'
import type { SortedPeriod } from './periods.ts'

/** sha256, hexadecimal, of what was counted and of the policy, as JSON with sorted keys; the clock is left out. */
export function digestOf(evidence: Evidence, periods: readonly SortedPeriod[], policy: Policy): string {
  const { stepElapsedMs: _, periods: given, ...rest } = evidence
  const counted = given.map(
    ({ counters: _, ...period }, index) => `[${canonical(period)},${amountsOf(periods[index]!)}]`,
  )
  const { expect, labels, gate } = policy
  return hash(
    'sha256',
    `{"counted":${canonical(rest)},"periods":[${counted}],"policy":${canonical({ expect, labels, gate })}}`,
  )
}

/** Counters in the order of their names, without the serving time. */
function amountsOf({ counters }: SortedPeriod): string {
  let members = ''
  const ends = new Map([['', '']])
  for (const segment of counters.segments.keys()) if (segment !== '') ends.set(segment, quoted(`@${segment}`))
  // Of a histogram, the same slot comes once for each segment.
  let [last, start] = ['', '']
  counters.visit((slot, segment, amount) => {
    if (slot === SLOT.timeMs && segment === '') return
    if (slot !== last) [last, start] = [slot, quoted(slot)]
    members += `${members === '' ? '' : ','}"${start}${ends.get(segment)}":${number(amount)}`
  })
  return `{${members}}`
}

/** As it stands between the quotes of JSON. */
function quoted(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

/** JSON with sorted keys; undefined members are left out, numbers that JSON lacks are text. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value === 'number') return number(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(',')}}`
}

function number(value: number): string {
  return Number.isFinite(value) ? String(value) : JSON.stringify(String(value))
}
