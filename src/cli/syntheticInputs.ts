// Makes up inputs for a signature, the same ones for the same seed. They fit in type and shape and mean nothing.
import type { TensorSpec } from '../models/manifest.ts'
import { elementCount, type Tensor, type TensorData } from '../protocols/tensor.ts'

export function syntheticInputs(signature: readonly TensorSpec[], seed: number): Tensor[] {
  const random = randomFrom(seed)
  return signature.map(({ name, datatype, shape }) => {
    const filled = shape.map(size => (size === -1 ? 1 : size))
    return { name, datatype, shape: filled, data: dataOf(datatype, elementCount(filled), random) }
  })
}

function dataOf(datatype: TensorSpec['datatype'], count: number, random: () => number): TensorData {
  const fill = <T>(value: () => T) => Array.from({ length: count }, value)
  // Small whole numbers, because many integer inputs are indices into a table.
  const small = () => Math.floor(random() * 4)
  switch (datatype) {
    case 'BYTES':
      return fill(() => String.fromCharCode(97 + Math.floor(random() * 26)))
    case 'BOOL':
      return Uint8Array.from(fill(() => Math.floor(random() * 2)))
    case 'UINT8':
      return Uint8Array.from(fill(small))
    case 'INT8':
      return Int8Array.from(fill(small))
    case 'UINT16':
      return Uint16Array.from(fill(small))
    case 'INT16':
      return Int16Array.from(fill(small))
    case 'UINT32':
      return Uint32Array.from(fill(small))
    case 'INT32':
      return Int32Array.from(fill(small))
    case 'UINT64':
      return BigUint64Array.from(fill(() => BigInt(small())))
    case 'INT64':
      return BigInt64Array.from(fill(() => BigInt(small())))
    case 'FP16':
      // Quarters, which half a float holds exactly.
      return Float16Array.from(fill(() => small() / 4))
    case 'FP32':
      // Thousandths, so that the manifest holds them in few digits.
      return Float32Array.from(fill(() => Math.round((random() * 4 - 2) * 1000) / 1000))
    case 'FP64':
      return Float64Array.from(fill(() => Math.round((random() * 4 - 2) * 1000) / 1000))
  }
}

/** mulberry32: uniform in [0, 1), the same everywhere. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
