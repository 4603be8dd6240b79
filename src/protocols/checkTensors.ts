// Whether a request's tensors are those that a model takes and gives. Knows no protocol and no bytes.
import { UnderstudyError } from '../errors.ts'
import { shorten } from './quote.ts'
import { elementCount, type Tensor, type TensorShape } from './tensor.ts'

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
    // onnxruntime ends a text at its first NUL, in silence.
    if (input.datatype === 'BYTES' && (input.data as readonly string[]).some(text => text.includes('\0'))) {
      throw new UnderstudyError(
        'BAD_TENSOR',
        `input "${input.name}" holds a text with a NUL, which the model cannot read`,
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

/** Checks that every requested output exists; undefined asks for all. @throws BAD_TENSOR that names the output */
export function checkRequestedOutputs(
  outputs: readonly { readonly name: string }[] | undefined,
  signature: readonly TensorShape[],
): void {
  for (const { name } of outputs ?? []) {
    if (!signature.some(spec => spec.name === name)) {
      const known = signature.map(spec => spec.name).join(', ')
      throw new UnderstudyError('BAD_TENSOR', `unknown output "${shorten(name)}"; the model gives ${known}`)
    }
  }
}

function shapeFits(shape: readonly number[], expected: readonly number[]): boolean {
  if (shape.length !== expected.length) return false
  for (let axis = 0; axis < shape.length; axis++) {
    if (expected[axis] !== -1 && shape[axis] !== expected[axis]) return false
  }
  return true
}
