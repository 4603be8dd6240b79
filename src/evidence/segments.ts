// Which segments a request belongs to, by the declared fields of its input. Knows nothing of outcomes.
import type { Segment } from '../config/schema.ts'
import { type Outputs, type OutputValue, outputOf } from './outputs.ts'

/** Named values a field; every further value is counted as `field=other`. */
export const SEGMENT_SLOTS = 64
const VALUE_LENGTH = 40

/**
 * The segments of a request, at most one a field: `origin=JFK`, `distance=[300,310)` for `{ bucket: distance, by: 10 }`, or
 * `answer.label=8` for `{ answer: label }`, what the baseline said. A field is a V2 tensor, a column of one (`features[3]`),
 * or a JSON pointer or field. A field that is missing, not finite, or differs between the rows of one request gives none.
 *
 * What the baseline said is as good a field as an input: the truth, and whether the candidate meets it, comes after it.
 */
export function segmentsOf(inputs: Outputs | undefined, specs: readonly Segment[], answer?: Outputs): string[] {
  const segments: string[] = []
  for (const spec of specs) {
    const { name, field, from, by } = fieldOf(spec, inputs, answer)
    const value = from === undefined ? undefined : fieldValue(from, field)
    if (value === undefined) continue
    const text = by === undefined ? plain(value) : bucket(value, by)
    if (text !== undefined) segments.push(`${sanitised(name)}=${sanitised(text)}`)
  }
  return segments
}

function fieldOf(spec: Segment, inputs: Outputs | undefined, answer: Outputs | undefined) {
  if (typeof spec === 'string') return { name: spec, field: spec, from: inputs, by: undefined }
  if ('bucket' in spec) return { name: spec.bucket, field: spec.bucket, from: inputs, by: spec.by }
  return { name: `answer.${spec.answer}`, field: spec.answer, from: answer, by: spec.by }
}

/** Hands out the slots of one evidence key: first seen, first served. Seed it with the segments that are stored already. */
export class SegmentSlots {
  readonly #fields = new Map<string, Set<string>>()

  constructor(taken: Iterable<string> = []) {
    for (const segment of taken) this.take(segment)
  }

  /** `segment` itself while its field has room, else `field=other`. */
  take(segment: string): string {
    const field = segment.slice(0, segment.indexOf('='))
    let taken = this.#fields.get(field)
    if (taken === undefined) {
      taken = new Set()
      this.#fields.set(field, taken)
    }
    const other = `${field}=other`
    if (taken.has(segment) || segment === other) return segment
    if (taken.size >= SEGMENT_SLOTS) return other
    taken.add(segment)
    return segment
  }
}

function fieldValue(inputs: Outputs, field: string): string | number | bigint | undefined {
  const whole = outputOf(inputs, { output: field, kind: undefined })
  if (whole !== undefined) return whole.width === 1 ? common(whole, 0) : undefined
  const column = /^(.+)\[(\d+)\]$/.exec(field)
  if (column === null) return undefined
  const matrix = outputOf(inputs, { output: column[1], kind: undefined })
  return matrix === undefined ? undefined : common(matrix, Number(column[2]))
}

/** The value of a column when all rows share it. */
function common(value: OutputValue, column: number): string | number | bigint | undefined {
  if (value.rows === 0 || column >= value.width) return undefined
  const first = value.data[column]
  for (let row = 1; row < value.rows; row += 1) if (value.data[row * value.width + column] !== first) return undefined
  return first
}

function plain(value: string | number | bigint): string | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? String(Number(value.toPrecision(7))) : undefined
  return String(value)
}

function bucket(value: string | number | bigint, by: number): string | undefined {
  const x = typeof value === 'string' && value.trim() === '' ? Number.NaN : Number(value)
  if (!Number.isFinite(x)) return undefined
  const index = Math.floor(x / by)
  // 0.1·3 is 0.30000000000000004: edges are written with twelve digits.
  const edge = (at: number) => Number((at * by).toPrecision(12))
  return `[${edge(index)},${edge(index + 1)})`
}

/**
 * A name that may stand in a slot: slots end in `@field=value`, so neither sign may stand in a field, a value or a class,
 * nor anything that spoils a log line. 40 characters at most.
 */
export function sanitised(text: string): string {
  const clean = text.replace(/[^\p{L}\p{N} _.,:+\-/()[\]]/gu, '_').trim()
  return clean === '' ? '_' : [...clean].slice(0, VALUE_LENGTH).join('')
}
