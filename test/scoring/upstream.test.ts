import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { Upstream } from '../../src/scoring/upstream.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

it('counts the wait for a free connection apart from the time that the version took', async () => {
  const held: ServerResponse[] = []
  const server = createServer((_request, response) => {
    held.push(response)
    // The first call keeps the only connection until the second has waited for it a while.
    if (held.length > 1) response.end('second')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const upstream = new Upstream({
    urls: [`http://127.0.0.1:${port}`],
    connectMs: 1_000,
    firstByteMs: 10_000,
    maxAnswerBytes: 1_000,
    connections: 1,
  })
  closing.push(
    () => upstream.destroy(),
    () => new Promise(resolve => server.close(resolve)),
  )
  const call = { method: 'GET', path: '/', headers: [], body: undefined, deadlineMs: 10_000 } as const
  const first = upstream.send(call)
  while (held.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  const second = upstream.send(call)
  await new Promise(resolve => setTimeout(resolve, 300))
  held[0]!.end('first')
  const [one, two] = await Promise.all([first, second])
  expect(one).toMatchObject({ ok: true, status: 200 })
  expect(two).toMatchObject({ ok: true, status: 200 })
  expect(one.latencyMs).toBeGreaterThanOrEqual(250)
  expect(two.queueMs, 'the second one waited for the first').toBeGreaterThanOrEqual(250)
  expect(two.queueMs).toBeGreaterThan(two.latencyMs)
})

it('has limits of its own for its answers: by them is remembered what they look like', async () => {
  const options = { connectMs: 1_000, firstByteMs: 1_000, maxAnswerBytes: 1_000, connections: 1 }
  const [one, other] = [1, 2].map(() => new Upstream({ ...options, urls: ['http://127.0.0.1:1'] }))
  closing.push(
    () => one!.destroy(),
    () => other!.destroy(),
  )
  expect(one!.answerLimits).not.toBe(other!.answerLimits)
})
