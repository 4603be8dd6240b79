import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EncodedBody, InferRequest, RequestedOutput } from '../../src/protocols/codec.ts'
import { jsonBytesOf, v2 } from '../../src/protocols/openInference.ts'
import { DATATYPES, type Datatype, type Tensor } from '../../src/protocols/tensor.ts'
import { parameters, tensorOf } from './anyTensor.ts'

const limits = { depth: 64, elements: 1_000_000 }
const bytes = (text: string) => Buffer.from(text)
const decode = (text: string, within = limits) =>
  v2.decodeRequest({ bytes: bytes(text), jsonBytes: undefined, contentType: '' }, within, undefined)
const answer = (text: string) =>
  v2.decodeResponse({ bytes: bytes(text), jsonBytes: undefined, contentType: '' }, limits)
const wire = ({ body, jsonBytes, contentType }: EncodedBody) => ({ bytes: Buffer.from(body), jsonBytes, contentType })
const request = (inputs: readonly Tensor[], more: Partial<InferRequest> = {}): InferRequest => ({
  id: undefined,
  inputs,
  outputs: undefined,
  binaryOutputs: false,
  columnar: false,
  ...more,
})
const inJson = DATATYPES.filter(datatype => datatype !== 'FP16')

describe('a request', () => {
  const outputs: fc.Arbitrary<RequestedOutput> = fc
    .record({
      name: fc.string({ minLength: 1 }),
      binary: fc.option(fc.boolean(), { nil: undefined }),
      own: fc.option(parameters, { nil: undefined }),
    })
    .map(({ name, binary, own }) => ({ name, binary, ...(own && { parameters: own }) }))

  it('comes back as it was encoded, of every datatype, with its parameters, to the last digit (property)', () => {
    fc.assert(
      fc.property(
        fc.array(tensorOf(DATATYPES), { minLength: 1, maxLength: 4 }),
        fc.option(fc.string(), { nil: undefined }),
        fc.option(fc.array(outputs, { minLength: 1, maxLength: 3 }), { nil: undefined }),
        fc.boolean(),
        fc.option(parameters, { nil: undefined }),
        (inputs, id, outputs, binaryOutputs, own) => {
          const sent = request(inputs, { id, outputs, binaryOutputs, ...(own && { parameters: own }) })
          const encoded = v2.encodeRequest(sent)
          expect(encoded.jsonBytes !== undefined).toBe(inputs.some(({ datatype }) => datatype === 'FP16'))
          expect(v2.decodeRequest(wire(encoded), limits, undefined)).toEqual(sent)
        },
      ),
      { seed: 17, numRuns: 500 },
    )
  })

  it('may nest its data to any depth of its shape', () => {
    const text = '{"inputs":[{"name":"x","datatype":"INT32","shape":[2,2,1],"data":[[[1],[2]],[[3],[4]]]}]}'
    expect(decode(text).inputs[0]!.data).toEqual(Int32Array.of(1, 2, 3, 4))
  })

  it('may be of scalars', () => {
    const text = '{"inputs":[{"name":"x","datatype":"FP64","shape":[],"data":[4]}]}'
    expect(decode(text).inputs[0]).toEqual({ name: 'x', datatype: 'FP64', shape: [], data: Float64Array.of(4) })
  })

  it('that asks for an empty list of outputs asks for all', () => {
    const input = '{"name":"x","datatype":"UINT8","shape":[1],"data":[1]}'
    expect(decode(`{"inputs":[${input}],"outputs":[]}`).outputs).toBeUndefined()
  })

  it('may have keys that nobody knows, and null where clients write their defaults', () => {
    const text =
      '{"model_name":"m","id":null,"parameters":null,"outputs":null,"inputs":[{"name":"x","datatype":"UINT8","shape":[1],"data":[1],"parameters":null,"extra":{}}]}'
    expect(decode(text)).toEqual(request([{ name: 'x', datatype: 'UINT8', shape: [1], data: Uint8Array.of(1) }]))
  })

  it('has no more elements than the limit', () => {
    const text = '{"inputs":[{"name":"x","datatype":"UINT8","shape":[11],"data":[1,1,1,1,1,1,1,1,1,1,1]}]}'
    expect(() => decode(text, { depth: 64, elements: 10 })).toThrow(/x.*10/)
  })

  it('keeps a parameter called __proto__ and touches no prototype', () => {
    const input =
      '{"name":"x","datatype":"UINT8","shape":[1],"data":[1],"parameters":{"__proto__":{"polluted":1},"binary_data":true}}'
    const decoded = decode(`{"inputs":[${input}]}`)
    expect(v2.encodeRequest(decoded).body).toContain('"parameters":{"__proto__":{"polluted":1}}')
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })

  it('sends what JSON cannot carry as binary data, and the rest as JSON', () => {
    const { body, jsonBytes, contentType } = v2.encodeRequest(
      request([
        { name: 'fine', datatype: 'FP32', shape: [1], data: Float32Array.of(1) },
        { name: 'odd', datatype: 'FP32', shape: [2], data: Float32Array.of(Number.NaN, 1) },
        { name: 'double', datatype: 'FP64', shape: [1], data: Float64Array.of(-Infinity) },
      ]),
    )
    const json = JSON.parse(Buffer.from(body).toString('utf8', 0, jsonBytes))
    expect(json.inputs).toEqual([
      { name: 'fine', datatype: 'FP32', shape: [1], data: [1] },
      { name: 'odd', datatype: 'FP32', shape: [2], parameters: { binary_data_size: 8 } },
      { name: 'double', datatype: 'FP64', shape: [1], parameters: { binary_data_size: 8 } },
    ])
    expect(body.length).toBe(jsonBytes! + 16)
    expect(contentType).toBe('application/octet-stream')
  })
})

describe('a request in JSON that is wrong is refused with a message that names what is wrong', () => {
  const tensor = (change: object) => ({
    inputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1, 2], ...change }],
  })
  const good = tensor({}).inputs[0]
  const of = (datatype: Datatype, ...data: unknown[]) => tensor({ datatype, shape: [data.length], data })
  it.each<[string, object | string, RegExp]>([
    ['no inputs', {}, /"inputs"/],
    ['inputs that are no array', { inputs: {} }, /"inputs"/],
    ['an empty list', { inputs: [] }, /"inputs"/],
    ['an input that is null', { inputs: [null] }, /inputs\[0\]/],
    ['an input without a name', { inputs: [good, { datatype: 'FP32' }] }, /inputs\[1\].*"name"/],
    ['a name that is empty', tensor({ name: '' }), /inputs\[0\].*"name"/],
    ['no datatype', tensor({ datatype: undefined }), /input "x".*datatype none/],
    ['a datatype that there is not', tensor({ datatype: 'BF16' }), /input "x".*"BF16"/],
    ['no shape', tensor({ shape: undefined }), /input "x".*"shape"/],
    ['half a dimension', tensor({ shape: [1.5] }), /input "x".*"shape"/],
    ['a dynamic dimension', tensor({ shape: [-1] }), /input "x".*"shape"/],
    ['dimensions that multiply beyond any number', tensor({ shape: Array(40).fill(2 ** 40) }), /input "x".*elements/],
    ['such dimensions and a 0', tensor({ shape: [...Array(40).fill(2 ** 40), 0] }), /input "x".*elements/],
    ['no data', tensor({ data: undefined }), /input "x" needs "data"/],
    ['data that is null', tensor({ data: null }), /input "x" needs "data"/],
    ['data that is text', tensor({ data: 'AAAA' }), /input "x" needs "data"/],
    ['too few values', tensor({ data: [1] }), /input "x" has 1 values, its shape \[2\] needs 2/],
    ['too many values', tensor({ data: [1, 2, 3] }), /input "x" has 3 values, its shape \[2\] needs 2/],
    ['rows of two lengths', tensor({ shape: [2, 2], data: [[1, 2], [3]] }), /input "x".*nested data.*\[2,2\]/],
    ['a row among values', tensor({ shape: [3], data: [1, 2, [3]] }), /input "x" holds \[3\]/],
    ['nesting that is too deep for its shape', tensor({ data: [[1], [2]] }), /input "x".*nested data.*\[2\]/],
    ['text among numbers', of('FP32', 1, '2'), /input "x" holds "2".*FP32/],
    ['null among numbers', of('FP64', null), /input "x" holds null.*FP64/],
    ['a number beyond FP32', of('FP32', 1e39), /input "x" holds 1e\+39.*FP32/],
    ['a number beyond any', '{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[1e999]}]}', /holds Infinity/],
    ['FP16', of('FP16', 1), /input "x" is FP16.*binary data/],
    ['a number as BYTES', of('BYTES', 1), /input "x" holds 1.*BYTES/],
    ['2 as BOOL', of('BOOL', true, 0, 2), /input "x" holds 2.*BOOL/],
    ['half an integer', of('INT32', 0.5), /input "x" holds 0\.5.*INT32/],
    ['an integer below its type', of('UINT8', -1), /input "x" holds -1.*UINT8/],
    ['an integer beyond its type', of('INT16', 32_768), /input "x" holds 32768.*INT16/],
    [
      'a 64-bit integer one too large',
      '{"inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[9223372036854775808]}]}',
      /input "x" holds 9223372036854775808.*INT64/,
    ],
    ['a 64-bit integer without its digits', of('UINT64', 1e30), /input "x".*(outside its datatype|UINT64)/],
    ['an id that is no text', { ...tensor({}), id: 7 }, /"id"/],
    ['outputs that are no array', { ...tensor({}), outputs: 'y' }, /"outputs"/],
    ['an output without a name', { ...tensor({}), outputs: [{}] }, /outputs\[0\].*"name"/],
    ['parameters that are a list', { ...tensor({}), parameters: [] }, /"parameters" of the request/],
    ['parameters of a tensor that are text', tensor({ parameters: 'p' }), /"parameters" of input "x"/],
    [
      'binary_data that is text',
      { ...tensor({}), outputs: [{ name: 'y', parameters: { binary_data: 'yes' } }] },
      /binary_data/,
    ],
    ['binary_data_output that is 1', { ...tensor({}), parameters: { binary_data_output: 1 } }, /binary_data_output/],
    ['a list', [good], /object/],
    ['nothing', '', /JSON/],
    ['text that is no JSON', '{"inputs":', /JSON/],
  ])('%s', (_, body, message) => {
    expect(() => decode(typeof body === 'string' ? body : JSON.stringify(body))).toThrow(
      expect.objectContaining({ status: 400, message: expect.stringMatching(message) }),
    )
  })

  it.each<[string, object, RegExp]>([
    [
      'an input in shared memory',
      tensor({ data: undefined, parameters: { shared_memory_region: 'r' } }),
      /input "x".*shared memory/,
    ],
    [
      'an output in shared memory',
      { ...tensor({}), outputs: [{ name: 'y', parameters: { shared_memory_region: 'r' } }] },
      /outputs\[0\].*shared memory/,
    ],
    [
      'a classification',
      { ...tensor({}), outputs: [{ name: 'y', parameters: { classification: 3 } }] },
      /outputs\[0\].*classification/,
    ],
  ])('%s: 501', (_, body, message) => {
    expect(() => decode(JSON.stringify(body))).toThrow(
      expect.objectContaining({ status: 501, message: expect.stringMatching(message) }),
    )
  })

  it('with a name and a shape of any length in a message of a few words', () => {
    const text = JSON.stringify(tensor({ name: 'n'.repeat(100_000), shape: Array(100_000).fill(1) }))
    expect(() => decode(text)).toThrow(expect.toSatisfy(({ message }: Error) => message.length < 400))
  })
})

describe('an answer', () => {
  const odd: readonly Tensor[] = [
    { name: 'fine', datatype: 'FP32', shape: [1], data: Float32Array.of(1) },
    { name: 'odd', datatype: 'FP64', shape: [3], data: Float64Array.of(Number.NaN, Number.POSITIVE_INFINITY, 2) },
  ]
  const response = (outputs: readonly Tensor[]) => ({ modelName: 'm', modelVersion: '1.0.0', id: 'i', outputs })

  it('says NaN and infinity as null and names the outputs that hold them', () => {
    const { body, jsonBytes, contentType } = v2.encodeResponse(response(odd), request([]))
    const json = JSON.parse(String(body))
    expect(json.outputs[1].data).toEqual([null, null, 2])
    expect(json.parameters).toEqual({ non_finite: 'odd' })
    expect({ jsonBytes, contentType }).toEqual({ jsonBytes: undefined, contentType: 'application/json' })
  })

  it('says null where JSON has no number, which is read as NaN', () => {
    const text = '{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[null,1]}]}'
    expect(answer(text).outputs[0]!.data).toEqual(Float32Array.of(Number.NaN, 1))
  })

  it('comes back as it was encoded (property)', () => {
    fc.assert(
      fc.property(fc.array(tensorOf(inJson), { maxLength: 3 }), outputs => {
        const encoded = v2.encodeResponse(response(outputs), request([]))
        expect(encoded.jsonBytes).toBeUndefined()
        expect(v2.decodeResponse(wire(encoded), limits)).toEqual(response(outputs))
      }),
      { seed: 23, numRuns: 200 },
    )
  })

  it('cannot say FP16 in JSON: 400, which tells how to ask', () => {
    const half: Tensor = { name: 'y', datatype: 'FP16', shape: [1], data: Float16Array.of(1) }
    expect(() => v2.encodeResponse(response([half]), request([]))).toThrow(
      expect.objectContaining({ status: 400, message: expect.stringMatching(/output "y".*FP16.*binary_data/) }),
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
    expect(() => answer(text)).toThrow(expect.objectContaining({ name: 'UnderstudyError', status: 400 }))
  })

  it('about an error is one text under "error"', () => {
    expect(v2.encodeError('no "x"', 400)).toBe('{"error":"no \\"x\\""}')
  })
})

describe('the field Inference-Header-Content-Length', () => {
  it.each([
    [undefined, 10, undefined],
    ['0', 10, 0],
    ['0', 0, 0],
    ['007', 10, 7],
    ['10', 10, 10],
  ])('of %j before %i bytes means %j', (field, bodyBytes, expected) => {
    expect(jsonBytesOf(field, bodyBytes)).toBe(expected)
  })

  it.each(['11', '-1', '+1', '1.0', '1e1', '0x1', '', ' 1', '1, 1', 'NaN', '٣', '9'.repeat(400)])(
    'of %j is refused',
    field => {
      expect(() => jsonBytesOf(field, 10)).toThrow(
        expect.objectContaining({
          code: 'BAD_REQUEST',
          message: expect.stringMatching(/Inference-Header-Content-Length.*10/),
        }),
      )
    },
  )
})

describe('a server’s metadata', () => {
  const tensors = [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }]
  const told = (inputs: unknown, outputs: unknown) =>
    v2.decodeMetadata(bytes(JSON.stringify({ name: 'm', platform: 'p', inputs, outputs })), limits)

  it('stands and is predicted from where the protocol says, the name percent-encoded', () => {
    expect(v2.metadataPath('a b/c')).toBe('/v2/models/a%20b%2Fc')
    expect(v2.predictPath('a b/c')).toBe('/v2/models/a%20b%2Fc/infer')
  })

  it('tells a signature', () => {
    expect(told(tensors, [{ name: 'y', datatype: 'BYTES', shape: [], parameters: {} }])).toEqual({
      inputs: tensors,
      outputs: [{ name: 'y', datatype: 'BYTES', shape: [] }],
    })
  })

  it.each<[string, unknown]>([
    ['an empty list', []],
    ['no list', undefined],
    ['an object', {}],
    ['null in it', [null]],
    ['a tensor without a name', [{ datatype: 'FP32', shape: [1] }]],
    ['a datatype that there is not', [{ name: 'x', datatype: 'BF16', shape: [1] }]],
    ['no shape', [{ name: 'x', datatype: 'FP32' }]],
    ['a dimension below −1', [{ name: 'x', datatype: 'FP32', shape: [-2] }]],
    ['a dimension as text', [{ name: 'x', datatype: 'FP32', shape: ['1'] }]],
    ['one name twice', [...tensors, ...tensors]],
  ])('with %s tells none', (_, list) => {
    expect(told(list, tensors)).toBeUndefined()
    expect(told(tensors, list)).toBeUndefined()
  })

  it.each(['', '[]', 'null', '{', '\ufffd'])('that is %j tells none', text => {
    expect(v2.decodeMetadata(bytes(text), limits)).toBeUndefined()
  })
})
