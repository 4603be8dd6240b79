// Reads one output of an answer, tensor or JSON, as rows of numbers or labels. Knows nothing of the other side.
import type { CompareKind, Tolerance } from '../config/schema.ts'
import type { Tensor } from '../protocols/tensor.ts'
import { valueAt } from './pointer.ts'

/** The decoded outputs of one answer (or the inputs of one request). */
export type Outputs = { readonly tensors: readonly Tensor[] } | { readonly json: unknown }

/** Which output is compared and how; structurally the snapshot's `ComparedOutput`. */
export interface CompareSpec {
  /** Tensor name, JSON pointer, or top-level JSON field; undefined: the first output. */
  readonly output: string | undefined
  /** undefined: from the output (see {@link kindOf}). */
  readonly kind: CompareKind | undefined
  readonly tolerance: Tolerance
}

export type Scalar = number | bigint | string

/** One output: `rows` rows of `width` values each, row-major. */
export interface OutputValue {
  readonly name: string
  readonly shape: readonly number[]
  /** Widths of a family are compared freely (FP32 with FP64), families are not. */
  readonly family: 'float' | 'integer' | 'boolean' | 'text'
  readonly rows: number
  readonly width: number
  readonly data: ArrayLike<Scalar>
}

/**
 * The output that `spec` names; undefined when the answer has none, or when it is not a scalar or a rectangular array
 * of scalars.
 */
export function outputOf(outputs: Outputs, spec: Pick<CompareSpec, 'output' | 'kind'>): OutputValue | undefined {
  if ('json' in outputs) return jsonOutput(outputs.json, spec)
  const tensor =
    spec.output === undefined ? outputs.tensors[0] : outputs.tensors.find(candidate => candidate.name === spec.output)
  if (tensor === undefined) return undefined
  const { name, shape, datatype, data } = tensor
  const family =
    datatype === 'BYTES' ? 'text' : datatype === 'BOOL' ? 'boolean' : datatype.startsWith('FP') ? 'float' : 'integer'
  // A ranking without a batch dimension is one list; any other one-dimensional tensor is one value a row.
  const rows = shape.length === 0 || (shape.length === 1 && spec.kind === 'ranking') ? 1 : shape[0]!
  return { name, shape, family, rows, width: rows === 0 ? 0 : data.length / rows, data }
}

/**
 * How an output is compared: as configured, else `threshold` means a label and `top` a ranking, else text, booleans and
 * integers are labels, floats with more than one value a row are probabilities and other floats are numbers. Text is
 * never compared as a number.
 */
export function kindOf(value: OutputValue, spec: Pick<CompareSpec, 'kind' | 'tolerance'>): CompareKind {
  const { kind, tolerance } = spec
  if (kind !== undefined) return value.family === 'text' && kind !== 'ranking' ? 'label' : kind
  if (tolerance.threshold !== undefined && value.family === 'float') return 'label'
  if (tolerance.top !== undefined && value.width > 1) return 'ranking'
  if (value.family !== 'float') return 'label'
  return value.width > 1 ? 'probabilities' : 'number'
}

/** Element `index` as a number; text is NaN. */
export function numeric(value: OutputValue, index: number): number {
  const element = value.data[index]
  return typeof element === 'number' ? element : typeof element === 'bigint' ? Number(element) : Number.NaN
}

/** Index of the greatest value of a row, the first of equals; −1 when every value is NaN. */
export function argmax(value: OutputValue, row: number): number {
  let best = -1
  for (let index = 0; index < value.width; index += 1) {
    const x = numeric(value, row * value.width + index)
    if (Number.isNaN(x)) continue
    if (best < 0 || x > numeric(value, row * value.width + best)) best = index
  }
  return best
}

/**
 * The label of a row: the value itself for text, booleans (0 or 1) and integers; for floats 1 or 0 by `threshold` (of a
 * single score or of the second of two probabilities), the greatest entry of a longer row, else the number itself.
 * undefined: the row is NaN.
 */
export function labelOf(value: OutputValue, row: number, tolerance: Tolerance): Scalar | undefined {
  const first = row * value.width
  if (value.width === 1) {
    if (value.family !== 'float') return value.data[first]
    const score = numeric(value, first)
    if (Number.isNaN(score)) return undefined
    return tolerance.threshold === undefined ? score : score >= tolerance.threshold ? 1 : 0
  }
  // Several labels a row agree only when all do.
  if (value.family !== 'float')
    return Array.from({ length: value.width }, (_, index) => String(value.data[first + index])).join(', ')
  if (value.width === 2 && tolerance.threshold !== undefined) {
    const score = numeric(value, first + 1)
    return Number.isNaN(score) ? undefined : score >= tolerance.threshold ? 1 : 0
  }
  const index = argmax(value, row)
  return index < 0 ? undefined : index
}

/** JSON rows: a scalar is one row, a list one value a row (one row for vectors), a list of lists one list a row. */
function jsonOutput(document: unknown, spec: Pick<CompareSpec, 'output' | 'kind'>): OutputValue | undefined {
  const pointer = spec.output ?? firstField(document)
  const found = valueAt(document, pointer.startsWith('/') || pointer === '' ? pointer : `/${escaped(pointer)}`)
  if (found === undefined) return undefined
  const shape: number[] = []
  for (let level = found; Array.isArray(level); level = level[0]) shape.push(level.length)
  const flat: unknown[] = []
  if (!flatten(found, shape, 0, flat)) return undefined
  const data: Scalar[] = []
  const kinds = new Set<string>()
  for (const element of flat) {
    // JSON has no NaN and no infinity: V2 servers write null for them.
    if (element === null) data.push(Number.NaN)
    else if (typeof element === 'number' || typeof element === 'string') data.push(element)
    else if (typeof element === 'boolean') data.push(Number(element))
    else return undefined
    if (element !== null) kinds.add(typeof element)
  }
  if (kinds.size > 1) return undefined
  const family = kinds.has('string') ? 'text' : kinds.has('boolean') ? 'boolean' : 'float'
  const vector = spec.kind === 'probabilities' || spec.kind === 'ranking' || spec.kind === 'label'
  const rows = shape.length === 0 || (shape.length === 1 && vector && family === 'float') ? 1 : shape[0]!
  const list = shape.length === 1 && spec.kind === 'ranking' ? 1 : rows
  return { name: pointer, shape, family, rows: list, width: list === 0 ? 0 : data.length / list, data }
}

function firstField(document: unknown): string {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return ''
  const [field] = Object.keys(document)
  return field === undefined ? '' : `/${escaped(field)}`
}

function escaped(field: string): string {
  return field.replaceAll('~', '~0').replaceAll('/', '~1')
}

function flatten(value: unknown, shape: readonly number[], depth: number, into: unknown[]): boolean {
  if (depth === shape.length) {
    into.push(value)
    return !Array.isArray(value)
  }
  if (!Array.isArray(value) || value.length !== shape[depth]) return false
  return value.every(element => flatten(element, shape, depth + 1, into))
}
