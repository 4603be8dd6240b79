import { afterEach, describe, expect, it } from 'vitest'
import { runLoad, runLoadInTurns } from '../../src/load/run.ts'
import { type CountingServer, serve } from './server.ts'

let server: CountingServer | undefined
afterEach(async () => {
  await server?.close()
  server = undefined
})

const STALL_MS = 200

/** Answers at once, but holds everything back for 200 ms from its hundredth request on. */
function stallingServer(): Promise<CountingServer> {
  let held: (() => void)[] | undefined
  return serve((_request, response, index) => {
    if (index === 100) {
      held = []
      setTimeout(() => {
        for (const release of held!) release()
        held = undefined
      }, STALL_MS)
    }
    if (held === undefined) response.end('{}')
    else held.push(() => response.end('{}'))
  })
}

describe('an open loop', () => {
  it('sends every request of its schedule, over the connections that it was given', async () => {
    server = await serve((_request, response) => response.end('{}'))
    const result = await runLoad({
      mode: 'open',
      url: server.url,
      bodies: ['{}'],
      connections: 4,
      rate: 400,
      seconds: 1,
      arrivals: 'uniform',
    })
    expect(result.sent).toBe(400)
    expect(server.requests()).toBe(400)
    expect(server.connections()).toBeLessThanOrEqual(4)
    expect(result.statuses).toEqual({ 200: 400 })
    expect(result.errors).toEqual({})
    expect(result.latency.n).toBe(400)
    expect(result.lateness.n).toBe(400)
    expect(result.seconds).toBeGreaterThan(0.99)
  })

  it('shows a stall of 200 ms in its tail, where a closed loop of the same server hides it', async () => {
    server = await stallingServer()
    const open = await runLoad({
      mode: 'open',
      url: server.url,
      bodies: ['{}'],
      connections: 2,
      rate: 500,
      seconds: 1,
      arrivals: 'uniform',
    })
    await server.close()
    server = await stallingServer()
    const closed = await runLoad({ mode: 'closed', url: server.url, bodies: ['{}'], connections: 2, requests: 500 })
    // A fifth of the second: 100 requests were due in the stall and waited 100 ms on average, though only two were under way.
    expect(open.sent).toBe(500)
    expect(open.latency.p90Ms).toBeGreaterThan(STALL_MS / 4)
    expect(open.latency.p99Ms).toBeGreaterThan(STALL_MS * 0.8)
    expect(closed.latency.p99Ms).toBeLessThan(STALL_MS / 2)
  })

  it('goes on sending when nothing is answered, and counts what is late as timeouts', async () => {
    server = await serve(() => {})
    const result = await runLoad({
      mode: 'open',
      url: server.url,
      bodies: ['{}'],
      connections: 2,
      rate: 100,
      seconds: 0.5,
      arrivals: 'uniform',
      timeoutMs: 100,
    })
    expect(result.sent).toBe(50)
    expect(result.statuses).toEqual({})
    expect(result.errors).toEqual({ timeout: 50 })
    expect(result.latency.n).toBe(0)
    expect(result.perSecond).toBe(0)
  })

  it('sends its bodies in turn', async () => {
    const seen: string[] = []
    server = await serve((request, response) => {
      seen.push(String(request.headers['content-length']))
      response.end('{}')
    })
    await runLoad({
      mode: 'open',
      url: server.url,
      bodies: ['1', '22', '333'],
      connections: 1,
      rate: 60,
      seconds: 0.1,
      arrivals: 'uniform',
    })
    expect(seen).toEqual(['1', '2', '3', '1', '2', '3'])
  })
})

describe('an open loop in turns', () => {
  it('loads one server at a time, all of them equally, and tells them apart', async () => {
    const arrivals: string[] = []
    const quick = await serve((_request, response) => {
      arrivals.push('quick')
      response.end('{}')
    })
    const slow = await serve((_request, response) => {
      arrivals.push('slow')
      setTimeout(() => response.end('{}'), 30)
    })
    try {
      const results = await runLoadInTurns({
        mode: 'turns',
        urls: [quick.url, slow.url],
        turnMs: 100,
        bodies: ['{}'],
        connections: 16,
        rate: 200,
        seconds: 1.2,
        arrivals: 'uniform',
      })
      expect(results.map(({ sent }) => sent)).toEqual([120, 120])
      expect(results.map(({ statuses }) => statuses)).toEqual([{ 200: 120 }, { 200: 120 }])
      expect(results[1]!.latency.p50Ms).toBeGreaterThan(29)
      expect(results[0]!.latency.p50Ms).toBeLessThan(results[1]!.latency.p50Ms!)
      // Twelve turns, so about eleven changes where sending each in turn would make 239.
      const changes = arrivals.filter((server, index) => index > 0 && arrivals[index - 1] !== server)
      expect(changes.length).toBeLessThan(40)
      expect(changes.length).toBeGreaterThanOrEqual(5)
    } finally {
      await quick.close()
      await slow.close()
    }
  })
})
