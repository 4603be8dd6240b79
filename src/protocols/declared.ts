// Fits the outputs of an answer whose protocol names no datatypes to what its server declares. Pure.
import { UNNAMED_OUTPUT } from './predictions.ts'
import type { Datatype, Tensor, TensorData, TensorShape } from './tensor.ts'

/**
 * Outputs with the names and datatypes that a server declares: a single output that came without a name takes the only
 * declared one's, and numbers that JSON gave as FP64 become what they are where nothing is lost by it.
 */
export function asDeclared(outputs: readonly Tensor[], declared: readonly TensorShape[]): readonly Tensor[] {
  const [only] = outputs
  const isUnnamed = outputs.length === 1 && only!.name === UNNAMED_OUTPUT && declared.length === 1
  return outputs.map(output => {
    const name = isUnnamed ? declared[0]!.name : output.name
    const spec = declared.find(each => each.name === name)
    return spec === undefined ? output : { ...retyped(output, spec.datatype), name }
  })
}

/** A single output without a name under this one. */
export function namedAs(outputs: readonly Tensor[], name: string): readonly Tensor[] {
  return outputs.length === 1 && outputs[0]!.name === UNNAMED_OUTPUT ? [{ ...outputs[0]!, name }] : outputs
}

function retyped(tensor: Tensor, datatype: Datatype): Tensor {
  const { data } = tensor
  if (tensor.datatype !== 'FP64' || !(data instanceof Float64Array)) return tensor
  const values = CONVERSIONS[datatype]?.(data)
  return values === undefined ? tensor : { ...tensor, datatype, data: values }
}

const isWhole = (data: Float64Array) => data.every(Number.isSafeInteger)

const CONVERSIONS: Partial<Record<Datatype, (data: Float64Array) => TensorData | undefined>> = {
  FP32: data => Float32Array.from(data),
  FP16: data => Float16Array.from(data),
  INT64: data => (isWhole(data) ? BigInt64Array.from(data, BigInt) : undefined),
  UINT64: data => (isWhole(data) && data.every(value => value >= 0) ? BigUint64Array.from(data, BigInt) : undefined),
  INT32: data => same(data, Int32Array.from(data)),
  UINT32: data => same(data, Uint32Array.from(data)),
  INT16: data => same(data, Int16Array.from(data)),
  UINT16: data => same(data, Uint16Array.from(data)),
  INT8: data => same(data, Int8Array.from(data)),
  UINT8: data => same(data, Uint8Array.from(data)),
  BOOL: data => same(data, Uint8Array.from(data, Number)),
}

/** The converted values where each of them is what it was. */
function same<T extends ArrayLike<number>>(data: Float64Array, converted: T): T | undefined {
  return data.every((value, index) => value === converted[index]) ? converted : undefined
}
