// Writes what an OTLP/HTTP server answers: an ExportTraceServiceResponse, or the Status of a refusal. Decides nothing.

/** How a request was encoded; the answer is encoded alike (OTLP specification, "OTLP/HTTP response"). */
export type OtlpEncoding = 'json' | 'protobuf'

export const OTLP_TYPE: Readonly<Record<OtlpEncoding, string>> = {
  json: 'application/json',
  protobuf: 'application/x-protobuf',
}

/** What of an export was not taken: none and no message is full success. A message alone is a warning. */
export interface PartialSuccess {
  readonly rejectedSpans: number
  /** For a person; empty: nothing to say. */
  readonly errorMessage: string
}

/** ExportTraceServiceResponse: partial_success = 1; of it rejected_spans = 1, error_message = 2. */
export function exportResponse(encoding: OtlpEncoding, { rejectedSpans, errorMessage }: PartialSuccess): Uint8Array {
  const isFull = rejectedSpans === 0 && errorMessage === ''
  if (encoding === 'json') {
    const partialSuccess = { rejectedSpans: String(rejectedSpans), errorMessage }
    return Buffer.from(JSON.stringify(isFull ? {} : { partialSuccess }))
  }
  if (isFull) return new Uint8Array()
  const rejected = rejectedSpans === 0 ? [] : [0x08, ...varint(rejectedSpans)]
  return delimited(
    1,
    Buffer.concat([Buffer.from(rejected), errorMessage === '' ? Buffer.alloc(0) : text(2, errorMessage)]),
  )
}

/** google.rpc.Status: message = 2. Its code is left out, as the specification allows: the HTTP status says it. */
export function refusal(encoding: OtlpEncoding, message: string): Uint8Array {
  return encoding === 'json' ? Buffer.from(JSON.stringify({ message })) : text(2, message)
}

function text(field: number, value: string): Buffer {
  return delimited(field, Buffer.from(value))
}

function delimited(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([field * 8 + 2, ...varint(bytes.length)]), bytes])
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80)
    rest = Math.floor(rest / 0x80)
  }
  return [...bytes, rest]
}
