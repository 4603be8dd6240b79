// Small pieces that tests of protocols share: requests, answers and bodies in short form.
import type { EncodedBody, InferRequest, InferResponse, WireBody } from '../../src/protocols/codec.ts'
import type { Datatype, Tensor, TensorData } from '../../src/protocols/tensor.ts'

export const LIMITS = { depth: 32, elements: 1000 }

export function tensor(name: string, datatype: Datatype, shape: readonly number[], data: TensorData): Tensor {
  return { name, datatype, shape, data }
}

export function requestOf(inputs: readonly Tensor[], more: Partial<InferRequest> = {}): InferRequest {
  return { id: undefined, inputs, outputs: undefined, binaryOutputs: false, columnar: false, ...more }
}

export function responseOf(outputs: readonly Tensor[]): InferResponse {
  return { modelName: 'm', modelVersion: '1', id: undefined, outputs }
}

export function wire(body: string | EncodedBody): WireBody {
  const text = typeof body === 'string' ? body : body.body
  return { bytes: Buffer.from(text), jsonBytes: undefined, contentType: 'application/json' }
}
