import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, describe, expect, it } from 'vitest'
import { faultFigures, middleMs, type Taken, tailMs } from '../../bench/load/faultFigures.ts'
import { type FaultsResults, renderFaults } from '../../bench/load/faultsTable.ts'
import { windowsOf } from '../../bench/load/faultTurns.ts'
import { addedAccounts, type MirrorAccount } from '../../bench/load/hang.ts'
import { type Running, startPeer } from '../../bench/load/processes.ts'
import { envoyConfiguration } from '../../bench/load/rivals/envoy.ts'
import { nginxConfiguration } from '../../bench/load/rivals/nginx.ts'
import { compareAnswers, type Expected, expectedOf, sameBytes } from '../../bench/load/sameBytes.ts'
import { splitRequests } from '../../bench/load/splitGateway.ts'
import type { Window } from '../../bench/load/windows.ts'
import { Latencies } from '../../src/load/latencies.ts'
import { seededRandom } from '../../src/load/schedule.ts'

const running: Running[] = []
afterAll(async () => {
  await Promise.all(running.map(each => each.close()))
})

async function started(peer: string, ...args: string[]): Promise<number> {
  const process = await startPeer(peer, args)
  running.push(process)
  return process.ready.port
}

describe('the bad shadows', () => {
  it('down refuses, and is nobody else', async () => {
    const socket = connect(await started('down'), '127.0.0.1')
    const [error] = (await once(socket, 'error')) as [Error & { code: string }]
    expect(error.code).toBe('ECONNREFUSED')
  })

  it('endless begins a good answer and never ends it', async () => {
    const port = await started('endless', '50000000')
    const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: '{}' })
    expect(answer.status).toBe(200)
    let bytes = 0
    for await (const chunk of answer.body!) {
      bytes += chunk.length
      if (bytes > 4_000_000) break
    }
    expect(bytes).toBeGreaterThan(4_000_000)
  })

  it('not reading takes the connection and no more of an upload than the kernel does', async () => {
    const socket = connect(await started('notReading'), '127.0.0.1')
    await once(socket, 'connect')
    socket.write(Buffer.alloc(64 * 1024 * 1024))
    await new Promise(resolve => setTimeout(resolve, 300))
    expect(socket.bytesWritten - socket.writableLength).toBeLessThan(64 * 1024 * 1024)
    expect(socket.writableNeedDrain).toBe(true)
    socket.destroy()
  })

  it('slow answers rightly after its time, each request by its own bytes', async () => {
    const [fast, slow] = [await started('timed', '1.0.0'), await started('timed', '1.0.0', '20')]
    const bodies = splitRequests(seededRandom(1), 3)
    const expected = await expectedOf(
      [`http://127.0.0.1:${fast}`],
      `http://127.0.0.1:${fast}/v2/models/m/infer`,
      bodies,
    )
    expect(new Set(expected.bodies.get('1.0.0')).size).toBe(3)
    const start = performance.now()
    expect(await sameBytes(`http://127.0.0.1:${slow}/v2/models/m/infer`, bodies, expected)).toMatchObject({ same: 3 })
    expect(performance.now() - start).toBeGreaterThan(19)
  })
})

describe('the other proxies give a copy up when ours does', () => {
  const backends = { live: 7001, canary: 7002, shadow: 7003, shadowDeadline: 5 }

  it('nginx: in the location of the mirror alone', () => {
    const text = nginxConfiguration(8000, backends, '/tmp/x')
    const [before, mirror] = text.split('location = /mirror') as [string, string]
    expect(before).not.toContain('timeout 5s')
    for (const phase of ['connect', 'send', 'read']) expect(mirror).toContain(`proxy_${phase}_timeout 5s;`)
  })

  it("Envoy: by the route's timeout, which its mirrored requests share", () => {
    expect(envoyConfiguration(8000, backends)).toContain('"timeout":"5s"')
  })
})

describe('the same bytes', () => {
  const body = (version: string, value: number) => `{"model_version":"${version}","outputs":[${value}]}`
  const expected: Expected = {
    bodies: new Map([
      ['1.0.0', [body('1.0.0', 1), body('1.0.0', 2)]],
      ['1.1.0', [body('1.1.0', 1), body('1.1.0', 2)]],
    ]),
    headers: new Map([
      ['1.0.0', 'a: live'],
      ['1.1.0', 'a: canary'],
    ]),
  }
  const answer = (version: string, value: number, headers = 'a: live', status = 200) => ({
    status,
    headers,
    body: body(version, value),
  })

  it('may be of either version, under its own header fields', () => {
    const answers = [answer('1.0.0', 1), answer('1.1.0', 2, 'a: canary')]
    expect(compareAnswers(answers, expected)).toEqual({ asked: 2, same: 2, differing: {} })
  })

  it("are missed where an answer is another request's, of another status, under other fields, or none", () => {
    const wrong = [answer('1.0.0', 2), 'timeout', answer('1.0.0', 1, 'a: live', 503), answer('1.1.0', 1)]
    expect(compareAnswers([wrong[0]!, wrong[1]!], expected).differing).toEqual({ body: 1, timeout: 1 })
    expect(compareAnswers([wrong[2]!], expected).differing).toEqual({ 'status 503': 1 })
    expect(compareAnswers([wrong[3]!], expected).differing).toEqual({ headers: 1 })
  })
})

function window(servingUs: number, p99Ms = 1, failures = 0): Window {
  return {
    perSecond: 1,
    p50Ms: 1,
    p99Ms,
    lateP99Ms: 0,
    servingUs,
    treeUs: servingUs * 2,
    waitedUs: servingUs / 2,
    latency: new Latencies().summary(),
    requests: 100,
    failures,
    failedBy: failures === 0 ? {} : { timeout: failures },
  }
}

const bytes = { asked: 2, same: 2, differing: {} }
const taken = (shadow: Taken['shadow'], ...windows: Window[]): Taken => ({
  shadow,
  windows,
  noneWindows: windows.map(() => window(100)),
  starts: windows.map(() => 0),
  bytes: [bytes],
  beforeMiB: [10],
  windowsMiB: [[11, 13, 12]],
})

describe('the account of several starts', () => {
  it('is the sum of theirs, by reason too', () => {
    const account = (dropped: Record<string, number>, compared: number): MirrorAccount => ({
      eligible: 10,
      notSampled: 1,
      dropped,
      failed: {},
      compared,
      inFlight: 0,
      lost: 0,
      missing: 0,
    })
    expect(addedAccounts([account({ stalled: 2 }, 7), account({ stalled: 1, too_large: 3 }, 5)])).toEqual({
      ...account({ stalled: 3, too_large: 3 }, 12),
      eligible: 20,
      notSampled: 2,
    })
  })
})

describe('figures of bad shadows', () => {
  it('count a window in which more than one in a hundred failed as the timeout', () => {
    expect(tailMs(window(1, 5, 1), 1_000)).toBe(5)
    expect(tailMs(window(1, 5, 2), 1_000)).toBe(1_000)
    expect(middleMs(window(1, 5, 50), 1_000)).toBe(1)
    expect(middleMs(window(1, 5, 51), 1_000)).toBe(1_000)
  })

  it('judge each fault and not the control, and say no CPU of requests that failed', () => {
    const [none, again, hung, down] = faultFigures(
      [
        taken('none', window(100), window(100)),
        taken('none again', window(200), window(200)),
        taken('hung', window(120), window(120)),
        taken('down', window(10, 1, 50), window(10, 1, 50)),
      ],
      1_000,
      { serving: 1.05, p99: 1.1 },
    )
    expect(none).toMatchObject({
      serving: undefined,
      p99: undefined,
      failed: {},
      memory: { firstHalf: 13, secondHalf: 12 },
    })
    expect(again!.serving).toMatchObject({ ratio: { median: 2 }, verdict: undefined })
    expect(hung!.serving).toMatchObject({ ratio: { median: 1.2 }, target: 1.05, verdict: 'missed' })
    expect(hung!.p99).toMatchObject({ verdict: 'met' })
    expect(down).toMatchObject({ servingUs: undefined, serving: undefined, failed: { timeout: 100 }, sent: 200 })
    expect(down!.p99).toMatchObject({ verdict: 'missed' })
  })

  it('take what starts differ by into the interval, and the figures of all starts together', () => {
    // Ten windows that agree in each start, and starts that do not: 30 agreeing windows would say that it is certain.
    const factors = [1, 1.02, 1.2]
    const windows = factors.flatMap(factor => Array.from({ length: 10 }, () => window(100 * factor)))
    const many: Taken = {
      ...taken('hung', ...windows),
      starts: factors.flatMap((_, start) => new Array<number>(10).fill(start)),
      bytes: [bytes, { asked: 2, same: 1, differing: { body: 1 } }, bytes],
      beforeMiB: [10, 12, undefined],
      windowsMiB: [
        [20, 30],
        [25, 21],
        [20, 26],
      ],
    }
    const [grouped] = faultFigures([many], 1_000, { serving: 1.05, p99: 1.1 })
    expect(grouped!.serving).toMatchObject({ ratio: { low: 1, median: 1.02, high: 1.2 }, verdict: 'unresolved' })
    expect(grouped!.bytes).toEqual({ asked: 6, same: 5, differing: { body: 1 } })
    expect(grouped!.memory).toEqual({ before: 12, firstHalf: 25, secondHalf: 30 })
    const [alone] = faultFigures([{ ...many, starts: windows.map(() => 0) }], 1_000, undefined)
    expect(alone!.serving!.ratio.high).toBeLessThan(1.15)
  })

  it('pair each fault with the plain proxy of its own turns, and the control with all', () => {
    const [a, b, c] = [window(1), window(2), window(3)]
    const rounds = [
      { start: 0, fault: 'hung', own: a, none: b, again: c },
      { start: 1, fault: 'down', own: c, none: a, again: b },
    ] as const
    expect(windowsOf('down', rounds)).toEqual({ windows: [c], noneWindows: [a], starts: [1] })
    expect(windowsOf('none again', rounds)).toEqual({ windows: [c, b], noneWindows: [b, a], starts: [0, 1] })
  })

  it('tell what the serving thread of ours waits for its processor, and nothing of another’s threads', () => {
    const figures = faultFigures([taken('none', window(100)), taken('hung', window(120))], 1_000, undefined)
    const proxies = ['Understudy', 'nginx'].map(proxy => ({ proxy, figures }))
    const text = renderFaults({ ...results, proxies })
    expect(text).toContain(
      '| 240 (240–240) | 1.200 (1.200–1.200) | 60 (60–60) | 1.200 (1.200–1.200) | 1.00 (1.00–1.00) |',
    )
    expect(text).toContain('| 240 (240–240) | 1.200 (1.200–1.200) | – | – | 1.00 (1.00–1.00) |')
  })

  it('are told with what failed, what differed and what is not measured', () => {
    const figures = faultFigures(
      [
        taken('none', window(100), window(100)),
        { ...taken('hung', window(10, 1, 60)), bytes: [{ asked: 2, same: 1, differing: { body: 1 } }] },
      ],
      1_000,
      undefined,
    )
    const text = renderFaults({ ...results, proxies: [{ proxy: 'nginx', figures }] })
    expect(text).toContain('| nginx, none | – | – | 200 (200–200) | – |')
    expect(text).toContain('| over 1000 | over 1000 | over 1000 |')
    expect(text).toContain('| 60 timeout of 100 | 1 of 2 (1 body) | 10, 13, 12 |')
    expect(text).toContain('Not installed and so not measured: Envoy.')
  })
})

const results: FaultsResults = {
  resultsVersion: 1,
  date: '2026-11-29T00:00:00Z',
  machine: { cpu: 'a processor', cores: 2, system: 'linux', loadBefore: 0, loadAfter: 1 },
  node: 'v26.10.0',
  commit: 'abc',
  quick: false,
  method: {
    starts: 1,
    rounds: 2,
    rivalRounds: 1,
    turnsSeconds: 7,
    ratePerSecond: 1_000,
    connections: 8,
    bodyBytes: 1_000,
    comparedBodies: [{ bytes: 1_000, requests: 2 }],
    timeoutMs: 1_000,
    shadowDeadlineSeconds: 5,
    slowMs: 20,
    liveMs: 0.1,
    endlessBytesPerSecond: 50_000_000,
    pinned: true,
  },
  versions: { nginx: '1.2.3' },
  missing: ['Envoy'],
  proxies: [],
  accounts: [],
}
