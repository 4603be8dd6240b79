import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { UnderstudyError } from '../../src/errors.ts'
import { isFiniteData } from '../../src/protocols/binaryTensors.ts'
import type { EncodedBody, InferRequest, Signature, WireBody } from '../../src/protocols/codec.ts'
import { jsonBytesOf, v2 } from '../../src/protocols/openInference.ts'
import { DATATYPES, type Datatype, type Tensor } from '../../src/protocols/tensor.ts'
import { tensorOf } from './anyTensor.ts'

const limits = { depth: 64, elements: 1_000_000 }
const asked: InferRequest = { id: undefined, inputs: [], outputs: undefined, binaryOutputs: true, columnar: false }
const response = (outputs: readonly Tensor[]) => ({ modelName: 'm', modelVersion: undefined, id: undefined, outputs })
const wire = ({ body, jsonBytes, contentType }: EncodedBody): WireBody => ({
  bytes: Buffer.from(body),
  jsonBytes,
  contentType,
})

/** A request of JSON and what follows it. */
function request(json: object | string, ...raws: readonly Uint8Array[]): WireBody {
  const head = Buffer.from(typeof json === 'string' ? json : JSON.stringify(json))
  return { bytes: Buffer.concat([head, ...raws]), jsonBytes: head.length, contentType: '' }
}
const decode = (body: WireBody) => v2.decodeRequest(body, limits, undefined)
const input = (datatype: Datatype, shape: readonly number[], size: unknown, more: object = {}) => ({
  name: 'x',
  datatype,
  shape,
  parameters: { binary_data_size: size },
  ...more,
})
const one = (datatype: Datatype, shape: readonly number[], raw: Uint8Array) =>
  request({ inputs: [input(datatype, shape, raw.length)] }, raw)
const refused = (body: WireBody, message: RegExp, status = 400) =>
  expect(() => decode(body)).toThrow(
    expect.objectContaining({ name: 'UnderstudyError', status, message: expect.stringMatching(message) }),
  )
const text = (...elements: readonly Uint8Array[]) =>
  Buffer.concat(elements.flatMap(each => [Uint8Array.of(each.length, 0, 0, 0), each]))

describe('raw tensors', () => {
  it('come back as they were encoded, among ones in JSON, wherever they start (property)', () => {
    fc.assert(
      fc.property(
        fc.array(tensorOf(DATATYPES), { maxLength: 4 }),
        fc.array(fc.option(fc.boolean(), { nil: undefined }), { minLength: 4, maxLength: 4 }),
        fc.boolean(),
        fc.nat({ max: 9 }),
        (tensors, choices, binaryOutputs, offset) => {
          const outputs = tensors.map((tensor, index) => ({ ...tensor, name: `${index}${tensor.name}` }))
          const choice = outputs.map(({ name, datatype }, index) => ({
            name,
            binary: datatype === 'FP16' ? true : choices[index],
          }))
          const encoded = v2.encodeResponse(response(outputs), { ...asked, outputs: choice, binaryOutputs })
          const isAnyRaw = choice.some(({ binary }) => binary ?? binaryOutputs)
          expect(encoded.jsonBytes !== undefined).toBe(isAnyRaw)
          expect(encoded.contentType).toBe(isAnyRaw ? 'application/octet-stream' : 'application/json')
          const whole = Buffer.from(encoded.body)
          const bytes = new Uint8Array(whole.length + offset).subarray(offset)
          bytes.set(whole)
          const decoded = v2.decodeResponse({ ...wire(encoded), bytes }, limits)
          // What was read does not change with the memory that it was read from.
          bytes.fill(0xff)
          expect(decoded.outputs).toEqual(outputs)
        },
      ),
      { seed: 31, numRuns: 500 },
    )
  })

  it('carry −0, NaN and infinity exactly', () => {
    const outputs: Tensor[] = [
      { name: 'a', datatype: 'FP32', shape: [4], data: Float32Array.of(-0, Number.NaN, Infinity, -Infinity) },
      { name: 'b', datatype: 'FP64', shape: [3], data: Float64Array.of(-Infinity, Number.NaN, -0) },
      { name: 'c', datatype: 'FP16', shape: [2], data: Float16Array.of(Infinity, Number.NaN) },
    ]
    const encoded = v2.encodeResponse(response(outputs), asked)
    expect(v2.decodeResponse(wire(encoded), limits).outputs).toEqual(outputs)
    expect(encoded.body.toString('utf8', 0, encoded.jsonBytes)).not.toContain('non_finite')
  })

  it('are laid out as the protocol’s documentation shows', () => {
    const body = request(
      {
        model_name: 'mymodel',
        inputs: [
          { name: 'input0', shape: [2, 2], datatype: 'UINT32', parameters: { binary_data_size: 16 } },
          { name: 'input1', shape: [3], datatype: 'BOOL', parameters: { binary_data_size: 3 } },
        ],
        outputs: [{ name: 'output0', parameters: { binary_data: true } }],
      },
      Uint8Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 255, 255, 255, 255),
      Uint8Array.of(1, 0, 1),
    )
    expect(decode(body)).toEqual({
      ...asked,
      binaryOutputs: false,
      inputs: [
        { name: 'input0', datatype: 'UINT32', shape: [2, 2], data: Uint32Array.of(1, 256, 65_536, 4_294_967_295) },
        { name: 'input1', datatype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) },
      ],
      outputs: [{ name: 'output0', binary: true }],
    })
    const { body: answer, jsonBytes } = v2.encodeResponse(
      response([{ name: 'output0', datatype: 'FP32', shape: [3, 2], data: new Float32Array(6).fill(1) }]),
      decode(body),
    )
    const head = answer.toString('utf8', 0, jsonBytes)
    expect(JSON.parse(head).outputs).toEqual([
      { name: 'output0', datatype: 'FP32', shape: [3, 2], parameters: { binary_data_size: 24 } },
    ])
    expect(answer.length).toBe(jsonBytes! + 24)
  })

  it('of names beyond ASCII are preceded by JSON that is counted in bytes', () => {
    const outputs: Tensor[] = [{ name: 'größe', datatype: 'UINT8', shape: [1], data: Uint8Array.of(7) }]
    const encoded = v2.encodeResponse(response(outputs), asked)
    expect(v2.decodeResponse(wire(encoded), limits).outputs).toEqual(outputs)
  })

  it('of BOOL are true where they are not 0, as Triton’s backends take them', () => {
    expect(decode(one('BOOL', [4], Uint8Array.of(0, 1, 2, 255))).inputs[0]!.data).toEqual(Uint8Array.of(0, 1, 1, 1))
  })

  it('of part of a longer array are that part alone', () => {
    const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3)
    const encoded = v2.encodeResponse(response([{ name: 'y', datatype: 'FP32', shape: [2], data }]), asked)
    expect(v2.decodeResponse(wire(encoded), limits).outputs[0]!.data).toEqual(Float32Array.of(2, 3))
  })

  it('may be asked for output by output against what the request says for all', () => {
    const outputs: Tensor[] = ['a', 'b', 'c'].map(name => ({
      name,
      datatype: 'UINT8',
      shape: [1],
      data: Uint8Array.of(9),
    }))
    const choice = [
      { name: 'a', binary: false },
      { name: 'b', binary: true },
      { name: 'c', binary: undefined },
    ]
    const formsFor = (binaryOutputs: boolean) => {
      const { body, jsonBytes } = v2.encodeResponse(response(outputs), { ...asked, outputs: choice, binaryOutputs })
      const json = JSON.parse(Buffer.from(body).toString('utf8', 0, jsonBytes))
      return json.outputs.map((output: object) => ('data' in output ? 'json' : 'raw'))
    }
    expect(formsFor(true)).toEqual(['json', 'raw', 'raw'])
    expect(formsFor(false)).toEqual(['json', 'raw', 'json'])
  })
})

describe('a request with raw tensors that is wrong is refused with a message that names the tensor', () => {
  const bytes4 = new Uint8Array(4)
  it.each<[string, WireBody, RegExp]>([
    ['a size that the shape does not have', one('FP32', [2], bytes4), /input "x".*4.*need 8/],
    ['a size that is no multiple', one('INT64', [1], new Uint8Array(7)), /input "x".*7.*need 8/],
    ['a size beyond the body', request({ inputs: [input('FP32', [2], 8)] }, bytes4), /input "x".*8, 4 bytes are left/],
    [
      'a size beyond any body',
      request({ inputs: [input('FP32', [1], 2 ** 53)] }, bytes4),
      /input "x".*9007199254740992/,
    ],
    ['a negative size', request({ inputs: [input('FP32', [1], -4)] }, bytes4), /input "x".*-4/],
    ['half a byte', request({ inputs: [input('FP32', [1], 4.5)] }, bytes4), /input "x".*4\.5/],
    ['a size as text', request({ inputs: [input('FP32', [1], '4')] }, bytes4), /input "x".*"4"/],
    ['a size of null', request({ inputs: [input('FP32', [1], null)] }, bytes4), /input "x".*null/],
    ['data and a size', request({ inputs: [input('FP32', [1], 4, { data: [1] })] }, bytes4), /input "x".*both/],
    ['neither', request({ inputs: [input('FP32', [1], undefined)] }), /input "x" needs "data"/],
    [
      'bytes that no tensor claims',
      request({ inputs: [input('FP32', [1], 4)] }, bytes4, bytes4),
      /4 bytes are left over/,
    ],
    [
      'bytes behind tensors that are all in JSON',
      request({ inputs: [{ name: 'x', datatype: 'UINT8', shape: [1], data: [1] }] }, bytes4),
      /4 bytes are left over/,
    ],
    [
      'dimensions that multiply to the size by overflow',
      one('UINT8', [2 ** 40, 2 ** 40, 16], bytes4),
      /input "x".*elements/,
    ],
    ['NaN', one('FP32', [2], new Uint8Array(Float32Array.of(1, Number.NaN).buffer)), /input "x" holds NaN/],
    ['infinity', one('FP64', [1], new Uint8Array(Float64Array.of(-Infinity).buffer)), /input "x" holds -Infinity/],
    [
      'half an infinity',
      one('FP16', [1], new Uint8Array(Float16Array.of(Infinity).buffer)),
      /input "x" holds Infinity/,
    ],
    [
      'a text whose length is cut off',
      one('BYTES', [2], Buffer.concat([text(Buffer.from('a')), Uint8Array.of(1, 0)])),
      /input "x".*1 elements.*2/,
    ],
    [
      'a text that is cut off',
      one('BYTES', [1], Uint8Array.of(3, 0, 0, 0, 97)),
      /input "x": element 0 says 3 bytes, 1 are left/,
    ],
    ['a text of four gigabytes', one('BYTES', [1], Uint8Array.of(255, 255, 255, 255, 97)), /input "x".*4294967295/],
    ['a text too few', one('BYTES', [2], text(Buffer.from('a'))), /input "x" has bytes for 1 elements.*2/],
    ['a text too many', one('BYTES', [1], text(Buffer.from('a'), Buffer.from('b'))), /input "x" has 5 bytes more/],
    [
      'a text that is not UTF-8',
      one('BYTES', [2], text(Buffer.from('a'), Uint8Array.of(0xff))),
      /input "x": element 1.*UTF-8/,
    ],
    ['half a surrogate', one('BYTES', [1], text(Uint8Array.of(0xed, 0xa0, 0x80))), /input "x": element 0.*UTF-8/],
    ['JSON that is longer than its field says', { ...one('FP32', [1], bytes4), jsonBytes: 9 }, /JSON/],
    ['JSON that is shorter than its field says', { ...one('FP32', [1], bytes4), jsonBytes: 90 }, /JSON|UTF-8/],
    ['no field for its JSON', { ...one('FP32', [1], bytes4), jsonBytes: undefined }, /Inference-Header-Content-Length/],
    ['a field past the end', { ...one('FP32', [1], bytes4), jsonBytes: 10_000 }, /cut off/],
    [
      'no field, and nothing behind the JSON',
      { ...request({ inputs: [input('FP32', [1], 4)] }), jsonBytes: undefined },
      /input "x".*Inference-Header-Content-Length is missing.*4, 0 bytes are left/,
    ],
  ])('%s', (_, body, message) => refused(body, message))

  it('names the second tensor where the first took its bytes', () => {
    const inputs = [input('FP32', [1], 4), { ...input('FP32', [1], 4), name: 'second' }]
    refused(request({ inputs }, bytes4), /input "second".*0 bytes are left/)
  })

  it('never with anything but a client’s error, whatever the bytes (property)', () => {
    const tensor = fc.record(
      {
        name: fc.constantFrom('x', '', 1),
        datatype: fc.constantFrom(...DATATYPES, 'BF16', null),
        shape: fc.array(fc.constantFrom(0, 1, 2, 3, 4, 2 ** 31, -1, 0.5, null), { maxLength: 3 }),
        parameters: fc.oneof(
          fc.constantFrom(null, 1, [], {}),
          fc.record({ binary_data_size: fc.constantFrom(0, 1, 2, 4, 8, 12, 16, -1, 1e300, '4', null) }),
          fc.constant({ shared_memory_region: 'r' }),
        ),
        data: fc.oneof(fc.constantFrom(null, {}, 'a'), fc.array(fc.anything(), { maxLength: 3 })),
      },
      { requiredKeys: ['name', 'datatype', 'shape', 'parameters'] },
    )
    const json = fc.record({ inputs: fc.array(tensor, { maxLength: 3 }) }).map(value => JSON.stringify(value, plain))
    fc.assert(
      fc.property(
        fc.oneof(json, fc.string()),
        fc.uint8Array({ maxLength: 40 }),
        fc.option(fc.nat({ max: 300 }), { nil: undefined }),
        fc.nat({ max: 400 }),
        (head, raw, jsonBytes, length) => {
          const whole = Buffer.concat([Buffer.from(head), raw])
          const bodies: WireBody[] = [
            { bytes: whole, jsonBytes: Buffer.byteLength(head), contentType: '' },
            { bytes: whole, jsonBytes, contentType: '' },
            { bytes: whole.subarray(0, length), jsonBytes, contentType: '' },
          ]
          for (const body of bodies) {
            for (const read of [decode, (each: WireBody) => v2.decodeResponse(each, limits)])
              isReadOrRefused(read, body)
          }
        },
      ),
      { seed: 37, numRuns: 2_000 },
    )
  })

  it('at every length that a good request is cut off at', () => {
    const good = v2.encodeResponse(
      response([
        { name: 'a', datatype: 'BYTES', shape: [3], data: ['', 'é', 'abc'] },
        { name: 'b', datatype: 'FP64', shape: [2], data: Float64Array.of(1, 2) },
      ]),
      asked,
    )
    const { bytes } = wire(good)
    for (let length = 0; length < bytes.length; length++) {
      const cut = { bytes: bytes.subarray(0, length), contentType: '' }
      for (const jsonBytes of [undefined, Math.min(length, good.jsonBytes!)]) {
        expect(() => v2.decodeResponse({ ...cut, jsonBytes }, limits)).toThrow(UnderstudyError)
      }
    }
    expect(v2.decodeResponse(wire(good), limits).outputs).toHaveLength(2)
  })
})

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? 1 : value
}

function isReadOrRefused(read: (body: WireBody) => unknown, body: WireBody): void {
  try {
    read(body)
  } catch (error) {
    expect(error).toBeInstanceOf(UnderstudyError)
    expect((error as UnderstudyError).code).toMatch(/^(BAD_JSON|BAD_REQUEST|BAD_TENSOR|NOT_SUPPORTED)$/)
  }
}

describe('a request without JSON', () => {
  const model = (...inputs: Signature['inputs']): Signature => ({ inputs, outputs: [] })
  const raw = (bytes: Uint8Array, signature: Signature | undefined) =>
    v2.decodeRequest({ bytes, jsonBytes: jsonBytesOf('0', bytes.length), contentType: '' }, limits, signature)

  it('is the only input’s values, as many rows as they fill, and wants binary data back', () => {
    const spec = { name: 'x', datatype: 'FP32', shape: [-1, 2] } as const
    expect(raw(new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer), model(spec))).toEqual({
      ...asked,
      inputs: [{ name: 'x', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }],
    })
  })

  it('is one text, without a length before it', () => {
    const spec = { name: 'x', datatype: 'BYTES', shape: [-1, 1] } as const
    expect(raw(Buffer.from('naïve'), model(spec)).inputs).toEqual([
      { name: 'x', datatype: 'BYTES', shape: [1, 1], data: ['naïve'] },
    ])
  })

  it.each<[string, Signature | undefined, RegExp]>([
    ['of a model that is not known', undefined, /signature/],
    ['of a model without inputs', model(), /signature/],
    [
      'of a model with two inputs',
      model({ name: 'x', datatype: 'FP32', shape: [] }, { name: 'y', datatype: 'FP32', shape: [] }),
      /one input/,
    ],
    ['of two dynamic dimensions', model({ name: 'x', datatype: 'FP32', shape: [-1, -1] }), /input "x".*-1,-1/],
    ['that does not fill its rows', model({ name: 'x', datatype: 'FP32', shape: [-1, 3] }), /input "x".*not filled/],
    ['that does not fill its elements', model({ name: 'x', datatype: 'FP64', shape: [-1] }), /input "x".*not filled/],
    [
      'that is not as long as a fixed shape',
      model({ name: 'x', datatype: 'UINT8', shape: [4] }),
      /input "x".*not filled/,
    ],
    ['of rows without values', model({ name: 'x', datatype: 'UINT8', shape: [-1, 0] }), /input "x".*not filled/],
    ['of two texts', model({ name: 'x', datatype: 'BYTES', shape: [2] }), /input "x".*not filled/],
  ])('%s is refused', (_, signature, message) => {
    expect(() => raw(new Uint8Array(20), signature)).toThrow(
      expect.objectContaining({ status: 400, message: expect.stringMatching(message) }),
    )
  })
})

describe('finiteness', () => {
  it('is found at any place among any values (property)', () => {
    const arrays = [Float16Array, Float32Array, Float64Array]
    fc.assert(
      fc.property(
        fc.constantFrom(...arrays),
        fc.array(fc.double(), { maxLength: 12 }),
        fc.nat({ max: 3 }),
        (TypedArray, list, from) => {
          const data = new TypedArray(list).subarray(from)
          expect(isFiniteData(data)).toBe(Array.from(data).every(Number.isFinite))
        },
      ),
      { seed: 41, numRuns: 2_000 },
    )
  })

  it('is that of the largest and smallest values of each width', () => {
    const largest = 3.4028234663852886e38
    expect(isFiniteData(Float32Array.of(largest, -largest, -0, 1e-45))).toBe(true)
    expect(isFiniteData(Float64Array.of(Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE))).toBe(true)
    expect(isFiniteData(Float16Array.of(65_504, -65_504))).toBe(true)
    for (const odd of [Number.NaN, Infinity, -Infinity]) {
      for (let at = 0; at < 9; at++) expect(isFiniteData(new Float32Array(9).fill(odd, at, at + 1))).toBe(false)
    }
  })

  it.each([Float16Array, Float32Array, Float64Array])(
    'of %o is found in long tensors, at their edges too',
    TypedArray => {
      const perPage = 65_536 / TypedArray.BYTES_PER_ELEMENT
      for (const length of [1, 31, 32, 33, perPage - 1, perPage, perPage + 1, 3 * perPage + 7]) {
        const data = new TypedArray(length).fill(-1.5)
        for (const at of new Set([0, 1, 15, 16, perPage - 1, perPage, length - 2, length - 1])) {
          if (at < 0 || at >= length) continue
          data[at] = Number.NaN
          expect(isFiniteData(data), `${length} values, NaN at ${at}`).toBe(false)
          data[at] = -1.5
          // Nothing is left of what was looked at before.
          expect(isFiniteData(data), `${length} values`).toBe(true)
          expect(isFiniteData(data.subarray(0, at))).toBe(true)
        }
      }
    },
  )

  it('of NaN with any payload and sign is none', () => {
    for (const bits of [0x7f800001, 0x7fffffff, 0xff800001, 0xffffffff]) {
      expect(isFiniteData(new Float32Array(Uint32Array.of(bits).buffer))).toBe(false)
    }
  })
})
