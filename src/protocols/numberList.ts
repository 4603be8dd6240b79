// Finds how many numbers a list in JSON holds, without reading any of them. Pure.

const TAB = 0x09
const LINE_FEED = 0x0a
const RETURN = 0x0d
const SPACE = 0x20
const PLUS = 0x2b
const COMMA = 0x2c
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const UPPER_E = 0x45
const LOWER_E = 0x65

/** How many numbers stand between the brackets of a JSON list, `bytes` from `start` to `end`; −1 when anything else does. */
export function numbersIn(bytes: Uint8Array, start: number, end: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = blanksEnd(bytes, start, end)
  if (at === end) return 0
  for (let count = 1; ; count++) {
    at = numberEnd(bytes, view, at, end)
    if (at < 0) return -1
    at = blanksEnd(bytes, at, end)
    if (at === end) return count
    if (bytes[at] !== COMMA) return -1
    at = blanksEnd(bytes, at + 1, end)
  }
}

/** RFC 8259 section 6: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?; −1 where there is none. */
function numberEnd(bytes: Uint8Array, view: DataView, start: number, end: number): number {
  const whole = start < end && bytes[start] === MINUS ? start + 1 : start
  let at = digitsEnd(bytes, whole, end)
  // Nothing may follow a leading zero.
  if (at === whole || (bytes[whole] === ZERO && at > whole + 1)) return -1
  if (at < end && bytes[at] === POINT) {
    const fraction = at + 1
    at = manyDigitsEnd(bytes, view, fraction, end)
    if (at === fraction) return -1
  }
  if (at < end && (bytes[at] === LOWER_E || bytes[at] === UPPER_E)) {
    const sign = at + 1
    const power = sign < end && (bytes[sign] === PLUS || bytes[sign] === MINUS) ? sign + 1 : sign
    at = digitsEnd(bytes, power, end)
    if (at === power) return -1
  }
  return at
}

function digitsEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && (bytes[at]! - ZERO) >>> 0 <= 9) at++
  return at
}

/**
 * A word at a time: nearly all of a list are digits behind a point. Less 0x30 a digit is at most 9, so that 6 more stays within
 * its lower four bits; any other byte has or gets one of the upper four. A carry out of a byte comes from such a one.
 */
function manyDigitsEnd(bytes: Uint8Array, view: DataView, start: number, end: number): number {
  let at = start
  for (; at + 4 <= end; at += 4) {
    const four = view.getUint32(at) ^ 0x30303030
    if (((four | (four + 0x06060606)) & 0xf0f0f0f0) !== 0) break
  }
  return digitsEnd(bytes, at, end)
}

function blanksEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && isBlank(bytes[at]!)) at++
  return at
}

function isBlank(byte: number): boolean {
  return byte <= SPACE && (byte === SPACE || byte === LINE_FEED || byte === RETURN || byte === TAB)
}
