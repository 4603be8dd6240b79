// Raw little-endian tensors of V2's binary tensor data extension: bytes ↔ values. Knows nothing of the JSON before them.
// Wire format: triton-inference-server/server, docs/protocol/extension_binary_data.md. Hosts are little-endian too.
import { isUtf8 } from 'node:buffer'
import { UnderstudyError } from '../errors.ts'
import { areFinite } from './finite.ts'
import { wrongValue } from './quote.ts'
import { type Datatype, ELEMENT_ARRAYS, type Tensor, type TensorData } from './tensor.ts'

/**
 * The `count` values that `bytes` hold, all of them and no more. They are copied: `bytes` may be unaligned, and the request
 * is gone before its tensors are.
 * @param label such as `input "x"`
 * @param isAnswer an answer may hold NaN and infinity, a request may not
 * @throws BAD_TENSOR that names the tensor
 */
export function decodeRaw(
  bytes: Uint8Array,
  datatype: Datatype,
  count: number,
  label: string,
  isAnswer: boolean,
): TensorData {
  if (datatype === 'BYTES') return decodeTexts(bytes, count, label)
  const ElementArray = ELEMENT_ARRAYS[datatype]
  const expected = count * ElementArray.BYTES_PER_ELEMENT
  if (bytes.length !== expected) {
    throw new UnderstudyError(
      'BAD_TENSOR',
      `${label} has a binary_data_size of ${bytes.length}, its shape and ${datatype} need ${expected}`,
    )
  }
  // Not zeroed first and not out of a pool, so that the values own their memory and start at its beginning.
  const copy = Buffer.allocUnsafeSlow(expected)
  copy.set(bytes)
  const values = new ElementArray(copy.buffer)
  if (datatype === 'BOOL') normaliseBooleans(values as Uint8Array)
  else if (!isAnswer && !isFiniteData(values)) {
    throw wrongValue(
      label,
      datatype,
      Array.from(values as Float64Array).find(value => !Number.isFinite(value)),
    )
  }
  return values
}

/** The bytes of a tensor's values; numbers are a view of the tensor's own memory. */
export function encodeRaw({ data }: Tensor): Uint8Array {
  if (ArrayBuffer.isView(data)) return bytesOf(data)
  let size = 0
  for (const text of data) size += LENGTH_BYTES + Buffer.byteLength(text)
  const bytes = Buffer.allocUnsafe(size)
  let at = 0
  for (const text of data) {
    const length = bytes.write(text, at + LENGTH_BYTES)
    bytes.writeUInt32LE(length, at)
    at += LENGTH_BYTES + length
  }
  return bytes
}

/** Whether no value is NaN or infinite; integers and texts never are. */
export function isFiniteData(data: TensorData): boolean {
  if (data instanceof Float32Array) return areFinite(bytesOf(data), 'FP32')
  if (data instanceof Float64Array) return areFinite(bytesOf(data), 'FP64')
  return !(data instanceof Float16Array) || areFinite(bytesOf(data), 'FP16')
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** Triton hands these bytes on unread, and to its backends whatever is not 0 is true. */
function normaliseBooleans(values: Uint8Array): void {
  for (let index = 0; index < values.length; index++) if (values[index]! > 1) values[index] = 1
}

const LENGTH_BYTES = 4
const REPLACEMENT = '\ufffd'

function decodeTexts(bytes: Uint8Array, count: number, label: string): string[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const texts: string[] = []
  let at = 0
  for (let index = 0; index < count; index++) {
    if (bytes.length - at < LENGTH_BYTES) {
      throw new UnderstudyError('BAD_TENSOR', `${label} has bytes for ${index} elements, its shape needs ${count}`)
    }
    const length = buffer.readUInt32LE(at)
    at += LENGTH_BYTES
    if (length > bytes.length - at) {
      const left = bytes.length - at
      throw new UnderstudyError('BAD_TENSOR', `${label}: element ${index} says ${length} bytes, ${left} are left`)
    }
    // Half the time of a decoder that refuses, and a byte order mark stays. What is wrong becomes U+FFFD, which may be right.
    const text = buffer.toString('utf8', at, at + length)
    if (text.includes(REPLACEMENT) && !isUtf8(bytes.subarray(at, at + length))) {
      throw new UnderstudyError('BAD_TENSOR', `${label}: element ${index} is not valid UTF-8`)
    }
    texts.push(text)
    at += length
  }
  if (at < bytes.length) {
    throw new UnderstudyError('BAD_TENSOR', `${label} has ${bytes.length - at} bytes more than its ${count} elements`)
  }
  return texts
}
