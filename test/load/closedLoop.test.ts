import { afterEach, describe, expect, it } from 'vitest'
import { runLoad } from '../../src/load/run.ts'
import { type CountingServer, serve } from './server.ts'

let server: CountingServer | undefined
afterEach(async () => {
  await server?.close()
  server = undefined
})

describe('a closed loop', () => {
  it('sends exactly the requests asked for, and its warm-up beside them', async () => {
    server = await serve((_request, response) => response.end('{}'))
    const result = await runLoad({
      mode: 'closed',
      url: server.url,
      bodies: ['{}'],
      connections: 7,
      requests: 1001,
      warmUp: 50,
    })
    expect(result.sent).toBe(1001)
    expect(result.warmedUp).toBe(50)
    expect(server.requests()).toBe(1051)
    expect(server.connections()).toBe(7)
    expect(result.statuses).toEqual({ 200: 1001 })
    expect(result.latency.n).toBe(1001)
    expect(result.perSecond).toBeCloseTo(1001 / result.seconds, 6)
  })

  it('sends fewer requests than connections where so few are asked for', async () => {
    server = await serve((_request, response) => response.end('{}'))
    const result = await runLoad({ mode: 'closed', url: server.url, bodies: ['{}'], connections: 8, requests: 3 })
    expect(result.sent).toBe(3)
    expect(server.requests()).toBe(3)
  })

  it('asks several paths in turn where there are several', async () => {
    const asked: string[] = []
    server = await serve((request, response) => {
      asked.push(request.url!)
      response.end('{}')
    })
    const paths = ['/a', '/b', '/c?d=1']
    await runLoad({ mode: 'closed', url: server.url, paths, bodies: ['{}'], connections: 1, requests: 5 })
    expect(asked).toEqual(['/a', '/b', '/c?d=1', '/a', '/b'])
  })

  it('ends when its time is over', async () => {
    server = await serve((_request, response) => setTimeout(() => response.end('{}'), 10))
    const result = await runLoad({ mode: 'closed', url: server.url, bodies: ['{}'], connections: 2, seconds: 0.2 })
    expect(result.seconds).toBeGreaterThan(0.19)
    expect(result.sent).toBeLessThanOrEqual(42)
    expect(result.statuses).toEqual({ 200: result.sent })
  })

  it('counts statuses and broken connections apart, and times only what succeeded', async () => {
    server = await serve((_request, response, index) => {
      if (index % 4 === 1) response.writeHead(503).end()
      else if (index % 4 === 3) response.socket!.destroy()
      else response.end('{}')
    })
    const result = await runLoad({ mode: 'closed', url: server.url, bodies: ['{}'], connections: 1, requests: 40 })
    expect(result.sent).toBe(40)
    expect(result.statuses).toEqual({ 200: 20, 503: 10 })
    expect(Object.values(result.errors).reduce((sum, count) => sum + count, 0)).toBe(10)
    expect(result.latency.n).toBe(20)
  })

  it('counts a server that is not there, and ends', async () => {
    const gone = await serve(() => {})
    await gone.close()
    const result = await runLoad({ mode: 'closed', url: gone.url, bodies: ['{}'], connections: 2, requests: 10 })
    expect(result.errors).toEqual({ ECONNREFUSED: 10 })
    expect(result.statuses).toEqual({})
  })

  it('ends though nothing is answered', async () => {
    server = await serve(() => {})
    const result = await runLoad({
      mode: 'closed',
      url: server.url,
      bodies: ['{}'],
      connections: 2,
      seconds: 0.1,
      timeoutMs: 100,
      warmUp: 1,
    })
    expect(result.warmedUp).toBe(0)
    expect(result.errors).toEqual({ timeout: 2 })
  })
})
