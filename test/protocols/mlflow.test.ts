import { describe, expect, it, test } from 'vitest'
import { mlflow } from '../../src/protocols/mlflow.ts'
import { LIMITS, requestOf, responseOf, tensor, wire } from './answers.ts'

const floats = (name: string, shape: number[], ...values: number[]) =>
  tensor(name, 'FP32', shape, Float32Array.from(values))
const answer = (body: string) => mlflow.decodeResponse(wire(body), LIMITS).outputs

describe('a request to an MLflow server', () => {
  const encoded = (...inputs: Parameters<typeof requestOf>[0]) => mlflow.encodeRequest(requestOf(inputs)).body

  it('is inputs for one tensor of several values a row, and for one without a name', () => {
    expect(encoded(floats('x', [2, 2], 1, 2.5, 3, 4))).toBe('{"inputs":[[1.0,2.5],[3.0,4.0]]}')
    expect(encoded(floats('x', [0, 2]))).toBe('{"inputs":[]}')
    expect(encoded(floats('x', [], 1))).toBe('{"inputs":1.0}')
    expect(encoded(floats('input-0', [1, 1], 1))).toBe('{"inputs":[[1.0]]}')
  })

  it('is a data frame for one column, because servers refuse inputs of one shape or the other', () => {
    for (const shape of [[2], [2, 1]]) {
      expect(encoded(floats('x', shape, 1, 2))).toBe('{"dataframe_split":{"columns":["x"],"data":[[1.0],[2.0]]}}')
    }
  })

  it('is a data frame for columns of one value a row, in their order', () => {
    expect(encoded(floats('x', [2, 1], 1, 2), tensor('t', 'BYTES', [2], ['a', 'b']))).toBe(
      '{"dataframe_split":{"columns":["x","t"],"data":[[1.0,"a"],[2.0,"b"]]}}',
    )
    expect(encoded(floats('x', [0, 1]), floats('y', [0]))).toBe('{"dataframe_split":{"columns":["x","y"],"data":[]}}')
  })

  it('is inputs by name for other tensors', () => {
    expect(encoded(floats('x', [1, 2], 1, 2), floats('y', [1], 3))).toBe('{"inputs":{"x":[[1.0,2.0]],"y":[3.0]}}')
    expect(encoded(floats('x', [1], 1), floats('y', [2], 2, 3))).toBe('{"inputs":{"x":[1.0],"y":[2.0,3.0]}}')
  })

  it('says with null that a value is missing, and cannot carry an infinity', () => {
    expect(encoded(floats('x', [2], Number.NaN, 1))).toBe('{"dataframe_split":{"columns":["x"],"data":[[null],[1.0]]}}')
    expect(() => encoded(floats('x', [1], Number.POSITIVE_INFINITY))).toThrow(
      expect.objectContaining({ code: 'NOT_SUPPORTED', message: expect.stringContaining('"x"') }),
    )
  })

  it('passes params on', () => {
    const request = mlflow.decodeRequest(wire('{"inputs":[1],"params":{"t":[0.5]}}'), LIMITS, undefined)
    expect(mlflow.encodeRequest(request).body).toBe('{"inputs":[1],"params":{"t":[0.5]}}')
    const frame = { ...request, inputs: [floats('a', [1], 1), floats('b', [1], 2)] }
    expect(mlflow.encodeRequest(frame).body).toBe(
      '{"dataframe_split":{"columns":["a","b"],"data":[[1.0,2.0]]},"params":{"t":[0.5]}}',
    )
  })

  it('passes params on as plain JSON also where 64-bit integers had to be read digit by digit', () => {
    const body = '{"inputs":[9007199254740993],"params":{"seed":7}}'
    const request = mlflow.decodeRequest(wire(body), LIMITS, undefined)
    expect(request.parameters).toEqual({ params: { seed: 7 } })
    expect(mlflow.encodeRequest(request).body).toBe(body)
  })
})

describe('an answer to a client of MLflow', () => {
  const label = tensor('label', 'INT64', [2], BigInt64Array.of(1n, 0n))
  const scores = floats('scores', [2, 2], 0.25, 0.75, 1, 0)
  const risk = floats('risk', [2, 1], 0.5, 1)
  const rows = requestOf([])
  const columns = requestOf([], { columnar: true })

  it('is a list of scalars for one value a row and of lists for more', () => {
    expect(mlflow.encodeResponse(responseOf([label]), rows).body).toBe('{"predictions":[1,0]}')
    expect(mlflow.encodeResponse(responseOf([risk]), columns).body).toBe('{"predictions":[0.5,1.0]}')
    expect(mlflow.encodeResponse(responseOf([scores]), rows).body).toBe('{"predictions":[[0.25,0.75],[1.0,0.0]]}')
  })

  it('is records for several outputs, and an object of lists when asked by inputs', () => {
    const response = responseOf([label, risk, scores])
    expect(mlflow.encodeResponse(response, rows).body).toBe(
      '{"predictions":[{"label":1,"risk":0.5,"scores":[0.25,0.75]},{"label":0,"risk":1.0,"scores":[1.0,0.0]}]}',
    )
    expect(mlflow.encodeResponse(response, columns).body).toBe(
      '{"predictions":{"label":[1,0],"risk":[[0.5],[1.0]],"scores":[[0.25,0.75],[1.0,0.0]]}}',
    )
  })

  it('is an object of lists where rows differ', () => {
    expect(mlflow.encodeResponse(responseOf([label, floats('p', [1], 1)]), rows).body).toBe(
      '{"predictions":{"label":[1,0],"p":[1.0]}}',
    )
  })

  it.each([
    [400, 'BAD_REQUEST'],
    [401, 'UNAUTHENTICATED'],
    [403, 'PERMISSION_DENIED'],
    [404, 'ENDPOINT_NOT_FOUND'],
    [413, 'BAD_REQUEST'],
    [415, 'BAD_REQUEST'],
    [500, 'INTERNAL_ERROR'],
    [501, 'NOT_IMPLEMENTED'],
    [502, 'INTERNAL_ERROR'],
    [503, 'TEMPORARILY_UNAVAILABLE'],
    [504, 'DEADLINE_EXCEEDED'],
  ])('is an error of status %d with the code %s', (status, code) => {
    expect(JSON.parse(mlflow.encodeError('why', status))).toEqual({ error_code: code, message: 'why' })
  })
})

describe('an answer of an MLflow server', () => {
  it('is one tensor called predictions for a list', () => {
    expect(answer('{"predictions": [1.0, 2.5]}')).toEqual([tensor('predictions', 'FP64', [2], Float64Array.of(1, 2.5))])
    expect(answer('{"predictions": [[1.0], [2.5]]}')[0]?.shape).toEqual([2, 1])
    expect(answer('{"predictions": ["a"]}')).toEqual([tensor('predictions', 'BYTES', [1], ['a'])])
    expect(answer('{"predictions": 3}')).toEqual([tensor('predictions', 'FP64', [], Float64Array.of(3))])
  })

  it('is a tensor for each column of a data frame, with the bare NaN that Python writes', () => {
    expect(answer('{"predictions": [{"p": 0.5, "l": 1}, {"p": NaN, "l": 2}]}')).toEqual([
      tensor('p', 'FP64', [2], Float64Array.of(0.5, Number.NaN)),
      tensor('l', 'FP64', [2], Float64Array.of(1, 2)),
    ])
  })

  it('is a tensor for each array of a dictionary', () => {
    expect(answer('{"predictions": {"p": [[0.5], [1.0]], "l": [1, 2]}}')).toEqual([
      tensor('p', 'FP64', [2, 1], Float64Array.of(0.5, 1)),
      tensor('l', 'FP64', [2], Float64Array.of(1, 2)),
    ])
  })

  it('takes an object of b64 for what it says, a column', () => {
    expect(answer('{"predictions": [{"b64": "YQ=="}]}')).toEqual([tensor('b64', 'BYTES', [1], ['YQ=='])])
  })

  it('is unreadable without predictions, as of a chat model', () => {
    expect(() => answer('{"choices": []}')).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }))
    expect(() => answer('{"outputs": [1]}')).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }))
  })
})

describe('a request made to keep a thread busy', () => {
  const names = (count: number) => Array.from({ length: count }, (_, index) => `c${index}`)
  const record = Object.fromEntries(names(32_769).map(name => [name, 1]))

  it.each([
    ['CSV of commas', ','.repeat(1_000_000), 'text/csv'],
    [
      'a frame of columns',
      JSON.stringify({ dataframe_split: { columns: names(32_769), data: [] } }),
      'application/json',
    ],
    ['records of names', JSON.stringify({ dataframe_records: [record] }), 'application/json'],
    ['inputs of names', JSON.stringify({ inputs: record }), 'application/json'],
  ])('is refused when it is %s', (_, body, contentType) => {
    expect(() => mlflow.decodeRequest({ ...wire(body), contentType }, LIMITS, undefined)).toThrow(
      expect.objectContaining({ code: 'BAD_REQUEST', message: 'more than 32768 names' }),
    )
  })

  it('is read in linear time when it is a cell of a million digits, or an integer of as many', () => {
    const digits = '1'.repeat(1_000_000)
    const csv = { ...wire(`a\n${digits}x`), contentType: 'text/csv' }
    expect(mlflow.decodeRequest(csv, LIMITS, undefined).inputs[0]?.datatype).toBe('BYTES')
    expect(() => mlflow.decodeRequest(wire(`{"inputs":[${digits}]}`), LIMITS, undefined)).toThrow(
      expect.objectContaining({ code: 'BAD_TENSOR' }),
    )
  })
})

test('there is one path for every model, and none that tells a signature', () => {
  expect(mlflow.predictPath('any')).toBe('/invocations')
  expect(mlflow.metadataPath('any')).toBeUndefined()
  expect(mlflow.decodeMetadata(Buffer.from('{}'), LIMITS)).toBeUndefined()
})
