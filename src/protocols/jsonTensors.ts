// Values of tensors in V2's JSON form: the array "data" ↔ flat values. Knows neither names nor bytes.
import { UnderstudyError } from '../errors.ts'
import { shorten, wrongValue } from './quote.ts'
import { type Datatype, ELEMENT_ARRAYS, type Tensor, type TensorData } from './tensor.ts'

/** A 64-bit tensor holds a number that JSON.parse rounded: parse again with exact integers. */
export const ROUNDED = Symbol('rounded')

/**
 * The values of `data`, flat or nested as `shape` says.
 * @param label such as `input "x"`
 * @param count elements of the shape
 * @param isAnswer in an answer null is NaN, and a number may be too large for FP32
 * @throws BAD_TENSOR that names the tensor
 */
export function decodeData(
  data: readonly unknown[],
  datatype: Datatype,
  shape: readonly number[],
  count: number,
  label: string,
  isAnswer: boolean,
): TensorData | typeof ROUNDED {
  if (datatype === 'FP16') {
    throw new UnderstudyError('BAD_TENSOR', `${label} is FP16, which JSON cannot carry: send it as binary data`)
  }
  const isNested = Array.isArray(data[0])
  if (isNested && !isNestedAs(data, shape, 0)) {
    throw new UnderstudyError('BAD_TENSOR', `${label}: its nested data does not have the shape [${shownShape(shape)}]`)
  }
  const flat = isNested ? (data.flat(shape.length) as unknown[]) : data
  if (flat.length !== count) {
    const shown = shownShape(shape)
    throw new UnderstudyError('BAD_TENSOR', `${label} has ${flat.length} values, its shape [${shown}] needs ${count}`)
  }
  switch (datatype) {
    case 'BYTES':
      return decodeTexts(flat, label)
    case 'BOOL':
      return decodeBooleans(flat, label)
    case 'FP32':
    case 'FP64':
      return decodeFloats(flat, datatype, label, isAnswer)
    case 'INT64':
    case 'UINT64':
      return decode64(flat, datatype, label)
    default:
      return decodeIntegers(flat, datatype, label)
  }
}

/** `"data"` of a tensor as JSON text. JSON has no NaN or infinity: such values become null. @throws BAD_TENSOR for FP16 */
export function encodeData({ name, datatype, data }: Tensor): { readonly text: string; readonly allFinite: boolean } {
  switch (datatype) {
    case 'FP16':
      // 400 and not 501, as Triton answers: the same request succeeds when it asks for binary data.
      throw new UnderstudyError(
        'BAD_TENSOR',
        `output "${name}" is FP16, which JSON cannot carry: ask for it with the parameter binary_data or binary_data_output`,
      )
    case 'BYTES':
      return { text: JSON.stringify(data), allFinite: true }
    case 'BOOL':
      return { text: `[${Array.from(data as Uint8Array, value => value !== 0).join(',')}]`, allFinite: true }
    case 'FP32':
    case 'FP64':
      return encodeFloats(data as Float64Array)
    default:
      return { text: `[${data.join(',')}]`, allFinite: true }
  }
}

/** A shape for a message: a stranger's may have a million dimensions. */
export function shownShape(shape: readonly number[]): string {
  return shorten(shape.slice(0, 80).join(','))
}

/** Whether arrays nest exactly as the shape says, from axis `axis` on. */
function isNestedAs(value: unknown, shape: readonly number[], axis: number): boolean {
  if (axis === shape.length) return !Array.isArray(value)
  return Array.isArray(value) && value.length === shape[axis] && value.every(each => isNestedAs(each, shape, axis + 1))
}

function decodeTexts(flat: readonly unknown[], label: string): readonly string[] {
  for (const value of flat) if (typeof value !== 'string') throw wrongValue(label, 'BYTES', value)
  return flat as readonly string[]
}

function decodeBooleans(flat: readonly unknown[], label: string): Uint8Array {
  const values = new Uint8Array(flat.length)
  for (let index = 0; index < flat.length; index++) {
    const value = flat[index]
    if (value === true || value === 1) values[index] = 1
    else if (value !== false && value !== 0) throw wrongValue(label, 'BOOL', value)
  }
  return values
}

function decodeFloats(flat: readonly unknown[], datatype: 'FP32' | 'FP64', label: string, isAnswer: boolean) {
  const values = datatype === 'FP32' ? new Float32Array(flat.length) : new Float64Array(flat.length)
  for (let index = 0; index < flat.length; index++) {
    const value = flat[index]
    if (typeof value === 'number' && Number.isFinite(value)) values[index] = value
    else if (isAnswer && value === null) values[index] = Number.NaN
    else if (typeof value === 'bigint') values[index] = Number(value)
    else throw wrongValue(label, datatype, value)
    // 1e39 is a finite JSON number and an infinite FP32.
    if (!isAnswer && !Number.isFinite(values[index])) throw wrongValue(label, datatype, value)
  }
  return values
}

function decode64(flat: readonly unknown[], datatype: 'INT64' | 'UINT64', label: string): TensorData | typeof ROUNDED {
  const values = datatype === 'INT64' ? new BigInt64Array(flat.length) : new BigUint64Array(flat.length)
  for (let index = 0; index < flat.length; index++) {
    const value = flat[index]
    let exact: bigint
    if (typeof value === 'bigint') exact = value
    else if (typeof value !== 'number' || !Number.isInteger(value)) throw wrongValue(label, datatype, value)
    else if (Number.isSafeInteger(value)) exact = BigInt(value)
    else return ROUNDED
    const fits = datatype === 'INT64' ? BigInt.asIntN(64, exact) === exact : BigInt.asUintN(64, exact) === exact
    if (!fits) throw wrongValue(label, datatype, value)
    values[index] = exact
  }
  return values
}

type SmallInteger = 'UINT8' | 'INT8' | 'UINT16' | 'INT16' | 'UINT32' | 'INT32'

const RANGES: Readonly<Record<SmallInteger, readonly [least: number, most: number]>> = {
  UINT8: [0, 255],
  INT8: [-128, 127],
  UINT16: [0, 65_535],
  INT16: [-32_768, 32_767],
  UINT32: [0, 4_294_967_295],
  INT32: [-2_147_483_648, 2_147_483_647],
}

function decodeIntegers(flat: readonly unknown[], datatype: SmallInteger, label: string): TensorData {
  const [least, most] = RANGES[datatype]
  const values = new ELEMENT_ARRAYS[datatype](flat.length) as Int32Array
  for (let index = 0; index < flat.length; index++) {
    const value = flat[index]
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      throw wrongValue(label, datatype, value)
    }
    values[index] = value
  }
  return values
}

function encodeFloats(data: Float64Array): { readonly text: string; readonly allFinite: boolean } {
  let allFinite = true
  let text = ''
  for (let index = 0; index < data.length; index++) {
    const value = data[index] as number
    if (index > 0) text += ','
    if (Number.isFinite(value)) text += value
    else {
      allFinite = false
      text += 'null'
    }
  }
  return { text: `[${text}]`, allFinite }
}
