// Writes figures and times the way the page shows them: true minus signs, units apart. Decides nothing.
import type { MetricVerdict } from '../../gate/evidence.ts'
import { about, duration, numeral } from '../../gate/wording.ts'
import { figure } from '../content.ts'

/** A hyphen in front of a digit is a minus. */
export function typeset(text: string): string {
  return text.replace(/(^|[\s(])-(?=\d)/g, '$1−')
}

/** Present in JSON, and a number. JSON has no infinity and no NaN: both arrive as null. */
export function isFigure(value: number | null | undefined): value is number {
  return value !== null && value !== undefined && Number.isFinite(value)
}

/** A metric's value in its own unit; a dash where there is none. */
export function valueText(row: Pick<MetricVerdict, 'metric' | 'what'>, value: number | null | undefined): string {
  if (!isFigure(value)) return '–'
  return typeset(figure(row, value)) + (row.metric.startsWith('latency') ? ' ms' : '')
}

/** A logarithm of an e-value; what rounding left of 0 is 0. */
export function logText(value: number | null | undefined): string {
  return isFigure(value) ? typeset(about(Math.abs(value) < 1e-9 ? 0 : value)) : '–'
}

export function figureOr(value: number | null | undefined, none = '–'): string {
  return isFigure(value) ? typeset(about(value)) : none
}

export function countOr(value: number | null | undefined): string {
  return isFigure(value) ? numeral(value) : '–'
}

/** With a sign, as differences want it. */
export function signed(value: number | null | undefined): string {
  if (!isFigure(value)) return '–'
  return value > 0 ? `+${about(value)}` : typeset(about(value))
}

/** `2026-01-31 14:05:09 UTC`; what is no time stays as it came. */
export function moment(iso: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z$/.exec(iso)
  return match === null ? iso : `${match[1]} ${match[2]} UTC`
}

/** A length of time with a word; nothing for what is no length. */
export function lasting(ms: number): string {
  return Number.isFinite(ms) && ms >= 0 ? duration(ms) : '–'
}
