// Cases after the specification and after its test suite (github.com/w3c/trace-context, test/test.py), by their names there.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatTraceparent,
  newSpanId,
  newTraceId,
  parseTraceContext,
  parseTracestate,
  traceContextOf,
  withoutOwnBaggage,
} from '../../src/telemetry/traceContext.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
const VALID = `00-${TRACE}-${SPAN}-01`

describe('traceparent', () => {
  it.each([
    ['a sampled trace', VALID, 1],
    ['one that is not sampled', `00-${TRACE}-${SPAN}-00`, 0],
    ['flags nobody knows yet', `00-${TRACE}-${SPAN}-ff`, 255],
    ['version_0x01: a later version of the same length', `01-${TRACE}-${SPAN}-01`, 1],
    ['version_0xcc: a later version with more behind a dash', `cc-${TRACE}-${SPAN}-01-what-the-future-will-be-like`, 1],
    ['version_0xcc: a later version with nothing behind the dash', `cc-${TRACE}-${SPAN}-01-`, 1],
  ])('is accepted with %s', (_, traceparent, flags) => {
    expect(parseTraceContext(traceparent, undefined)).toEqual({
      traceId: TRACE,
      parentSpanId: SPAN,
      flags,
      tracestate: '',
    })
  })

  it.each([
    ['header_name: absent', undefined],
    ['empty', ''],
    ['version_0x00: more behind it', `${VALID}-extra`],
    ['version_0x00: a dash behind it', `${VALID}-`],
    ['version_0x00: a dot behind it', `${VALID}.`],
    ['version_0xcc: more without a dash', `cc-${TRACE}-${SPAN}-01.what-the-future-will-not-be-like`],
    ['version_0xff', `ff-${TRACE}-${SPAN}-01`],
    ['version_illegal_characters', `.0-${TRACE}-${SPAN}-01`],
    ['version_illegal_characters', `0.-${TRACE}-${SPAN}-01`],
    ['an upper-case version', `0A-${TRACE}-${SPAN}-01`],
    ['version_too_long', `000-${TRACE}-${SPAN}-01`],
    ['version_too_long', `0000-${TRACE}-${SPAN}-01`],
    ['version_too_short', `0-${TRACE}-${SPAN}-01`],
    ['trace_id_all_zero', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['trace_id_illegal_characters', `00-.${TRACE.slice(1)}-${SPAN}-01`],
    ['trace_id_illegal_characters', `00-${TRACE.slice(0, 31)}g-${SPAN}-01`],
    ['an upper-case trace id', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ['trace_id_too_long', `00-${TRACE}0-${SPAN}-01`],
    ['trace_id_too_short', `00-${TRACE.slice(1)}-${SPAN}-01`],
    ['parent_id_all_zero', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['parent_id_illegal_characters', `00-${TRACE}-.${SPAN.slice(1)}-01`],
    ['an upper-case parent id', `00-${TRACE}-${SPAN.toUpperCase()}-01`],
    ['parent_id_too_long', `00-${TRACE}-${SPAN}0-01`],
    ['parent_id_too_short', `00-${TRACE}-${SPAN.slice(1)}-01`],
    ['trace_flags_illegal_characters', `00-${TRACE}-${SPAN}-.0`],
    ['trace_flags_illegal_characters', `00-${TRACE}-${SPAN}-0.`],
    ['upper-case flags', `00-${TRACE}-${SPAN}-0A`],
    ['trace_flags_too_long', `00-${TRACE}-${SPAN}-001`],
    ['trace_flags_too_short', `00-${TRACE}-${SPAN}-1`],
    ['no flags', `00-${TRACE}-${SPAN}`],
    ['wrong separators', `00_${TRACE}_${SPAN}_01`],
    ['duplicated: sent twice and joined', `${VALID}, ${VALID}`],
    ['whitespace around it', ` ${VALID} `],
    ['characters whose code looks like a digit in its low byte', `00-${TRACE.slice(0, 31)}\u0130-${SPAN}-01`],
  ])('starts a new trace when it is invalid, and tracestate does not count: %s', (_, traceparent) => {
    expect(parseTraceContext(traceparent, 'foo=1')).toBeUndefined()
  })

  it('is written as it was read, but for flags without a meaning', () => {
    const context = parseTraceContext(VALID, undefined)!
    expect(formatTraceparent(context.traceId, context.parentSpanId, context.flags)).toBe(VALID)
    expect(formatTraceparent(TRACE, SPAN, 0xff)).toBe(`00-${TRACE}-${SPAN}-03`)
    expect(formatTraceparent(TRACE, SPAN, 0)).toBe(`00-${TRACE}-${SPAN}-00`)
  })

  it('reads nothing from any other text, without throwing', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 80 }),
        fc.string({ maxLength: 80 }),
        (traceparent, tracestate) => {
          parseTraceContext(traceparent, tracestate)
        },
      ),
    )
  })
})

describe('the trace of a request', () => {
  it('goes on from the caller’s, with a span of our own', () => {
    const trace = traceContextOf(VALID, 'foo=1')
    expect(trace).toMatchObject({ traceId: TRACE, parentSpanId: SPAN, flags: 1, tracestate: 'foo=1' })
    expect(trace.spanId).toMatch(/^[0-9a-f]{16}$/)
    expect(trace.spanId).not.toBe(SPAN)
  })

  it('is a new one when the caller’s is invalid', () => {
    const trace = traceContextOf(VALID.toUpperCase(), 'foo=1')
    expect(trace).toMatchObject({ parentSpanId: '', flags: 0, tracestate: '' })
    expect(trace.traceId).toMatch(/^[0-9a-f]{32}$/)
    expect(trace.traceId).not.toBe(TRACE)
  })

  it('marks a new trace as sampled by ratio, and leaves the caller’s mark as it is', () => {
    expect(traceContextOf(undefined, undefined, 1).flags).toBe(1)
    expect(traceContextOf(undefined, undefined, 0).flags).toBe(0)
    expect(traceContextOf(`00-${TRACE}-${SPAN}-00`, undefined, 1).flags).toBe(0)
  })
})

describe('tracestate', () => {
  const z = (count: number) => 'z'.repeat(count)

  it.each([
    ['one member', 'foo=1', 'foo=1'],
    ['several', 'foo=1,bar=2', 'foo=1,bar=2'],
    ['ows_handling', 'foo=1 \t , \t bar=2, \t baz=3', 'foo=1,bar=2,baz=3'],
    ['ows_handling', 'foo=1\t \t,\t \tbar=2,\t \tbaz=3', 'foo=1,bar=2,baz=3'],
    ['ows_handling', ' foo=1', 'foo=1'],
    ['ows_handling', '\tfoo=1\t', 'foo=1'],
    ['empty_header', '', ''],
    ['empty_header: empty members between others', 'foo=1,,bar=2, \t ,', 'foo=1,bar=2'],
    ['all_allowed_characters of a key', `a0_-*/=1,0a_-*/@b0_-*/=2`, `a0_-*/=1,0a_-*/@b0_-*/=2`],
    [
      'all_allowed_characters of a value',
      'foo= !"#$%&\'()*+-./0123456789:;<>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~',
      'foo= !"#$%&\'()*+-./0123456789:;<>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~',
    ],
    ['key_length_limit', `${z(256)}=1`, `${z(256)}=1`],
    ['key_length_limit of a tenant', `${z(241)}@${z(14)}=1`, `${z(241)}@${z(14)}=1`],
    ['value_length_limit', `foo=${z(256)}`, `foo=${z(256)}`],
    ['duplicated_keys: the first is the newest', 'foo=2,bar=1,foo=1', 'foo=2,bar=1'],
    ['the sampling threshold of another system', 'ot=th:8;rv:0123456789abcd', 'ot=th:8;rv:0123456789abcd'],
  ])('is passed on with %s', (_, tracestate, expected) => {
    expect(parseTraceContext(VALID, tracestate)?.tracestate).toBe(expected)
  })

  it.each([
    ['key_illegal_characters', 'foo =1'],
    ['key_illegal_characters', 'FOO=1'],
    ['key_illegal_characters', 'foo.bar=1'],
    ['key_illegal_characters', 'fü=1'],
    ['key_illegal_vendor_format', 'foo@=1,bar=2'],
    ['key_illegal_vendor_format', '@foo=1,bar=2'],
    ['key_illegal_vendor_format', 'foo@@bar=1,bar=2'],
    ['key_illegal_vendor_format', 'foo@bar@baz=1,bar=2'],
    ['a system id that begins with a digit', 'foo@1bar=1'],
    ['a simple key that begins with a digit', '1foo=1'],
    ['a key that begins with a sign', '_foo=1'],
    ['key_length_limit', `${z(257)}=1`],
    ['key_length_limit of a tenant', `${z(242)}@v=1`],
    ['key_length_limit of a system', `t@${z(15)}=1`],
    ['value_illegal_characters', 'foo=bar=baz'],
    ['value_illegal_characters: an empty value', 'foo=,bar=3'],
    ['value_illegal_characters: a tab inside', 'foo=a\tb'],
    ['value_illegal_characters: DEL', 'foo=a\x7f'],
    ['value_illegal_characters: not ASCII', 'foo=ü'],
    ['value_length_limit', `foo=${z(257)}`],
    ['no equals sign', 'foo'],
    ['only an equals sign', '=1'],
  ])('is dropped whole, and the trace goes on, with %s', (_, tracestate) => {
    expect(parseTraceContext(VALID, `good=1,${tracestate}`)).toMatchObject({ traceId: TRACE, tracestate: '' })
    expect(parseTraceContext(VALID, tracestate)).toMatchObject({ traceId: TRACE, tracestate: '' })
  })

  it('has 32 members at most (member_count_limit)', () => {
    const members = (count: number) => Array.from({ length: count }, (_, index) => `bar${index}=${index}`).join(',')
    expect(parseTracestate(members(32))).toBe(members(32))
    expect(parseTracestate(members(33))).toBe('')
    expect(parseTracestate(`${members(32)},bar0=again`)).toBe('')
  })

  it('is left as it is when it is read again', () => {
    const key = fc.stringMatching(/^[a-z][a-z0-9_*/-]{0,9}$/)
    const value = fc.stringMatching(/^[!-+\--<>-~]{1,9}$/)
    const members = fc.uniqueArray(fc.tuple(key, value), { selector: ([key]) => key, maxLength: 32 })
    fc.assert(
      fc.property(members, pairs => {
        const tracestate = pairs.map(pair => pair.join('=')).join(',')
        expect(parseTracestate(tracestate)).toBe(tracestate)
      }),
    )
  })
})

describe('baggage', () => {
  it.each([
    [undefined, undefined],
    ['a=1,b=2;p=understudy', 'a=1,b=2;p=understudy'],
    ['a=1, understudy.role=live ,b=2', 'a=1,b=2'],
    ['understudy.role=shadow', undefined],
    ['understudy.a=1,understudy.b=2', undefined],
  ])('passes without the members that are ours: %s', (baggage, expected) => {
    expect(withoutOwnBaggage(baggage)).toBe(expected)
  })
})

describe('random ids', () => {
  it('are hexadecimal, of the right length, and differ', () => {
    const traces = Array.from({ length: 2000 }, newTraceId)
    const spans = Array.from({ length: 2000 }, newSpanId)
    for (const id of traces) expect(id).toMatch(/^[0-9a-f]{32}$/)
    for (const id of spans) expect(id).toMatch(/^[0-9a-f]{16}$/)
    expect(new Set([...traces, ...spans]).size).toBe(4000)
  })
})
