import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { joinInputs, splitOutputs } from '../../src/protocols/rows.ts'
import type { Tensor } from '../../src/protocols/tensor.ts'
import { type Batchable, goTogether, rowsOf as rowsOfRequest } from '../../src/shadow/batch.ts'

const tensor = (shape: number[], data: number[], name = 'x'): Tensor => ({
  name,
  datatype: 'FP32',
  shape,
  data: Float32Array.from(data),
})

const rowsOf = (inputs: Tensor[]) => rowsOfRequest({ inputs, outputs: undefined })
const asking = (inputs: Tensor[], ...names: string[]): Batchable => ({
  inputs,
  outputs: names.length === 0 ? undefined : names.map(name => ({ name, binary: undefined })),
})

describe('rows of a request', () => {
  it('are unknown without inputs, without a first dimension, with none and where inputs differ', () => {
    expect(rowsOf([])).toBeUndefined()
    expect(rowsOf([tensor([], [1])])).toBeUndefined()
    expect(rowsOf([tensor([0, 3], [])])).toBeUndefined()
    expect(rowsOf([tensor([1, 1], [1]), tensor([2, 1], [1, 2], 'y')])).toBeUndefined()
  })

  it('are unknown where parameters may mean something for this request alone', () => {
    const inputs = [tensor([2, 1], [1, 2])]
    const parameters = { content_type: 'pd' }
    expect(rowsOfRequest({ inputs, outputs: undefined, parameters })).toBeUndefined()
    expect(rowsOfRequest({ inputs: [{ ...inputs[0]!, parameters }], outputs: undefined })).toBeUndefined()
    const outputs = [{ name: 'y', binary: undefined, parameters }]
    expect(rowsOfRequest({ inputs, outputs })).toBeUndefined()
  })

  it('are the first dimension that all inputs share', () => {
    expect(rowsOf([tensor([2, 1], [1, 2]), tensor([2], [3, 4], 'y')])).toBe(2)
  })
})

describe('requests go together', () => {
  it('only where they ask for the same outputs', () => {
    const inputs = [tensor([1, 1], [1])]
    expect(goTogether(asking(inputs, 'predict'), asking([...inputs], 'predict'))).toBe(true)
    expect(goTogether(asking(inputs, 'predict'), asking(inputs, 'predict_proba'))).toBe(false)
    expect(goTogether(asking(inputs, 'predict'), asking(inputs, 'predict', 'label'))).toBe(false)
    expect(goTogether(asking(inputs, 'predict'), asking(inputs))).toBe(false)
  })

  it('only with equal names, datatypes and widths, whatever their rows', () => {
    const first = asking([tensor([1, 2], [1, 2])])
    const goes = (...inputs: Tensor[]) => goTogether(first, asking(inputs))
    expect(goes(tensor([5, 2], new Array(10).fill(0)))).toBe(true)
    expect(goes(tensor([1, 3], [1, 2, 3]))).toBe(false)
    expect(goes(tensor([1, 2, 1], [1, 2]))).toBe(false)
    expect(goes(tensor([1, 2], [1, 2], 'y'))).toBe(false)
    expect(goes({ ...tensor([1, 2], [1, 2]), datatype: 'FP64', data: new Float64Array(2) })).toBe(false)
    expect(goes(tensor([1, 2], [1, 2]), tensor([1], [1], 'y'))).toBe(false)
    expect(goTogether(asking([tensor([1], [1], 'ab')]), asking([tensor([1], [1], 'a'), tensor([1], [1], 'b')]))).toBe(
      false,
    )
  })

  it('never with one decoded and the other as text: they are joined in different ways', () => {
    const decoded = asking([tensor([1, 2], [1, 2])])
    expect(goTogether(decoded, { ...decoded, texts: [Buffer.from('1,2')] })).toBe(false)
  })
})

const makers: Record<'FP32' | 'FP64' | 'INT64' | 'UINT8' | 'BYTES', (values: number[]) => Tensor['data']> = {
  FP32: values => Float32Array.from(values),
  FP64: values => Float64Array.from(values),
  INT64: values => BigInt64Array.from(values, value => BigInt(value) * 2n ** 53n + 1n),
  UINT8: values => Uint8Array.from(values),
  BYTES: values => values.map(value => `text ${value}`),
}

const requestsArbitrary = fc
  .record({
    rows: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 8 }),
    widths: fc.array(fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }), { minLength: 1, maxLength: 3 }),
    types: fc.array(fc.constantFrom(...(Object.keys(makers) as (keyof typeof makers)[])), {
      minLength: 3,
      maxLength: 3,
    }),
  })
  .map(({ rows, widths, types }) => {
    let next = 0
    return rows.map(count =>
      widths.map((width, at): Tensor => {
        const size = count * width.reduce((a, b) => a * b, 1)
        const values = Array.from({ length: size }, () => next++ % 200)
        const datatype = types[at]!
        return { name: `t${at}`, datatype, shape: [count, ...width], data: makers[datatype](values) }
      }),
    )
  })

describe('joining and splitting', () => {
  it('gives every request its own rows back, of every datatype (property)', () => {
    fc.assert(
      fc.property(requestsArbitrary, requests => {
        const joined = joinInputs(requests)
        const split = splitOutputs(
          joined,
          requests.map(inputs => rowsOf(inputs)!),
        )
        expect(split).toEqual(requests)
      }),
      { seed: 13, numRuns: 300 },
    )
  })

  it('shares no memory with the requests', () => {
    const request = [tensor([1, 2], [1, 2])]
    const [joined] = joinInputs([request, request])
    ;(joined!.data as Float32Array)[0] = 99
    expect(request[0]!.data[0]).toBe(1)
  })

  it('joins nothing to nothing', () => {
    expect(joinInputs([])).toEqual([])
  })

  it('refuses outputs that do not have one row a row: a sum, a scalar, one row too many', () => {
    const right = tensor([3, 1], [1, 2, 3])
    expect(splitOutputs([right, tensor([1, 1], [6], 'sum')], [1, 2])).toBeUndefined()
    expect(splitOutputs([tensor([], [6])], [1, 2])).toBeUndefined()
    expect(splitOutputs([tensor([4, 1], [1, 2, 3, 4])], [1, 2])).toBeUndefined()
  })
})
