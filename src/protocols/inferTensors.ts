// The tensors of one V2 message, each in JSON or as raw bytes behind it: what form each has, and that none is left over.
import { UnderstudyError } from '../errors.ts'
import { decodeRaw, encodeRaw } from './binaryTensors.ts'
import type { DecodeLimits } from './codec.ts'
import { isObject, member } from './json.ts'
import { decodeData, encodeData, ROUNDED, shownShape } from './jsonTensors.ts'
import { holdsRounded, parametersText, passedOn, tensorParametersOf } from './parameters.ts'
import { shorten } from './quote.ts'
import { DATATYPES, type Datatype, elementCount, type Tensor, type TensorData } from './tensor.ts'

/** A message whose JSON is read and whose tensors are not. */
export interface RawMessage {
  readonly json: object
  /** The same JSON with integers beyond ±2^53 as BigInts; reads it again. */
  readonly exact: () => object
  /** What follows the JSON. */
  readonly raw: Uint8Array
  /** Whether the JSON's length was told: without it nothing can follow. */
  readonly isLengthTold: boolean
}

/**
 * All tensors of a message, in its order.
 * @param key where they stand; what stands under `outputs` is an answer, whose null and NaN are allowed
 * @throws BAD_TENSOR, BAD_REQUEST, NOT_SUPPORTED
 */
export function decodeTensors(message: RawMessage, key: 'inputs' | 'outputs', limits: DecodeLimits): readonly Tensor[] {
  const raws = member(message.json, key) as readonly unknown[]
  let taken = 0
  const tensors = raws.map((raw, index) => {
    const head = tensorHead(raw, key, index, limits)
    const again = () => (member(message.exact(), key) as readonly object[])[index]!
    const size = head.parameters && member(head.parameters, 'binary_data_size')
    if (size === undefined) return tensorOf(head, jsonData(head, again), again)
    const bytes = rawBytes(message, head, size, taken)
    taken += bytes.length
    return tensorOf(head, decodeRaw(bytes, head.datatype, head.count, head.label, head.isAnswer), again)
  })
  const left = message.raw.length - taken
  if (left > 0)
    throw new UnderstudyError('BAD_REQUEST', `${left} bytes are left over behind the JSON and its raw tensors`)
  return tensors
}

/** A tensor as JSON text, its values in it. */
export function jsonTensorText(tensor: Tensor): { readonly text: string; readonly allFinite: boolean } {
  const { text, allFinite } = encodeData(tensor)
  return { text: `${headText(tensor)}${parametersText(tensor.parameters)},"data":${text}}`, allFinite }
}

/** A tensor as JSON text without values, and the values as raw bytes (a view of the tensor's memory). */
export function rawTensorText(tensor: Tensor): { readonly text: string; readonly bytes: Uint8Array } {
  const bytes = encodeRaw(tensor)
  const parameters = parametersText(tensor.parameters, { binary_data_size: bytes.length })
  return { text: `${headText(tensor)}${parameters}}`, bytes }
}

function headText({ name, datatype, shape }: Tensor): string {
  return `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join(',')}]`
}

/** All of a tensor but its values. */
export interface TensorHead {
  /** Such as `input "x"`. */
  readonly label: string
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
  readonly count: number
  readonly parameters: Record<string, unknown> | undefined
  /** undefined: none, which null means too. */
  readonly data: unknown
  readonly isAnswer: boolean
}

/** @throws BAD_TENSOR, NOT_SUPPORTED */
export function tensorHead(
  raw: unknown,
  key: 'inputs' | 'outputs',
  index: number,
  { elements }: DecodeLimits,
): TensorHead {
  const where = `${key}[${index}]`
  if (!isObject(raw)) throw new UnderstudyError('BAD_TENSOR', `${where} must be an object`)
  const name = member(raw, 'name')
  if (typeof name !== 'string' || name === '') throw new UnderstudyError('BAD_TENSOR', `${where} has no "name"`)
  const label = `${key === 'outputs' ? 'output' : 'input'} "${shorten(name)}"`
  const datatype = member(raw, 'datatype')
  if (!isDatatype(datatype)) {
    const shown = shorten(JSON.stringify(datatype) ?? 'none')
    throw new UnderstudyError('BAD_TENSOR', `${label} has unknown datatype ${shown}`)
  }
  const shape = member(raw, 'shape')
  if (!isShape(shape)) throw new UnderstudyError('BAD_TENSOR', `${label} needs a "shape" of non-negative integers`)
  const count = elementCount(shape)
  // Dimensions of which one is 0 and others are huge multiply to NaN.
  if (!(count <= elements)) throw new UnderstudyError('BAD_TENSOR', `${label} has more than ${elements} elements`)
  const parameters = tensorParametersOf(raw, label)
  const data = member(raw, 'data') ?? undefined
  return { label, name, datatype, shape, count, parameters, data, isAnswer: key === 'outputs' }
}

function isDatatype(value: unknown): value is Datatype {
  return (DATATYPES as readonly unknown[]).includes(value)
}

function isShape(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(dimension => Number.isSafeInteger(dimension) && dimension >= 0)
}

/** @param again reads the tensor's JSON with exact integers */
function jsonData({ label, datatype, shape, count, data, isAnswer }: TensorHead, again: () => object): TensorData {
  if (!Array.isArray(data)) throw new UnderstudyError('BAD_TENSOR', `${label} needs "data", an array`)
  const values = decodeData(data, datatype, shape, count, label, isAnswer)
  if (values !== ROUNDED) return values
  const exact = decodeData(member(again(), 'data') as unknown[], datatype, shape, count, label, isAnswer)
  // Written so that its digits are not known, such as 1e30.
  if (exact === ROUNDED) throw new UnderstudyError('BAD_TENSOR', `${label} holds a value outside its datatype`)
  return exact
}

function tensorOf(
  { name, datatype, shape, parameters, label }: TensorHead,
  data: TensorData,
  again: () => object,
): Tensor {
  if (parameters === undefined) return { name, datatype, shape, data }
  const exact = holdsRounded(parameters) ? tensorParametersOf(again(), label) : parameters
  return { name, datatype, shape, data, ...passedOn(exact) }
}

/** The next `size` bytes behind the JSON, of which `taken` are read. */
function rawBytes({ raw, isLengthTold }: RawMessage, head: TensorHead, size: unknown, taken: number): Uint8Array {
  const { label, shape, data } = head
  if (data !== undefined) {
    throw new UnderstudyError('BAD_TENSOR', `${label} has both "data" and a binary_data_size`)
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    const shown = shorten(JSON.stringify(size) ?? '')
    throw new UnderstudyError('BAD_TENSOR', `${label} has a binary_data_size of ${shown}, which is no number of bytes`)
  }
  const left = raw.length - taken
  if (size > left) {
    const why = isLengthTold ? `of [${shownShape(shape)}]` : '(the field Inference-Header-Content-Length is missing)'
    throw new UnderstudyError('BAD_TENSOR', `${label} ${why} has a binary_data_size of ${size}, ${left} bytes are left`)
  }
  return raw.subarray(taken, taken + size)
}
