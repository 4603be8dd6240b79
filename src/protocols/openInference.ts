// Open Inference Protocol V2 over REST, JSON form: bytes ↔ tensors. Knows no version, no model and no network.
// Wire format: kserve/open-inference-protocol, specification/protocol/inference_rest.md.
import { UnderstudyError } from '../errors.ts'
import type { DecodeLimits, InferResponse } from './codec.ts'
import { isObject, member, parseJson, parseJsonExact } from './json.ts'
import { DATATYPES, type Datatype, elementCount, type Tensor, type TensorData, type TensorShape } from './tensor.ts'

/** A request in JSON form. */
export interface InferRequest {
  readonly id: string | undefined
  readonly inputs: readonly Tensor[]
  /** Names of the outputs asked for, in the order asked; undefined: all. */
  readonly outputs: readonly string[] | undefined
}

/**
 * The inference request in `body`.
 * @throws BAD_JSON, BAD_REQUEST (not of the protocol's form), BAD_TENSOR (names the tensor), NOT_SUPPORTED
 */
export function decodeInferRequest(body: Uint8Array, limits: DecodeLimits): InferRequest {
  const json = parseJson(body, limits.depth)
  if (!isObject(json)) throw new UnderstudyError('BAD_REQUEST', 'expected a JSON object with "inputs"')
  const id = member(json, 'id')
  if (id !== undefined && typeof id !== 'string') throw new UnderstudyError('BAD_REQUEST', '"id" must be a string')
  const rawInputs = member(json, 'inputs')
  if (!Array.isArray(rawInputs) || rawInputs.length === 0) {
    throw new UnderstudyError('BAD_REQUEST', '"inputs" must be a non-empty array of tensors')
  }
  let exact: unknown
  const inputs = rawInputs.map((raw, index) => {
    const tensor = decodeTensor(raw, `inputs[${index}]`, limits.elements)
    if (tensor !== ROUNDED) return tensor
    exact ??= parseJsonExact(body)
    const again = decodeTensor((exact as { inputs: unknown[] }).inputs[index], `inputs[${index}]`, limits.elements)
    if (again === ROUNDED) throw outsideDatatype('input', raw)
    return again
  })
  return { id, inputs, outputs: requestedOutputs(member(json, 'outputs')) }
}

/** Checks a request against a model's signature. @throws BAD_TENSOR that names the input and what is wrong with it */
export function checkInputs(inputs: readonly Tensor[], signature: readonly TensorShape[]): void {
  const names = new Set<string>()
  for (const input of inputs) {
    const expected = signature.find(spec => spec.name === input.name)
    if (expected === undefined) {
      const known = signature.map(spec => spec.name).join(', ')
      throw new UnderstudyError('BAD_TENSOR', `unknown input "${shorten(input.name)}"; the model takes ${known}`)
    }
    if (names.has(input.name)) throw new UnderstudyError('BAD_TENSOR', `input "${input.name}" is given twice`)
    names.add(input.name)
    if (input.datatype !== expected.datatype) {
      throw new UnderstudyError(
        'BAD_TENSOR',
        `input "${input.name}" has datatype ${input.datatype}, expected ${expected.datatype}`,
      )
    }
    if (!shapeFits(input.shape, expected.shape)) {
      throw new UnderstudyError(
        'BAD_TENSOR',
        `input "${input.name}" has shape [${input.shape}], expected [${expected.shape}]`,
      )
    }
    if (elementCount(input.shape) === 0) {
      throw new UnderstudyError('BAD_TENSOR', `input "${input.name}" has shape [${input.shape}] and so no values`)
    }
  }
  for (const spec of signature) {
    if (!names.has(spec.name)) throw new UnderstudyError('BAD_TENSOR', `input "${spec.name}" is missing`)
  }
  checkRows(inputs, signature)
}

/** A first dimension that is dynamic is the batch: a runtime that is handed two batch sizes fails deep inside a model. */
function checkRows(inputs: readonly Tensor[], signature: readonly TensorShape[]): void {
  let first: Tensor | undefined
  for (const input of inputs) {
    if (signature.find(spec => spec.name === input.name)?.shape[0] !== -1) continue
    first ??= input
    if (input.shape[0] !== first.shape[0]) {
      throw new UnderstudyError(
        'BAD_TENSOR',
        `input "${input.name}" has ${input.shape[0]} rows, input "${first.name}" has ${first.shape[0]}`,
      )
    }
  }
}

/** Checks that every requested output exists. @throws BAD_TENSOR that names the output */
export function checkRequestedOutputs(outputs: readonly string[] | undefined, signature: readonly TensorShape[]): void {
  for (const name of outputs ?? []) {
    if (!signature.some(spec => spec.name === name)) {
      const known = signature.map(spec => spec.name).join(', ')
      throw new UnderstudyError('BAD_TENSOR', `unknown output "${shorten(name)}"; the model gives ${known}`)
    }
  }
}

/**
 * The answer as JSON text. JSON has no NaN or infinity: such values become null, and the response parameter
 * `non_finite` names the outputs that hold them.
 */
export function encodeInferResponse(response: InferResponse): string {
  const nonFinite: string[] = []
  const outputs = response.outputs.map(tensor => {
    const encoded = encodeTensor(tensor)
    if (encoded.nonFinite) nonFinite.push(tensor.name)
    return encoded.json
  })
  const head = [`"model_name":${JSON.stringify(response.modelName)}`]
  if (response.modelVersion !== undefined) head.push(`"model_version":${JSON.stringify(response.modelVersion)}`)
  if (response.id !== undefined) head.push(`"id":${JSON.stringify(response.id)}`)
  if (nonFinite.length > 0) head.push(`"parameters":{"non_finite":${JSON.stringify(nonFinite.join(','))}}`)
  return `{${head.join(',')},"outputs":[${outputs.join(',')}]}`
}

/** A request as JSON text, for an upstream. Inputs must be finite. */
export function encodeInferRequest(request: InferRequest): string {
  const parts: string[] = []
  if (request.id !== undefined) parts.push(`"id":${JSON.stringify(request.id)}`)
  parts.push(`"inputs":[${request.inputs.map(tensor => encodeTensor(tensor).json).join(',')}]`)
  if (request.outputs !== undefined) {
    parts.push(`"outputs":${JSON.stringify(request.outputs.map(name => ({ name })))}`)
  }
  return `{${parts.join(',')}}`
}

/** The tensors of an answer; null becomes NaN. @throws BAD_JSON, BAD_REQUEST, BAD_TENSOR when it is not a V2 answer */
export function decodeInferResponse(body: Uint8Array, limits: DecodeLimits): InferResponse {
  const json = parseJson(body, limits.depth)
  if (!isObject(json)) throw new UnderstudyError('BAD_REQUEST', 'the answer is not a JSON object')
  const rawOutputs = member(json, 'outputs')
  if (!Array.isArray(rawOutputs)) throw new UnderstudyError('BAD_REQUEST', 'the answer has no "outputs"')
  let exact: unknown
  const outputs = rawOutputs.map((raw, index) => {
    const tensor = decodeTensor(raw, `outputs[${index}]`, limits.elements, true)
    if (tensor !== ROUNDED) return tensor
    exact ??= parseJsonExact(body)
    const again = decodeTensor(
      (exact as { outputs: unknown[] }).outputs[index],
      `outputs[${index}]`,
      limits.elements,
      true,
    )
    if (again === ROUNDED) throw outsideDatatype('output', raw)
    return again
  })
  const name = member(json, 'model_name')
  const version = member(json, 'model_version')
  const id = member(json, 'id')
  return {
    modelName: typeof name === 'string' ? name : '',
    modelVersion: typeof version === 'string' ? version : undefined,
    id: typeof id === 'string' ? id : undefined,
    outputs,
  }
}

/** An error body as the protocol has it. */
export function encodeError(message: string): string {
  return JSON.stringify({ error: message })
}

/** A 64-bit tensor holds a number that JSON.parse rounded: parse again with exact integers. */
const ROUNDED = Symbol('rounded')

function decodeTensor(raw: unknown, where: string, maxElements: number, isAnswer?: boolean): Tensor | typeof ROUNDED {
  if (!isObject(raw)) throw new UnderstudyError('BAD_TENSOR', `${where} must be an object`)
  const name = member(raw, 'name')
  if (typeof name !== 'string' || name === '') throw new UnderstudyError('BAD_TENSOR', `${where} has no "name"`)
  const label = `${isAnswer ? 'output' : 'input'} "${shorten(name)}"`
  const datatype = member(raw, 'datatype')
  if (typeof datatype !== 'string' || !(DATATYPES as readonly string[]).includes(datatype)) {
    throw new UnderstudyError(
      'BAD_TENSOR',
      `${label} has unknown datatype ${shorten(JSON.stringify(datatype) ?? 'none')}`,
    )
  }
  if (datatype === 'FP16') throw new UnderstudyError('BAD_TENSOR', `${label} is FP16, which JSON cannot carry`)
  const shape = member(raw, 'shape')
  if (!Array.isArray(shape) || !shape.every(dimension => Number.isSafeInteger(dimension) && dimension >= 0)) {
    throw new UnderstudyError('BAD_TENSOR', `${label} needs a "shape" of non-negative integers`)
  }
  const parameters = member(raw, 'parameters')
  if (isObject(parameters) && Object.hasOwn(parameters, 'binary_data_size')) {
    throw new UnderstudyError('NOT_SUPPORTED', `${label}: the binary tensor extension is not supported yet`)
  }
  const data = member(raw, 'data')
  if (!Array.isArray(data)) throw new UnderstudyError('BAD_TENSOR', `${label} needs "data", an array`)
  const count = elementCount(shape as number[])
  if (count > maxElements) throw new UnderstudyError('BAD_TENSOR', `${label} has more than ${maxElements} elements`)
  const nested = data.some(Array.isArray)
  if (nested && !isNestedAs(data, shape as number[], 0)) {
    throw new UnderstudyError('BAD_TENSOR', `${label}: its nested data does not have the shape [${shape}]`)
  }
  const flat = nested ? (data.flat(shape.length) as unknown[]) : data
  if (flat.length !== count) {
    throw new UnderstudyError('BAD_TENSOR', `${label} has ${flat.length} values, its shape [${shape}] needs ${count}`)
  }
  const values = decodeData(flat, datatype as Datatype, label, isAnswer === true)
  return values === ROUNDED ? ROUNDED : { name, datatype: datatype as Datatype, shape: shape as number[], data: values }
}

/** Whether arrays nest exactly as the shape says, from axis `axis` on. */
function isNestedAs(value: unknown, shape: readonly number[], axis: number): boolean {
  if (axis === shape.length) return !Array.isArray(value)
  return Array.isArray(value) && value.length === shape[axis] && value.every(each => isNestedAs(each, shape, axis + 1))
}

const INTEGER_RANGES: Partial<Record<Datatype, readonly [number, number]>> = {
  UINT8: [0, 255],
  INT8: [-128, 127],
  UINT16: [0, 65_535],
  INT16: [-32_768, 32_767],
  UINT32: [0, 4_294_967_295],
  INT32: [-2_147_483_648, 2_147_483_647],
}

function decodeData(
  flat: unknown[],
  datatype: Datatype,
  label: string,
  isAnswer: boolean,
): TensorData | typeof ROUNDED {
  switch (datatype) {
    case 'BYTES':
      for (const value of flat) if (typeof value !== 'string') throw wrongValue(label, datatype, value)
      return flat as string[]
    case 'BOOL':
      return Uint8Array.from(flat, value => {
        if (value === true || value === 1) return 1
        if (value === false || value === 0) return 0
        throw wrongValue(label, datatype, value)
      })
    case 'FP32':
    case 'FP64': {
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
    case 'INT64':
    case 'UINT64':
      return decode64(flat, datatype, label)
    default: {
      const [least, most] = INTEGER_RANGES[datatype]!
      for (const value of flat) {
        if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
          throw wrongValue(label, datatype, value)
        }
      }
      return integerArray(datatype, flat as number[])
    }
  }
}

/** A 64-bit integer written so that its digits are not known, such as 1e30. */
function outsideDatatype(what: 'input' | 'output', raw: unknown): UnderstudyError {
  const name = isObject(raw) ? String(member(raw, 'name')) : ''
  return new UnderstudyError('BAD_TENSOR', `${what} "${shorten(name)}" holds a value outside its datatype`)
}

function decode64(flat: unknown[], datatype: 'INT64' | 'UINT64', label: string): TensorData | typeof ROUNDED {
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

function integerArray(datatype: Datatype, values: number[]): TensorData {
  switch (datatype) {
    case 'UINT8':
      return Uint8Array.from(values)
    case 'INT8':
      return Int8Array.from(values)
    case 'UINT16':
      return Uint16Array.from(values)
    case 'INT16':
      return Int16Array.from(values)
    case 'UINT32':
      return Uint32Array.from(values)
    default:
      return Int32Array.from(values)
  }
}

function encodeTensor(tensor: Tensor): { json: string; nonFinite: boolean } {
  const head = `{"name":${JSON.stringify(tensor.name)},"datatype":"${tensor.datatype}","shape":[${tensor.shape.join(',')}],"data":`
  const { data } = tensor
  if (tensor.datatype === 'BYTES') return { json: `${head}${JSON.stringify(data)}}`, nonFinite: false }
  if (tensor.datatype === 'BOOL') {
    return { json: `${head}[${Array.from(data as Uint8Array, value => value !== 0).join(',')}]}`, nonFinite: false }
  }
  if (tensor.datatype !== 'FP32' && tensor.datatype !== 'FP64' && tensor.datatype !== 'FP16') {
    return { json: `${head}[${data.join(',')}]}`, nonFinite: false }
  }
  let nonFinite = false
  let text = ''
  for (let index = 0; index < data.length; index++) {
    const value = data[index] as number
    if (index > 0) text += ','
    if (Number.isFinite(value)) text += value
    else {
      nonFinite = true
      text += 'null'
    }
  }
  return { json: `${head}[${text}]}`, nonFinite }
}

function requestedOutputs(raw: unknown): readonly string[] | undefined {
  if (raw === undefined || (Array.isArray(raw) && raw.length === 0)) return undefined
  if (!Array.isArray(raw)) throw new UnderstudyError('BAD_REQUEST', '"outputs" must be an array')
  return raw.map((output, index) => {
    const name = isObject(output) ? member(output, 'name') : undefined
    if (typeof name !== 'string') throw new UnderstudyError('BAD_REQUEST', `outputs[${index}] has no "name"`)
    const parameters = isObject(output) ? member(output, 'parameters') : undefined
    if (isObject(parameters) && member(parameters, 'binary_data') === true) {
      throw new UnderstudyError('NOT_SUPPORTED', `outputs[${index}]: the binary tensor extension is not supported yet`)
    }
    return name
  })
}

function shapeFits(shape: readonly number[], expected: readonly number[]): boolean {
  if (shape.length !== expected.length) return false
  for (let axis = 0; axis < shape.length; axis++) {
    if (expected[axis] !== -1 && shape[axis] !== expected[axis]) return false
  }
  return true
}

function wrongValue(label: string, datatype: Datatype, value: unknown): UnderstudyError {
  const shown = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value))
  return new UnderstudyError('BAD_TENSOR', `${label} holds ${shorten(shown)}, which is not a ${datatype} value`)
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`
}
