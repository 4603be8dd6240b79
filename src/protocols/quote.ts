// How a stranger's names and values are shown in a message: short, and never as anything but text.
import { UnderstudyError } from '../errors.ts'
import type { Datatype } from './tensor.ts'

/** At most 80 characters of `text`. */
export function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`
}

/** BAD_TENSOR for a value that is none of the datatype. `label` is such as `input "x"`. */
export function wrongValue(label: string, datatype: Datatype, value: unknown): UnderstudyError {
  // JSON writes NaN as null.
  const isPlain = typeof value === 'bigint' || typeof value === 'number'
  const shown = isPlain ? String(value) : (JSON.stringify(value) ?? String(value))
  return new UnderstudyError('BAD_TENSOR', `${label} holds ${shorten(shown)}, which is not a ${datatype} value`)
}
