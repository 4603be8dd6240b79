import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nestsDeeperThan, parseJson } from '../../src/protocols/json.ts'
import {
  decodeInferRequest,
  decodeInferResponse,
  encodeInferRequest,
  encodeInferResponse,
} from '../../src/protocols/openInference.ts'
import type { Datatype, Tensor } from '../../src/protocols/tensor.ts'

const limits = { depth: 64, elements: 1_000_000 }
const bytes = (text: string) => Buffer.from(text)

const values: Record<Exclude<Datatype, 'FP16'>, fc.Arbitrary<unknown>> = {
  BOOL: fc.constantFrom(0, 1),
  UINT8: fc.integer({ min: 0, max: 255 }),
  INT8: fc.integer({ min: -128, max: 127 }),
  UINT16: fc.integer({ min: 0, max: 65_535 }),
  INT16: fc.integer({ min: -32_768, max: 32_767 }),
  UINT32: fc.integer({ min: 0, max: 4_294_967_295 }),
  INT32: fc.integer({ min: -2_147_483_648, max: 2_147_483_647 }),
  UINT64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  INT64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  FP32: fc.float({ noNaN: true, noDefaultInfinity: true }).map(value => value + 0),
  FP64: fc.double({ noNaN: true, noDefaultInfinity: true }).map(value => value + 0),
  BYTES: fc.string({ unit: 'grapheme' }),
}
const arrays: Record<Exclude<Datatype, 'FP16'>, (list: never[]) => Tensor['data']> = {
  BOOL: list => Uint8Array.from(list),
  UINT8: list => Uint8Array.from(list),
  INT8: list => Int8Array.from(list),
  UINT16: list => Uint16Array.from(list),
  INT16: list => Int16Array.from(list),
  UINT32: list => Uint32Array.from(list),
  INT32: list => Int32Array.from(list),
  UINT64: list => BigUint64Array.from(list),
  INT64: list => BigInt64Array.from(list),
  FP32: list => Float32Array.from(list),
  FP64: list => Float64Array.from(list),
  BYTES: list => list,
}

const tensors: fc.Arbitrary<Tensor> = fc
  .constantFrom(...(Object.keys(values) as (keyof typeof values)[]))
  .chain(datatype =>
    fc
      .record({
        name: fc.string({ minLength: 1 }),
        shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
      })
      .chain(({ name, shape }) => {
        const count = shape.reduce((a, b) => a * b, 1)
        return fc
          .array(values[datatype], { minLength: count, maxLength: count })
          .map(list => ({ name, datatype, shape, data: arrays[datatype](list as never[]) }))
      }),
  )
// −0 is written as 0 by JSON.
const positiveZero = (list: readonly Tensor[]) =>
  list.map(tensor => ({
    ...tensor,
    data: [...(tensor.data as unknown as Iterable<unknown>)].map(value => (value === 0 ? 0 : value)),
  }))

describe('a request', () => {
  it('comes back as it was encoded, of every datatype, 64-bit integers to the last digit (property)', () => {
    fc.assert(
      fc.property(
        fc.array(tensors, { minLength: 1, maxLength: 4 }),
        fc.option(fc.string(), { nil: undefined }),
        (inputs, id) => {
          const decoded = decodeInferRequest(bytes(encodeInferRequest({ id, inputs, outputs: undefined })), limits)
          expect(decoded.id).toBe(id)
          expect(positiveZero(decoded.inputs)).toEqual(positiveZero(inputs))
        },
      ),
      { seed: 17, numRuns: 300 },
    )
  })

  it('may nest its data to any depth of its shape', () => {
    const text = '{"inputs":[{"name":"x","datatype":"INT32","shape":[2,2,1],"data":[[[1],[2]],[[3],[4]]]}]}'
    expect([...(decodeInferRequest(bytes(text), limits).inputs[0]!.data as Int32Array)]).toEqual([1, 2, 3, 4])
  })

  it('has no more elements than the limit', () => {
    const text = '{"inputs":[{"name":"x","datatype":"UINT8","shape":[11],"data":[1,1,1,1,1,1,1,1,1,1,1]}]}'
    expect(() => decodeInferRequest(bytes(text), { depth: 64, elements: 10 })).toThrow(/x.*10/)
  })

  it('of arbitrary bytes is decoded or refused, and nothing else is thrown (property)', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"inputs"',
      ':',
      ',',
      '"',
      'null',
      '1',
      '-',
      'e9',
      '"name"',
      '"x"',
      '"shape"',
      '"datatype"',
      '"FP32"',
      '"data"',
      '\\u0000',
      'true',
      ' ',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }).map(list => Buffer.from(list)),
          fc.array(pieces, { maxLength: 40 }).map(list => bytes(list.join(''))),
        ),
        body => {
          try {
            decodeInferRequest(body, limits)
          } catch (error) {
            expect(error).toMatchObject({
              name: 'UnderstudyError',
              status: expect.toSatisfy((status: number) => status >= 400 && status < 502),
            })
            expect((error as { code: string }).code).toMatch(/^(BAD_JSON|BAD_REQUEST|BAD_TENSOR|NOT_SUPPORTED)$/)
          }
        },
      ),
      { seed: 19, numRuns: 1000 },
    )
  })
})

describe('an answer', () => {
  it('says NaN and infinity as null and names the outputs that hold them', () => {
    const outputs: Tensor[] = [
      { name: 'fine', datatype: 'FP32', shape: [1], data: Float32Array.of(1) },
      { name: 'odd', datatype: 'FP64', shape: [3], data: Float64Array.of(Number.NaN, Number.POSITIVE_INFINITY, 2) },
    ]
    const json = JSON.parse(encodeInferResponse({ modelName: 'm', modelVersion: '1.0.0', id: undefined, outputs }))
    expect(json.outputs[1].data).toEqual([null, null, 2])
    expect(JSON.stringify(json.parameters)).toContain('odd')
    expect(JSON.stringify(json.parameters)).not.toContain('fine')
  })

  it('comes back as it was encoded (property)', () => {
    fc.assert(
      fc.property(fc.array(tensors, { maxLength: 3 }), outputs => {
        const text = encodeInferResponse({ modelName: 'm', modelVersion: '1.0.0', id: 'i', outputs })
        const decoded = decodeInferResponse(bytes(text), limits)
        expect(decoded).toMatchObject({ modelName: 'm', modelVersion: '1.0.0', id: 'i' })
        expect(positiveZero(decoded.outputs)).toEqual(positiveZero(outputs))
      }),
      { seed: 23, numRuns: 200 },
    )
  })

  it.each([
    '',
    'null',
    '[]',
    '{}',
    '{"outputs":{}}',
    '{"outputs":[null]}',
    '{"outputs":[{"name":"y"}]}',
    '{"error":"x"}',
  ])('that is %j is refused as none', text => {
    expect(() => decodeInferResponse(bytes(text), limits)).toThrow()
  })
})

describe('JSON of a stranger', () => {
  it('is counted to its depth outside of strings alone (property)', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.integer({ min: 0, max: 10 }), (value, max) => {
        const depthOf = (each: unknown): number =>
          typeof each === 'object' && each !== null ? 1 + Math.max(0, ...Object.values(each).map(depthOf)) : 0
        expect(nestsDeeperThan(bytes(JSON.stringify(value)), max)).toBe(depthOf(value) > max)
      }),
      { seed: 29, numRuns: 500 },
    )
  })

  it.each(['"[[[["', '"\\"[[[["', '"\\\\"', '{"a":"}}}}[[[["}'])('does not count brackets in the string %s', text => {
    expect(nestsDeeperThan(bytes(text), 1)).toBe(false)
  })

  it('of exactly the deepest nesting is read, one deeper is not', () => {
    expect(parseJson(bytes(`${'['.repeat(64)}${']'.repeat(64)}`), 64)).toBeDefined()
    expect(() => parseJson(bytes(`${'['.repeat(65)}${']'.repeat(65)}`), 64)).toThrow(/64/)
  })

  it('keeps __proto__ as an own key and touches no prototype', () => {
    const value = parseJson(bytes('{"__proto__":{"polluted":true}}'), 64) as object
    expect(Object.hasOwn(value, '__proto__')).toBe(true)
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })
})
