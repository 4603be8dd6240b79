import { describe, expect, it, test } from 'vitest'
import { v1 } from '../../src/protocols/tensorflow.ts'
import { LIMITS, requestOf, responseOf, tensor, wire } from './answers.ts'

const floats = (name: string, shape: number[], ...values: number[]) =>
  tensor(name, 'FP32', shape, Float32Array.from(values))
const answer = (body: string) => v1.decodeResponse(wire(body), LIMITS).outputs

describe('a request to a server of V1', () => {
  const encoded = (...inputs: Parameters<typeof requestOf>[0]) => v1.encodeRequest(requestOf(inputs)).body

  it('is one input row by row, floats written as floats', () => {
    expect(encoded(floats('x', [2, 2], 1, 2.5, -0, 1e30))).toBe(
      '{"instances":[[1.0,2.5],[-0.0,1.0000000150474662e+30]]}',
    )
  })

  it('is one column where there are no rows', () => {
    expect(encoded(floats('x', [], 1))).toBe('{"inputs":1.0}')
    expect(encoded(floats('x', [0, 2]))).toBe('{"inputs":[]}')
  })

  it('is a list of objects where the inputs have as many rows', () => {
    const inputs = [floats('x', [2, 1], 1, 2), tensor('n', 'INT64', [2], BigInt64Array.of(2n ** 60n, -1n))]
    expect(encoded(...inputs)).toBe('{"instances":[{"x":[1.0],"n":1152921504606846976},{"x":[2.0],"n":-1}]}')
  })

  it('is columns where they have not', () => {
    expect(encoded(floats('x', [1], 1), floats('y', [2], 1, 2))).toBe('{"inputs":{"x":[1.0],"y":[1.0,2.0]}}')
    expect(encoded(floats('x', [], 1), floats('y', [], 2))).toBe('{"inputs":{"x":1.0,"y":2.0}}')
  })

  it('carries text as text, and as base64 under a name that ends in _bytes', () => {
    expect(encoded(tensor('t', 'BYTES', [1], ['ü"']))).toBe('{"instances":["ü\\""]}')
    expect(encoded(tensor('t_bytes', 'BYTES', [1], ['ü']))).toBe('{"instances":[{"b64":"w7w="}]}')
  })

  it('carries booleans and every width of integers and floats', () => {
    expect(encoded(tensor('b', 'BOOL', [2], Uint8Array.of(1, 0)))).toBe('{"instances":[true,false]}')
    expect(encoded(tensor('h', 'FP16', [2], Float16Array.of(0.5, 2)))).toBe('{"instances":[0.5,2.0]}')
    expect(encoded(tensor('u', 'UINT64', [1], BigUint64Array.of(2n ** 64n - 1n)))).toBe(
      '{"instances":[18446744073709551615]}',
    )
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('cannot carry %d', value => {
    expect(() => encoded(floats('x', [1], value))).toThrow(
      expect.objectContaining({ code: 'NOT_SUPPORTED', message: expect.stringContaining('"x"') }),
    )
  })

  it('passes the name of a signature on', () => {
    const request = v1.decodeRequest(wire('{"signature_name":"other","instances":[1]}'), LIMITS, undefined)
    expect(v1.encodeRequest(request).body).toBe('{"signature_name":"other","instances":[1]}')
  })
})

describe('an answer to a client of V1', () => {
  const label = tensor('label', 'INT64', [2], BigInt64Array.of(1n, 0n))
  const scores = floats('scores', [2, 2], 0.25, 0.75, 1, 0)

  it('is a list where there is one output', () => {
    expect(v1.encodeResponse(responseOf([label]), requestOf([])).body).toBe('{"predictions":[1,0]}')
    expect(v1.encodeResponse(responseOf([label]), requestOf([], { columnar: true })).body).toBe('{"outputs":[1,0]}')
  })

  it('is a list of objects for rows and an object for columns where there are several', () => {
    const response = responseOf([label, scores])
    expect(v1.encodeResponse(response, requestOf([])).body).toBe(
      '{"predictions":[{"label":1,"scores":[0.25,0.75]},{"label":0,"scores":[1.0,0.0]}]}',
    )
    expect(v1.encodeResponse(response, requestOf([], { columnar: true })).body).toBe(
      '{"outputs":{"label":[1,0],"scores":[[0.25,0.75],[1.0,0.0]]}}',
    )
  })

  it('has null for what JSON has no number for', () => {
    const odd = floats('p', [3], Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY)
    expect(v1.encodeResponse(responseOf([odd]), requestOf([])).body).toBe('{"predictions":[null,null,null]}')
  })

  it('cannot be rows where the outputs have different numbers of them', () => {
    const response = responseOf([label, floats('p', [1], 1)])
    expect(() => v1.encodeResponse(response, requestOf([]))).toThrow(expect.objectContaining({ code: 'NOT_SUPPORTED' }))
    expect(v1.encodeResponse(response, requestOf([], { columnar: true })).body).toBe(
      '{"outputs":{"label":[1,0],"p":[1.0]}}',
    )
  })

  it('is the error that TensorFlow Serving writes', () => {
    expect(v1.encodeError('no "m"', 404)).toBe('{"error":"no \\"m\\""}')
  })
})

describe('an answer of a server of V1', () => {
  it('is one tensor called predictions, asked by rows or by columns', () => {
    const expected = [tensor('predictions', 'FP64', [2, 1], Float64Array.of(0.5, 1))]
    expect(answer('{"predictions": [[0.5], [1.0]]}')).toEqual(expected)
    expect(answer('{"outputs": [[0.5], [1.0]]}')).toEqual(expected)
  })

  it('is FP64 whether or not a model happens to answer whole numbers', () => {
    expect(answer('{"predictions": [1]}')[0]?.datatype).toBe('FP64')
    expect(answer('{"predictions": [0.97]}')[0]?.datatype).toBe('FP64')
    expect(answer('{"predictions": [1e+30, 1e300, 5]}')[0]?.datatype).toBe('FP64')
  })

  it('is INT64 or UINT64 where FP64 would round it', () => {
    expect(answer('{"predictions": [9007199254740993, 1]}')).toEqual([
      tensor('predictions', 'INT64', [2], BigInt64Array.of(9007199254740993n, 1n)),
    ])
    expect(answer('{"predictions": [18446744073709551615]}')[0]?.data).toEqual(BigUint64Array.of(18446744073709551615n))
    expect(answer('{"predictions": [18446744073709551615, -1]}')[0]?.datatype).toBe('FP64')
  })

  it('may hold the bare NaN and Infinity that TensorFlow Serving writes, outside strings only', () => {
    const [first, second] = answer(
      '{"predictions":[{"NaN":"NaN \\"Infinity","v":NaN},{"NaN":"-Infinity","v":-Infinity}]}',
    )
    expect(first).toEqual(tensor('NaN', 'BYTES', [2], ['NaN "Infinity', '-Infinity']))
    expect(second).toEqual(tensor('v', 'FP64', [2], Float64Array.of(Number.NaN, Number.NEGATIVE_INFINITY)))
    expect(answer('{"outputs": Infinity}')[0]?.data).toEqual(Float64Array.of(Number.POSITIVE_INFINITY))
  })

  it('keeps the digits of integers beside a bare NaN', () => {
    const [n, p] = answer('{"outputs": {"n": [9007199254740993], "p": [NaN]}}')
    expect([n?.data, p?.data]).toEqual([BigInt64Array.of(9007199254740993n), Float64Array.of(Number.NaN)])
  })

  it('is a tensor for each name', () => {
    const expected = [tensor('label', 'BYTES', [2], ['a', 'b']), tensor('ok', 'BOOL', [2], Uint8Array.of(1, 0))]
    expect(answer('{"predictions": [{"label": "a", "ok": true}, {"label": {"b64": "Yg=="}, "ok": false}]}')).toEqual(
      expected,
    )
    expect(answer('{"predictions": {"label": ["a", "b"], "ok": [true, false]}}')).toEqual(expected)
    expect(answer('{"outputs": {"label": ["a", "b"], "ok": [true, false]}}')).toEqual(expected)
  })

  it('reads null as NaN', () => {
    expect(answer('{"predictions": [null, null]}')[0]?.data).toEqual(Float64Array.of(Number.NaN, Number.NaN))
  })

  test.each([
    ['no JSON', 'Bad gateway', 'BAD_JSON'],
    ['a bare number of another name', '{"predictions": [Nan]}', 'BAD_JSON'],
    ['an error', '{"error": "x"}', 'BAD_REQUEST'],
    ['a list', '[1]', 'BAD_REQUEST'],
    ['null', '{"predictions": null}', 'BAD_REQUEST'],
    ['ragged lists', '{"predictions": [[1], [2, 3]]}', 'BAD_TENSOR'],
    ['objects with different names', '{"predictions": [{"a": 1}, {"b": 1}]}', 'BAD_REQUEST'],
    ['values of several types', '{"predictions": ["a", 1]}', 'BAD_TENSOR'],
    ['objects in lists', '{"predictions": [[{"a": 1}]]}', 'BAD_TENSOR'],
  ])('is unreadable when it is %s', (_, body, code) => {
    expect(() => answer(body)).toThrow(expect.objectContaining({ code }))
  })
})

describe('the metadata of TensorFlow Serving', () => {
  const dims = (...sizes: (string | number)[]) => ({
    dim: sizes.map(size => ({ size, name: '' })),
    unknown_rank: false,
  })
  const metadata = (inputs: unknown, outputs: unknown, name = 'serving_default') =>
    Buffer.from(
      JSON.stringify({
        model_spec: { name: 'm', signature_name: '', version: '123' },
        metadata: {
          signature_def: {
            '@type': 'type.googleapis.com/tensorflow.serving.SignatureDefMap',
            signature_def: { [name]: { inputs, outputs, method_name: 'tensorflow/serving/predict' } },
          },
        },
      }),
    )
  const x = { dtype: 'DT_FLOAT', tensor_shape: dims('-1', '3'), name: 'x:0' }
  const y = { dtype: 'DT_INT64', tensor_shape: dims(-1), name: 'y:0' }
  const read = (bytes: Uint8Array) => v1.decodeMetadata(bytes, LIMITS)

  it('tells names, datatypes and shapes', () => {
    expect(read(metadata({ x }, { y, s: { dtype: 'DT_STRING', tensor_shape: {} } }))).toEqual({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }],
      outputs: [
        { name: 'y', datatype: 'INT64', shape: [-1] },
        { name: 's', datatype: 'BYTES', shape: [] },
      ],
    })
  })

  it.each([
    ['there is none', Buffer.from('{"name":"m","ready":true}')],
    ['there is only another one', metadata({ x }, { y }, 'other')],
    ['it has no inputs', metadata({}, { y })],
    ['a rank is unknown', metadata({ x: { ...x, tensor_shape: { dim: [], unknown_rank: true } } }, { y })],
    ['a type has no counterpart', metadata({ x }, { y: { ...y, dtype: 'DT_COMPLEX64' } })],
    ['a type is the name of an inherited member', metadata({ x: { ...x, dtype: 'constructor' } }, { y })],
    ['a dimension is no number', metadata({ x: { ...x, tensor_shape: dims('many') } }, { y })],
    ['it is no object', Buffer.from('[]')],
  ])('tells no signature when %s', (_, bytes) => {
    expect(read(bytes)).toBeUndefined()
  })

  it('is refused when it is no JSON', () => {
    expect(() => read(Buffer.from('<html>'))).toThrow(expect.objectContaining({ code: 'BAD_JSON' }))
  })
})

test('models and metadata have their paths', () => {
  expect(v1.predictPath('half plus/two')).toBe('/v1/models/half%20plus%2Ftwo:predict')
  expect(v1.metadataPath('m')).toBe('/v1/models/m/metadata')
})
