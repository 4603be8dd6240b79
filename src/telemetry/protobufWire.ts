// Walks through one message of protobuf's wire format (protobuf.dev, encoding). Knows no schema, and copies nothing but values.
import { UnderstudyError } from '../errors.ts'

/** Wire types. */
export const VARINT = 0
export const FIXED64 = 1
export const BYTES = 2
const FIXED32 = 5
const ZERO = /^0+$/

/**
 * Call `next`, then exactly one method that reads the value. Every method throws BAD_REQUEST where the bytes are no such
 * message.
 */
export class Reader {
  readonly #bytes: Buffer
  readonly #start: number
  readonly #end: number
  #at: number
  #field = 0
  #wire = VARINT

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes
    this.#start = this.#at = start
    this.#end = end
  }

  /** The same message from its beginning. */
  again(): Reader {
    return new Reader(this.#bytes, this.#start, this.#end)
  }

  /** False at the end of the message. */
  next(): boolean {
    if (this.#at >= this.#end) return false
    const tag = this.varint()
    this.#field = Math.floor(tag / 8)
    this.#wire = tag & 7
    if (this.#field === 0 || tag < 0 || tag > 0xffffffff) throw malformed()
    return true
  }

  is(field: number, wire: number): boolean {
    return this.#field === field && this.#wire === wire
  }

  /** Signed 64 bits; beyond 2^53 rounded, as JSON would. */
  varint(): number {
    let low = 0
    let high = 0
    for (let shift = 0; ; shift += 7) {
      if (this.#at >= this.#end || shift > 63) throw malformed()
      const byte = this.#bytes[this.#at++]!
      const bits = byte & 0x7f
      if (shift < 28) low += bits * 2 ** shift
      else if (shift === 28) {
        low += (bits & 0x0f) * 2 ** 28
        high = bits >> 4
      } else high += bits * 2 ** (shift - 32)
      if (byte < 0x80) break
    }
    const top = high % 2 ** 32
    return top >= 2 ** 31 ? (top - 2 ** 32) * 2 ** 32 + low : top * 2 ** 32 + low
  }

  /** Unsigned; beyond 2^53 rounded to the nearest double. */
  fixed64(): number {
    const at = this.#take(8)
    return this.#bytes.readUInt32LE(at + 4) * 2 ** 32 + this.#bytes.readUInt32LE(at)
  }

  double(): number {
    return this.#bytes.readDoubleLE(this.#take(8))
  }

  text(): string {
    const length = this.#length()
    const at = this.#take(length)
    return this.#bytes.toString('utf8', at, at + length)
  }

  /** Lower-case hexadecimal; empty where it has another length or is zero, which stands for no id. */
  hex(length: number): string {
    const given = this.#length()
    const at = this.#take(given)
    const hex = given === length ? this.#bytes.toString('hex', at, at + given) : ''
    return ZERO.test(hex) ? '' : hex
  }

  message(): Reader {
    const length = this.#length()
    const at = this.#take(length)
    return new Reader(this.#bytes, at, at + length)
  }

  skip(): void {
    if (this.#wire === VARINT) this.varint()
    else if (this.#wire === FIXED64) this.#take(8)
    else if (this.#wire === BYTES) this.#take(this.#length())
    else if (this.#wire === FIXED32) this.#take(4)
    // Groups are of protobuf's first version; no OTLP message has one.
    else throw malformed()
  }

  #length(): number {
    const length = this.varint()
    if (length < 0) throw malformed()
    return length
  }

  #take(length: number): number {
    const at = this.#at
    if (length > this.#end - at) throw malformed()
    this.#at = at + length
    return at
  }
}

function malformed(): UnderstudyError {
  return new UnderstudyError('BAD_REQUEST', 'the body is no ExportTraceServiceRequest of OTLP in protobuf')
}
