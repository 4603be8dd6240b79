import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { forwardingFault } from '../../bench/load/forwarding.ts'
import { type Running, startPeer } from '../../bench/load/processes.ts'
import { rateFiguresOf, rateOf } from '../../bench/load/proxiesRates.ts'
import { receivedBy } from '../../bench/load/received.ts'
import type { Window } from '../../bench/load/windows.ts'
import { readWrk, runWrk, wrkScript, wrkVersion } from '../../bench/load/wrk.ts'
import { Latencies } from '../../src/load/latencies.ts'

function windowOf(latenciesMs: readonly number[], failures = 0): Window {
  const latencies = new Latencies()
  for (const ms of latenciesMs) latencies.add(ms)
  const latency = latencies.summary()
  return {
    perSecond: 1,
    p50Ms: latency.p50Ms ?? Number.NaN,
    p99Ms: latency.p99Ms ?? Number.NaN,
    lateP99Ms: 0,
    latency,
    servingUs: 1,
    treeUs: 1,
    requests: latenciesMs.length + failures,
    failures,
    failedBy: {},
  }
}

describe('the fixed rate', () => {
  it('is a quarter of what the slowest can do', () => {
    const capacities = [
      { system: 'a', perSecond: 4_000 },
      { system: 'b', perSecond: 1_203 },
      { system: 'c', perSecond: 9_000 },
    ]
    expect(rateOf(capacities)).toEqual({ slowest: 'b', perSecond: 300 })
  })

  it('takes percentiles over the requests of all windows: the tail of one is not a mean of tails', () => {
    const quick = new Array<number>(1_000).fill(1)
    const stalled = [...new Array<number>(990).fill(1), ...new Array<number>(10).fill(100)]
    const figures = rateFiguresOf([windowOf(quick), windowOf(stalled, 3)])
    expect(figures.p50?.ms).toBeCloseTo(1, 1)
    expect(figures.p99?.ms).toBeLessThan(1.1)
    expect(figures.p999?.ms).toBeGreaterThan(90)
    // One resample in four has the quick window alone, and its tail.
    expect(figures.p999?.low).toBeLessThan(1.1)
    expect(figures.p999?.high).toBeGreaterThan(90)
    expect(figures.requests).toBe(2_003)
    expect(figures.failures).toBe(3)
  })

  it('has no percentile where nothing was answered', () => {
    expect(rateFiguresOf([windowOf([], 5)])).toMatchObject({ p50: undefined, p999: undefined, failures: 5 })
  })
})

describe('a proxy', () => {
  const started: Running[] = []
  const start = async (peer: string, args: readonly string[]) => {
    const process = await startPeer(peer, args)
    started.push(process)
    return process
  }
  afterAll(async () => {
    for (const each of started.toReversed()) await each.close()
  })

  it('is measured when it passes a request and its answer on, and not when it answers for itself or drops the body', async () => {
    const live = await start('upstream', ['1.0.0'])
    const canary = await start('upstream', ['1.1.0'])
    const proxy = await start('proxy', [originOf(live)])
    const other = await start('upstream', ['3.0.0'])
    // The same answer as live's, from where neither counts it.
    const elsewhere = await start('upstream', ['1.0.0'])
    const faultOf = ({ ready }: Running, path = '/v2/models/m/infer') => {
      const system = {
        url: `http://127.0.0.1:${ready.port}${path}`,
        bodies: ['{"inputs":[]}'],
        headers: ['content-type', 'application/json'],
      }
      return forwardingFault(system, live, canary)
    }
    expect(await faultOf(proxy)).toBeUndefined()
    expect(await faultOf(other)).toBe("its answer was not the model server's")
    expect(await faultOf(elsewhere)).toBe('it passed 0 of 13 bytes on')
  })
})

describe('wrk', () => {
  it('sends the same bodies and headers, quoted', () => {
    const script = wrkScript(['{"a":[1]}'], ['content-type', 'application/json'])
    expect(script).toContain('{ "{\\"a\\":[1]}" }')
    expect(script).toContain('["content-type"] = "application/json"')
  })

  it('is read by its line of figures, failures left out of the rate', () => {
    const { perSecond, requests, failures } = readWrk('Running 1s test\nfigures 1100 2000000 100\n')
    expect([perSecond, requests, failures]).toEqual([500, 1100, 100])
    expect(() => readWrk('unable to connect')).toThrow('unable to connect')
  })

  const folder = mkdtempSync(join(tmpdir(), 'understudy-wrk-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.skipIf(wrkVersion() === undefined)('loads a model server that counts what arrives', async () => {
    const server = await startPeer('upstream', ['1.0.0'])
    try {
      const body = '{"inputs":[{"name":"x","datatype":"FP32","shape":[3,1],"data":[1,2,3]}]}'
      const url = `http://127.0.0.1:${server.ready.port}/v2/models/m/infer`
      const system = { url, bodies: [body], headers: ['content-type', 'application/json'] }
      const run = await runWrk(system, 2, 1, join(folder, 'wrk.lua'))
      const received = await receivedBy(server)
      expect(run.failures).toBe(0)
      expect(run.requests).toBeGreaterThan(0)
      // At the end some are under way.
      expect(received.requests).toBeGreaterThanOrEqual(run.requests)
      expect(received.rows).toBe(3 * received.requests)
      expect(received.bytes).toBe(body.length * received.requests)
    } finally {
      await server.close()
    }
  })
})

function originOf({ ready }: Running): string {
  return `http://127.0.0.1:${ready.port}`
}
