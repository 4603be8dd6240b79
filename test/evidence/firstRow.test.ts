import { describe, expect, it } from 'vitest'
import { firstRowOf } from '../../src/evidence/firstRow.ts'
import type { CompareSpec, Outputs } from '../../src/evidence/outputs.ts'
import type { Datatype, TensorData } from '../../src/protocols/tensor.ts'

const tensor = (datatype: Datatype, shape: number[], data: TensorData): Outputs => ({
  tensors: [{ name: 'y', datatype, shape, data }],
})
const floats = (shape: number[], ...data: number[]) => tensor('FP32', shape, Float32Array.from(data))
const spec = (change: Partial<CompareSpec> = {}): CompareSpec => ({
  output: undefined,
  kind: undefined,
  tolerance: {},
  ...change,
})

describe('the first row of an answer', () => {
  it('of no output, or of no rows, is none', () => {
    expect(firstRowOf({ tensors: [] }, spec())).toBeUndefined()
    expect(firstRowOf(floats([0, 2]), spec())).toBeUndefined()
    expect(firstRowOf(floats([1], 1), spec({ output: 'z' }))).toBeUndefined()
  })

  it.each([
    ['a number is its score', floats([2], 7, 9), spec(), { score: 7, label: undefined, isMeasured: true }],
    [
      'several numbers a row score their average',
      floats([1, 2], 1, 4),
      spec({ kind: 'number' }),
      { score: 2.5, label: undefined, isMeasured: true },
    ],
    ['a NaN has no score', floats([1], Number.NaN), spec(), { score: undefined, label: undefined, isMeasured: true }],
    [
      'of two probabilities the second counts',
      floats([1, 2], 0.75, 0.25),
      spec(),
      { score: 0.25, label: '0', isMeasured: true },
    ],
    [
      'of more the greatest, which measures no difference',
      floats([1, 3], 0.25, 0.5, 0.25),
      spec(),
      { score: 0.5, label: '1', isMeasured: false },
    ],
    [
      'a threshold makes a label of a score',
      floats([1], 0.75),
      spec({ tolerance: { threshold: 0.5 } }),
      { score: 0.75, label: '1', isMeasured: true },
    ],
    [
      'a threshold decides between two probabilities too',
      floats([1, 2], 0.6, 0.4),
      spec({ kind: 'probabilities', tolerance: { threshold: 0.3 } }),
      { score: expect.closeTo(0.4), label: '1', isMeasured: true },
    ],
    [
      'a threshold says nothing of three',
      floats([1, 3], 0.25, 0.5, 0.25),
      spec({ tolerance: { threshold: 0.3 } }),
      { score: undefined, label: '1', isMeasured: false },
    ],
    [
      'an integer is a label',
      tensor('INT64', [1], BigInt64Array.of(12n)),
      spec(),
      { score: undefined, label: '12', isMeasured: false },
    ],
    ['a text is a label', tensor('BYTES', [1], ['cat']), spec(), { score: undefined, label: 'cat', isMeasured: false }],
    [
      'a ranking is neither',
      floats([1, 3], 3, 2, 1),
      spec({ tolerance: { top: 2 } }),
      { score: undefined, label: undefined, isMeasured: false },
    ],
  ])('%s', (_, outputs, compared, expected) => {
    expect(firstRowOf(outputs, compared)).toEqual(expected)
  })
})
