import { describe, expect, it } from 'vitest'
import type { Tolerance } from '../../src/config/schema.ts'
import { type CompareSpec, compareOutputs } from '../../src/evidence/compare.ts'
import type { Tensor } from '../../src/protocols/tensor.ts'

const fp32 = (shape: number[], data: number[], name = 'p'): Tensor => ({
  name,
  datatype: 'FP32',
  shape,
  data: Float32Array.from(data),
})
const fp64 = (shape: number[], data: number[], name = 'p'): Tensor => ({
  name,
  datatype: 'FP64',
  shape,
  data: Float64Array.from(data),
})
const text = (data: string[], name = 'label'): Tensor => ({ name, datatype: 'BYTES', shape: [data.length], data })
const spec = (tolerance: Tolerance = {}, kind?: CompareSpec['kind'], output?: string): CompareSpec[] => [
  { output, kind, tolerance },
]
const compare = (b: Tensor, c: Tensor, specs: CompareSpec[] = []) =>
  compareOutputs({ tensors: [b] }, { tensors: [c] }, specs)
const json = (b: unknown, c: unknown, specs: CompareSpec[] = []) => compareOutputs({ json: b }, { json: c }, specs)

describe('degenerate answers', () => {
  it('calls a missing output a mismatch and names the side', () => {
    expect(compareOutputs({ tensors: [fp64([1], [1])] }, { tensors: [] }, [])).toMatchObject({
      result: 'mismatch',
      reason: 'missing',
      detail: 'the candidate has no output p',
    })
    expect(compareOutputs({ tensors: [] }, { tensors: [] }, spec({}, undefined, 'q'))).toMatchObject({
      reason: 'missing',
    })
    expect(json({ a: 1 }, {}, spec({}, undefined, '/a'))).toMatchObject({ reason: 'missing' })
    expect(json({ a: { b: 1 } }, { a: { b: 1 } }, spec({}, undefined, '/a'))).toMatchObject({ reason: 'missing' })
  })

  it('calls other shapes and types mismatches with the reason', () => {
    expect(compare(fp64([1, 2], [0, 1]), fp64([1, 3], [0, 1, 0]))).toMatchObject({
      reason: 'shape',
      detail: 'shape [1,3] against [1,2]',
    })
    expect(compare(fp64([1], [1], 'label'), text(['1']))).toMatchObject({ reason: 'type' })
  })

  it('compares FP32 with FP64', () => {
    expect(compare(fp32([2], [0.5, 2]), fp64([2], [0.5, 2])).result).toBe('match')
  })

  it('finds empty batches equal', () => {
    expect(compare(fp64([0, 2], []), fp64([0, 2], []))).toMatchObject({ result: 'match', rows: 0 })
  })
})

describe('NaN and infinity', () => {
  it.each([
    [Number.NaN, Number.NaN, 'match', false],
    [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 'match', false],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 'mismatch', true],
    [1, Number.NaN, 'mismatch', true],
    [Number.NaN, 1, 'mismatch', false],
    [Number.NaN, Number.POSITIVE_INFINITY, 'mismatch', true],
  ])('baseline %d, candidate %d: %s, unstable %s', (b, c, result, unstable) => {
    for (const kind of ['number', 'label', 'probabilities', 'ranking'] as const)
      expect(compare(fp64([1, 2], [b, 0]), fp64([1, 2], [c, 0]), spec({ absolute: 1e9 }, kind))).toMatchObject({
        result,
        unstable,
      })
  })

  it('reads a JSON null among numbers as NaN', () => {
    expect(json({ y: [1, null] }, { y: [1, null] }).result).toBe('match')
    expect(json({ y: [1, 2] }, { y: [1, null] })).toMatchObject({
      result: 'mismatch',
      unstable: true,
      reason: 'nonFinite',
    })
  })
})

describe('numbers', () => {
  it('are exact by default', () => {
    expect(compare(fp64([1], [0.1]), fp64([1], [0.1])).result).toBe('match')
    expect(compare(fp64([1], [0.1]), fp64([1], [0.1 + 1e-12])).result).toBe('mismatch')
  })

  it('add the absolute and the relative tolerance, as numpy.isclose', () => {
    const tolerance = { absolute: 1, relative: 0.1 }
    expect(compare(fp64([1], [100]), fp64([1], [111]), spec(tolerance)).result).toBe('match')
    expect(compare(fp64([1], [100]), fp64([1], [111.5]), spec(tolerance)).result).toBe('mismatch')
    expect(compare(fp64([1], [0]), fp64([1], [0.5]), spec({ relative: 0.1 }))).toMatchObject({
      result: 'mismatch',
      maxRelDiff: Number.POSITIVE_INFINITY,
    })
  })

  it('count rows: one that differs makes the request differ', () => {
    expect(compare(fp64([3], [1, 2, 3]), fp64([3], [1, 2.5, 3]))).toMatchObject({
      result: 'mismatch',
      rows: 3,
      mismatchingRows: 1,
      maxAbsDiff: 0.5,
      baselineValue: 2,
      candidateValue: 2.5,
      differences: [0, 0.5, 0],
    })
  })
})

describe('labels', () => {
  it('come from text and integers', () => {
    expect(compare(text(['cat']), text(['dog']))).toMatchObject({
      result: 'mismatch',
      baselineValue: 'cat',
      candidateValue: 'dog',
    })
    const big = (value: bigint): Tensor => ({
      name: 'id',
      datatype: 'INT64',
      shape: [1],
      data: BigInt64Array.of(value),
    })
    expect(compare(big(2n ** 60n), big(2n ** 60n + 1n)).result).toBe('mismatch')
  })

  it('agree by the greatest entry of a row', () => {
    const b = fp64([2, 3], [0.1, 0.7, 0.2, 0.4, 0.3, 0.3])
    expect(compare(b, fp64([2, 3], [0.3, 0.4, 0.3, 0.9, 0.1, 0]), spec({}, 'label')).result).toBe('match')
    expect(compare(b, fp64([2, 3], [0.3, 0.4, 0.3, 0.2, 0.5, 0.3]), spec({}, 'label'))).toMatchObject({
      mismatchingRows: 1,
      baselineValue: 0,
      candidateValue: 1,
    })
  })

  it('agree by threshold, of a score or of the second of two probabilities', () => {
    expect(compare(fp64([1], [0.31]), fp64([1], [0.9]), spec({ threshold: 0.3 })).result).toBe('match')
    expect(compare(fp64([1], [0.29]), fp64([1], [0.3]), spec({ threshold: 0.3 })).result).toBe('mismatch')
    expect(compare(fp64([1, 2], [0.6, 0.4]), fp64([1, 2], [0.65, 0.35]), spec({ threshold: 0.3 })).result).toBe('match')
  })

  it('of several integers a row agree only when all do', () => {
    const ints = (data: number[]): Tensor => ({
      name: 'i',
      datatype: 'INT32',
      shape: [1, 3],
      data: Int32Array.from(data),
    })
    expect(compare(ints([1, 9, 2]), ints([1, 9, 3])).result).toBe('mismatch')
  })
})

describe('probabilities and rankings', () => {
  it('hold probabilities to the absolute tolerance and report who leads', () => {
    const b = fp64([1, 2], [0.51, 0.49])
    const result = compare(b, fp64([1, 2], [0.49, 0.51]), spec({ absolute: 0.05, relative: 100 }))
    expect(result).toMatchObject({ result: 'match', baselineValue: 0.49, candidateValue: 0.51 })
    expect(result.outputs[0]).toMatchObject({ kind: 'probabilities', argmaxAgreement: 0 })
    expect(compare(b, fp64([1, 2], [0.4, 0.6]), spec({ absolute: 0.05 })).result).toBe('mismatch')
  })

  it('compare the leading entries in order, near ties within the tolerance', () => {
    const b = fp64([4], [0.9, 0.8, 0.795, 0.1])
    const c = fp64([4], [0.9, 0.79, 0.8, 0.2])
    expect(compare(b, c, spec({ top: 1 }, 'ranking')).result).toBe('match')
    expect(compare(b, c, spec({ top: 2 }, 'ranking')).result).toBe('mismatch')
    expect(compare(b, c, spec({ top: 2, absolute: 0.01 }, 'ranking')).result).toBe('match')
    expect(json({ ids: ['a', 'b', 'c'] }, { ids: ['a', 'b', 'd'] }, spec({ top: 2 }, 'ranking', '/ids')).result).toBe(
      'match',
    )
    expect(json({ ids: ['a', 'b'] }, { ids: ['b', 'a'] }, spec({}, 'ranking', '/ids')).result).toBe('mismatch')
  })
})

describe('several outputs', () => {
  it('differ when one differs, and say which', () => {
    const result = compareOutputs(
      { tensors: [text(['a']), fp64([1], [0.2])] },
      { tensors: [fp64([1], [0.4]), text(['a'])] },
      [...spec({}, undefined, 'label'), ...spec({ absolute: 0.1 }, undefined, 'p')],
    )
    expect(result.result).toBe('mismatch')
    expect(result.outputs.map(output => [output.output, output.result])).toEqual([
      ['label', 'match'],
      ['p', 'mismatch'],
    ])
  })

  it('by default are the first of the baseline, found by name', () => {
    const result = compareOutputs({ tensors: [text(['a'])] }, { tensors: [fp64([1], [1]), text(['a'])] }, [])
    expect(result.result).toBe('match')
  })

  it('follow JSON pointers with escapes, and never the prototype', () => {
    expect(json({ 'a/b': [{ '~': 1 }] }, { 'a/b': [{ '~': 1 }] }, spec({}, undefined, '/a~1b/0/~0')).result).toBe(
      'match',
    )
    expect(json({}, {}, spec({}, undefined, '/__proto__'))).toMatchObject({ reason: 'missing' })
  })
})
