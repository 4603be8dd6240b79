import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PROTOCOLS } from '../../src/config/protocols.ts'
import {
  OUTCOME,
  type PackedRecord,
  type RequestRecord,
  readRecord,
  WITHHELD,
  writeRecord,
} from '../../src/record/format.ts'
import { Pieces } from '../../src/record/pieces.ts'
import { createDoorbell, createRing, RingConsumer, RingProducer } from '../../src/record/ring.ts'

function throughRing(record: RequestRecord, bytes = 1 << 20): RequestRecord | undefined {
  const ring = createRing(bytes)
  if (!writeRecord(new RingProducer(ring, createDoorbell()), packed(record))) return undefined
  let read: RequestRecord | undefined
  new RingConsumer(ring).drain(packed => (read = readRecord(packed)))
  return read
}

/** Its bodies in pieces of 700 bytes, as they might have come. */
function packed(record: RequestRecord): PackedRecord {
  const inPieces = (bytes: Uint8Array) =>
    new Pieces(
      Array.from({ length: Math.ceil(bytes.length / 700) }, (_, index) =>
        Buffer.from(bytes.subarray(index * 700, (index + 1) * 700)),
      ),
    )
  return { ...record, request: inPieces(record.request), answer: inPieces(record.answer) }
}

const hex = (length: number) =>
  fc
    .array(fc.constantFrom(...'0123456789abcdef'), { minLength: length, maxLength: length })
    .map(digits => digits.join(''))
const latin1 = (maxLength: number) =>
  fc.array(fc.integer({ min: 0x20, max: 0xff }), { maxLength }).map(codes => String.fromCharCode(...codes))
const uint32 = fc.nat(0xffff_ffff)
const ms = fc.double({ min: 0, max: 1e12, noNaN: true })

const records: fc.Arbitrary<RequestRecord> = fc.record({
  revision: uint32,
  route: fc.nat(0xffff),
  version: fc.nat(0xffff),
  epoch: uint32,
  candidates: uint32,
  outcome: fc.constantFrom(...Object.values(OUTCOME)),
  status: fc.integer({ min: 100, max: 599 }),
  forced: fc.boolean(),
  headSampled: fc.boolean(),
  paired: fc.boolean(),
  labelled: fc.boolean(),
  streamed: fc.boolean(),
  protocol: fc.constantFrom(...PROTOCOLS),
  counted: fc.boolean(),
  timed: fc.boolean(),
  untimed: fc.boolean(),
  withheld: fc.constantFrom(undefined, ...WITHHELD),
  cohorts: uint32,
  traceFlags: fc.nat(255),
  startMs: ms,
  durationMs: ms,
  inferMs: ms,
  queueMs: ms,
  traceId: hex(32),
  serverSpanId: hex(16),
  inferSpanId: hex(16),
  // All zeros is how "no parent" travels, and is no valid span id.
  parentSpanId: fc.oneof(
    fc.constant(''),
    hex(16).filter(id => /[^0]/.test(id)),
  ),
  requestId: latin1(128),
  ownId: fc.boolean(),
  errorType: latin1(40),
  tracestate: latin1(512),
  path: latin1(100),
  requestForm: latin1(100),
  answerForm: latin1(100),
  request: fc.uint8Array({ maxLength: 4000 }),
  answer: fc.uint8Array({ maxLength: 4000 }),
})

describe('a record', () => {
  it('comes out of the ring as it went in (property)', () => {
    fc.assert(
      fc.property(records, record => {
        const read = throughRing(record)!
        expect({ ...read, request: [...read.request], answer: [...read.answer] }).toEqual({
          ...record,
          request: [...record.request],
          answer: [...record.answer],
        })
      }),
      { seed: 5, numRuns: 500 },
    )
  })

  it('has an answer that was written as text in UTF-8, whatever is in it (property)', () => {
    const record = fc.sample(records, { seed: 4, numRuns: 1 })[0]!
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), text => {
        const ring = createRing(1 << 16)
        expect(writeRecord(new RingProducer(ring, createDoorbell()), { ...packed(record), answer: text })).toBe(true)
        const read: RequestRecord[] = []
        new RingConsumer(ring).drain(packed => read.push(readRecord(packed)))
        expect(read[0]!.answer).toEqual(Buffer.from(text))
        expect(read[0]!.request).toEqual(Buffer.from(record.request))
      }),
      { seed: 6, numRuns: 300, examples: [[''], ['größer als 1'], ['\ud800'], ['😀'.repeat(100)]] },
    )
  })

  it('is a copy: what the producer writes later does not change it', () => {
    const ring = createRing(4096)
    const producer = new RingProducer(ring, createDoorbell())
    const consumer = new RingConsumer(ring)
    const record = { ...fc.sample(records, { seed: 1, numRuns: 1 })[0]!, tracestate: '' }
    const read: RequestRecord[] = []
    for (let round = 0; round < 50; round++) {
      const bytes = Buffer.alloc(500, round)
      expect(writeRecord(producer, packed({ ...record, request: bytes, answer: bytes }))).toBe(true)
      consumer.drain(packed => read.push(readRecord(packed)))
    }
    for (const [round, { request, answer }] of read.entries()) {
      expect([...new Set([...request, ...answer])]).toEqual([round])
    }
  })

  it('that does not fit is refused, and the next one that fits is whole', () => {
    const ring = createRing(4096)
    const producer = new RingProducer(ring, createDoorbell())
    const record = { ...fc.sample(records, { seed: 2, numRuns: 1 })[0]!, answer: Buffer.from('small') }
    expect(writeRecord(producer, packed({ ...record, request: Buffer.alloc(5000) }))).toBe(false)
    expect(writeRecord(producer, packed({ ...record, request: Buffer.from('fits') }))).toBe(true)
    const read: RequestRecord[] = []
    new RingConsumer(ring).drain(packed => read.push(readRecord(packed)))
    expect(read.map(({ request }) => String(request))).toEqual(['fits'])
  })

  it.each(Array.from({ length: 32 }, (_, index) => index))('carries the candidate at index %i', index => {
    const record = { ...fc.sample(records, { seed: 3, numRuns: 1 })[0]!, candidates: (1 << index) >>> 0 }
    expect(throughRing(record)!.candidates).toBe(2 ** index)
  })
})
