import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { predict, routesOf, send, startGateway, type TestGateway, tumourRequest, until } from '../e2e/gateway.ts'
import { answerHalf, type ModelServer, modelServer, rawClient, rawServer, statusesIn } from '../e2e/upstream.ts'

let gateway: TestGateway
let upstream: ModelServer
const body = JSON.stringify(tumourRequest())

beforeAll(async () => {
  upstream = await modelServer(answerHalf)
  gateway = await startGateway({
    routes: routesOf({
      risk: {
        live: '1.0.0',
        versions: { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 } },
        limits: { body: '64KiB' },
      },
      remote: { live: '1.0.0', versions: { '1.0.0': { url: upstream.url, weight: 100 } }, limits: { body: '64KiB' } },
    }),
  })
})

/** A raw request to the prediction path of a model. */
function raw(headers: readonly string[], text = body, model = 'risk'): string {
  return `POST /v2/models/${model}/infer HTTP/1.1\r\n${['host: gateway', ...headers].join('\r\n')}\r\n\r\n${text}`
}
const length = `content-length: ${Buffer.byteLength(body)}`

/** Sends raw bytes and waits until the server closes, at most `withinMs`. */
async function exchange(text: string, withinMs = 5_000): Promise<{ statuses: number[]; text: string }> {
  const client = rawClient(gateway.port)
  client.write(text)
  let closed: string | undefined
  void client.closed.then(all => (closed = all))
  await until(() => closed !== undefined, {
    timeoutMs: withinMs,
    what: () => `the gateway to close; got ${client.text()}`,
  })
  return { statuses: statusesIn(closed!), text: closed! }
}

const works = async () => expect((await predict(gateway, 'risk', body)).status).toBe(200)

describe('a client that is slow', () => {
  it('1. with its headers is closed within about ten seconds, and others are answered meanwhile', async () => {
    const client = rawClient(gateway.port)
    client.write('POST /v2/models/risk/infer HTTP/1.1\r\nhost: gateway\r\nx-slow: ')
    let closed = false
    void client.closed.then(() => (closed = true))
    await until(
      async () => {
        await works()
        if (!closed && client.socket.writable) client.write('a')
        return closed
      },
      { timeoutMs: 14_000, what: () => 'the slow client to be closed' },
    )
    expect(statusesIn(client.text()).filter(status => status === 200)).toEqual([])
  })

  it('2. with its body gets 408 at the total deadline, and its slot is free again', { timeout: 45_000 }, async () => {
    const client = rawClient(gateway.port)
    client.write(raw(['content-length: 60000'], body.slice(0, 20)))
    let closed = false
    void client.closed.then(() => (closed = true))
    const startedAt = performance.now()
    await until(
      () => {
        if (client.socket.writable && !closed) client.write(' ')
        return closed
      },
      { timeoutMs: 40_000, what: () => 'the slow client to be closed' },
    )
    expect(performance.now() - startedAt).toBeLessThan(38_000)
    expect(statusesIn(client.text())).toEqual([408])
    await works()
  })

  it('3. at reading its answers loses its connection, and takes neither memory nor others’ places', {
    timeout: 60_000,
  }, async () => {
    // Ten thousand rows a request: their answers fill the kernel's buffers at once.
    const row = tumourRequest().inputs[0]!.data as number[]
    const rows = 400
    const data = Array.from({ length: rows }, () => row).flat()
    const text = JSON.stringify({ inputs: [{ name: 'features', datatype: 'FP32', shape: [rows, 30], data }] })
    const slow = await startGateway({
      routes: routesOf({ risk: { live: '1.0.0', versions: { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 } } } }),
    })
    const client = rawClient(slow.port)
    client.socket.pause()
    let closed = false
    void client.closed.then(() => (closed = true))
    const one = raw([`content-length: ${text.length}`], text)
    for (let request = 0; request < 500; request++) client.write(one)
    let before = 0
    await until(
      async () => {
        expect((await predict(slow, 'risk', body)).status).toBe(200)
        const rss = rssOf(slow.pid)
        before ||= rss
        expect(rss - before).toBeLessThan(300 * 2 ** 20)
        // A paused socket does not notice that it was closed: a write does.
        if (!closed) client.write('x')
        return closed
      },
      { timeoutMs: 40_000, what: () => 'the client to be closed' },
    )
    await slow.stop()
  })
})

describe('a request whose length is in doubt', () => {
  it('4. with a Content-Length over the limit gets 413 before its body is read', async () => {
    const { statuses, text } = await exchange(raw(['content-length: 65537'], ''))
    expect(statuses).toEqual([413])
    expect(text).toMatch(/65536/)
  })

  it('4. with an endless chunked body gets 413 at the limit', async () => {
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`
    const { statuses } = await exchange(raw(['transfer-encoding: chunked'], chunk.repeat(6)))
    expect(statuses).toEqual([413])
    await works()
  })

  it.each([
    ['Content-Length and Transfer-Encoding', [length, 'transfer-encoding: chunked'], `0\r\n\r\n${body}`],
    ['two Content-Lengths that differ', [length, 'content-length: 3'], body],
    ['two Content-Lengths that agree', [length, length], body],
    ['a Content-Length list', [`content-length: ${body.length}, ${body.length}`], body],
    ['a Content-Length in octal or with a plus', [`content-length: +${body.length}`], body],
    ['a negative Content-Length', ['content-length: -1'], body],
    ['a Content-Length with a leading space inside', ['content-length: 1 0'], body],
    ['a folded header', [`content-length:\r\n ${body.length}`], body],
    ['a space before the colon', [`content-length : ${body.length}`], body],
  ])('5. %s: 400 and closed, and the upstream sees nothing of it', async (_, headers, text) => {
    const before = upstream.received.length
    const { statuses } = await exchange(raw(headers, text, 'remote'))
    expect(statuses).toEqual([400])
    expect(upstream.received.length).toBe(before)
    await works()
  })

  it('5. Content-Length 010 is ten bytes or refused, and never a second request for the upstream', async () => {
    const before = upstream.received.length
    const smuggled = raw([length, 'connection: close'], body, 'remote')
    const client = rawClient(gateway.port)
    client.write(raw(['content-length: 010'], `0123456789${smuggled}`, 'remote'))
    await until(() => statusesIn(client.text()).length > 0)
    // Read as decimal, the second request stands outside the first one's body and is one of its own.
    expect(upstream.received.length - before).toBeLessThanOrEqual(2)
    expect(upstream.received.slice(before).every(({ body: text }) => !text.includes('HTTP/1.1'))).toBe(true)
    client.socket.destroy()
  })

  it.each([
    'gzip, chunked',
    ',chunked',
    'chunked, gzip',
    'chunked, chunked',
    'x-chunked',
    'identity',
    '\tchunked\u000b',
    'chunked;q=1',
  ])('6. Transfer-Encoding "%s": 400 or 501, nothing is forwarded', async coding => {
    const before = upstream.received.length
    const client = rawClient(gateway.port)
    client.write(raw([`transfer-encoding: ${coding}`], '0\r\n\r\n', 'remote'))
    await until(() => statusesIn(client.text()).length > 0)
    expect([400, 501]).toContain(statusesIn(client.text())[0])
    expect(upstream.received.length).toBe(before)
    client.socket.destroy()
  })
})

describe('a request line or header that is odd', () => {
  it('7. two Host fields: 400', async () => {
    const before = upstream.received.length
    const client = rawClient(gateway.port)
    client.write(raw(['host: other', length], body, 'remote'))
    await until(() => statusesIn(client.text()).length > 0)
    expect(statusesIn(client.text())).toEqual([400])
    expect(upstream.received.length).toBe(before)
    client.socket.destroy()
  })

  it('7. no Host field: 400', async () => {
    const { statuses } = await exchange(`POST /v2/models/risk/infer HTTP/1.1\r\n${length}\r\n\r\n${body}`)
    expect(statuses).toEqual([400])
  })

  it('7. an absolute-form target with another host is refused and never fetched', async () => {
    const target = await modelServer()
    const client = rawClient(gateway.port)
    client.write(
      `POST ${target.url}/v2/models/risk/infer HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n${length}\r\n\r\n${body}`,
    )
    await until(() => statusesIn(client.text()).length > 0)
    expect([400, 404]).toContain(statusesIn(client.text())[0])
    expect(target.received).toEqual([])
    client.socket.destroy()
  })

  it('8. more than a hundred header fields: 431', async () => {
    const fields = Array.from({ length: 150 }, (_, index) => `x-${index}: 1`)
    const client = rawClient(gateway.port)
    client.write(raw([...fields, length, 'connection: close'], body, 'remote'))
    await until(() => statusesIn(client.text()).length > 0)
    expect(statusesIn(client.text())).toEqual([431])
    client.socket.destroy()
  })

  it('8. header fields of a megabyte: 431', async () => {
    const client = rawClient(gateway.port)
    client.write(raw([`x-long: ${'a'.repeat(1 << 20)}`, length]))
    await until(() => statusesIn(client.text()).length > 0)
    expect(statusesIn(client.text())).toEqual([431])
    client.socket.destroy()
  })

  it.each(['a\rb', 'a\nb', 'a\0b'])('9. %j in a header value is never emitted', async value => {
    const before = upstream.received.length
    const client = rawClient(gateway.port)
    client.write(raw([`x-request-id: ${value}`, `x-odd: ${value}`, length, 'connection: close'], body, 'remote'))
    await until(() => statusesIn(client.text()).length > 0)
    expect(statusesIn(client.text())[0]).toBe(400)
    expect(client.text()).not.toContain(value)
    expect(upstream.received.length).toBe(before)
    client.socket.destroy()
  })

  it('9. CR, LF and NUL in a model’s name, an id and an upstream’s answer never end a header', async () => {
    for (const name of ['a%0d%0aset-cookie:%20x', 'a%00b']) {
      const answer = await send(`${gateway.predictions}/v2/models/${name}/infer`, { body })
      expect(answer.status).toBe(404)
      expect(answer.headers).not.toHaveProperty('set-cookie')
    }
    const { headers } = await predict(gateway, 'remote', { ...tumourRequest(), id: 'a\r\nset-cookie: x' })
    expect(headers).not.toHaveProperty('set-cookie')
  })

  it('10. fields that Connection names, and hop-by-hop fields, do not go on; ours are added after', async () => {
    const before = upstream.received.length
    const { status } = await predict(gateway, 'remote', body, {
      headers: {
        connection: 'authorization, traceparent, x-request-id, x-private, keep-alive',
        authorization: 'Bearer secret',
        'x-private': '1',
        'x-public': '2',
        'proxy-authorization': 'Basic x',
        te: 'trailers',
        'keep-alive': 'timeout=5',
        'x-request-id': 'kept-by-us',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      },
    })
    expect(status).toBe(200)
    const { headers } = upstream.received[before]!
    for (const name of ['authorization', 'x-private', 'proxy-authorization', 'te', 'keep-alive']) {
      expect(headers).not.toHaveProperty(name)
    }
    expect(headers['x-public']).toBe('2')
    expect(headers['x-request-id']).toBe('kept-by-us')
    expect(headers.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/)
  })

  it.each(['TRACE', 'OPTIONS', 'PATCH', 'QUERY'])('11. %s is refused and never passed through', async method => {
    const before = upstream.received.length
    const client = rawClient(gateway.port)
    client.write(
      `${method} /v2/models/remote/infer HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\nx-secret: s\r\n\r\n`,
    )
    await until(() => statusesIn(client.text()).length > 0)
    expect([400, 405, 501]).toContain(statusesIn(client.text())[0])
    expect(client.text()).not.toContain('x-secret')
    expect(upstream.received.length).toBe(before)
    client.socket.destroy()
  })

  it.each([
    ['CONNECT', 'CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\n\r\n'],
    ['a WebSocket', raw(['connection: upgrade', 'upgrade: websocket', 'content-length: 0'], '')],
    [
      'h2c',
      raw(['connection: Upgrade, HTTP2-Settings', 'upgrade: h2c', 'http2-settings: AAMAAABk', 'content-length: 0'], ''),
    ],
  ])('11. %s: 405 or 501 and closed', async (_, text) => {
    const { statuses } = await exchange(text)
    expect([[405], [501]]).toContainEqual(statuses)
    await works()
  })

  it('11. an HTTP/2 preface is refused', async () => {
    const { statuses } = await exchange('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    expect(statuses.every(status => status === 400 || status === 505)).toBe(true)
  })

  it('12. an unknown Expect: 417; 100-continue is answered and then served', async () => {
    const client = rawClient(gateway.port)
    client.write(raw(['expect: the-unexpected', length]))
    await until(() => statusesIn(client.text()).length > 0)
    expect(statusesIn(client.text())).toEqual([417])
    client.socket.destroy()
    const polite = rawClient(gateway.port)
    polite.write(raw(['expect: 100-continue', length], ''))
    await until(() => statusesIn(polite.text())[0] === 100)
    polite.write(body)
    await until(() => statusesIn(polite.text()).length === 2)
    expect(statusesIn(polite.text())).toEqual([100, 200])
    polite.socket.destroy()
  })

  it('13. a hundred pipelined requests are answered in order', async () => {
    const client = rawClient(gateway.port)
    const texts = Array.from({ length: 100 }, (_, index) => {
      const text = JSON.stringify({ id: `number-${index}`, ...tumourRequest() })
      return raw([`content-length: ${text.length}`], text, index % 2 === 0 ? 'risk' : 'remote')
    })
    client.write(texts.join(''))
    await until(() => statusesIn(client.text()).length === 100)
    expect(new Set(statusesIn(client.text()))).toEqual(new Set([200]))
    const ids = [...client.text().matchAll(/"id":"number-(\d+)"/g)].map(([, id]) => Number(id))
    expect(ids).toEqual(Array.from({ length: 50 }, (_, index) => index * 2))
    client.socket.destroy()
  })

  it('13. thousands of pipelined requests of one connection leave others their places', async () => {
    const client = rawClient(gateway.port)
    client.write(raw([length]).repeat(20_000))
    for (let request = 0; request < 100; request++) await works()
    expect(new Set(statusesIn(client.text())).difference(new Set([200, 503]))).toEqual(new Set())
    client.socket.destroy()
  })

  it.each([
    '/v2/models/../infer',
    '/v2/models/%2e%2e/infer',
    '/v2/models/..%2f..%2f..%2fetc%2fpasswd/infer',
    '/v2/models//infer',
    '/v2//models/risk/infer',
    '/v2/models/risk/../risk/infer',
    '/v2/models/%00/infer',
    '/v2/models/risk%00/infer',
    '/v2/models/%/infer',
    '/v2/models/%ff/infer',
    '/v2/models/risk/versions/%2e%2e/infer',
    '/v2/models/risk/versions//infer',
    '/v2/models/RISK/infer',
  ])('14. %s is matched as it stands: 404, no file is touched', async path => {
    const client = rawClient(gateway.port)
    client.write(`POST ${path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n${length}\r\n\r\n${body}`)
    await until(() => statusesIn(client.text()).length > 0)
    expect(statusesIn(client.text())).toEqual([404])
    await client.closed
    expect(client.text()).not.toMatch(/ENOENT|root:|\/models\/[a-z]+\/\d/)
  })
})

describe('a body that is wrong', () => {
  it('15. bad JSON or UTF-8: 400', async () => {
    for (const text of ['{', 'undefined', '{"inputs":[,]}', Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x7d])]) {
      expect((await predict(gateway, 'risk', text)).status).toBe(400)
    }
  })

  it('17. __proto__ in a header, a cookie and a query touches no prototype', async () => {
    const client = rawClient(gateway.port)
    client.write(
      raw(
        ['__proto__: polluted', 'constructor: x', 'cookie: __proto__=polluted', length, 'connection: close'],
        body,
        'remote',
      ),
    )
    await until(() => statusesIn(client.text()).length > 0)
    expect(statusesIn(client.text())).toEqual([200])
    expect((await send(`${gateway.predictions}/v2/models/risk/infer?__proto__[x]=1`, { body })).status).toBe(200)
    client.socket.destroy()
  })

  it('19. an INT64 beyond 2^53 reaches an HTTP version digit by digit', async () => {
    const text = '{"inputs":[{"name":"x","shape":[1],"datatype":"INT64","data":[9007199254740993]}]}'
    const before = upstream.received.length
    await predict(gateway, 'remote', text)
    expect(upstream.received[before]!.body).toBe(text)
  })
})

describe('a client that goes away', () => {
  it('22. has its upstream call cancelled and its slot freed', async () => {
    const hanging = await rawServer(() => {})
    const one = await startGateway({
      routes: routesOf({
        remote: { live: '1.0.0', versions: { '1.0.0': { url: hanging.url, weight: 100 } }, limits: { inFlight: 1 } },
      }),
    })
    for (let round = 0; round < 3; round++) {
      const client = rawClient(one.port)
      client.write(raw([length], body, 'remote'))
      await until(() => hanging.received.length === round + 1)
      // The one slot is taken: the next request is turned away at once.
      expect((await predict(one, 'remote', body)).status).toBe(503)
      client.socket.destroy()
      await until(() => hanging.sockets.size === 0, { what: () => 'the upstream call to be cancelled' })
    }
    await one.stop()
  })

  it('22. in the middle of its body leaves nothing behind', async () => {
    for (let round = 0; round < 20; round++) {
      const client = rawClient(gateway.port)
      client.write(raw([length], body.slice(0, 50)))
      await new Promise<void>(resolve => client.socket.once('connect', () => resolve()))
      client.socket.destroy()
      await client.closed
    }
    await works()
    const stopped = await startGateway({
      routes: routesOf({ risk: { live: '1.0.0', versions: { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 } } } }),
    })
    const client = rawClient(stopped.port)
    client.write(raw([length], body.slice(0, 50)))
    await new Promise<void>(resolve => client.socket.once('connect', () => resolve()))
    expect((await predict(stopped, 'risk', body)).status).toBe(200)
    client.socket.destroy()
    expect((await stopped.stop()).code).toBe(0)
  })

  it('23. cannot forge forwarding headers, a role or a trace', async () => {
    const before = upstream.received.length
    await predict(gateway, 'remote', body, {
      headers: {
        forwarded: 'for=1.2.3.4',
        'x-forwarded-for': '1.2.3.4',
        'x-forwarded-host': 'evil',
        'x-forwarded-proto': 'https',
        'x-real-ip': '1.2.3.4',
        'x-understudy-role': 'shadow',
        'x-understudy-version': '9.9.9',
        'x-request-id': 'bad id with spaces',
        traceparent: '00-00000000000000000000000000000000-b7ad6b7169203331-01',
        tracestate: 'a=1',
        baggage: 'understudy.role=live,mine=1',
      },
    })
    const { headers } = upstream.received[before]!
    expect(JSON.stringify(headers)).not.toMatch(/1\.2\.3\.4|evil|9\.9\.9|bad id|understudy\.role/)
    expect(headers['x-understudy-role']).toBe('live')
    expect(headers.traceparent).not.toContain('00-00000000000000000000000000000000')
    expect(headers).not.toHaveProperty('tracestate')
    expect(headers.host).toBe(new URL(upstream.url).host)
  })
})

/** Resident memory, bytes; 0 where the system does not tell. */
function rssOf(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}
