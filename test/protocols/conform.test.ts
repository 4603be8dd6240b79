import { expect, it } from 'vitest'
import { conformOutputs } from '../../src/protocols/conform.ts'
import type { TensorShape } from '../../src/protocols/tensor.ts'
import { tensor } from './answers.ts'

const SIGNATURE: readonly TensorShape[] = [
  { name: 'label', datatype: 'INT64', shape: [-1] },
  { name: 'probability', datatype: 'FP32', shape: [-1, 2] },
]
const numbers = (name: string, shape: number[], ...values: number[]) =>
  tensor(name, 'FP64', shape, Float64Array.from(values))

it('leaves no outputs, and outputs without a signature, as they are', () => {
  expect(conformOutputs([], SIGNATURE)).toEqual([])
  const outputs = [numbers('predictions', [1], 1)]
  expect(conformOutputs(outputs, [])).toEqual(outputs)
})

it('gives outputs the datatypes that their names have', () => {
  const outputs = [numbers('label', [2, 1], 1, 0), numbers('probability', [2, 2], 0.25, 0.75, 1, 0)]
  expect(conformOutputs(outputs, SIGNATURE)).toEqual([
    tensor('label', 'INT64', [2], BigInt64Array.of(1n, 0n)),
    tensor('probability', 'FP32', [2, 2], Float32Array.of(0.25, 0.75, 1, 0)),
  ])
})

it('names a single unnamed output after the only one of its shape', () => {
  expect(conformOutputs([numbers('predictions', [2], 1, 0)], SIGNATURE)).toEqual([
    tensor('label', 'INT64', [2], BigInt64Array.of(1n, 0n)),
  ])
  expect(conformOutputs([numbers('predictions', [1, 2], 0, 1)], SIGNATURE)[0]?.name).toBe('probability')
})

it('leaves it unnamed where none or several have its shape', () => {
  const long = [numbers('predictions', [1, 3], 0, 1, 2)]
  expect(conformOutputs(long, SIGNATURE)).toEqual(long)
  const flat = [numbers('predictions', [1], 0)]
  const twice = [SIGNATURE[0]!, { name: 'score', datatype: 'FP32', shape: [-1, 1] } as const]
  expect(conformOutputs(flat, twice)).toEqual(flat)
})

it('keeps values that the declared datatype does not have', () => {
  for (const value of [0.5, Number.NaN, 1e300]) {
    const outputs = [numbers('label', [1], value)]
    expect(conformOutputs(outputs, SIGNATURE)).toEqual(outputs)
  }
  const overflowing = [numbers('probability', [1, 2], 1e300, 0)]
  expect(conformOutputs(overflowing, SIGNATURE)).toEqual(overflowing)
  const text = [tensor('label', 'BYTES', [1], ['1'])]
  expect(conformOutputs(text, SIGNATURE)).toEqual(text)
})

it('keeps NaN and infinities of floats', () => {
  const [output] = conformOutputs([numbers('probability', [1, 2], Number.NaN, Number.POSITIVE_INFINITY)], SIGNATURE)
  expect(output).toEqual(tensor('probability', 'FP32', [1, 2], Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY)))
})

it('leaves outputs of other names and shapes alone', () => {
  const outputs = [numbers('other', [1], 1), numbers('label', [1, 5], 1, 2, 3, 4, 5)]
  expect(conformOutputs(outputs, SIGNATURE)).toEqual(outputs)
})
