// W3C Trace Context in and out (www.w3.org/TR/trace-context-1), strictly, and random ids. Knows nothing of spans.
import { randomFillSync } from 'node:crypto'
import { keepsHead } from './keep.ts'

export const FLAG_SAMPLED = 0x01
/** Trace Context level 2: the trace id's last 56 bits are random. */
export const FLAG_RANDOM = 0x02

/** The trace that a caller started. */
export interface ParentContext {
  /** 32 lower-case hexadecimal digits, not all zero. */
  readonly traceId: string
  /** The caller's span: 16 lower-case hexadecimal digits, not all zero. */
  readonly parentSpanId: string
  /** 0 to 255; only FLAG_SAMPLED and FLAG_RANDOM have a meaning. */
  readonly flags: number
  /** List members joined by commas, fit to be sent on; empty: none. */
  readonly tracestate: string
}

/** The trace of one request here, going on from the caller's or new. */
export interface TraceContext {
  readonly traceId: string
  /** Our SERVER span, new. */
  readonly spanId: string
  /** Empty: this is a new trace. */
  readonly parentSpanId: string
  readonly flags: number
  readonly tracestate: string
}

/**
 * The trace that a request belongs to.
 * @param ratio what share of new traces is marked as sampled for those behind us; a caller's mark is passed on as it is
 */
export function traceContextOf(
  traceparent: string | undefined,
  tracestate: string | undefined,
  ratio = 0,
): TraceContext {
  const parent = parseTraceContext(traceparent, tracestate)
  const traceId = parent?.traceId ?? newTraceId()
  return {
    traceId,
    spanId: newSpanId(),
    parentSpanId: parent?.parentSpanId ?? '',
    flags: parent?.flags ?? (keepsHead(traceId, ratio) ? FLAG_SAMPLED : 0),
    tracestate: parent?.tracestate ?? '',
  }
}

/**
 * The caller's trace context; undefined when there is none or `traceparent` is invalid, and then `tracestate` does not
 * count either: start a new trace. An invalid `tracestate` is dropped whole, and the trace goes on.
 *
 * A field that was sent twice must come joined by commas, as node:http gives it: two traceparents are then invalid.
 */
export function parseTraceContext(
  traceparent: string | undefined,
  tracestate: string | undefined,
): ParentContext | undefined {
  if (traceparent === undefined || traceparent.length < VERSION_00_LENGTH) return undefined
  if (
    traceparent.charCodeAt(2) !== DASH ||
    traceparent.charCodeAt(35) !== DASH ||
    traceparent.charCodeAt(52) !== DASH
  ) {
    return undefined
  }
  const version = hexByte(traceparent, 0)
  if (version < 0 || version === 0xff) return undefined
  if (traceparent.length > VERSION_00_LENGTH) {
    // A later version may append fields; what version 00 says still stands at the beginning.
    if (version === 0 || traceparent.charCodeAt(VERSION_00_LENGTH) !== DASH) return undefined
  }
  const flags = hexByte(traceparent, 53)
  if (flags < 0 || !isId(traceparent, 3, 35) || !isId(traceparent, 36, 52)) return undefined
  return {
    traceId: traceparent.slice(3, 35),
    parentSpanId: traceparent.slice(36, 52),
    flags,
    tracestate: tracestate === undefined ? '' : parseTracestate(tracestate),
  }
}

/** A version 00 `traceparent`. Flags without a meaning are sent as 0, as the specification asks. */
export function formatTraceparent(traceId: string, spanId: string, flags: number): string {
  return `00-${traceId}-${spanId}-0${flags & (FLAG_SAMPLED | FLAG_RANDOM)}`
}

/**
 * `tracestate` with optional whitespace, empty members and repeated keys (the first, newest, stays) taken out.
 * @returns the empty string when a member is malformed or there are more than 32
 */
export function parseTracestate(tracestate: string): string {
  const members: string[] = []
  const keys: string[] = []
  let count = 0
  for (let start = 0; start <= tracestate.length; ) {
    let end = tracestate.indexOf(',', start)
    if (end < 0) end = tracestate.length
    let from = start
    let to = end
    while (from < to && isBlank(tracestate.charCodeAt(from))) from += 1
    while (to > from && isBlank(tracestate.charCodeAt(to - 1))) to -= 1
    start = end + 1
    if (from === to) continue
    count += 1
    if (count > MAX_MEMBERS) return ''
    const keyEnd = keyEndOf(tracestate, from, to)
    if (keyEnd < 0 || !isValue(tracestate, keyEnd + 1, to)) return ''
    const key = tracestate.slice(from, keyEnd)
    if (keys.includes(key)) continue
    keys.push(key)
    members.push(tracestate.slice(from, to))
  }
  return members.join(',')
}

/** A `baggage` field without the members that are ours to set; undefined when nothing is left. */
export function withoutOwnBaggage(baggage: string | undefined): string | undefined {
  if (baggage === undefined || !baggage.includes('understudy.')) return baggage
  const kept = baggage.split(',').filter(member => !member.trimStart().startsWith('understudy.'))
  return kept.length > 0 ? kept.join(',') : undefined
}

/** 32 random hexadecimal digits, never all zero. */
export function newTraceId(): string {
  return randomHex(16)
}

/** 16 random hexadecimal digits, never all zero. */
export function newSpanId(): string {
  return randomHex(8)
}

const VERSION_00_LENGTH = 55
const MAX_MEMBERS = 32
const DASH = 0x2d
const EQUALS = 0x3d
const AT = 0x40

// One call to the system's generator, and one conversion, for 512 ids: a call for each would cost more than all else about an id.
const random = Buffer.alloc(8192)
let digits = ''
let used = 0
const NO_ID = '0'.repeat(32)

function randomHex(bytes: number): string {
  const length = 2 * bytes
  for (;;) {
    if (used + length > digits.length) {
      digits = randomFillSync(random).toString('hex')
      used = 0
    }
    const hex = digits.slice(used, used + length)
    used += length
    if (!NO_ID.startsWith(hex)) return hex
  }
}

/** Whether all digits are lower-case hexadecimal and one of them is not 0. */
function isId(text: string, start: number, end: number): boolean {
  let seen = 0
  for (let at = start; at < end; at++) {
    const digit = hexDigit(text.charCodeAt(at))
    if (digit < 0) return false
    seen |= digit
  }
  return seen !== 0
}

/** The value of two lower-case hexadecimal digits, or a negative number. */
function hexByte(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at))
  const low = hexDigit(text.charCodeAt(at + 1))
  return high < 0 || low < 0 ? -1 : high * 16 + low
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  if (code >= 0x61 && code <= 0x66) return code - 0x57
  return -1
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

/**
 * Where the member's key ends, or −1 when the key is malformed:
 *   simple-key = lcalpha 0*255keychar; multi-tenant-key = (lcalpha / DIGIT) 0*240keychar "@" lcalpha 0*13keychar
 */
function keyEndOf(text: string, start: number, end: number): number {
  let at = start
  let tenantEnd = -1
  for (; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code === EQUALS) break
    if (code === AT) {
      if (tenantEnd >= 0) return -1
      tenantEnd = at
    } else if (!isKeyChar(code)) return -1
  }
  if (at === end || at === start) return -1
  const first = text.charCodeAt(start)
  if (tenantEnd < 0) return isLowerLetter(first) && at - start <= 256 ? at : -1
  const tenant = tenantEnd - start
  const system = at - tenantEnd - 1
  if (tenant < 1 || tenant > 241 || system < 1 || system > 14) return -1
  return (isLowerLetter(first) || isDigit(first)) && isLowerLetter(text.charCodeAt(tenantEnd + 1)) ? at : -1
}

/** 1 to 256 characters, printable ASCII without comma and equals sign; the caller took spaces from the end. */
function isValue(text: string, start: number, end: number): boolean {
  if (end - start < 1 || end - start > 256) return false
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code < 0x20 || code > 0x7e || code === EQUALS) return false
  }
  return true
}

function isLowerLetter(code: number): boolean {
  return code >= 0x61 && code <= 0x7a
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

/** lcalpha / DIGIT / "_" / "-" / "*" / "/" */
function isKeyChar(code: number): boolean {
  return isLowerLetter(code) || isDigit(code) || code === 0x5f || code === DASH || code === 0x2a || code === 0x2f
}
