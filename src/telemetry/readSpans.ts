// Reads spans out of OTLP's JSON form, whoever wrote them. Knows no attribute's meaning and decides nothing.

/** A value of an attribute; maps and bytes are left out, a list of plain values comes as JSON text (`[0.1,0.9]`). */
export type SpanValue = string | number | boolean

/** One span as it was told. */
export interface ReadSpan {
  /** Lower-case hexadecimal. */
  readonly traceId: string
  readonly spanId: string
  /** Empty: a root. */
  readonly parentSpanId: string
  readonly name: string
  /** OTLP's SpanKind: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number
  /** Milliseconds since the Unix epoch, with fractions. */
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Readonly<Record<string, SpanValue>>
  /** Its status is ERROR. */
  readonly isError: boolean
  /** `service.name` of its resource; empty: not told. */
  readonly service: string
  /** `service.instance.id` of its resource; empty: not told. */
  readonly instance: string
}

/** Resources and scopes of one export that are read; an exporter has a handful. */
export const MOST_GROUPS = 10_000
/** Attributes of one span or resource that are read; OpenTelemetry's own limit is 128. */
export const MOST_ATTRIBUTES = 1024

/**
 * The spans of one ExportTraceServiceRequest in OTLP's JSON form (opentelemetry-proto, docs/specification.md: ids in
 * hexadecimal, 64-bit integers as text or numbers, enums as numbers). What is not of that form is left out.
 */
export function readSpans(request: unknown): ReadSpan[] {
  return [...spansOf(request)].filter(span => span !== undefined)
}

/** The same one by one, for callers with other work to do in between; undefined: one that is not of the form. */
export function* spansOf(request: unknown): Generator<ReadSpan | undefined, void, undefined> {
  let groups = 0
  for (const resourceSpans of listOf(request, 'resourceSpans')) {
    const resource = attributesOf(fieldOf(resourceSpans, 'resource'))
    const [service, instance] = [textOf(resource['service.name']), textOf(resource['service.instance.id'])]
    if (++groups > MOST_GROUPS) return
    for (const scopeSpans of listOf(resourceSpans, 'scopeSpans')) {
      if (++groups > MOST_GROUPS) return
      for (const span of listOf(scopeSpans, 'spans')) yield readSpan(span, service, instance)
    }
  }
}

function readSpan(span: unknown, service: string, instance: string): ReadSpan | undefined {
  const traceId = hexOf(fieldOf(span, 'traceId'), 32)
  const spanId = hexOf(fieldOf(span, 'spanId'), 16)
  const startMs = millisOf(fieldOf(span, 'startTimeUnixNano'))
  const endMs = millisOf(fieldOf(span, 'endTimeUnixNano'))
  if (traceId === '' || spanId === '' || startMs === undefined || endMs === undefined) return undefined
  const name = fieldOf(span, 'name')
  return {
    traceId,
    spanId,
    parentSpanId: hexOf(fieldOf(span, 'parentSpanId'), 16),
    name: typeof name === 'string' ? name : '',
    kind: Number(fieldOf(span, 'kind') ?? 0),
    startMs,
    endMs,
    attributes: attributesOf(span),
    isError: Number(fieldOf(fieldOf(span, 'status'), 'code') ?? 0) === 2,
    service,
    instance,
  }
}

function textOf(value: SpanValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

function attributesOf(holder: unknown): Record<string, SpanValue> {
  // Without a prototype: a span may have an attribute `__proto__`.
  const attributes: Record<string, SpanValue> = Object.create(null)
  for (const attribute of listOf(holder, 'attributes').slice(0, MOST_ATTRIBUTES)) {
    const key = fieldOf(attribute, 'key')
    const value = spanValue(fieldOf(attribute, 'value'))
    if (typeof key === 'string' && value !== undefined) attributes[key] = value
  }
  return attributes
}

function spanValue(value: unknown): SpanValue | undefined {
  const list = fieldOf(value, 'arrayValue')
  return list === undefined ? plainValue(value) : listText(listOf(list, 'values').map(plainValue))
}

/**
 * A list as an attribute that can hold one value: JSON text, as OpenTelemetry's mapping to other formats has it. NaN and
 * the infinities become null there. Undefined: something in it is no plain value.
 */
export function listText(values: readonly (SpanValue | undefined)[]): string | undefined {
  return values.includes(undefined) ? undefined : JSON.stringify(values)
}

function plainValue(value: unknown): SpanValue | undefined {
  const text = fieldOf(value, 'stringValue')
  if (typeof text === 'string') return text
  const flag = fieldOf(value, 'boolValue')
  if (typeof flag === 'boolean') return flag
  const number = fieldOf(value, 'doubleValue') ?? fieldOf(value, 'intValue')
  if (typeof number === 'number') return number
  // JSON has no 64-bit integers, no NaN and no infinity: all of them come as text.
  return typeof number === 'string' && number.trim() !== '' ? Number(number) : undefined
}

/** Nanoseconds as text or number; a double holds a recent one to a quarter of a microsecond. */
function millisOf(nanos: unknown): number | undefined {
  const millis = typeof nanos === 'string' || typeof nanos === 'number' ? Number(nanos) / 1e6 : Number.NaN
  return Number.isFinite(millis) ? millis : undefined
}

function hexOf(value: unknown, digits: number): string {
  const hex = typeof value === 'string' ? value.toLowerCase() : ''
  return hex.length === digits && /^[0-9a-f]+$/.test(hex) && !/^0+$/.test(hex) ? hex : ''
}

function listOf(holder: unknown, name: string): readonly unknown[] {
  const list = fieldOf(holder, name)
  return Array.isArray(list) ? list : []
}

function fieldOf(holder: unknown, name: string): unknown {
  return typeof holder === 'object' && holder !== null && Object.hasOwn(holder, name)
    ? (holder as Record<string, unknown>)[name]
    : undefined
}
