import { describe, expect, it } from 'vitest'
import { SegmentSlots, segmentsOf } from '../../src/evidence/segments.ts'
import type { Tensor } from '../../src/protocols/tensor.ts'

const origin = (...data: string[]): Tensor => ({ name: 'origin', datatype: 'BYTES', shape: [data.length, 1], data })
const distance = (...data: number[]): Tensor => ({
  name: 'distance',
  datatype: 'FP32',
  shape: [data.length, 1],
  data: Float32Array.from(data),
})

describe('segments', () => {
  it('leave out fields that are missing, not finite or mixed', () => {
    expect(segmentsOf({ tensors: [] }, ['origin'])).toEqual([])
    expect(segmentsOf({ tensors: [origin('JFK', 'LGA')] }, ['origin'])).toEqual([])
    expect(segmentsOf({ tensors: [distance(Number.NaN)] }, ['distance', { bucket: 'distance', by: 10 }])).toEqual([])
    expect(segmentsOf({ json: null }, ['origin'])).toEqual([])
  })

  it('name values and buckets', () => {
    const inputs = { tensors: [origin('JFK', 'JFK'), distance(301.5, 301.5)] }
    expect(segmentsOf(inputs, ['origin', { bucket: 'distance', by: 10 }])).toEqual(['origin=JFK', 'distance=[300,310)'])
    expect(segmentsOf({ json: { a: { b: -0.25 } } }, [{ bucket: '/a/b', by: 0.1 }])).toEqual(['/a/b=[-0.3,-0.2)'])
    expect(segmentsOf({ json: { ok: true } }, ['ok'])).toEqual(['ok=1'])
  })

  it('take a column of a matrix', () => {
    const features: Tensor = { name: 'x', datatype: 'FP64', shape: [1, 3], data: Float64Array.of(1, 2, 3) }
    expect(segmentsOf({ tensors: [features] }, ['x[2]', 'x[3]', 'x'])).toEqual(['x[2]=3'])
  })

  it('take what the baseline answered, by value or bucketed', () => {
    const label: Tensor = { name: 'label', datatype: 'INT64', shape: [1], data: BigInt64Array.of(8n) }
    const score: Tensor = { name: 'p', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(0.75, 0.25) }
    const specs = ['origin', { answer: 'label' }, { answer: 'p[1]', by: 0.1 }]
    expect(segmentsOf({ tensors: [origin('JFK')] }, specs, { tensors: [label, score] })).toEqual([
      'origin=JFK',
      'answer.label=8',
      'answer.p[1]=[0.2,0.3)',
    ])
    expect(segmentsOf(undefined, specs, { tensors: [label] })).toEqual(['answer.label=8'])
    expect(segmentsOf({ tensors: [origin('JFK')] }, specs)).toEqual(['origin=JFK'])
  })

  it('cannot forge a slot', () => {
    expect(segmentsOf({ tensors: [origin('a@b=c\n')] }, ['origin'])).toEqual(['origin=a_b_c_'])
    expect(segmentsOf({ tensors: [origin('x'.repeat(99))] }, ['origin'])[0]).toHaveLength('origin='.length + 40)
  })

  it('get 64 slots a field, first seen first served', () => {
    const slots = new SegmentSlots(['origin=JFK'])
    for (let i = 1; i < 64; i += 1) expect(slots.take(`origin=${i}`)).toBe(`origin=${i}`)
    expect(slots.take('origin=late')).toBe('origin=other')
    expect(slots.take('origin=JFK')).toBe('origin=JFK')
    expect(slots.take('dest=late')).toBe('dest=late')
  })
})
