// Joins the tensors of several requests along their first dimension, and splits such tensors again. Pure.
import type { Tensor, TensorData } from './tensor.ts'

/** The inputs of several requests, one after another along the first dimension. All must go together. */
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
  const parts: Tensor[][] = rows.map(() => [])
  for (const output of outputs) {
    const width = output.data.length / total
    let { shape } = output
    let from = 0
    for (let index = 0; index < rows.length; index++) {
      const count = rows[index]!
      // Most have one row: their shape is made once.
      if (shape[0] !== count) shape = [count, ...output.shape.slice(1)]
      const data = output.data.slice(from * width, (from + count) * width) as TensorData
      parts[index]!.push(partOf(output, shape, data))
      from += count
    }
  }
  return parts
}

/** Written out and not spread: it is done for every row, and nearly none has parameters. */
function partOf({ name, datatype, parameters }: Tensor, shape: readonly number[], data: TensorData): Tensor {
  const tensor = { name, datatype, shape, data }
  return parameters === undefined ? tensor : { ...tensor, parameters }
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
