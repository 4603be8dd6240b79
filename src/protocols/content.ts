// Content codings and what kind of body it is. Takes codings off and puts them on; knows no protocol.
import { promisify } from 'node:util'
import {
  brotliDecompress,
  brotliDecompressSync,
  constants,
  deflate,
  gunzip,
  gunzipSync,
  gzip,
  inflate,
  inflateRaw,
  inflateRawSync,
  inflateSync,
  zstdDecompress,
  zstdDecompressSync,
} from 'node:zlib'
import { UnderstudyError } from '../errors.ts'

/** Content codings that can be taken off again (RFC 9110 section 8.4.1, RFC 7932, RFC 8878). */
export const CODINGS = ['gzip', 'deflate', 'br', 'zstd'] as const
export type Coding = (typeof CODINGS)[number]

/** What a body is, so that it can be read, or sent again, later. */
export interface BodyForm {
  /** The Content-Type field; empty: none. */
  readonly contentType: string
  /** The Content-Encoding field, lower case; empty: none. */
  readonly coding: string
  /** V2's Inference-Header-Content-Length. */
  readonly jsonBytes: number | undefined
}

export const PLAIN_JSON: BodyForm = { contentType: 'application/json', coding: '', jsonBytes: undefined }

/** A form as one line of text; empty for plain JSON, which nearly every body is. */
export function packForm({ contentType, coding, jsonBytes }: BodyForm): string {
  if (contentType === 'application/json' && coding === '' && jsonBytes === undefined) return ''
  return `${contentType}\n${coding}\n${jsonBytes ?? ''}`
}

export function unpackForm(packed: string): BodyForm {
  if (packed === '') return PLAIN_JSON
  const [contentType = '', coding = '', jsonBytes = ''] = packed.split('\n')
  return { contentType, coding, jsonBytes: jsonBytes === '' ? undefined : Number(jsonBytes) }
}

/** Whether bodies of this coding can be read. */
export function isReadable(coding: string): boolean {
  return coding === '' || (CODINGS as readonly string[]).includes(coding)
}

/** The Content-Encoding field as a form has it: `identity` is none, `x-gzip` is gzip. */
export function codingOf(field: string | undefined): string {
  const coding = field?.trim().toLowerCase() ?? ''
  return coding === 'identity' ? '' : coding === 'x-gzip' ? 'gzip' : coding
}

// Up to here taking a coding off costs less than the way to libuv's threads and back.
const INLINE_BYTES = 16 * 1024
const INLINE_DECODED_BYTES = 256 * 1024

/**
 * The body without its coding; larger ones are worked on outside this thread.
 * @throws BAD_CONTENT_TYPE for an unknown coding, BAD_REQUEST for a body that is not of its coding, TOO_LARGE for one that
 *   grows beyond `maxBytes`
 */
export async function decoded(body: Uint8Array, coding: string, maxBytes: number): Promise<Uint8Array> {
  if (coding === '') return body
  if (body.length <= INLINE_BYTES) {
    try {
      return decodedNow(body, coding, Math.min(maxBytes, INLINE_DECODED_BYTES))
    } catch (error) {
      // A few bytes that grow to many: the others must not wait for them.
      if ((error as UnderstudyError).code !== 'TOO_LARGE' || maxBytes <= INLINE_DECODED_BYTES) throw error
    }
  }
  const options = { maxOutputLength: maxBytes }
  try {
    switch (coding) {
      case 'gzip':
        return await gunzipped(body, options)
      case 'deflate':
        return await (isZlib(body) ? inflated(body, options) : inflatedRaw(body, options))
      case 'br':
        return await unbrotlied(body, options)
      case 'zstd':
        return await unzstded(body, options)
      default:
        throw unknownCoding(coding)
    }
  } catch (error) {
    throw asRefusal(error, coding, maxBytes)
  }
}

/** As `decoded`, on this thread. */
export function decodedNow(body: Uint8Array, coding: string, maxBytes: number): Uint8Array {
  const options = { maxOutputLength: maxBytes }
  try {
    switch (coding) {
      case '':
        return body
      case 'gzip':
        return gunzipSync(body, options)
      case 'deflate':
        return isZlib(body) ? inflateSync(body, options) : inflateRawSync(body, options)
      case 'br':
        return brotliDecompressSync(body, options)
      case 'zstd':
        return zstdDecompressSync(body, options)
      default:
        throw unknownCoding(coding)
    }
  } catch (error) {
    throw asRefusal(error, coding, maxBytes)
  }
}

/** Puts a coding on, outside this thread. */
export function encoded(body: string | Uint8Array, coding: 'gzip' | 'deflate'): Promise<Buffer> {
  // An answer goes over a network once: level 1 is several times as fast as level 6 for some percent more bytes.
  const options = { level: constants.Z_BEST_SPEED }
  return coding === 'gzip' ? gzipped(body, options) : deflated(body, options)
}

// Libraries list several codings without being asked; answers this small are not worth it to anybody.
const SMALL_ANSWER_BYTES = 1024

/**
 * The coding for an answer of ours of `bytes` bytes, by the client's Accept-Encoding; undefined: none. A client that names
 * one coding alone (tritonclient, when it is told to compress) asks for it and gets it at any size.
 */
export function codingFor(acceptEncoding: string | undefined, bytes: number): 'gzip' | 'deflate' | undefined {
  if (acceptEncoding === undefined || bytes === 0) return undefined
  const wanted = acceptEncoding.trim().toLowerCase()
  if (wanted === 'gzip' || wanted === 'deflate') return wanted
  if (bytes < SMALL_ANSWER_BYTES) return undefined
  const weights = weightsOf(wanted)
  const gzipWeight = weights.get('gzip') ?? weights.get('x-gzip') ?? weights.get('*') ?? 0
  const deflateWeight = weights.get('deflate') ?? weights.get('*') ?? 0
  if (Math.max(gzipWeight, deflateWeight) === 0 || (weights.get('identity') ?? 0) > Math.max(gzipWeight, deflateWeight))
    return undefined
  return gzipWeight >= deflateWeight ? 'gzip' : 'deflate'
}

/** What of the client's Accept-Encoding may be passed on: an answer in a coding that we cannot take off is not comparable. */
export function passableCodings(acceptEncoding: string | undefined): string | undefined {
  if (acceptEncoding === undefined) return undefined
  const kept = acceptEncoding
    .toLowerCase()
    .split(',')
    .map(part => part.trim())
    .filter(part => /^(gzip|x-gzip|deflate|br|zstd|identity)\s*(;|$)/.test(part))
  return kept.length === 0 ? undefined : kept.join(', ')
}

function weightsOf(acceptEncoding: string): Map<string, number> {
  const weights = new Map<string, number>()
  for (const part of acceptEncoding.split(',')) {
    const [name = '', ...parameters] = part.split(';').map(text => text.trim())
    const weight = parameters.find(parameter => parameter.startsWith('q='))
    const q = weight === undefined ? 1 : Number(weight.slice(2))
    if (name !== '') weights.set(name, Number.isFinite(q) ? q : 0)
  }
  return weights
}

const gunzipped = promisify(gunzip)
const inflated = promisify(inflate)
const inflatedRaw = promisify(inflateRaw)
const unbrotlied = promisify(brotliDecompress)
const unzstded = promisify(zstdDecompress)
const gzipped = promisify(gzip)
const deflated = promisify(deflate)

/** RFC 1950: what HTTP calls deflate. Some clients send raw deflate (RFC 1951) under that name. */
function isZlib(body: Uint8Array): boolean {
  const [method = 0, flags = 0] = body
  return (method & 0x0f) === 8 && (method * 256 + flags) % 31 === 0
}

function unknownCoding(coding: string): UnderstudyError {
  return new UnderstudyError('BAD_CONTENT_TYPE', `content coding ${coding.slice(0, 40)} is not supported`)
}

function asRefusal(error: unknown, coding: string, maxBytes: number): UnderstudyError {
  if (error instanceof UnderstudyError) return error
  return (error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE'
    ? new UnderstudyError(
        'TOO_LARGE',
        `the body is larger than ${maxBytes} bytes once its ${coding} coding is taken off`,
      )
    : new UnderstudyError('BAD_REQUEST', `the body is not valid ${coding}`, { cause: error })
}
