// POST /v1/traces: OTLP over HTTP in both encodings, with bounds on what an export may cost. Knows no span's meaning.
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { asUnderstudyError, UnderstudyError } from '../errors.ts'
import { parseJson } from '../protocols/json.ts'
import { exportResponse, OTLP_TYPE, type OtlpEncoding, refusal } from '../telemetry/exportAnswer.ts'
import { protobufSpans } from '../telemetry/readProtobuf.ts'
import { type ReadSpan, spansOf } from '../telemetry/readSpans.ts'
import type { Control } from './control.ts'

type Env = { Bindings: HttpBindings }

/**
 * Of a body as it is sent, and of what it is inflated to. JSON cannot be read a little at a time: 4 MiB keep the control thread
 * from its other work for a tenth of a second, measured.
 */
export const MOST_TRACE_BYTES: Readonly<Record<OtlpEncoding, number>> = {
  protobuf: 16 * 1024 ** 2,
  json: 4 * 1024 ** 2,
}
/** Exports that are received or worked on at a time: each holds its body in memory. */
const MOST_AT_ONCE = 8
const RETRY_AFTER_S = 1
const MOST_DEPTH = 64
const inflated = promisify(gunzip)

/** Answers an export as the OTLP specification asks: in its own encoding, with a Status where it is refused. */
export function tracesHandler(control: Pick<Control, 'traces'>, onInternalError: (error: unknown) => void) {
  let atOnce = 0
  return async (context: Context<Env>): Promise<Response> => {
    const encoding = encodingOf(context)
    if (encoding === undefined) {
      return refused(context, 'json', 415, `expected content-type ${OTLP_TYPE.protobuf} or ${OTLP_TYPE.json}`)
    }
    const coding = context.req.header('content-encoding')?.trim().toLowerCase() ?? 'identity'
    if (coding !== 'identity' && coding !== 'gzip') {
      return refused(context, encoding, 415, 'expected content-encoding gzip, or none')
    }
    if (atOnce >= MOST_AT_ONCE) return overloaded(context, encoding)
    atOnce++
    try {
      const most = MOST_TRACE_BYTES[encoding]
      const bytes = await received(context, most)
      const body = coding === 'gzip' ? await unpacked(bytes, most) : bytes
      const answer = exportResponse(encoding, await control.traces(decoded(encoding, body)))
      return context.body(answer as Uint8Array<ArrayBuffer>, 200, { 'content-type': OTLP_TYPE[encoding] })
    } catch (error) {
      return tracesRefused(context, error, onInternalError)
    } finally {
      atOnce--
    }
  }
}

/** The answer to an export that failed, also before it came to the handler. */
export function tracesRefused(
  context: Context<Env>,
  error: unknown,
  onInternalError: (error: unknown) => void,
): Response {
  const { status, code, message } = asUnderstudyError(error)
  const encoding = encodingOf(context) ?? 'json'
  if (code === 'INTERNAL') onInternalError(error)
  return status === 503 ? overloaded(context, encoding, message) : refused(context, encoding, status, message)
}

function encodingOf(context: Context<Env>): OtlpEncoding | undefined {
  const type = context.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  return type === OTLP_TYPE.protobuf ? 'protobuf' : type === OTLP_TYPE.json ? 'json' : undefined
}

function decoded(encoding: OtlpEncoding, body: Uint8Array): Iterable<ReadSpan | undefined> {
  if (encoding === 'protobuf') return protobufSpans(body)
  return jsonSpans(body)
}

/** Parsed when its turn has come: of several exports at once only one stands in memory as a whole. */
function* jsonSpans(body: Uint8Array): Generator<ReadSpan | undefined, void, undefined> {
  const request = parseJson(body, MOST_DEPTH)
  const isExport =
    typeof request === 'object' &&
    request !== null &&
    !Array.isArray(request) &&
    (!('resourceSpans' in request) || Array.isArray(request.resourceSpans))
  if (!isExport) throw new UnderstudyError('BAD_REQUEST', 'the body is no ExportTraceServiceRequest of OTLP in JSON')
  yield* spansOf(request)
}

/** The body as it is sent. @throws TOO_LARGE */
async function received(context: Context<Env>, most: number): Promise<Uint8Array> {
  const tooLarge = () => new UnderstudyError('TOO_LARGE', `the body is more than ${most} bytes`)
  if (Number(context.req.header('content-length') ?? 0) > most) throw tooLarge()
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of context.req.raw.body ?? []) {
    bytes += part.length
    if (bytes > most) throw tooLarge()
    parts.push(part)
  }
  return Buffer.concat(parts)
}

/** @throws TOO_LARGE, BAD_REQUEST */
async function unpacked(bytes: Uint8Array, most: number): Promise<Uint8Array> {
  try {
    return await inflated(bytes, { maxOutputLength: most })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new UnderstudyError('TOO_LARGE', `the body is more than ${most} bytes when inflated`, { cause })
    throw new UnderstudyError('BAD_REQUEST', 'the body is not valid gzip', { cause })
  }
}

function overloaded(context: Context<Env>, encoding: OtlpEncoding, message = 'too many exports at once'): Response {
  context.header('retry-after', String(RETRY_AFTER_S))
  return refused(context, encoding, 503, message)
}

function refused(context: Context<Env>, encoding: OtlpEncoding, status: number, message: string): Response {
  // Hono's types know the standard codes; ours come from the error table.
  return context.body(refusal(encoding, message) as Uint8Array<ArrayBuffer>, status as 400, {
    'content-type': OTLP_TYPE[encoding],
  })
}
