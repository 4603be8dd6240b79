// Nested JSON lists ↔ flat tensors. Knows how a shape is read, fitted to a signature and written, not what values mean.
import { UnderstudyError } from '../errors.ts'
import { elementCount, type Tensor, type TensorShape } from './tensor.ts'
import { inferDatatype, type Reading, readValues, shorten } from './values.ts'

/**
 * The tensor that `value`, a scalar or nested lists, spells. With `spec` its datatype and shape must be those; a list of
 * n scalars is taken for [n,1] and the other way round, and an empty list for no rows of any shape. Without it the
 * datatype is inferred.
 * @param what the word before the name in errors
 * @throws BAD_TENSOR that names the tensor
 */
export function readTensor(
  value: unknown,
  name: string,
  spec: TensorShape | undefined,
  reading: Reading,
  what: 'input' | 'output' | 'column',
): Tensor {
  const label = `${what} "${shorten(name)}"`
  const shape: number[] = []
  for (let level = value; Array.isArray(level); level = level[0]) shape.push(level.length)
  const count = elementCount(shape)
  if (count > reading.elements) {
    throw new UnderstudyError('BAD_TENSOR', `${label} has more than ${reading.elements} elements`)
  }
  const flat: unknown[] = []
  if (!flatten(value, shape, 0, flat)) {
    throw new UnderstudyError('BAD_TENSOR', `${label} is ragged: its lists do not all have the shape [${shape}]`)
  }
  const datatype = spec?.datatype ?? inferDatatype(flat, reading, () => label)
  const data = readValues(flat, datatype, reading, () => label)
  const fitted = spec === undefined ? shape : fitShape(shape, spec.shape)
  if (fitted === undefined) {
    throw new UnderstudyError('BAD_TENSOR', `${label} has shape [${shape}], expected [${spec?.shape}]`)
  }
  return { name, datatype, shape: fitted, data }
}

/** Appends the leaves of `value` to `into`; false when its lists do not nest exactly as the shape says. */
function flatten(value: unknown, shape: readonly number[], axis: number, into: unknown[]): boolean {
  if (axis === shape.length) {
    into.push(value)
    return !Array.isArray(value)
  }
  if (!Array.isArray(value) || value.length !== shape[axis]) return false
  if (axis < shape.length - 1) return value.every(each => flatten(each, shape, axis + 1, into))
  for (let index = 0; index < value.length; index++) {
    const leaf: unknown = value[index]
    if (Array.isArray(leaf)) return false
    into.push(leaf)
  }
  return true
}

/**
 * `shape` as `expected` (-1 is dynamic) has it, without moving a value: [n] for [n,1] and the other way round, no rows of
 * any shape for an empty list. undefined: it does not fit.
 */
export function fitShape(shape: readonly number[], expected: readonly number[]): readonly number[] | undefined {
  const fitted =
    expected.length === 2 && expected[1] === 1 && shape.length === 1
      ? [shape[0]!, 1]
      : expected.length === 1 && shape.length === 2 && shape[1] === 1
        ? [shape[0]!]
        : shape.length === 1 && shape[0] === 0
          ? expected.map((dimension, axis) => (axis === 0 ? 0 : Math.max(dimension, 0)))
          : shape
  const fits =
    fitted.length === expected.length &&
    expected.every((dimension, axis) => dimension === -1 || fitted[axis] === dimension)
  return fits ? fitted : undefined
}

/** How elements are written. */
export interface Writing {
  /** What NaN becomes: `null`, or it is refused. An infinity becomes null only where `infinity` says so. */
  readonly nan: 'null' | 'refused'
  readonly infinity: 'null' | 'refused'
  /** Text of tensors whose name ends in `_bytes` is written as TensorFlow Serving's `{"b64": "…"}`. */
  readonly base64: boolean
}

/** The tensor as JSON text, nested as its shape says. @throws NOT_SUPPORTED for numbers that may not be written */
export function tensorText(tensor: Tensor, writing: Writing): string {
  return nest(elementTexts(tensor, writing), tensor.shape, 0, 0)
}

/** JSON text of each row, the first dimension. @throws NOT_SUPPORTED as {@link tensorText} */
export function rowTexts(tensor: Tensor, writing: Writing): string[] {
  const elements = elementTexts(tensor, writing)
  const width = elementCount(tensor.shape.slice(1))
  return Array.from({ length: tensor.shape[0] ?? 1 }, (_, row) => nest(elements, tensor.shape, 1, row * width))
}

function nest(elements: readonly string[], shape: readonly number[], axis: number, start: number): string {
  if (axis >= shape.length) return elements[start] ?? 'null'
  const length = shape[axis]!
  if (axis === shape.length - 1) return `[${elements.slice(start, start + length).join(',')}]`
  const width = elementCount(shape.slice(axis + 1))
  const parts: string[] = []
  for (let index = 0; index < length; index++) parts.push(nest(elements, shape, axis + 1, start + index * width))
  return `[${parts.join(',')}]`
}

function elementTexts(tensor: Tensor, writing: Writing): string[] {
  const { data, datatype } = tensor
  const texts = new Array<string>(data.length)
  const base64 = writing.base64 && tensor.name.endsWith('_bytes')
  for (let index = 0; index < data.length; index++) {
    const value = data[index]!
    if (typeof value === 'string') {
      texts[index] = base64 ? `{"b64":"${Buffer.from(value).toString('base64')}"}` : JSON.stringify(value)
    } else if (typeof value === 'bigint') texts[index] = String(value)
    else if (datatype === 'BOOL') texts[index] = value === 0 ? 'false' : 'true'
    else if (datatype.startsWith('FP')) texts[index] = floatText(value, tensor.name, writing)
    else texts[index] = String(value)
  }
  return texts
}

/** Floats keep a fraction, as TensorFlow Serving and Python write them: it is all that tells 1.0 from an integer. */
function floatText(value: number, name: string, writing: Writing): string {
  if (Number.isInteger(value)) {
    const text = Object.is(value, -0) ? '-0' : String(value)
    return text.includes('e') ? text : `${text}.0`
  }
  if (Number.isFinite(value)) return String(value)
  if ((Number.isNaN(value) ? writing.nan : writing.infinity) === 'null') return 'null'
  throw new UnderstudyError('NOT_SUPPORTED', `"${shorten(name)}" holds ${value}, which JSON cannot carry`)
}
