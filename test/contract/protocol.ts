// What every wire protocol's codec must do, in both roles, whatever its bytes look like.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { UnderstudyError } from '../../src/errors.ts'
import type { Codec, EncodedBody, InferRequest, Signature, WireBody } from '../../src/protocols/codec.ts'
import { DATATYPES, type Datatype, elementCount, type Tensor, type TensorData } from '../../src/protocols/tensor.ts'

const LIMITS = { depth: 32, elements: 10_000 }

/**
 * Runs the contract against `codec`.
 * @param answersWithout datatypes that it cannot answer unless it is asked in a special way, as V2 cannot answer FP16 in JSON
 */
export function protocolContract(codec: Codec, answersWithout: readonly Datatype[] = []): void {
  const answerable = DATATYPES.filter(datatype => !answersWithout.includes(datatype))

  describe(`the protocol contract: ${codec.protocol}`, () => {
    it('keeps an empty batch a batch without rows', () => {
      const inputs = [tensor('x', 'FP32', [0, 3], new Float32Array(0))]
      expect(throughRequest(inputs)).toEqual(inputs)
      const two = [tensor('a', 'FP32', [0, 1], new Float32Array(0)), tensor('b', 'BYTES', [0, 1], [])]
      expect(throughRequest(two)).toEqual(two)
      const [output] = throughResponse([tensor('y', 'FP32', [0], new Float32Array(0))], false)
      expect(output?.shape).toEqual([0])
    })

    it('brings requests to a server and back with names, datatypes, shapes and values', () => {
      fc.assert(
        fc.property(someTensors(DATATYPES, 'any'), inputs => {
          expect(throughRequest(inputs)).toEqual(inputs)
        }),
        { numRuns: 300 },
      )
    })

    it('brings answers back with their values, row by row and column by column', () => {
      fc.assert(
        fc.property(someTensors(answerable, 'same'), fc.boolean(), (outputs, columnar) => {
          const answered = throughResponse(outputs, columnar)
          expect(answered.map(plainValues)).toEqual(outputs.map(plainValues))
          if (outputs.length > 1) expect(answered.map(({ name }) => name)).toEqual(outputs.map(({ name }) => name))
        }),
        { numRuns: 300 },
      )
    })

    it('answers numbers that JSON does not have so that they read as NaN', () => {
      const [output] = throughResponse(
        [
          tensor(
            'p',
            'FP64',
            [4],
            Float64Array.of(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.5),
          ),
        ],
        false,
      )
      expect([...output!.data]).toEqual([Number.NaN, Number.NaN, Number.NaN, 0.5])
    })

    it('keeps every digit of 64-bit integers', () => {
      const signed = BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, 1n)
      const unsigned = BigUint64Array.of(2n ** 64n - 1n, 2n ** 53n + 1n, 0n, 1n)
      const tensors = [tensor('i', 'INT64', [4, 1], signed), tensor('u', 'UINT64', [4, 1], unsigned)]
      expect(throughRequest(tensors)).toEqual(tensors)
      for (const each of tensors) expect(throughRequest([each])).toEqual([each])
      expect(throughResponse(tensors, false).map(plainValues)).toEqual([Array.from(signed), Array.from(unsigned)])
      expect(throughResponse(tensors, true).map(plainValues)).toEqual([Array.from(signed), Array.from(unsigned)])
    })

    it('takes a tensor up to the limit of elements, and none beyond', () => {
      const inputs = [tensor('x', 'FP32', [101, 1], new Float32Array(101))]
      const body = wire(codec.encodeRequest(request(inputs)))
      const model = signatureOf(inputs)
      expect(codec.decodeRequest(body, { depth: 32, elements: 101 }, model).inputs).toEqual(inputs)
      const decode = () => codec.decodeRequest(body, { depth: 32, elements: 100 }, model)
      expect(decode).toThrow(expect.objectContaining({ code: 'BAD_TENSOR', message: expect.stringContaining('100') }))
      const answer = wire(codec.encodeResponse(response(inputs), request([])))
      expect(() => codec.decodeResponse(answer, { depth: 32, elements: 100 })).toThrow(UnderstudyError)
    })

    it('refuses nesting beyond the limit of depth, however deep', () => {
      for (const [open, close] of [
        ['[', ']'],
        ['{"a":', '}'],
        ['{"inputs":[', ']}'],
      ] as const) {
        for (const depth of [33, 1000, 300_000]) {
          const body = text(open.repeat(depth) + close.repeat(depth))
          expect(() => codec.decodeRequest(body, LIMITS, undefined)).toThrow(
            expect.objectContaining({ code: 'BAD_JSON' }),
          )
          expect(() => codec.decodeResponse(body, LIMITS)).toThrow(expect.objectContaining({ code: 'BAD_JSON' }))
        }
      }
    })

    it('refuses every truncation of a request and of an answer, or reads it, and fails in no other way', () => {
      const tensors = [
        tensor('ä', 'FP32', [2, 2], Float32Array.of(1, 2.5, -3, 4)),
        tensor('t_bytes', 'BYTES', [2, 1], ['é"\\', '']),
        tensor('i', 'INT64', [2], BigInt64Array.of(2n ** 60n + 1n, 0n)),
      ]
      const asked = wire(codec.encodeRequest(request(tensors)))
      const answered = wire(codec.encodeResponse(response(tensors), request([])))
      for (let end = 0; end < asked.bytes.length; end++) {
        only4xx(() =>
          codec.decodeRequest({ ...asked, bytes: asked.bytes.subarray(0, end) }, LIMITS, signatureOf(tensors)),
        )
      }
      for (let end = 0; end < answered.bytes.length; end++) {
        only4xx(() => codec.decodeResponse({ ...answered, bytes: answered.bytes.subarray(0, end) }, LIMITS))
      }
    })

    it('refuses or reads whatever bytes come, and fails in no other way', () => {
      const before = Object.getOwnPropertyNames(Object.prototype)
      fc.assert(
        fc.property(
          fc.oneof(
            fc.uint8Array({ maxLength: 64 }),
            looksLikeARequest.map(value => Buffer.from(value)),
          ),
          fc.option(fc.constantFrom(...MODELS), { nil: undefined }),
          (bytes, model) => {
            for (const contentType of ['application/json', 'text/csv', 'text/plain', '']) {
              const body = { bytes, jsonBytes: undefined, contentType }
              only4xx(() => codec.decodeRequest(body, LIMITS, model))
            }
            only4xx(() => codec.decodeResponse({ bytes, jsonBytes: undefined, contentType: '' }, LIMITS))
            only4xx(() => codec.decodeMetadata(bytes, LIMITS))
          },
        ),
        { numRuns: 2_000 },
      )
      expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before)
      expect(Object.keys(Object.prototype)).toEqual([])
    })

    it('takes names that objects inherit as names', () => {
      for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
        const inputs = [
          tensor(name, 'FP32', [2, 1], Float32Array.of(1, 2)),
          tensor('other', 'FP32', [2, 1], Float32Array.of(3, 4)),
        ]
        expect(throughRequest(inputs)).toEqual(inputs)
        expect(throughResponse(inputs, false).map(output => output.name)).toEqual([name, 'other'])
      }
      expect(Object.keys(Object.prototype)).toEqual([])
    })

    it('puts the message into an error body that is a JSON object', () => {
      for (const status of [400, 404, 413, 415, 499, 500, 501, 502, 503, 504]) {
        const body: unknown = JSON.parse(codec.encodeError('no "such" model', status))
        expect(Object.values(body as object)).toContain('no "such" model')
      }
    })

    it('percent-encodes a model in a path', () => {
      for (const path of [codec.predictPath('a b/ü?'), codec.metadataPath('a b/ü?') ?? '/']) {
        expect(path).toMatch(/^\/[\w/:%.~-]*$/)
        expect(new URL(path, 'http://host').pathname).toBe(path)
      }
    })

    function throughRequest(inputs: readonly Tensor[]): readonly Tensor[] {
      return codec.decodeRequest(wire(codec.encodeRequest(request(inputs))), LIMITS, signatureOf(inputs)).inputs
    }

    function throughResponse(outputs: readonly Tensor[], columnar: boolean): readonly Tensor[] {
      const asked = { ...request([]), columnar }
      return codec.decodeResponse(wire(codec.encodeResponse(response(outputs), asked)), LIMITS).outputs
    }
  })
}

/** Either a result or an error that is the sender's fault. */
function only4xx(decode: () => unknown): void {
  try {
    decode()
  } catch (error) {
    if (!(error instanceof UnderstudyError)) throw error
    expect(error.status === 501 || (error.status >= 400 && error.status < 500), error.message).toBe(true)
  }
}

function request(inputs: readonly Tensor[]): InferRequest {
  return { id: undefined, inputs, outputs: undefined, binaryOutputs: false, columnar: false }
}

function response(outputs: readonly Tensor[]) {
  return { modelName: 'm', modelVersion: '1', id: undefined, outputs }
}

function tensor(name: string, datatype: Datatype, shape: readonly number[], data: TensorData): Tensor {
  return { name, datatype, shape, data }
}

/** The first dimension is dynamic. */
function signatureOf(tensors: readonly Tensor[]): Signature {
  const shapes = tensors.map(({ name, datatype, shape }) => ({
    name,
    datatype,
    shape: shape.map((dimension, axis) => (axis === 0 ? -1 : dimension)),
  }))
  return { inputs: shapes, outputs: shapes }
}

function wire({ body, jsonBytes, contentType }: EncodedBody): WireBody {
  return { bytes: Buffer.from(body), jsonBytes, contentType }
}

function text(body: string): WireBody {
  return { bytes: Buffer.from(body), jsonBytes: undefined, contentType: 'application/json' }
}

/** Values without their datatype, for protocols whose numbers have none: integers as BigInt, booleans as such too. */
function plainValues({ data }: Tensor): unknown[] {
  return Array.from<number | bigint | string, unknown>(data, value =>
    typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value,
  )
}

const MODELS: readonly Signature[] = [
  { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }], outputs: [], features: ['a', 'b'] },
  { inputs: [{ name: 'x', datatype: 'INT64', shape: [-1] }], outputs: [] },
  {
    inputs: [
      { name: 'a', datatype: 'BYTES', shape: [-1, 1] },
      { name: 'b', datatype: 'BOOL', shape: [-1, 1] },
    ],
    outputs: [],
  },
]

const KEYS =
  'instances inputs outputs predictions dataframe_split dataframe_records columns data index params signature_name a b x b64 name shape datatype id parameters metadata signature_def serving_default error __proto__ constructor'.split(
    ' ',
  )

const FIRST_KEYS = [
  'instances',
  'inputs',
  'dataframe_split',
  'dataframe_records',
  'predictions',
  'outputs',
  undefined,
] as const

/** JSON made of the words of the protocols, so that decoders get past their first check. */
const looksLikeARequest: fc.Arbitrary<string> = fc
  .letrec<{ value: unknown }>(tie => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(null, true, 0, 1, -1.5, 2 ** 60, 1e300, '', 'FP32', 'INT64', '\ud800', 'YQ==', [], {}),
      fc.array(tie('value'), { maxLength: 3 }),
      fc
        .array(fc.tuple(fc.constantFrom(...KEYS), tie('value')), { maxLength: 4 })
        .map(entries => Object.fromEntries(entries)),
    ),
  }))
  .value.chain(value => fc.tuple(fc.constantFrom(...FIRST_KEYS), fc.constant(value)))
  // Object.fromEntries makes `__proto__` an own key, which JSON.stringify writes.
  .map(([key, value]) => JSON.stringify(key === undefined ? value : { [key]: value }))

/** One to four tensors; `same`: with one positive number of rows, as answers have. */
function someTensors(datatypes: readonly Datatype[], rows: 'any' | 'same'): fc.Arbitrary<Tensor[]> {
  const name = fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }),
    fc.constantFrom('t_bytes', 'a', 'b'),
  )
  return fc
    .record({
      names: fc.uniqueArray(name, { minLength: 1, maxLength: 4 }),
      rows: fc.integer({ min: rows === 'same' ? 1 : 0, max: 3 }),
      apart: fc.constant(rows === 'any').chain(allowed => (allowed ? fc.boolean() : fc.constant(false))),
    })
    .chain(({ names, rows, apart }) =>
      fc.tuple(
        ...names.map((each, index) => {
          const shape = fc
            .array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 })
            .map(rest => [apart ? rows + index : rows, ...rest])
          return fc
            .tuple(fc.constantFrom(...datatypes), shape)
            .chain(([datatype, shape]) =>
              someData(datatype, elementCount(shape)).map(data => tensor(each, datatype, shape, data)),
            )
        }),
      ),
    )
}

function someData(datatype: Datatype, length: number): fc.Arbitrary<TensorData> {
  const exactly = { minLength: length, maxLength: length }
  const finite = { noNaN: true, noDefaultInfinity: true }
  // V2 of other servers writes 0 for -0, which is equal.
  const positiveZero = (value: number) => (value === 0 ? 0 : value)
  switch (datatype) {
    case 'BYTES':
      return fc.array(fc.string({ unit: 'grapheme', maxLength: 5 }), exactly)
    case 'BOOL':
      return fc.array(fc.constantFrom(0, 1), exactly).map(values => Uint8Array.from(values))
    case 'FP16':
      return fc
        .array(fc.integer({ min: -2000, max: 2000 }), exactly)
        .map(list => Float16Array.from(list, x => positiveZero(x / 8)))
    case 'FP32':
      return fc.float32Array({ ...exactly, ...finite }).map(values => values.map(positiveZero))
    case 'FP64':
      return fc.float64Array({ ...exactly, ...finite }).map(values => values.map(positiveZero))
    case 'INT64':
      return fc.bigInt64Array(exactly)
    case 'UINT64':
      return fc.bigUint64Array(exactly)
    case 'INT8':
      return fc.int8Array(exactly)
    case 'UINT8':
      return fc.uint8Array(exactly)
    case 'INT16':
      return fc.int16Array(exactly)
    case 'UINT16':
      return fc.uint16Array(exactly)
    case 'INT32':
      return fc.int32Array(exactly)
    case 'UINT32':
      return fc.uint32Array(exactly)
  }
}
