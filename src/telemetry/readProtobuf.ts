// Reads spans out of OTLP's protobuf form, only the fields that comparisons need. Knows no attribute's meaning and decides nothing.
import { UnderstudyError } from '../errors.ts'
import { BYTES, FIXED64, Reader, VARINT } from './protobufWire.ts'
import { listText, MOST_ATTRIBUTES, MOST_GROUPS, type ReadSpan, type SpanValue } from './readSpans.ts'

/** Values of a list that are read; a longer one is left out. */
const MOST_VALUES = 65_536

/**
 * The spans of one ExportTraceServiceRequest (opentelemetry-proto 1.x, trace.proto and common.proto; field numbers stand
 * below), one by one; undefined: a span without usable ids or times. Unknown fields are passed over, as protobuf asks.
 * There is no library here: the whole schema would be generated code for six messages, and this one holds nothing but the
 * bytes while it reads, so its cost is bounded by them.
 * @throws BAD_REQUEST while it is iterated, when the bytes are no such message
 */
export function* protobufSpans(bytes: Uint8Array): Generator<ReadSpan | undefined, void, undefined> {
  const groups = { left: MOST_GROUPS }
  const request = new Reader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length)
  while (request.next()) {
    if (request.is(1, BYTES)) yield* resourceSpans(request.message(), groups)
    else request.skip()
  }
}

/** ResourceSpans: resource = 1, scope_spans = 2, in any order. */
function* resourceSpans(message: Reader, groups: Groups): Generator<ReadSpan | undefined, void, undefined> {
  takeGroup(groups)
  let by: Told = { service: '', instance: '' }
  const again = message.again()
  while (message.next()) {
    if (message.is(1, BYTES)) {
      const told = resourceAttributes(message.message())
      by = { service: textOf(told['service.name']), instance: textOf(told['service.instance.id']) }
    } else message.skip()
  }
  while (again.next()) {
    if (again.is(2, BYTES)) {
      takeGroup(groups)
      yield* scopeSpans(again.message(), by)
    } else again.skip()
  }
}

/** Groups of spans that an export may still have: a million empty ones would be read in one go, and tell nothing. */
interface Groups {
  left: number
}

function takeGroup(groups: Groups): void {
  if (--groups.left < 0) throw new UnderstudyError('BAD_REQUEST', `more than ${MOST_GROUPS} resources and scopes`)
}

/** ScopeSpans: spans = 2. */
function* scopeSpans(message: Reader, by: Told): Generator<ReadSpan | undefined, void, undefined> {
  while (message.next()) {
    if (message.is(2, BYTES)) yield readSpan(message.message(), by)
    else message.skip()
  }
}

/** Resource: attributes = 1. */
function resourceAttributes(message: Reader): Record<string, SpanValue> {
  const attributes = new Attributes()
  while (message.next()) {
    if (message.is(1, BYTES)) attributes.read(message.message())
    else message.skip()
  }
  return attributes.values
}

/**
 * Span: trace_id = 1, span_id = 2, parent_span_id = 4, name = 5, kind = 6, start_time_unix_nano = 7,
 * end_time_unix_nano = 8, attributes = 9, status = 15.
 */
function readSpan(message: Reader, by: Told): ReadSpan | undefined {
  let [traceId, spanId, parentSpanId, name] = ['', '', '', '']
  let kind = 0
  let startMs: number | undefined
  let endMs: number | undefined
  let isError = false
  const attributes = new Attributes()
  while (message.next()) {
    if (message.is(1, BYTES)) traceId = message.hex(16)
    else if (message.is(2, BYTES)) spanId = message.hex(8)
    else if (message.is(4, BYTES)) parentSpanId = message.hex(8)
    else if (message.is(5, BYTES)) name = message.text()
    else if (message.is(6, VARINT)) kind = message.varint()
    else if (message.is(7, FIXED64)) startMs = message.fixed64() / 1e6
    else if (message.is(8, FIXED64)) endMs = message.fixed64() / 1e6
    else if (message.is(9, BYTES)) attributes.read(message.message())
    else if (message.is(15, BYTES)) isError = isErrorStatus(message.message())
    else message.skip()
  }
  if (traceId === '' || spanId === '' || startMs === undefined || endMs === undefined) return undefined
  return { traceId, spanId, parentSpanId, name, kind, startMs, endMs, attributes: attributes.values, isError, ...by }
}

/** Who wrote a span, by its resource. */
type Told = Pick<ReadSpan, 'service' | 'instance'>

function textOf(value: SpanValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

/** Status: code = 3; 2 is ERROR. */
function isErrorStatus(message: Reader): boolean {
  let code = 0
  while (message.next()) {
    if (message.is(3, VARINT)) code = message.varint()
    else message.skip()
  }
  return code === 2
}

class Attributes {
  // Without a prototype: a span may have an attribute `__proto__`.
  readonly values: Record<string, SpanValue> = Object.create(null)
  #count = 0

  /** KeyValue: key = 1, value = 2. */
  read(message: Reader): void {
    if (++this.#count > MOST_ATTRIBUTES) return
    let key = ''
    let value: SpanValue | undefined
    while (message.next()) {
      if (message.is(1, BYTES)) key = message.text()
      else if (message.is(2, BYTES)) value = anyValue(message.message(), true)
      else message.skip()
    }
    if (value !== undefined) this.values[key] = value
  }
}

/** AnyValue: string = 1, bool = 2, int = 3, double = 4, array = 5. Maps and bytes are left out. */
function anyValue(message: Reader, mayBeList: boolean): SpanValue | undefined {
  let value: SpanValue | undefined
  while (message.next()) {
    if (message.is(1, BYTES)) value = message.text()
    else if (message.is(2, VARINT)) value = message.varint() !== 0
    else if (message.is(3, VARINT)) value = message.varint()
    else if (message.is(4, FIXED64)) value = message.double()
    else if (message.is(5, BYTES) && mayBeList) value = listText(arrayValues(message.message()))
    else message.skip()
  }
  return value
}

/** ArrayValue: values = 1. */
function arrayValues(message: Reader): (SpanValue | undefined)[] {
  const values: (SpanValue | undefined)[] = []
  while (message.next()) {
    if (values.length > MOST_VALUES) return [undefined]
    if (message.is(1, BYTES)) values.push(anyValue(message.message(), false))
    else message.skip()
  }
  return values
}
