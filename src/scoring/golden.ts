// Decides whether a scorer reproduces a manifest's golden vectors.
import type { Manifest, TensorSpec } from '../models/manifest.ts'
import { numberAt, type Tensor, type TensorData } from '../protocols/tensor.ts'
import type { Scorer } from './scorer.ts'

type GoldenTensor = Manifest['golden']['vectors'][number]['inputs'][number]

/** Why the scorer does not reproduce the golden vectors; undefined when it does. */
export async function goldenMismatch(
  scorer: Scorer,
  golden: Manifest['golden'],
  deadlineMs: number,
): Promise<string | undefined> {
  for (const [index, vector] of golden.vectors.entries()) {
    const outcome = await scorer.score(vector.inputs.map(tensorOf), deadlineMs)
    if (!outcome.ok) return `golden vector ${index + 1}: ${outcome.message}`
    for (const expected of vector.outputs) {
      const actual = outcome.outputs.find(output => output.name === expected.name)
      if (actual === undefined) return `golden vector ${index + 1}: no output "${expected.name}"`
      const difference = differenceOf(actual, expected, golden.tolerance)
      if (difference !== undefined) return `golden vector ${index + 1}: output "${expected.name}" ${difference}`
    }
  }
  return undefined
}

/** Why two signatures differ; undefined when the model has what the manifest says, names, datatypes and shapes. */
export function signatureMismatch(
  what: string,
  model: readonly TensorSpec[],
  manifest: readonly TensorSpec[],
): string | undefined {
  const show = (specs: readonly TensorSpec[]) =>
    specs
      .map(spec => `${spec.name} ${spec.datatype}[${spec.shape}]`)
      .sort()
      .join(', ')
  if (show(model) === show(manifest)) return undefined
  return `${what} are ${show(model)}, the manifest says ${show(manifest)}`
}

/** A golden tensor as a tensor. */
export function tensorOf(golden: GoldenTensor): Tensor {
  return { name: golden.name, datatype: golden.datatype, shape: golden.shape, data: dataOf(golden) }
}

function dataOf({ datatype, data }: GoldenTensor): TensorData {
  switch (datatype) {
    case 'BYTES':
      return data.map(String)
    case 'BOOL':
    case 'UINT8':
      return Uint8Array.from(data, Number)
    case 'INT8':
      return Int8Array.from(data, Number)
    case 'UINT16':
      return Uint16Array.from(data, Number)
    case 'FP16':
      return Float16Array.from(data, Number)
    case 'INT16':
      return Int16Array.from(data, Number)
    case 'UINT32':
      return Uint32Array.from(data, Number)
    case 'INT32':
      return Int32Array.from(data, Number)
    case 'UINT64':
      return BigUint64Array.from(data, value => BigInt(value))
    case 'INT64':
      return BigInt64Array.from(data, value => BigInt(value))
    case 'FP32':
      return Float32Array.from(data, Number)
    case 'FP64':
      return Float64Array.from(data, Number)
  }
}

function differenceOf(
  actual: Tensor,
  expected: GoldenTensor,
  tolerance: Manifest['golden']['tolerance'],
): string | undefined {
  if (actual.data.length !== expected.data.length)
    return `has ${actual.data.length} values, not ${expected.data.length}`
  const wanted = dataOf(expected)
  for (let index = 0; index < wanted.length; index++) {
    if (actual.data[index] === wanted[index]) continue
    const allowed = tolerance.absolute + tolerance.relative * Math.abs(numberAt(wanted, index))
    const difference = Math.abs(numberAt(actual.data, index) - numberAt(wanted, index))
    if (!(difference <= allowed)) return `is ${actual.data[index]} at ${index}, not ${wanted[index]}`
  }
  return undefined
}
