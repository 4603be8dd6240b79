// Triton's raw binary request: a body that is nothing but the only input's values. Decides its shape from the signature.
// Source: triton-inference-server/server, src/http_server.cc (EVBufferToRawInput) and its tests of raw binary requests.
import { Buffer } from 'node:buffer'
import { UnderstudyError } from '../errors.ts'
import { decodeRaw } from './binaryTensors.ts'
import type { DecodeLimits, InferRequest, Signature } from './codec.ts'
import { shorten } from './quote.ts'
import { ELEMENT_ARRAYS, elementCount, type TensorShape } from './tensor.ts'

/**
 * The request that `bytes` are by an Inference-Header-Content-Length of 0: one input, all outputs, as binary data. Text is
 * one element, without a length before it.
 * @throws BAD_REQUEST where the model does not tell what the bytes are, BAD_TENSOR where they do not fit it
 */
export function decodeRawRequest(bytes: Uint8Array, limits: DecodeLimits, model: Signature | undefined): InferRequest {
  const [spec, second] = model?.inputs ?? []
  if (spec === undefined || second !== undefined) {
    const why = spec === undefined ? 'a model whose signature is known' : 'a model with one input'
    throw new UnderstudyError('BAD_REQUEST', `a request without JSON (Inference-Header-Content-Length 0) needs ${why}`)
  }
  const { name, datatype } = spec
  const label = `input "${shorten(name)}"`
  const isText = datatype === 'BYTES'
  const elements = isText ? 1 : bytes.length / ELEMENT_ARRAYS[datatype].BYTES_PER_ELEMENT
  const shape = shapeFor(elements, spec, label)
  if (elements > limits.elements) {
    throw new UnderstudyError('BAD_TENSOR', `${label} has more than ${limits.elements} elements`)
  }
  const values = isText ? Buffer.concat([lengthOf(bytes), bytes]) : bytes
  const data = decodeRaw(values, datatype, elements, label, false)
  return {
    id: undefined,
    inputs: [{ name, datatype, shape, data }],
    outputs: undefined,
    binaryOutputs: true,
    columnar: false,
  }
}

/** The signature's shape with its only dynamic dimension filled. */
function shapeFor(elements: number, { shape }: TensorShape, label: string): number[] {
  const dynamic = shape.filter(dimension => dimension === -1).length
  if (dynamic > 1) {
    throw new UnderstudyError('BAD_REQUEST', `${label} of [${shape}] needs a request that tells its shape, in JSON`)
  }
  const fixed = elementCount(shape.filter(dimension => dimension !== -1))
  const rows = elements / fixed
  if (dynamic === 1 ? !Number.isSafeInteger(rows) : rows !== 1) {
    throw new UnderstudyError('BAD_TENSOR', `${label} of [${shape}] is not filled by the body's bytes`)
  }
  return shape.map(dimension => (dimension === -1 ? rows : dimension))
}

function lengthOf(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(bytes.length)
  return length
}
