// Decides what values of JSON mean as elements of a tensor: checked against a datatype, or a datatype inferred from them.
import { UnderstudyError } from '../errors.ts'
import type { Digits } from './digits.ts'
import { isObject, member } from './json.ts'
import type { Datatype, TensorData } from './tensor.ts'

/** How values are read. */
export interface Reading {
  /** Most elements of one tensor. */
  readonly elements: number
  readonly digits: Digits
  /** TensorFlow Serving's `{"b64": "…"}` stands for the bytes of a string. */
  readonly base64: boolean
  /** An answer may hold null, which is NaN, and infinities; its numbers are FP64 whatever they look like. */
  readonly answer: boolean
}

/** Names the value at `index` of a flat tensor in an error, such as `input "age"`. */
export type Label = (index: number) => string

/**
 * The datatype of values that nothing declares: booleans BOOL, text BYTES. Numbers of a request are INT64 (UINT64 beyond
 * it) where each is written as an integer, else FP64. Those of an answer are FP64, because a model that answers 0.97 now
 * and 1 next must not change its datatype and a server written in JavaScript or Go writes both without a fraction; only
 * integers beyond ±2^53, which FP64 would round, make an answer INT64. No value at all is FP64.
 * @throws BAD_TENSOR when the values are of several types
 */
export function inferDatatype(flat: readonly unknown[], reading: Reading, label: Label): Datatype {
  let family: 'BOOL' | 'BYTES' | 'number' | undefined
  for (let index = 0; index < flat.length; index++) {
    const value = flat[index]
    const found = familyOf(value, reading)
    if (found === undefined) throw wrongValue(label(index), value, 'a boolean, a number or a string')
    if (family !== undefined && found !== family) {
      throw new UnderstudyError('BAD_TENSOR', `${label(index)} mixes values of several types`)
    }
    family = found
  }
  if (family !== 'number') return family ?? 'FP64'
  return inferNumbers(flat, reading)
}

function familyOf(value: unknown, reading: Reading): 'BOOL' | 'BYTES' | 'number' | undefined {
  if (typeof value === 'number' || typeof value === 'bigint' || (value === null && reading.answer)) return 'number'
  if (typeof value === 'boolean') return 'BOOL'
  return typeof value === 'string' || (reading.base64 && base64Text(value) !== undefined) ? 'BYTES' : undefined
}

function inferNumbers(flat: readonly unknown[], { digits, answer }: Reading): Datatype {
  if (!digits.exact) {
    let integers = true
    for (const value of flat) {
      if (!Number.isInteger(value)) integers = false
      else if (!Number.isSafeInteger(value)) digits.rounded = true
    }
    if (answer || !integers) return 'FP64'
    digits.guessed = true
    return 'INT64'
  }
  let [least, most] = [0n, 0n]
  for (const value of flat) {
    if (typeof value !== 'bigint') return 'FP64'
    if (value < least) least = value
    if (value > most) most = value
  }
  const safe = least >= BigInt(Number.MIN_SAFE_INTEGER) && most <= BigInt(Number.MAX_SAFE_INTEGER)
  if (answer && safe) return 'FP64'
  if (BigInt.asIntN(64, least) === least && BigInt.asIntN(64, most) === most) return 'INT64'
  return least === 0n && BigInt.asUintN(64, most) === most ? 'UINT64' : 'FP64'
}

/**
 * `flat` as elements of `datatype`. Nothing is rounded but decimals to the nearest float; text is valid UTF-8.
 * @throws BAD_TENSOR that names the value by `label`
 */
export function readValues(flat: readonly unknown[], datatype: Datatype, reading: Reading, label: Label): TensorData {
  switch (datatype) {
    case 'BYTES':
      return flat.map((value, index) => readText(value, reading, () => label(index)))
    case 'BOOL':
      return Uint8Array.from(flat, (value, index) => {
        if (typeof value !== 'boolean') throw wrongValue(label(index), value, 'a BOOL value')
        return value ? 1 : 0
      })
    case 'FP16':
      return readFloats(flat, new Float16Array(flat.length), datatype, reading, label)
    case 'FP32':
      return readFloats(flat, new Float32Array(flat.length), datatype, reading, label)
    case 'FP64':
      return readFloats(flat, new Float64Array(flat.length), datatype, reading, label)
    case 'INT64':
      return readLong(flat, new BigInt64Array(flat.length), datatype, reading, label)
    case 'UINT64':
      return readLong(flat, new BigUint64Array(flat.length), datatype, reading, label)
    case 'INT8':
      return readIntegers(flat, new Int8Array(flat.length), datatype, label)
    case 'UINT8':
      return readIntegers(flat, new Uint8Array(flat.length), datatype, label)
    case 'INT16':
      return readIntegers(flat, new Int16Array(flat.length), datatype, label)
    case 'UINT16':
      return readIntegers(flat, new Uint16Array(flat.length), datatype, label)
    case 'INT32':
      return readIntegers(flat, new Int32Array(flat.length), datatype, label)
    case 'UINT32':
      return readIntegers(flat, new Uint32Array(flat.length), datatype, label)
  }
}

function readFloats<T extends Float16Array | Float32Array | Float64Array>(
  flat: readonly unknown[],
  into: T,
  datatype: Datatype,
  reading: Reading,
  label: Label,
): T {
  for (let index = 0; index < flat.length; index++) {
    const value = flat[index]
    if (typeof value === 'number') into[index] = value
    else if (typeof value === 'bigint') into[index] = Number(value)
    else if (value === null && reading.answer) into[index] = Number.NaN
    else throw wrongValue(label(index), value, `a ${datatype} value`)
    // 1e39 is a finite JSON number and an infinite FP32.
    if (!reading.answer && !Number.isFinite(into[index])) throw wrongValue(label(index), value, `a ${datatype} value`)
  }
  return into
}

function readIntegers<T extends Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array>(
  flat: readonly unknown[],
  into: T,
  datatype: Datatype,
  label: Label,
): T {
  for (let index = 0; index < flat.length; index++) {
    const value = flat[index]
    const number = typeof value === 'bigint' ? Number(value) : value
    if (typeof number === 'number') into[index] = number
    // Writing to a typed array wraps what does not fit and cuts fractions off, so what it kept tells whether it fitted.
    if (typeof number !== 'number' || into[index] !== number) {
      throw wrongValue(label(index), value, `a value of ${datatype}`)
    }
  }
  return into
}

function readLong<T extends BigInt64Array | BigUint64Array>(
  flat: readonly unknown[],
  into: T,
  datatype: Datatype,
  { digits }: Reading,
  label: Label,
): T {
  for (let index = 0; index < flat.length; index++) {
    const value = flat[index]
    let exact: bigint
    if (typeof value === 'bigint') exact = value
    else if (typeof value !== 'number' || !Number.isInteger(value)) {
      throw wrongValue(label(index), value, `a value of ${datatype}`)
    } else if (Number.isSafeInteger(value)) exact = BigInt(value)
    else if (digits.exact) throw wrongValue(label(index), value, `a value of ${datatype} with all its digits`)
    else {
      digits.rounded = true
      continue
    }
    into[index] = exact
    if (into[index] !== exact) throw wrongValue(label(index), value, `a value of ${datatype}`)
  }
  return into
}

function readText(value: unknown, reading: Reading, label: () => string): string {
  if (typeof value === 'string') {
    if (!value.isWellFormed())
      throw new UnderstudyError('BAD_TENSOR', `${label()} holds text that is not valid Unicode`)
    return value
  }
  const encoded = reading.base64 ? base64Text(value) : undefined
  if (encoded === undefined) throw wrongValue(label(), value, 'a BYTES value')
  const compact = encoded.replace(/[\r\n\t ]/g, '')
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(compact) || compact.replace(/=+$/, '').length % 4 === 1) {
    throw new UnderstudyError('BAD_TENSOR', `${label()} holds "b64" that is not base64`)
  }
  try {
    return utf8.decode(Buffer.from(compact, 'base64'))
  } catch (cause) {
    throw new UnderstudyError(
      'BAD_TENSOR',
      `${label()} holds bytes that are not valid UTF-8: text alone is supported`,
      {
        cause,
      },
    )
  }
}

// A byte order mark is part of a value.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text of `{"b64": text}`; undefined: the value is something else, as an object with more members is. */
export function base64Text(value: unknown): string | undefined {
  if (!isObject(value)) return undefined
  const text = member(value, 'b64')
  return typeof text === 'string' && Object.keys(value).length === 1 ? text : undefined
}

function wrongValue(label: string, value: unknown, expected: string): UnderstudyError {
  // JSON has no infinity, but 1e999 is one once it is parsed.
  const plain = typeof value === 'bigint' || typeof value === 'number'
  const shown = plain ? String(value) : (JSON.stringify(value, digitsAsText) ?? String(value))
  return new UnderstudyError('BAD_TENSOR', `${label} holds ${shorten(shown)}, which is not ${expected}`)
}

function digitsAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

/** At most 80 characters of what a stranger sent, for a message. */
export function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`
}
