import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import {
  type Answer,
  getJson,
  inParallel,
  predict,
  routesOf,
  startGateway,
  type TestGateway,
  tumourRequest,
  until,
} from '../e2e/gateway.ts'
import { closedAddress, http, modelServer, type RawServer, rawServer } from '../e2e/upstream.ts'

const body = JSON.stringify(tumourRequest())
const GOOD = JSON.stringify({
  model_name: 'm',
  outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [1, 2], data: [0.5, 0.5] }],
})

const version = (url: string | string[], more: object = {}) => ({
  live: '1.0.0',
  versions: { '1.0.0': { url, weight: 100, deadline: '2s', connect: '300ms', ...more } },
})

/** A gateway with one route, `m`, to one HTTP version. */
const inFrontOf = (url: string | string[], more: object = {}, route: object = {}) =>
  startGateway({ routes: routesOf({ m: { ...version(url, more), ...route } }) })

async function scripted(
  behave: (socket: Socket, request: string, number: number) => void,
  more: object = {},
  route: object = {},
): Promise<{ upstream: RawServer; gateway: TestGateway }> {
  const upstream = await rawServer(behave)
  return { upstream, gateway: await inFrontOf(upstream.url, more, route) }
}

/** The answer, or that the connection broke: both are honest, a clean 200 is not. */
async function attempt(gateway: TestGateway): Promise<Answer | 'broken off'> {
  return predict(gateway, 'm', body).catch(() => 'broken off' as const)
}

describe('an HTTP version that cannot be reached', () => {
  it('25. because it refuses connections: 503 within a second, that says to retry', async () => {
    const gateway = await inFrontOf(await closedAddress())
    const startedAt = performance.now()
    const { status, json, headers } = await predict(gateway, 'm', body)
    expect(performance.now() - startedAt).toBeLessThan(1_000)
    expect(status).toBe(503)
    expect(json).toEqual({ error: expect.any(String) })
    expect(json.error).not.toMatch(/ECONN|127\.0\.0\.1/)
    expect(headers['x-understudy-version']).toBe('1.0.0')
    await gateway.stop()
  })

  it('25. because connecting hangs: 503 at `connect`, not at the deadline', async () => {
    // TEST-NET-1 is routed nowhere; in a sandbox it may be refused at once, which is as good.
    const gateway = await inFrontOf('http://192.0.2.1:9', { deadline: '10s' })
    const startedAt = performance.now()
    const { status } = await predict(gateway, 'm', body)
    expect(performance.now() - startedAt).toBeLessThan(2_500)
    expect(status).toBe(503)
    await gateway.stop()
  })

  it('36. because its name does not resolve: 503, and other versions are served meanwhile', async () => {
    const gateway = await startGateway({
      routes: routesOf({
        m: version('http://no-such-host.invalid:9', { deadline: '3s' }),
        risk: { live: '1.0.0', versions: { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 } } },
      }),
    })
    const unresolved = inParallel(20, 20, () => predict(gateway, 'm', body))
    const served = await inParallel(50, 5, () => predict(gateway, 'risk', body))
    expect(new Set(served.map(({ status }) => status))).toEqual(new Set([200]))
    for (const { status } of await unresolved) expect([503, 504]).toContain(status)
    await gateway.stop()
  })
})

describe('an HTTP version that breaks off', () => {
  it('26. before its headers: 502, and the POST is not sent again', async () => {
    const { upstream, gateway } = await scripted(socket => socket.resetAndDestroy())
    const { status, json } = await predict(gateway, 'm', body)
    expect(status).toBe(502)
    expect(json).toEqual({ error: expect.any(String) })
    expect(upstream.received).toHaveLength(1)
    await gateway.stop()
  })

  it.each<[string, (socket: Socket) => void]>([
    [
      'a reset in the middle of its body',
      socket => {
        socket.write(http('200 OK', GOOD).slice(0, -10))
        setTimeout(() => socket.resetAndDestroy(), 20)
      },
    ],
    [
      'a body shorter than its Content-Length',
      socket => socket.end(http('200 OK', GOOD).replace(/content-length: \d+/, 'content-length: 9999')),
    ],
    [
      'a chunk size that is no number',
      socket =>
        socket.end(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"out\r\nzz\r\nputs"\r\n0\r\n\r\n`),
    ],
    [
      'a chunked body without its last chunk',
      socket => socket.end(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"out\r\n`),
    ],
    ['a body that breaks off after the headers', socket => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n')],
  ])('27. with %s: 502 and never a clean 200', async (_, behave) => {
    const { gateway } = await scripted(behave)
    const answer = await attempt(gateway)
    if (answer !== 'broken off') expect(answer.status).toBe(502)
    await gateway.stop()
  })

  it('27. leaves no evidence that says it agreed with anybody', async () => {
    const upstream = await rawServer(socket =>
      socket.end(http('200 OK', GOOD).replace(/content-length: \d+/, 'content-length: 9999')),
    )
    const gateway = await inFrontOf(
      upstream.url,
      {},
      {
        versions: {
          '1.0.0': { url: upstream.url, weight: 100 },
          '2.0.0': { onnx: 'tumour-risk/1.0.0', shadow: 100 },
        },
        compare: { output: 'probabilities' },
      },
    )
    for (let request = 0; request < 5; request++) await attempt(gateway)
    const account = await until(async () => {
      const report = (await getJson(`${gateway.admin}/v1/routes/m/report`)) as Report
      return report.account.eligible === 5 && report.account.inFlight === 0 ? report.account : undefined
    })
    expect(account).toMatchObject({ compared: 0, failed: { baseline_error: 5 } })
    await gateway.stop()
  })

  it('37. by closing a body that has no length is either whole or refused, and never half', async () => {
    // Without a length the end of the connection is the end of the body: half of a JSON text is not a V2 answer.
    const { gateway } = await scripted(socket => socket.end(`HTTP/1.1 200 OK\r\n\r\n${GOOD}`))
    const answer = await attempt(gateway)
    if (answer !== 'broken off' && answer.status === 200) expect(answer.text).toBe(GOOD)
    await gateway.stop()
  })
})

describe('an HTTP version that is slow', () => {
  it('28. with its first byte: 504 at `firstByte`', async () => {
    const { gateway } = await scripted(() => {}, { firstByte: '300ms', deadline: '10s' })
    const startedAt = performance.now()
    expect((await predict(gateway, 'm', body)).status).toBe(504)
    expect(performance.now() - startedAt).toBeLessThan(2_500)
    await gateway.stop()
  })

  it('28. with its first byte, and has no `firstByte`: 504 at the deadline', async () => {
    const { gateway, upstream } = await scripted(() => {}, { deadline: '500ms' })
    const startedAt = performance.now()
    expect((await predict(gateway, 'm', body)).status).toBe(504)
    expect(performance.now() - startedAt).toBeLessThan(2_000)
    await until(() => upstream.sockets.size === 0, { what: () => 'the call to be cancelled' })
    await gateway.stop()
  })

  it('29. and sends a byte now and then: 504 at the total deadline', async () => {
    const { gateway, upstream } = await scripted(
      socket => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n')
        const drip = setInterval(() => socket.write('x'), 100)
        socket.once('close', () => clearInterval(drip))
      },
      { deadline: '1s' },
    )
    const startedAt = performance.now()
    const answer = await attempt(gateway)
    expect(performance.now() - startedAt).toBeLessThan(3_000)
    if (answer !== 'broken off') expect(answer.status).toBe(504)
    await until(() => upstream.sockets.size === 0)
    await gateway.stop()
  })
})

describe('an HTTP version that answers strangely', () => {
  it.each([400, 404, 422, 429, 500, 502, 503])('30. with %i: status and body are passed through', async status => {
    const text = `{"error":"the model says ${status}"}`
    const { gateway } = await scripted(socket => socket.write(http(`${status} Whatever`, text)))
    const answer = await predict(gateway, 'm', body)
    expect({ status: answer.status, text: answer.text }).toEqual({ status, text })
    await gateway.stop()
  })

  it('30. with a burst of 5xx: never falls over to a version that was not promoted', async () => {
    const other = await modelServer()
    const upstream = await rawServer(socket => socket.write(http('500 No', '{"error":"no"}')))
    const gateway = await inFrontOf(
      upstream.url,
      {},
      {
        versions: {
          '1.0.0': { url: upstream.url, weight: 100 },
          '2.0.0': { url: other.url },
        },
      },
    )
    const answers = await inParallel(100, 10, () => predict(gateway, 'm', body))
    expect(answers.every(({ status }) => status >= 500)).toBe(true)
    expect(other.received).toEqual([])
    await gateway.stop()
  })

  it('31. with a flood of 1xx: broken off after a few', async () => {
    const { gateway } = await scripted(
      socket => {
        const flood = setInterval(() => {
          for (let count = 0; count < 100; count++) socket.write('HTTP/1.1 103 Early Hints\r\n\r\n')
        }, 5)
        socket.once('close', () => clearInterval(flood))
      },
      { deadline: '5s' },
    )
    const startedAt = performance.now()
    expect((await predict(gateway, 'm', body)).status).toBe(502)
    expect(performance.now() - startedAt).toBeLessThan(3_000)
    await gateway.stop()
  })

  it('31. with one 1xx and then its answer: the answer', async () => {
    const { gateway } = await scripted(socket =>
      socket.write(`HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${http('200 OK', GOOD)}`),
    )
    expect((await predict(gateway, 'm', body)).text).toBe(GOOD)
    await gateway.stop()
  })

  it.each([
    ['two lengths that differ', http('200 OK', GOOD, ['content-length: 3'])],
    ['a length that is no number', http('200 OK', GOOD).replace(/content-length: \d+/, 'content-length: abc')],
    ['a negative length', http('200 OK', GOOD).replace(/content-length: \d+/, 'content-length: -5')],
    ['length and chunks', http('200 OK', `5\r\n{"out\r\n0\r\n\r\n`, ['transfer-encoding: chunked'])],
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.9\r\n'],
  ])('32. with %s: 502 and the socket is not used again', async (_, answer) => {
    const { gateway, upstream } = await scripted(socket => socket.write(answer), { deadline: '1s' })
    expect([502, 504]).toContain((await predict(gateway, 'm', body)).status)
    await until(() => upstream.sockets.size === 0, { what: () => 'the socket to be destroyed' })
    await gateway.stop()
  })

  it('32. with a length shorter than its body never poisons the next request’s answer', async () => {
    const poison = http('200 OK', '{"poison":true}')
    const { gateway } = await scripted((socket, _, number) =>
      number === 1 ? socket.write(http('200 OK', GOOD) + poison) : socket.write(http('200 OK', GOOD)),
    )
    for (let request = 0; request < 5; request++) {
      const answer = await attempt(gateway)
      if (answer !== 'broken off') expect(answer.text).not.toContain('poison')
    }
    await gateway.stop()
  })

  it.each<[string, (socket: Socket) => void]>([
    [
      'an endless body',
      socket => {
        socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
        const piece = `10000\r\n${'x'.repeat(0x10000)}\r\n`
        const more = () => {
          while (socket.writable && socket.write(piece));
          if (socket.writable) socket.once('drain', more)
        }
        more()
      },
    ],
    [
      'endless headers',
      socket => {
        socket.write('HTTP/1.1 200 OK\r\n')
        const more = () => {
          while (socket.writable && socket.write(`x-${'h'.repeat(100)}: ${'v'.repeat(1000)}\r\n`));
          if (socket.writable) socket.once('drain', more)
        }
        more()
      },
    ],
  ])('33. with %s: 502 long before the deadline', async (_, behave) => {
    const { gateway } = await scripted(behave, { deadline: '10s' }, { limits: { body: '256KiB' } })
    const startedAt = performance.now()
    const answer = await attempt(gateway)
    expect(performance.now() - startedAt).toBeLessThan(5_000)
    if (answer !== 'broken off') expect(answer.status).toBe(502)
    await gateway.stop()
  })

  it('34. with malformed JSON: the bytes are passed through, and the comparison is unparseable', async () => {
    const malformed = Buffer.from([...Buffer.from('{"outputs":[NaN, '), 0xff, 0xfe])
    const upstream = await modelServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json; charset=latin1', 'x-model': 'odd' })
      response.end(malformed)
    })
    const gateway = await inFrontOf(
      upstream.url,
      {},
      {
        versions: {
          '1.0.0': { url: upstream.url, weight: 100 },
          '2.0.0': { onnx: 'tumour-risk/1.0.0', shadow: 100 },
        },
        compare: { output: 'probabilities' },
      },
    )
    const answer = await predict(gateway, 'm', body)
    expect(answer.status).toBe(200)
    expect(answer.bytes.equals(malformed)).toBe(true)
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json; charset=latin1',
      'x-model': 'odd',
      'x-understudy-version': '1.0.0',
    })
    const account = await until(async () => {
      const report = (await getJson(`${gateway.admin}/v1/routes/m/report`)) as Report
      return report.account.eligible === 1 && report.account.inFlight === 0 ? report.account : undefined
    })
    expect(account).toMatchObject({ compared: 0, failed: { unparseable: 1 } })
    await gateway.stop()
  })

  it('35. by closing connections that it kept alive: no request is lost to the race', async () => {
    // Closes every connection 5 s after its last answer, as common servers do; a burst, a pause shorter than that, a burst.
    const { gateway, upstream } = await scripted(socket => {
      socket.write(http('200 OK', GOOD))
      socket.setTimeout(5_000, () => socket.destroy())
    })
    const burst = () => inParallel(50, 10, () => predict(gateway, 'm', body))
    const answers = await burst()
    // The gateway gives idle connections up before the server does.
    await until(() => upstream.sockets.size === 0, { timeoutMs: 8_000, what: () => 'idle connections to close' })
    answers.push(...(await burst()))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    await gateway.stop()
  })

  it('77. with a redirect: passed through and never followed', async () => {
    const target = await modelServer()
    const { gateway } = await scripted(socket =>
      socket.write(http('307 Temporary Redirect', '{}', [`location: ${target.url}/v2/models/m/infer`])),
    )
    expect((await predict(gateway, 'm', body)).status).toBe(307)
    expect(target.received).toEqual([])
    await gateway.stop()
  })
})
