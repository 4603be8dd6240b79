import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import {
  accountSums,
  getJson,
  inParallel,
  predict,
  routesOf,
  startGateway,
  type TestGateway,
  TUMOUR_ROWS,
  tumourRequest,
  until,
} from '../e2e/gateway.ts'
import { answerHalf, closedAddress, deafServer, http, modelServer, rawServer } from '../e2e/upstream.ts'

const SHADOW_DEADLINE_MS = 500

const rows = (index: number) => tumourRequest(TUMOUR_ROWS[index % TUMOUR_ROWS.length]!.slice(0, 30))
const live = { onnx: 'tumour-risk/1.0.0', weight: 100 }
const compare = { output: 'probabilities', tolerance: { absolute: 0.05 } }

function start(shadow: object | undefined, rest: Record<string, unknown> = {}): Promise<TestGateway> {
  const versions = { '1.0.0': live, ...(shadow && { '2.0.0': shadow }) }
  return startGateway({ routes: routesOf({ risk: { live: '1.0.0', versions, compare } }, rest) })
}

const remote = (url: string, more: object = {}) => ({
  url,
  mirrorable: true,
  shadow: { percent: 100, deadline: `${SHADOW_DEADLINE_MS}ms`, ...more },
})

interface Seen {
  readonly status: number
  readonly text: string
  readonly headers: string
  readonly ms: number
}

async function load(gateway: TestGateway, count: number): Promise<Seen[]> {
  return inParallel(count, 4, async index => {
    const startedAt = performance.now()
    const { status, text, headers } = await predict(gateway, 'risk', rows(index), {
      headers: { 'x-request-id': `request-${index}` },
    })
    const { date: _, ...others } = headers
    return { status, text, headers: JSON.stringify(others), ms: performance.now() - startedAt }
  })
}

const answers = (seen: readonly Seen[]) => seen.map(({ status, text, headers }) => ({ status, text, headers }))
const p99 = (seen: readonly Seen[]) => seen.map(({ ms }) => ms).sort((a, b) => a - b)[Math.floor(seen.length * 0.99)]!

async function settledAccount(gateway: TestGateway, eligible: number): Promise<Report['account']> {
  let last: unknown
  return until(
    async () => {
      const { account } = (await getJson(`${gateway.admin}/v1/routes/risk/report`)) as Report
      last = account
      const sums = accountSums(account)
      expect(sums.accounted).toBe(sums.eligible)
      return account.eligible === eligible && account.inFlight === 0 ? account : undefined
    },
    { timeoutMs: 15_000, what: () => `the account to settle: ${JSON.stringify(last)}` },
  )
}

const REQUESTS = 600

/** What live answered without any shadow: every fault below must leave it so, byte for byte. */
let alone: Promise<Seen[]> | undefined
function withoutShadow(): Promise<Seen[]> {
  alone ??= (async () => {
    const gateway = await start(undefined)
    await load(gateway, 200)
    const seen = await load(gateway, REQUESTS)
    await gateway.stop()
    return seen
  })()
  return alone
}

/** Live's answers beside a shadow, checked against those without one; and the shadow's account. */
async function beside(shadow: object, rest: Record<string, unknown> = {}): Promise<Report['account']> {
  const reference = await withoutShadow()
  const gateway = await start(shadow, rest)
  await load(gateway, 200)
  const seen = await load(gateway, REQUESTS)
  expect(answers(seen)).toEqual(answers(reference))
  // Speed itself is for bench/: here only a mirror that is waited for must show, and it would take a whole deadline.
  expect(p99(seen)).toBeLessThan(SHADOW_DEADLINE_MS)
  const account = await settledAccount(gateway, REQUESTS + 200)
  expect((await gateway.stop()).code).toBe(0)
  return account
}

describe('live answers with the same bytes, headers and speed as without a shadow, while the shadow', () => {
  it('38. is down', async () => {
    const account = await beside(remote(await closedAddress()))
    expect(account.failed.candidate_error).toBeGreaterThan(0)
    expect(account.failed.candidate_error + account.dropped.stalled!).toBe(REQUESTS + 200)
    expect(account.dropped.stalled, 'it is not tried with every request').toBeGreaterThan(REQUESTS / 2)
  })

  it('39. hangs: most copies are not even handed to the thread that would drop them, until it answers again', async () => {
    let hangs = true
    const server = await modelServer((received, response) => (hangs ? undefined : answerHalf(received, response)))
    const gateway = await start(remote(server.url, { deadline: '100ms', batch: 1 }))
    await load(gateway, 200)
    await new Promise(resolve => setTimeout(resolve, 300))
    await load(gateway, REQUESTS)
    const { dropped } = await settledAccount(gateway, REQUESTS + 200)
    const text = await (await fetch(`${gateway.admin}/metrics`)).text()
    const series = [...text.matchAll(/^understudy_shadow_requests_total\{.*version="2\.0\.0".*\} (\d+)$/gm)]
    expect(series.length).toBeGreaterThan(0)
    const toldToShadow = series.reduce((sum, [, count]) => sum + Number(count), 0)
    expect(dropped.stalled).toBeGreaterThan(REQUESTS / 2)
    expect(toldToShadow, 'handed over').toBeLessThan((REQUESTS + 200) / 2)
    hangs = false
    await until(
      async () => {
        await load(gateway, 50)
        const { account } = (await getJson(`${gateway.admin}/v1/routes/risk/report`)) as Report
        return account.compared > 200
      },
      { what: () => 'a shadow that answers again to be compared' },
    )
    expect((await gateway.stop()).code).toBe(0)
  })

  it('39. hangs', async () => {
    const account = await beside(remote((await rawServer(() => {})).url))
    expect(account.compared).toBe(0)
    const { expired, queue_full, stalled } = account.dropped
    expect(account.failed.timeout + expired! + queue_full! + stalled!).toBe(REQUESTS + 200)
    expect(stalled, 'after some missed deadlines it gets one request at a time').toBeGreaterThan(0)
  })

  it('40. is ten times slower', async () => {
    const slow = await modelServer((received, response) => void setTimeout(() => answerHalf(received, response), 50))
    const account = await beside(remote(slow.url, { deadline: '5s' }))
    expect(account.compared).toBe(REQUESTS + 200)
  })

  it('41. answers without end', async () => {
    const endless = await rawServer(socket => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
      const more = () => {
        while (socket.writable && socket.write(`1000\r\n${'x'.repeat(0x1000)}\r\n`));
        if (socket.writable) socket.once('drain', more)
      }
      more()
    })
    const account = await beside(remote(endless.url))
    expect(account.compared).toBe(0)
    expect(account.failed.candidate_error + account.failed.timeout).toBeGreaterThan(0)
  })

  it('42. does not read what it is sent', async () => {
    const account = await beside(remote((await deafServer()).url))
    expect(account.compared).toBe(0)
  })

  it('43. resets its connections', async () => {
    const resetting = await rawServer(socket => socket.resetAndDestroy())
    const account = await beside(remote(resetting.url))
    expect(account.failed.candidate_error).toBe(REQUESTS + 200)
  })

  it('44. is slower than the traffic, and its queue is full: dropped and counted with the reason', async () => {
    const slow = await modelServer((received, response) => void setTimeout(() => answerHalf(received, response), 400))
    const account = await beside(remote(slow.url, { deadline: '2s', batch: 1 }), { mirror: { queue: '16KiB' } })
    expect(account.dropped.queue_full).toBeGreaterThan(0)
  })

  it('34. answers malformed JSON: unparseable or in error, and never a match', async () => {
    const odd = await rawServer(socket => socket.write(http('200 OK', '{"outputs":[NaN')))
    const account = await beside(remote(odd.url))
    expect(account.compared).toBe(0)
    expect(account.failed.unparseable + account.failed.candidate_error).toBe(REQUESTS + 200)
  })
})

describe('a shadow', () => {
  it('45. that hangs under large bodies holds no more memory than its queue', { timeout: 60_000 }, async () => {
    const hanging = await rawServer(() => {})
    const gateway = await start(remote(hanging.url, { deadline: '3s', batch: 1 }), { mirror: { queue: '4MiB' } })
    const padded = (index: number) => ({ ...rows(index), parameters: { padding: 'x'.repeat(200_000) } })
    const ask = (count: number) => inParallel(count, 8, index => predict(gateway, 'risk', padded(index)))
    await ask(200)
    const before = rssOf(gateway.pid)
    await ask(800)
    // 800 bodies of 200 kB are 160 MB: kept, they would show.
    expect(rssOf(gateway.pid) - before).toBeLessThan(100 * 2 ** 20)
    const account = await settledAccount(gateway, 1000)
    expect(account.compared).toBe(0)
    expect(account.dropped.queue_full! + account.dropped.stalled!).toBeGreaterThan(500)
    await gateway.stop()
  })

  it('46. is told that it is one, gets no credentials, and no request twice', async () => {
    let failFirst = true
    const server = await modelServer((received, response) => {
      if (failFirst) {
        failFirst = false
        response.writeHead(500)
        response.end()
      } else answerHalf(received, response)
    })
    const gateway = await start(remote(server.url, { batch: 1 }))
    const ids = Array.from({ length: 20 }, (_, index) => `request-${index}`)
    for (const [index, id] of ids.entries()) {
      await predict(gateway, 'risk', rows(index), {
        headers: {
          'x-request-id': id,
          authorization: 'Bearer secret',
          cookie: 'session=secret',
          'x-api-key': 'secret',
          'proxy-authorization': 'Basic secret',
        },
      })
    }
    await settledAccount(gateway, 20)
    expect(server.received.map(({ headers }) => headers['x-request-id']).sort()).toEqual(ids.sort())
    for (const { headers } of server.received) {
      expect(headers['x-understudy-role']).toBe('shadow')
      expect(JSON.stringify(headers)).not.toContain('secret')
    }
    await gateway.stop()
  })

  // Live is an HTTP version here, so that the only scoring process is the shadow's.
  const beside = async (shadow: object) => {
    const server = await modelServer()
    return startGateway({
      routes: routesOf({
        risk: { live: '1.0.0', versions: { '1.0.0': { url: server.url, weight: 100 }, '2.0.0': shadow }, compare },
      }),
    })
  }

  it('48. whose scoring process is killed whenever there is one, under load, causes no live error', async () => {
    const gateway = await beside({ onnx: 'tumour-risk/1.1.0', shadow: 100 })
    let loading = true
    let killed = 0
    const killing = (async () => {
      while (loading) {
        for (const pid of scoringProcesses(gateway.pid)) {
          try {
            process.kill(pid, 'SIGKILL')
            killed++
          } catch {}
        }
        await predict(gateway, 'risk', rows(killed))
      }
    })()
    for (let round = 0; round < 6; round++) {
      const seen = await load(gateway, REQUESTS)
      expect(new Set(seen.map(({ status }) => status))).toEqual(new Set([200]))
    }
    loading = false
    await killing
    // A crash loop is quarantined, so there is not always one to kill.
    expect(killed).toBeGreaterThanOrEqual(5)
    const { account } = (await getJson(`${gateway.admin}/v1/routes/risk/report`)) as Report
    const sums = accountSums(account)
    expect(sums.accounted).toBe(sums.eligible)
    expect((await gateway.stop()).code).toBe(0)
  })

  it('48. whose scoring process was killed once is compared again afterwards', async () => {
    const gateway = await beside({ onnx: 'tumour-risk/1.1.0', shadow: 100 })
    await load(gateway, 50)
    await settledAccount(gateway, 50)
    // The process that checked the models ends by itself; the candidate's stays.
    const pids = await until(() => {
      const running = scoringProcesses(gateway.pid)
      return running.length === 1 ? running : undefined
    })
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    await until(() => pids.every(pid => !scoringProcesses(gateway.pid).includes(pid)))
    await load(gateway, 50)
    const account = await settledAccount(gateway, 100)
    expect(account.compared).toBeGreaterThan(90)
    await gateway.stop()
  })
})

describe('a gateway with many shadows', () => {
  it('47. leaks no listeners: nothing is warned of after thousands of mirrored requests', async () => {
    const server = await modelServer()
    const gateway = await start(remote(server.url, { unbatched: 100, deadline: '5s' }))
    await inParallel(5_000, 16, index => predict(gateway, 'risk', rows(index)))
    await settledAccount(gateway, 5_000)
    expect(gateway.log()).not.toMatch(/MaxListenersExceeded|memory leak/i)
    await gateway.stop()
  })
})

/** Ids of the scoring processes of a gateway. */
function scoringProcesses(pid: number): number[] {
  if (process.platform !== 'linux') {
    return execFileSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' })
      .trim()
      .split('\n')
      .filter(Boolean)
      .map(Number)
  }
  return readdirSync(`/proc/${pid}/task`).flatMap(task => {
    try {
      const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
      return children.trim().split(' ').filter(Boolean).map(Number)
    } catch {
      return []
    }
  })
}

/** Resident memory, bytes; 0 where the system does not tell. */
function rssOf(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}
