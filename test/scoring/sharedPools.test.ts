import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Upstream, type UpstreamOptions } from '../../src/scoring/upstream.ts'

let server: Server
let connections = 0
/** Answers that the server keeps back, of paths that begin with /hung. */
let held: ServerResponse[]
const opened: Upstream[] = []

beforeEach(async () => {
  connections = 0
  held = []
  server = createServer((request, response) => {
    if (request.url?.startsWith('/hung')) held.push(response)
    else response.end(request.url)
  })
  server.on('connection', () => connections++)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map(upstream => upstream.destroy()))
  server.closeAllConnections()
  await new Promise(resolve => server.close(resolve))
})

function open(options: Partial<UpstreamOptions> = {}): Upstream {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const upstream = new Upstream({
    urls: [url],
    connectMs: 1_000,
    firstByteMs: 10_000,
    maxAnswerBytes: 1_000,
    connections: 2,
    ...options,
  })
  opened.push(upstream)
  return upstream
}

const call = (path: string, deadlineMs = 5_000) =>
  ({ method: 'GET', path, headers: [], body: undefined, deadlineMs }) as const

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(resolve => setTimeout(resolve, 5))
}

it('opens no connection of its own for each of a thousand versions behind one address', async () => {
  for (let version = 0; version < 1_000; version++) {
    expect(await open().send(call(`/${version}`))).toMatchObject({ ok: true, status: 200 })
  }
  // A second one: a call that follows at once finds the first connection not free yet.
  expect(connections).toBeLessThanOrEqual(2)
})

it('answers for one model at once while another on the same server hangs with all its places taken', async () => {
  const hung = open()
  const healthy = open()
  // Those that wait are late before the two that hang, so that none of them gets a place.
  const stuck = Array.from({ length: 20 }, (_, index) => hung.send(call('/hung', index < 2 ? 1_000 : 400)))
  await until(() => held.length === 2)
  for (let turn = 0; turn < 50; turn++) {
    const answer = await healthy.send(call('/healthy'))
    expect(answer).toMatchObject({ ok: true, status: 200 })
    expect(answer.queueMs + answer.latencyMs).toBeLessThan(200)
  }
  expect(held.length, 'the cap holds for each version').toBe(2)
  for (const answer of await Promise.all(stuck)) expect(answer).toMatchObject({ ok: false, code: 'VERSION_DEADLINE' })
  expect(held.length, 'what was late before its turn is never sent').toBe(2)
})

it('answers from the second address while the first hangs with all its places taken', async () => {
  const second = createServer((_request, response) => response.end('second'))
  await new Promise<void>(resolve => second.listen(0, '127.0.0.1', resolve))
  const port = (each: Server) => (each.address() as AddressInfo).port
  const urls = [`http://127.0.0.1:${port(server)}/hung`, `http://127.0.0.1:${port(second)}`]
  const both = open({ urls })
  const answers = await Promise.all(Array.from({ length: 20 }, () => both.send(call('/x', 400))))
  expect(answers.map(({ ok }) => ok)).toEqual(Array.from({ length: 20 }, (_, index) => index % 2 === 1))
  second.closeAllConnections()
  await new Promise(resolve => second.close(resolve))
})

it('sends what waited in the order in which it came', async () => {
  const upstream = open({ connections: 1 })
  const first = upstream.send(call('/hung/0'))
  await until(() => held.length === 1)
  const order: string[] = []
  const others = ['/1', '/2', '/3'].map(path => upstream.send(call(path)).then(() => order.push(path)))
  held[0]!.end()
  await Promise.all([first, ...others])
  expect(order).toEqual(['/1', '/2', '/3'])
})

it('breaks off the calls of a destroyed version, and not those of others on the same connections', async () => {
  const ended = open({ connections: 1 })
  const other = open()
  const kept = other.send(call('/hung/kept'))
  const broken = [ended.send(call('/hung/sent')), ended.send(call('/waiting'))]
  await until(() => held.length === 2)
  await ended.destroy()
  for (const answer of await Promise.all(broken)) expect(answer).toMatchObject({ ok: false })
  expect(await ended.send(call('/late'))).toMatchObject({ ok: false, code: 'VERSION_UNREACHABLE' })
  for (const response of held) response.end('kept')
  expect(await kept).toMatchObject({ ok: true, status: 200 })
  expect(await other.send(call('/again'))).toMatchObject({ ok: true, status: 200 })
})

it('closes a version after its last call, waiting ones among them', async () => {
  const upstream = open({ connections: 1 })
  const calls = [upstream.send(call('/hung')), upstream.send(call('/waiting'))]
  await until(() => held.length === 1)
  let closed = false
  const closing = upstream.close().then(() => {
    closed = true
  })
  await new Promise(resolve => setTimeout(resolve, 50))
  expect(closed).toBe(false)
  held[0]!.end()
  for (const answer of await Promise.all(calls)) expect(answer).toMatchObject({ ok: true })
  await closing
})

it('closes its connections with the last version that uses them', async () => {
  const [first, second] = [open(), open()]
  const openNow = () =>
    new Promise<number>((resolve, reject) =>
      server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    )
  await first.send(call('/'))
  await first.close()
  expect(await second.send(call('/'))).toMatchObject({ ok: true })
  const before = await openNow()
  expect(before).toBeGreaterThan(0)
  await second.close()
  while ((await openNow()) > 0) await new Promise(resolve => setTimeout(resolve, 5))
  expect(connections).toBe(before)
})
