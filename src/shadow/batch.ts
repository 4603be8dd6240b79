// Joins several requests into one, and splits the outputs again. Pure.
import type { InferRequest } from '../protocols/codec.ts'
import type { Tensor, TensorData } from '../protocols/tensor.ts'

/** What of a request decides with which others it goes. */
export type Batchable = Pick<InferRequest, 'inputs' | 'outputs' | 'parameters'>

/**
 * Rows of a request: the first dimension that all its inputs share; undefined when they share none, and where parameters
 * may mean something for this request alone.
 */
export function rowsOf({ inputs, outputs, parameters }: Batchable): number | undefined {
  const hasParameters = (each: { readonly parameters?: object }) => each.parameters !== undefined
  if (parameters !== undefined || inputs.some(hasParameters) || outputs?.some(hasParameters)) return undefined
  const rows = inputs[0]?.shape[0]
  if (rows === undefined || rows === 0) return undefined
  return inputs.every(input => input.shape[0] === rows) ? rows : undefined
}

/** What must be equal for two requests to go together: names, datatypes, all dimensions but the first, wanted outputs. */
export function batchKey({ inputs, outputs }: Batchable): string {
  let key = outputs === undefined ? '' : `${outputs.map(({ name }) => name).join('\0')}\0\0`
  for (const { name, datatype, shape } of inputs) key += `${name}\0${datatype}\0${shape.slice(1)}\0`
  return key
}

/** Several requests as one. All must share their batch key. */
export function joined<T extends Batchable>(requests: readonly T[]): T {
  return { ...requests[0]!, inputs: joinInputs(requests.map(({ inputs }) => inputs)) }
}

/** The inputs of several requests, one after another along the first dimension. All must share their batch key. */
export function joinInputs(requests: readonly (readonly Tensor[])[]): Tensor[] {
  const [first] = requests
  if (first === undefined) return []
  return first.map((tensor, at) => {
    const parts = requests.map(inputs => inputs[at]!)
    const rows = parts.reduce((sum, part) => sum + part.shape[0]!, 0)
    return { ...tensor, shape: [rows, ...tensor.shape.slice(1)], data: joinData(parts.map(part => part.data)) }
  })
}

/** The outputs of each request, by its rows; undefined when an output does not have one row a row. */
export function splitOutputs(outputs: readonly Tensor[], rows: readonly number[]): Tensor[][] | undefined {
  const total = rows.reduce((sum, count) => sum + count, 0)
  if (outputs.some(output => output.shape[0] !== total)) return undefined
  let start = 0
  return rows.map(count => {
    const from = start
    start += count
    return outputs.map(output => {
      const width = output.data.length / total
      const data = output.data.slice(from * width, (from + count) * width) as TensorData
      return { ...output, shape: [count, ...output.shape.slice(1)], data }
    })
  })
}

function joinData(parts: readonly TensorData[]): TensorData {
  const [first] = parts
  if (Array.isArray(first)) return (parts as readonly string[][]).flat()
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const TypedArray = (first as Float32Array).constructor as Float32ArrayConstructor
  const joined = new TypedArray(length)
  let at = 0
  for (const part of parts as readonly Float32Array[]) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
