// Reads the signature of a model from TensorFlow Serving's metadata. Knows no other protocol's metadata.
// Format: GetModelMetadataResponse as JSON, tensorflow/serving apis/get_model_metadata.proto.
import type { DecodeLimits, Signature } from './codec.ts'
import { isObject, member, parseJson } from './json.ts'
import type { Datatype, TensorShape } from './tensor.ts'

/** Types that have a counterpart; complex numbers, quantized ones, bfloat16 and resources have none. */
const DATATYPES: ReadonlyMap<unknown, Datatype> = new Map([
  ['DT_BOOL', 'BOOL'],
  ['DT_UINT8', 'UINT8'],
  ['DT_UINT16', 'UINT16'],
  ['DT_UINT32', 'UINT32'],
  ['DT_UINT64', 'UINT64'],
  ['DT_INT8', 'INT8'],
  ['DT_INT16', 'INT16'],
  ['DT_INT32', 'INT32'],
  ['DT_INT64', 'INT64'],
  ['DT_HALF', 'FP16'],
  ['DT_FLOAT', 'FP32'],
  ['DT_DOUBLE', 'FP64'],
  ['DT_STRING', 'BYTES'],
])

/**
 * Inputs and outputs of `serving_default`. undefined when there is none, and when one of its tensors has an unknown rank or
 * a type without a counterpart: half a signature would refuse good requests.
 * @throws BAD_JSON
 */
export function decodeSignatureDef(body: Uint8Array, limits: DecodeLimits): Signature | undefined {
  const path = ['metadata', 'signature_def', 'signature_def', 'serving_default']
  const signature = path.reduce<unknown>(
    (value, name) => (isObject(value) ? member(value, name) : undefined),
    parseJson(body, limits.depth),
  )
  if (!isObject(signature)) return undefined
  const inputs = tensorShapes(member(signature, 'inputs'))
  const outputs = tensorShapes(member(signature, 'outputs'))
  return inputs === undefined || outputs === undefined ? undefined : { inputs, outputs }
}

function tensorShapes(tensors: unknown): TensorShape[] | undefined {
  if (!isObject(tensors)) return undefined
  const shapes: TensorShape[] = []
  for (const [name, info] of Object.entries(tensors)) {
    const datatype = isObject(info) ? DATATYPES.get(member(info, 'dtype')) : undefined
    const shape = isObject(info) ? dimensions(member(info, 'tensor_shape')) : undefined
    if (datatype === undefined || shape === undefined) return undefined
    shapes.push({ name, datatype, shape })
  }
  return shapes.length === 0 ? undefined : shapes
}

/** Dimensions, -1 where dynamic; 64-bit integers are strings in JSON of protocol buffers. */
function dimensions(shape: unknown): number[] | undefined {
  if (!isObject(shape) || member(shape, 'unknown_rank') === true) return undefined
  const dims = member(shape, 'dim') ?? []
  if (!Array.isArray(dims)) return undefined
  const sizes = dims.map(dim => (isObject(dim) ? Number(member(dim, 'size') ?? Number.NaN) : Number.NaN))
  return sizes.every(size => Number.isSafeInteger(size) && size >= -1) ? sizes : undefined
}
