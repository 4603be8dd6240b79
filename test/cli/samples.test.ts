import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { exitCodeOf, exitCodeOfDecision } from '../../src/cli/exit.ts'
import { goldenTensor } from '../../src/cli/goldenTensor.ts'
import { manifestText } from '../../src/cli/manifestText.ts'
import { sampleInputs } from '../../src/cli/samples.ts'
import { syntheticInputs } from '../../src/cli/syntheticInputs.ts'
import { ERRORS, type ErrorCode, UnderstudyError } from '../../src/errors.ts'
import { Manifest } from '../../src/models/manifest.ts'
import { checkInputs } from '../../src/protocols/checkTensors.ts'
import { DATATYPES } from '../../src/protocols/tensor.ts'

const signature = [
  { name: 'x', datatype: 'FP32', shape: [-1, 2] },
  { name: 'id', datatype: 'INT64', shape: [-1] },
] as const
const specs = signature.map(spec => ({ ...spec, shape: [...spec.shape] }))
const shapes = (line: unknown) => sampleInputs(JSON.stringify(line), specs).map(({ shape }) => shape)

describe('a sample that does not fit', () => {
  it.each([
    ['a list', [1], /JSON object/],
    ['an unknown input', { y: 1 }, /unknown input "y"; the model takes x, id/],
    ['a missing input', { x: [1, 2] }, /"id" is missing/],
    ['values that do not fill the shape', { x: [1, 2, 3], id: 1 }, /"x" has 3 values, which do not fill \[-1, 2\]/],
    ['text where numbers go', { x: ['a', 'b'], id: 1 }, /not a FP32 value/],
    ['half an integer', { x: [1, 2], id: 1.5 }, /not a INT64 value/],
    [
      'a V2 request of another type',
      { inputs: [{ name: 'x', datatype: 'FP64', shape: [1, 2], data: [1, 2] }] },
      /datatype FP64, expected FP32/,
    ],
  ])('%s is refused', (_what, line, message) => {
    expect(() => sampleInputs(JSON.stringify(line), specs)).toThrow(message)
  })

  it('is refused when it is not JSON', () => {
    expect(() => sampleInputs('{', specs)).toThrow(/JSON/)
  })
})

describe('a sample by name', () => {
  it('is one row, or as many as its values fill', () => {
    expect(shapes({ x: [1, 2], id: 7 })).toEqual([[1, 2], [1]])
    expect(
      shapes({
        x: [
          [1, 2],
          [3, 4],
        ],
        id: [7, 8],
      }),
    ).toEqual([[2, 2], [2]])
    expect(shapes({ x: [1, 2, 3, 4], id: [7, 8] })).toEqual([[2, 2], [2]])
  })

  it('keeps 64-bit integers', () => {
    const line =
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]},{"name":"id","datatype":"INT64","shape":[1],"data":[9007199254740993]}]}'
    expect(sampleInputs(line, specs)[1]!.data[0]).toBe(9007199254740993n)
  })

  it('may be of a model whose input is called inputs', () => {
    const only = [{ name: 'inputs', datatype: 'FP32' as const, shape: [-1, 2] }]
    expect(sampleInputs('{"inputs":[1,2]}', only)[0]!.shape).toEqual([1, 2])
  })
})

describe('golden tensors', () => {
  it('are short without loss', () => {
    const data = Float32Array.of(0.1, 1 / 3, 16777216)
    const golden = goldenTensor({ name: 'p', datatype: 'FP32', shape: [3], data })!
    expect(golden.data[0]).toBe(0.1)
    expect(Float32Array.from(golden.data as number[])).toEqual(data)
  })

  it('hold large integers as text and booleans as such', () => {
    expect(
      goldenTensor({ name: 'i', datatype: 'INT64', shape: [2], data: BigInt64Array.of(1n, 2n ** 60n) })!.data,
    ).toEqual([1, String(2n ** 60n)])
    expect(goldenTensor({ name: 'b', datatype: 'BOOL', shape: [2], data: Uint8Array.of(0, 1) })!.data).toEqual([
      false,
      true,
    ])
  })

  it('cannot be made of a NaN or an infinity', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(goldenTensor({ name: 'p', datatype: 'FP64', shape: [1], data: Float64Array.of(value) })).toBeUndefined()
  })
})

it('a manifest is read back as it was, whatever its texts hold', () => {
  const manifest = Manifest.parse({
    name: 'm',
    version: '1.0.0',
    description: 'a: "b" # c\n\u2028 - d \u0085 é',
    sha256: 'a'.repeat(64),
    signature: { inputs: specs, outputs: specs },
    golden: {
      tolerance: { absolute: 1e-5, relative: 1e-4 },
      vectors: [
        {
          inputs: [{ name: 'yes', datatype: 'BYTES', shape: [2], data: ['no', '1.0'] }],
          outputs: [{ name: 'p', datatype: 'FP32', shape: [2], data: [1e-7, -0.5] }],
        },
      ],
    },
  })
  expect(Manifest.parse(parse(manifestText(manifest)))).toEqual(manifest)
})

it('made-up inputs fit every datatype and are the same for the same seed', () => {
  const every = DATATYPES.map(datatype => ({ name: datatype, datatype, shape: [-1, 3] }))
  const inputs = syntheticInputs(every, 7)
  expect(() => checkInputs(inputs, every)).not.toThrow()
  expect(syntheticInputs(every, 7)).toEqual(inputs)
  expect(syntheticInputs(every, 8)).not.toEqual(inputs)
})

describe('exit codes', () => {
  it('blame the caller and the configuration with 2, conflicts with 4, ourselves with 1', () => {
    const of = (code: ErrorCode) => exitCodeOf(new UnderstudyError(code, 'x'))
    expect([of('BAD_CONFIGURATION'), of('MODEL_BROKEN'), of('UNKNOWN_MODEL'), of('UNAUTHORIZED')]).toEqual([2, 2, 2, 2])
    expect([of('CONFLICT'), of('STATE_IN_USE')]).toEqual([4, 4])
    expect([of('INTERNAL'), of('STATE_FAILED'), exitCodeOf(new Error('x'))]).toEqual([1, 1, 1])
    for (const code of Object.keys(ERRORS) as ErrorCode[]) expect([1, 2, 4]).toContain(of(code))
  })

  it('of a verdict are 0 only for promote', () => {
    expect((['promote', 'abort', 'continue', 'hold', 'invalid'] as const).map(exitCodeOfDecision)).toEqual([
      0, 3, 6, 6, 6,
    ])
  })
})
