// Tensors of every datatype and shape, for properties of codecs.
import fc from 'fast-check'
import type { Datatype, Tensor, TensorData } from '../../src/protocols/tensor.ts'

interface Kind {
  readonly value: fc.Arbitrary<unknown>
  readonly array: (list: never[]) => TensorData
}

const integer = (min: number, max: number) => fc.integer({ min, max })
// Zero has one sign in JSON.
const oneZero = (value: number) => value + 0

const KINDS: Readonly<Record<Datatype, Kind>> = {
  BOOL: { value: fc.constantFrom(0, 1), array: list => Uint8Array.from(list) },
  UINT8: { value: integer(0, 255), array: list => Uint8Array.from(list) },
  INT8: { value: integer(-128, 127), array: list => Int8Array.from(list) },
  UINT16: { value: integer(0, 65_535), array: list => Uint16Array.from(list) },
  INT16: { value: integer(-32_768, 32_767), array: list => Int16Array.from(list) },
  UINT32: { value: integer(0, 4_294_967_295), array: list => Uint32Array.from(list) },
  INT32: { value: integer(-2_147_483_648, 2_147_483_647), array: list => Int32Array.from(list) },
  UINT64: { value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), array: list => BigUint64Array.from(list) },
  INT64: { value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), array: list => BigInt64Array.from(list) },
  FP16: {
    value: integer(0, 65_535)
      .map(bits => new Float16Array(Uint16Array.of(bits).buffer)[0]!)
      .filter(Number.isFinite),
    array: list => Float16Array.from(list),
  },
  FP32: {
    value: fc.float({ noNaN: true, noDefaultInfinity: true }).map(oneZero),
    array: list => Float32Array.from(list),
  },
  FP64: {
    value: fc.double({ noNaN: true, noDefaultInfinity: true }).map(oneZero),
    array: list => Float64Array.from(list),
  },
  BYTES: {
    value: fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('', '\ufeffa', '\ufffd', '\0', '👩‍🚀'),
    ),
    array: list => list,
  },
}

const parameterValue = fc.oneof(fc.boolean(), fc.string(), fc.integer(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n }))
/** Parameters that are the client's own, never none of them. */
export const parameters = fc
  .dictionary(
    fc.string().map(key => `p${key}`),
    parameterValue,
    { minKeys: 1, maxKeys: 3 },
  )
  .map(object => ({ ...object }))

/** Finite tensors of these datatypes; shapes may be scalar or hold a 0. */
export function tensorOf(datatypes: readonly Datatype[]): fc.Arbitrary<Tensor> {
  return fc
    .record({
      datatype: fc.constantFrom(...datatypes),
      name: fc.string({ minLength: 1 }),
      shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
      own: fc.option(parameters, { nil: undefined, freq: 3 }),
    })
    .chain(({ datatype, name, shape, own }) => {
      const count = shape.reduce((a, b) => a * b, 1)
      const { value, array } = KINDS[datatype]
      return fc.array(value, { minLength: count, maxLength: count }).map(list => ({
        name,
        datatype,
        shape,
        data: array(list as never[]),
        ...(own && { parameters: own }),
      }))
    })
}
