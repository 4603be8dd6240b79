import { gzipSync } from 'node:zlib'
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import { describe, expect, it } from 'vitest'
import { createAdminApi } from '../../src/admin/api.ts'
import { createGuard } from '../../src/admin/auth.ts'
import type { Control } from '../../src/admin/control.ts'
import { MOST_TRACE_BYTES } from '../../src/admin/traces.ts'
import { UnderstudyError } from '../../src/errors.ts'
import type { ReadSpan } from '../../src/telemetry/readSpans.ts'
import { asJson, asProtobuf, writtenSpans } from '../telemetry/writtenSpans.ts'
import { fakeControl } from './fakeControl.ts'

type Body = ConstructorParameters<typeof Response>[0]

const PROTOBUF = 'application/x-protobuf'
const JSON_TYPE = 'application/json'
const spans = await writtenSpans([
  { name: 'predict', attributes: { 'model.version': '1.0.0', prediction: [0.25, 0.75] } },
  { name: 'predict', attributes: { 'model.version': '1.1.0', __proto__: 'x' } as never },
])

function api(overrides: Partial<Control> = {}, token?: string) {
  const { control, asked } = fakeControl(overrides)
  const unforeseen: unknown[] = []
  const guard = createGuard({ token, loopback: true, now: () => 0 })
  const app = createAdminApi({ control, guard, onInternalError: error => unforeseen.push(error) })
  const post = async (type: string | undefined, body: Body | Uint8Array, headers: Record<string, string> = {}) => {
    const response = await app.request('/v1/traces', {
      method: 'POST',
      headers: { host: '127.0.0.1:9090', ...(type !== undefined && { 'content-type': type }), ...headers },
      body: body as Body,
      duplex: 'half',
    } as RequestInit)
    const bytes = new Uint8Array(await response.arrayBuffer())
    return { status: response.status, headers: response.headers, bytes, text: Buffer.from(bytes).toString() }
  }
  const taken = () => asked.flatMap(({ arguments: all }) => all as (ReadSpan | undefined)[])
  return { app, unforeseen, post, taken }
}

describe('an export that is refused', () => {
  it.each([
    ['protobuf that is none', PROTOBUF, Buffer.from('garbage'), 400],
    ['JSON that is none', JSON_TYPE, Buffer.from('{'), 400],
    ['a JSON list', JSON_TYPE, Buffer.from('[]'), 400],
    ['JSON of another form', JSON_TYPE, Buffer.from('{"resourceSpans":5}'), 400],
    ['JSON that is too deep', JSON_TYPE, Buffer.from(`${'['.repeat(200)}${']'.repeat(200)}`), 400],
    ['text', 'text/plain', Buffer.from('hello'), 415],
    ['a form', 'application/x-www-form-urlencoded', Buffer.from('a=b'), 415],
    ['nothing that says what it is', undefined, asProtobuf(spans), 415],
    ['too many bytes', PROTOBUF, new Uint8Array(MOST_TRACE_BYTES.protobuf + 1), 413],
    ['too many bytes of JSON', JSON_TYPE, Buffer.alloc(MOST_TRACE_BYTES.json + 1, ' '), 413],
  ])('is %s, and the answer says so in its encoding', async (_, type, body, status) => {
    const { post, taken, unforeseen } = api()
    const answer = await post(type, body)
    expect(answer.status).toBe(status)
    const encoding = type === PROTOBUF ? PROTOBUF : JSON_TYPE
    expect(answer.headers.get('content-type')).toBe(encoding)
    // google.rpc.Status: message is field 2.
    if (encoding === PROTOBUF) expect([...answer.bytes.subarray(0, 1)]).toEqual([0x12])
    else expect(JSON.parse(answer.text).message).toMatch(/./)
    expect(taken()).toEqual([])
    expect(unforeseen).toEqual([])
  })

  it('is chunked and too large: no more of it than that is read', async () => {
    const { post } = api()
    let pulled = 0
    const endless = new ReadableStream<Uint8Array>({
      pull: controller => {
        pulled += 1024 * 1024
        controller.enqueue(new Uint8Array(1024 * 1024))
      },
    })
    expect((await post(PROTOBUF, endless)).status).toBe(413)
    expect(pulled).toBeLessThan(MOST_TRACE_BYTES.protobuf + 8 * 1024 * 1024)
  })

  it('is a gzip bomb, or no gzip, or packed in another way', async () => {
    const { post } = api()
    const bomb = gzipSync(new Uint8Array(3 * MOST_TRACE_BYTES.protobuf))
    expect(bomb.length).toBeLessThan(300_000)
    expect((await post(PROTOBUF, bomb, { 'content-encoding': 'gzip' })).status).toBe(413)
    expect((await post(PROTOBUF, asProtobuf(spans), { 'content-encoding': 'gzip' })).status).toBe(400)
    expect((await post(PROTOBUF, asProtobuf(spans), { 'content-encoding': 'zstd' })).status).toBe(415)
  })

  it('has no token, or another site or method behind it', async () => {
    const { post, app } = api({}, 'a token of sixteen')
    expect((await post(PROTOBUF, asProtobuf(spans))).status).toBe(401)
    expect((await post(JSON_TYPE, asJson(spans), { authorization: 'Bearer wrong' })).status).toBe(401)
    expect((await post(JSON_TYPE, asJson(spans), { authorization: 'Bearer wrong' })).text).toMatch(/wrong token/)
    expect((await post(PROTOBUF, asProtobuf(spans), { authorization: 'Bearer a token of sixteen' })).status).toBe(401)
    const other = api()
    expect((await other.post(PROTOBUF, asProtobuf(spans), { origin: 'http://evil.example' })).status).toBe(403)
    const got = await app.request('/v1/traces', {
      headers: { host: '127.0.0.1:9090', authorization: 'Bearer a-token-of-sixteen' },
    })
    expect([401, 405]).toContain(got.status)
    expect(other.taken()).toEqual([])
  })

  it('comes while too many are worked on: it may come again', async () => {
    const held = Promise.withResolvers<{ rejectedSpans: number; errorMessage: string }>()
    const { post } = api({ traces: () => held.promise })
    const first = Array.from({ length: 8 }, () => post(PROTOBUF, asProtobuf(spans)))
    const ninth = await post(PROTOBUF, asProtobuf(spans))
    expect(ninth.status).toBe(503)
    expect(ninth.headers.get('retry-after')).toBe('1')
    held.resolve({ rejectedSpans: 0, errorMessage: '' })
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual(new Array(8).fill(200))
    expect((await post(PROTOBUF, asProtobuf(spans))).status).toBe(200)
  })

  it('fails here: the caller hears no more than that', async () => {
    const { post, unforeseen } = api({ traces: async () => Promise.reject(new Error('/secret/path')) })
    const answer = await post(JSON_TYPE, asJson(spans))
    expect([answer.status, answer.text]).toEqual([500, '{"message":"internal error"}'])
    expect(unforeseen.length).toBe(1)
    const full = api({ traces: async () => Promise.reject(new UnderstudyError('OVERLOADED', 'later')) })
    const later = await full.post(JSON_TYPE, asJson(spans))
    expect([later.status, later.headers.get('retry-after')]).toEqual([503, '1'])
  })
})

describe('an export', () => {
  it.each([
    ['protobuf', PROTOBUF, asProtobuf(spans), {}],
    ['JSON', `${JSON_TYPE}; charset=utf-8`, asJson(spans), {}],
    ['packed protobuf', PROTOBUF, gzipSync(asProtobuf(spans)), { 'content-encoding': 'gzip' }],
    ['packed JSON', JSON_TYPE, gzipSync(asJson(spans)), { 'content-encoding': 'gzip' }],
  ])('in %s is taken span by span', async (_, type, body, headers) => {
    const { post, taken } = api()
    const answer = await post(type, body, headers)
    expect(answer.status).toBe(200)
    expect(answer.text).toBe(type === PROTOBUF ? '' : '{}')
    expect(taken().map(span => span?.attributes.prediction)).toEqual(['[0.25,0.75]', undefined])
  })

  it('is answered with what of it was not taken', async () => {
    const { post } = api({ traces: async () => ({ rejectedSpans: 3, errorMessage: 'no such version' }) })
    const { partialSuccess } = ProtobufTraceSerializer.deserializeResponse(
      (await post(PROTOBUF, asProtobuf(spans))).bytes,
    )
    expect(Number(partialSuccess?.rejectedSpans)).toBe(3)
    expect(partialSuccess?.errorMessage).toBe('no such version')
    expect(JSON.parse((await post(JSON_TYPE, asJson(spans))).text).partialSuccess.rejectedSpans).toBe('3')
  })
})
