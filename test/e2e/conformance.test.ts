import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { predict, routesOf, scratch, send, startGateway, type TestGateway, tumourRequest, until } from './gateway.ts'
import { writeModel } from './onnxModel.ts'
import { http, modelServer, type RawServer, rawClient, rawServer, statusesIn } from './upstream.ts'

let gateway: TestGateway
let scripted: RawServer
/** What the scripted model server answers next. */
let next = ''
const body = JSON.stringify(tumourRequest())
const length = `content-length: ${Buffer.byteLength(body)}`
const LIMIT = 64 * 1024

beforeAll(async () => {
  const models = await scratch()
  await writeModel(
    models,
    'text',
    '1.0.0',
    { op: 'Identity', datatype: 'BYTES', width: 1 },
    { inputs: ['a'], outputs: ['a'] },
  )
  scripted = await rawServer(socket => void socket.write(next))
  const echo = await modelServer()
  const remote = (url: string, protocol: string) => ({
    live: '1.0.0',
    versions: { '1.0.0': { url, protocol, weight: 100 } },
    limits: { body: `${LIMIT}B` },
  })
  gateway = await startGateway({
    routes: routesOf(
      {
        text: {
          live: '1.0.0',
          versions: { '1.0.0': { onnx: join('text', '1.0.0'), weight: 100 } },
          limits: { body: `${LIMIT}B` },
        },
        risk: remote(echo.url, 'v2'),
        scripted: remote(scripted.url, 'v2'),
        translated: remote(scripted.url, 'v1'),
      },
      { models },
    ),
  })
})

/** Sends raw bytes on one connection and waits for its end. */
async function exchange(text: string): Promise<string> {
  const client = rawClient(gateway.port)
  client.write(text)
  return client.closed
}

describe('a client that writes its whole body before it reads', () => {
  it.each([
    ['413 for a body over the limit', '/v2/models/text/infer', 413, /larger than 65536 bytes/],
    ['413 for a body over the limit of a version behind HTTP', '/v2/models/risk/infer', 413, /larger than 65536 bytes/],
    ['404 for a model that nobody knows', '/v2/models/nobody/infer', 404, /unknown model/],
    [
      '403 for a version that it may not pick',
      '/v2/models/text/versions/1.0.0/infer',
      403,
      /does not let requests pick/,
    ],
    ['501 for a verb that is not supported', '/v1/models/text:explain', 501, /:explain is not supported/],
    ['413 for too many labels', '/v1/labels', 413, /bytes of labels/],
  ])('reads its %s', async (_, path, status, said) => {
    const client = rawClient(gateway.port)
    client.socket.pause()
    const bytes = 12 * 1024 * 1024
    client.write(`POST ${path} HTTP/1.1\r\nhost: gateway\r\ncontent-length: ${bytes}\r\n\r\n`)
    await new Promise<void>((resolve, reject) => {
      client.socket.once('error', reject)
      client.socket.write(Buffer.alloc(bytes, 'x'), error => (error ? reject(error) : resolve()))
    })
    client.socket.resume()
    await until(() => said.test(client.text()), { timeoutMs: 5_000 })
    expect(statusesIn(client.text())).toEqual([status])
    client.socket.destroy()
  })

  it('reads the long answer that a version gave before it had the whole body', async () => {
    const answer = JSON.stringify({ error: 'x'.repeat(2 * 1024 * 1024) })
    const hasty = await rawServer(
      () => {},
      socket => void socket.once('data', () => socket.write(http('400 Bad Request', answer))),
    )
    const routes = { hasty: { live: '1.0.0', versions: { '1.0.0': { url: hasty.url, weight: 100 } } } }
    const other = await startGateway({ routes: routesOf(routes) })
    const client = rawClient(other.port)
    client.socket.pause()
    const bytes = 7 * 1024 * 1024
    client.write(`POST /v2/models/hasty/infer HTTP/1.1\r\nhost: gateway\r\ncontent-length: ${bytes}\r\n\r\n`)
    await new Promise<void>((resolve, reject) => {
      client.socket.once('error', reject)
      client.socket.write(Buffer.alloc(bytes, 'x'), error => (error ? reject(error) : resolve()))
    })
    client.socket.resume()
    await until(() => client.text().endsWith('x"}'), { timeoutMs: 8_000, what: () => client.text().slice(0, 300) })
    expect(statusesIn(client.text())).toEqual([400])
    await other.stop()
  })

  it('is not read for ever: an endless body ends its connection', { timeout: 20_000 }, async () => {
    const client = rawClient(gateway.port)
    client.write('POST /v2/models/nobody/infer HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\r\n')
    let isClosed = false
    void client.closed.then(() => (isClosed = true))
    const chunk = `40000\r\n${'x'.repeat(0x40000)}\r\n`
    await until(
      () => {
        // At most 16 MiB wait here at a time.
        while (!isClosed && client.socket.writable && client.socket.writableLength < 2 ** 24) client.write(chunk)
        return isClosed
      },
      { timeoutMs: 15_000 },
    )
    expect(client.socket.bytesWritten).toBeLessThan(160 * 2 ** 20)
  })
})

describe('Expect: 100-continue', () => {
  const asking = (path: string, bytes: number, version = '1.1') =>
    `POST ${path} HTTP/${version}\r\nhost: gateway\r\nexpect: 100-continue\r\ncontent-length: ${bytes}\r\n\r\n`

  it.each([
    ['too long', '/v2/models/text/infer', LIMIT + 1, 413],
    ['for an unknown model', '/v2/models/nobody/infer', 10, 404],
  ])('a body that is %s is refused before it is asked for', async (_, path, bytes, status) => {
    expect(statusesIn(await exchange(asking(path, bytes)))).toEqual([status])
  })

  it('a body for a version behind HTTP is asked for, and the version sees no Expect', async () => {
    next = http('200 OK', '{"outputs":[]}')
    const client = rawClient(gateway.port)
    client.write(asking('/v2/models/scripted/infer', body.length))
    await until(() => statusesIn(client.text())[0] === 100)
    client.write(body)
    await until(() => statusesIn(client.text()).length === 2)
    expect(statusesIn(client.text())).toEqual([100, 200])
    expect(scripted.received.at(-1)).not.toMatch(/expect/i)
    client.socket.destroy()
  })

  it('means nothing in HTTP/1.0', async () => {
    const text = '{"inputs":[{"name":"x","shape":[1,1],"datatype":"BYTES","data":["a"]}]}'
    expect(statusesIn(await exchange(asking('/v2/models/text/infer', text.length, '1.0') + text))).toEqual([200])
  })
})

describe('a request line and its host', () => {
  it('an absolute-form target with this host is served, path and query', async () => {
    next = http('200 OK', '{"outputs":[]}')
    const text = await exchange(
      `POST http://Gateway:80/v2/models/scripted/infer?a=b HTTP/1.1\r\nhost: gateway:80\r\nconnection: close\r\n${length}\r\n\r\n${body}`,
    )
    expect(statusesIn(text)).toEqual([200])
    expect(scripted.received.at(-1)).toMatch(/^POST \/v2\/models\/scripted\/infer\?a=b HTTP/)
  })

  it.each(['http://other/v2', 'http://user@gateway/v2', 'https://gateway/v2', 'gateway/v2', '*'])(
    '%s is refused',
    async target => {
      expect(
        statusesIn(await exchange(`GET ${target} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n`)),
      ).toEqual([400])
    },
  )

  it('HTTP/1.0 needs no Host, as health checks send it', async () => {
    for (const path of ['/v2/health/ready', '/ping', '/v2'])
      expect(statusesIn(await exchange(`GET ${path} HTTP/1.0\r\n\r\n`))).toEqual([200])
  })
})

describe('a method that a path does not have', () => {
  it.each([
    ['PUT', '/v2', 'GET, HEAD'],
    ['POST', '/v2/models/text', 'GET, HEAD'],
    ['GET', '/v2/models/text/infer', 'POST'],
    ['GET', '/v1/models/text:predict', 'POST'],
    ['DELETE', '/v1/models/text/versions/1.0.0:predict', 'POST'],
    ['GET', '/invocations', 'POST'],
    ['GET', '/v2/repository/index', 'POST'],
    ['GET', '/v1/labels', 'POST'],
  ])('%s %s: 405, and which ones it has', async (method, path, allowed) => {
    const answer = await send(gateway.predictions + path, { method })
    expect([answer.status, answer.headers.allow]).toEqual([405, allowed])
    expect(answer.json.error).toMatch(method)
  })
})

describe('an answer of a version behind HTTP', () => {
  it.each([204, 304])('a %i has no length', async status => {
    next = `HTTP/1.1 ${status} Empty\r\nx-kept: yes\r\n\r\n`
    const answer = await predict(gateway, 'scripted', body)
    expect(answer.status).toBe(status)
    expect(answer.headers['x-kept']).toBe('yes')
    expect(answer.headers['content-length']).toBeUndefined()
  })

  it.each([
    ['a 503 keeps its own Retry-After', 'retry-after: 7', ['7']],
    ['a 503 without one gets one', 'access-control-expose-headers: retry-after', ['1']],
  ])('%s', async (_, field, expected) => {
    next = http('503 Busy', '{"error":"busy"}', [field])
    // Read raw: a parser drops the second of two such fields in silence.
    const text = await exchange(
      `POST /v2/models/scripted/infer HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n${length}\r\n\r\n${body}`,
    )
    expect([...text.matchAll(/\nretry-after: (.*)\r/gi)].map(([, value]) => value)).toEqual(expected)
  })

  it('a translated refusal keeps what tells a client when and how to come again', async () => {
    next = http('429 Slow', '{"error":"slow down"}', ['retry-after: 9', 'x-internal: secret'])
    const slow = await predict(gateway, 'translated', body)
    expect([slow.status, slow.headers['retry-after'], slow.headers['x-internal']]).toEqual([429, '9', undefined])
    next = http('401 Who', '{"error":"who are you"}', ['www-authenticate: Bearer'])
    const unknown = await predict(gateway, 'translated', body)
    expect([unknown.status, unknown.headers['www-authenticate']]).toEqual([401, 'Bearer'])
    expect(unknown.json).toEqual({ error: 'who are you' })
  })

  it('a redirect that would have to be translated is a bad gateway', async () => {
    next = http('302 Found', '', ['location: http://127.0.0.1:1/'])
    const answer = await predict(gateway, 'translated', body)
    expect([answer.status, answer.json]).toEqual([502, { error: 'the version answered 302' }])
    expect(answer.headers.location).toBeUndefined()
  })
})

describe('a text with a NUL', () => {
  it('is refused, since the model would read only what stands before it', async () => {
    const request = (text: string) => ({ inputs: [{ name: 'x', shape: [1, 1], datatype: 'BYTES', data: [text] }] })
    const refused = await predict(gateway, 'text', request('a\0b'))
    expect(refused.status).toBe(400)
    expect(refused.json.error).toMatch(/"x".*NUL/)
    const taken = await predict(gateway, 'text', request('ab'))
    expect(taken.json.outputs[0].data).toEqual(['ab'])
  })
})
