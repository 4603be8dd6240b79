import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { exportResponse, refusal } from '../../src/telemetry/exportAnswer.ts'
import { protobufSpans } from '../../src/telemetry/readProtobuf.ts'
import { MOST_ATTRIBUTES, readSpans, spansOf } from '../../src/telemetry/readSpans.ts'
import { asJson, asProtobuf, type Written, writtenSpans } from './writtenSpans.ts'

const fromProtobuf = (bytes: Uint8Array) => [...protobufSpans(bytes)]
const fromJson = (bytes: Uint8Array) => [...spansOf(JSON.parse(Buffer.from(bytes).toString()))]

describe('spans in protobuf', () => {
  it('are none in nothing, and in messages that hold none', () => {
    expect(fromProtobuf(new Uint8Array())).toEqual([])
    expect(fromProtobuf(Uint8Array.of(0x0a, 0x00))).toEqual([])
    expect(fromProtobuf(Uint8Array.of(0x0a, 0x02, 0x12, 0x00))).toEqual([])
  })

  it('are told as broken where they have no ids or no times', () => {
    expect(fromProtobuf(Uint8Array.of(0x0a, 0x04, 0x12, 0x02, 0x12, 0x00))).toEqual([undefined])
  })

  it('are refused where a million empty groups would be read in one go', () => {
    const empty = Buffer.alloc(2_000_000)
    for (let at = 0; at < empty.length; at += 2) empty[at] = 0x0a
    expect(() => fromProtobuf(empty)).toThrow(/more than 10000 resources and scopes/)
    const groups = new Array(1_000_000).fill({})
    expect([...spansOf({ resourceSpans: [{ scopeSpans: groups }] })]).toEqual([])
  })

  it('are what the official encoders wrote, in protobuf as in JSON', async () => {
    const value = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.boolean(),
      fc.integer(),
      fc.maxSafeInteger(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(x => (Object.is(x, -0) ? 0 : x)),
      fc.array(
        fc.double({ noNaN: true, noDefaultInfinity: true }).map(x => (Object.is(x, -0) ? 0 : x)),
        { minLength: 1 },
      ),
      fc.array(fc.string()),
    )
    const written = fc.record({
      name: fc.string(),
      attributes: fc.dictionary(
        fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom('__proto__', 'constructor')),
        value,
        {
          noNullPrototype: false,
        },
      ),
      isError: fc.boolean(),
      startTime: fc.tuple(fc.integer({ min: 0, max: 4_000_000_000 }), fc.integer({ min: 0, max: 999_999_999 })),
      durationMs: fc.double({ min: 0, max: 1e5, noNaN: true }),
      kind: fc.integer({ min: 0, max: 4 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(written, { maxLength: 5 }), fc.string(), async (spans, service) => {
        const finished = await writtenSpans(spans as Written[], service)
        const read = fromProtobuf(asProtobuf(finished))
        expect(read).toEqual(fromJson(asJson(finished)))
        expect(read.length).toBe(spans.length)
        for (const [index, span] of read.entries()) {
          const { name, isError } = spans[index]!
          expect(span).toMatchObject({ name, isError, service, traceId: finished[index]!.spanContext().traceId })
          for (const [key, given] of Object.entries(finished[index]!.attributes)) {
            expect(Object.getOwnPropertyDescriptor(span!.attributes, key)?.value).toEqual(
              Array.isArray(given) ? JSON.stringify(given) : given,
            )
          }
        }
      }),
      { numRuns: 200 },
    )
  })

  it('that are cut short, or any other bytes, are refused or read, and never anything else', async () => {
    const [bytes] = [asProtobuf(await writtenSpans([{ name: 'predict', attributes: { a: 1, b: 'x', c: [1, 2] } }]))]
    const orRefused = (given: Uint8Array) => {
      try {
        fromProtobuf(given)
      } catch (error) {
        expect(error).toMatchObject({ code: 'BAD_REQUEST' })
      }
    }
    for (let length = 0; length < bytes.length; length++) orRefused(bytes.subarray(0, length))
    expect(() => fromProtobuf(bytes.subarray(0, bytes.length - 1))).toThrow(/no ExportTraceServiceRequest/)
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 6 }), changes => {
        const changed = Uint8Array.from(bytes)
        for (const [at, byte] of changes) changed[at] = byte
        orRefused(changed)
      }),
    )
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), orRefused))
    expect(() => fromProtobuf(Buffer.from('{"resourceSpans":[]}'))).toThrow(/no ExportTraceServiceRequest/)
  })

  it('keep a bounded number of attributes, and none of nested lists', async () => {
    const many = Object.fromEntries(Array.from({ length: 2 * MOST_ATTRIBUTES }, (_, index) => [`a${index}`, index]))
    const [span] = readSpans({
      resourceSpans: [
        {
          scopeSpans: [
            {
              spans: [
                {
                  traceId: '0af7651916cd43dd8448eb211c80319c',
                  spanId: 'aaaaaaaaaaaaaaaa',
                  startTimeUnixNano: '1',
                  endTimeUnixNano: 2,
                  attributes: [
                    { key: 'nested', value: { arrayValue: { values: [{ arrayValue: { values: [] } }] } } },
                    { key: 'empty', value: { arrayValue: {} } },
                    ...Object.entries(many).map(([key, intValue]) => ({ key, value: { intValue } })),
                  ],
                },
              ],
            },
          ],
        },
      ],
    })
    expect(Object.keys(span!.attributes).length).toBe(MOST_ATTRIBUTES - 1)
    expect(span!.attributes.nested).toBeUndefined()
    expect(span!.attributes.empty).toBe('[]')
  })
})

describe('answers to an export', () => {
  it('are read by the official decoder', () => {
    const read = (rejectedSpans: number, errorMessage: string) =>
      ProtobufTraceSerializer.deserializeResponse(exportResponse('protobuf', { rejectedSpans, errorMessage }))
    expect(exportResponse('protobuf', { rejectedSpans: 0, errorMessage: '' }).length).toBe(0)
    fc.assert(
      fc.property(fc.nat(), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 400 }), (rejected, message) => {
        expect(Number(read(rejected, message).partialSuccess?.rejectedSpans ?? 0)).toBe(rejected)
        expect(read(rejected, message).partialSuccess?.errorMessage).toBe(message)
        expect(
          JSON.parse(
            Buffer.from(exportResponse('json', { rejectedSpans: rejected, errorMessage: message })).toString(),
          ),
        ).toEqual({
          partialSuccess: { rejectedSpans: String(rejected), errorMessage: message },
        })
      }),
    )
  })

  it('name what was refused, in either encoding', () => {
    expect(Buffer.from(refusal('json', 'no')).toString()).toBe('{"message":"no"}')
    expect([...refusal('protobuf', 'no')]).toEqual([0x12, 2, 0x6e, 0x6f])
  })
})
