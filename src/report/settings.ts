// Reads and changes one setting of a policy by its name in routes.yaml. Pure; knows nothing of what settings do to a verdict.
import type { Policy } from '../gate/evidence.ts'
import { about, duration, numeral } from '../gate/wording.ts'

/** The value at `gate.errors.floor`: a number, in ms where it is a duration; undefined: none, or no number. */
export function settingOf(policy: Policy, setting: string): number | undefined {
  let at: unknown = policy
  for (const key of setting.split('.')) at = isMap(at) && Object.hasOwn(at, key) ? at[key] : undefined
  return typeof at === 'number' ? at : undefined
}

/** The policy with another value at a setting that it has. */
export function withSetting(policy: Policy, setting: string, value: number): Policy {
  const copy = structuredClone(policy)
  const path = setting.split('.')
  let at: unknown = copy
  for (const key of path.slice(0, -1)) at = isMap(at) && Object.hasOwn(at, key) ? at[key] : undefined
  const last = path.at(-1)!
  if (isMap(at) && Object.hasOwn(at, last)) at[last] = value
  return copy
}

const DURATIONS: ReadonlySet<string> = new Set(['gate.exposure.for', 'gate.exposure.atMost'])

/** A setting's value for a person. */
export function settingText(setting: string, value: number): string {
  if (DURATIONS.has(setting)) return duration(value)
  return Number.isInteger(value) ? numeral(value) : about(value)
}

/**
 * A value that asks for about half as much: twice the share that may differ, twice the excess of a ratio, half the
 * exposure. Undefined where the counters could not answer for it (latency events and mean differences were counted
 * by the limit of their time), or where nobody could set it.
 */
export function looser(setting: string, value: number): number | undefined {
  switch (setting) {
    case 'gate.exposure.requests':
      return value > 1 ? Math.ceil(value / 2) : undefined
    case 'gate.exposure.for':
      return value > 0 ? value / 2 : undefined
    case 'gate.errors.ratio':
      return tidy(1 + 2 * (value - 1))
    case 'gate.errors.floor':
    case 'gate.disagreement':
    case 'gate.distribution':
    case 'labels.margin':
      return value > 0 && value * 2 < 1 ? tidy(value * 2) : undefined
    default:
      return undefined
  }
}

/** 2·0.1 and the like without the noise of binary fractions. */
function tidy(value: number): number {
  return Number(value.toPrecision(12))
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
