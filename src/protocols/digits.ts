// Reads JSON twice where numbers alone tell too little: 64-bit integers that were rounded, 1 against 1.0. Knows no tensor.
import { parseJson } from './json.ts'

/** What a reader of parsed JSON knows of its numbers, and what it finds that it needs to know. */
export interface Digits {
  /** Each integer, however small, came as BigInt; a number was written with a fraction or an exponent. */
  readonly exact: boolean
  /** Set by the reader: an integer beyond ±2^53, rounded by then, stands where that matters. */
  rounded: boolean
  /** Set by the reader: numbers without a fraction were taken as integers, because nothing else told their datatype. */
  guessed: boolean
}

/**
 * What `read` makes of the JSON text `bytes`. It is called again with exact digits only if it asks for them, since parsing
 * with them is three times slower; its first result is then thrown away.
 * @param bare whether NaN, Infinity and -Infinity are taken as numbers (NaN as null): TensorFlow Serving and Python write
 *   them, although JSON has none
 * @throws BAD_JSON and whatever `read` throws
 */
export function readNumbers<T>(
  bytes: Uint8Array,
  depth: number,
  bare: boolean,
  read: (json: unknown, digits: Digits) => T,
): T {
  let source = bytes
  let json: unknown
  try {
    json = parseJson(source, depth)
  } catch (error) {
    const replaced = bare ? withoutBareNumbers(bytes) : undefined
    if (replaced === undefined) throw error
    source = replaced
    json = parseJson(source, depth)
  }
  const plain: Digits = { exact: false, rounded: false, guessed: false }
  const first = read(json, plain)
  if (!plain.rounded && !(plain.guessed && hasFraction(source))) return first
  return read(parseDigits(source), { exact: true, rounded: false, guessed: false })
}

function parseDigits(bytes: Uint8Array): unknown {
  return JSON.parse(decoder.decode(bytes), (_key, value: unknown, context?: { source?: string }) => {
    if (typeof value !== 'number') return value
    const source = context?.source ?? ''
    // Longer integers fit no datatype, and a megabyte of digits would keep the thread busy.
    return /^-?\d{1,40}$/.test(source) ? BigInt(source) : value
  })
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Whether some digit is followed by a point or an exponent. A string such as "v1.0" counts too: that costs time only. */
function hasFraction(bytes: Uint8Array): boolean {
  for (let index = 1; index < bytes.length; index++) {
    const byte = bytes[index]
    if (byte !== 0x2e && byte !== 0x65 && byte !== 0x45) continue
    const before = bytes[index - 1]!
    if (before >= 0x30 && before <= 0x39) return true
  }
  return false
}

/**
 * JSON text with null for NaN and 1e999, which parses as an infinity, for Infinity, outside strings; undefined: there are
 * none.
 */
function withoutBareNumbers(bytes: Uint8Array): Uint8Array | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // Three bytes become at most four.
  const written = Buffer.alloc(Math.ceil((text.length * 4) / 3))
  let length = 0
  let replaced = false
  let inString = false
  for (let index = 0; index < text.length; index++) {
    const byte = text[index]!
    if (!inString && byte === 0x4e && text[index + 1] === 0x61 && text[index + 2] === 0x4e) {
      length += written.write('null', length, 'latin1')
      index += 2
      replaced = true
      continue
    }
    if (!inString && byte === 0x49 && text.subarray(index, index + INFINITY.length).equals(INFINITY)) {
      length += written.write('1e999', length, 'latin1')
      index += INFINITY.length - 1
      replaced = true
      continue
    }
    written[length++] = byte
    if (inString && byte === 0x5c && index + 1 < text.length) written[length++] = text[++index]!
    else if (byte === 0x22) inString = !inString
  }
  return replaced ? written.subarray(0, length) : undefined
}

const INFINITY = Buffer.from('Infinity')
