import { cp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import {
  accountSums,
  getJson,
  inParallel,
  MODELS,
  predict,
  routesOf,
  scratch,
  send,
  startGateway,
  type TestGateway,
  TUMOUR_ROWS,
  tumourRequest,
  understudy,
  until,
} from '../e2e/gateway.ts'
import { answerHalf, modelServer } from '../e2e/upstream.ts'

const rows = (index: number) => tumourRequest(TUMOUR_ROWS[index % TUMOUR_ROWS.length]!.slice(0, 30))
const content = (rest: Record<string, unknown> = {}) =>
  routesOf(
    {
      risk: {
        live: '1.0.0',
        versions: {
          '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
          '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow: 100 },
        },
        compare: { output: 'probabilities', tolerance: { absolute: 0.05 } },
      },
    },
    rest,
  )

async function reportOf(gateway: TestGateway): Promise<Report> {
  return (await getJson(`${gateway.admin}/v1/routes/risk/report`)) as Report
}

function settled(gateway: TestGateway, eligible: number): Promise<Report> {
  return until(
    async () => {
      const report = await reportOf(gateway)
      return report.account.eligible >= eligible && report.account.inFlight === 0 ? report : undefined
    },
    { what: () => `${eligible} requests to settle` },
  )
}

describe('60. SIGTERM under load', () => {
  it('takes readiness off first, drains without a 5xx or a lost answer, and exits 0', async () => {
    for (const threads of [1, 2]) {
      const gateway = await startGateway({
        threads,
        routes: content({ drain: { delay: '500ms', deadline: '5s' } }),
      })
      let answered = 0
      const wrong: unknown[] = []
      let notReady = false
      const load = inParallel(8, 8, async () => {
        // A load balancer looks away when readiness goes off, which is what the delay of the drain is for.
        while (!notReady) {
          try {
            const { status, text } = await predict(gateway, 'risk', rows(answered++))
            if (status !== 200) wrong.push({ status, text })
          } catch (error) {
            wrong.push(error)
          }
        }
      })
      await until(() => answered > 200)
      const stopping = gateway.stop()
      await until(
        async () => {
          notReady = (await send(`${gateway.predictions}/readyz`)).status === 503
          return notReady
        },
        { timeoutMs: 2_000, what: () => 'readiness to go off while the port is still open' },
      )
      const exit = await stopping
      await load
      expect(wrong).toEqual([])
      expect(exit).toEqual({ code: 0, signal: null })
    }
  })

  it('lets a request that is under way finish', async () => {
    const slow = await modelServer((received, response) => void setTimeout(() => answerHalf(received, response), 700))
    const gateway = await startGateway({
      routes: routesOf({ risk: { live: '1.0.0', versions: { '1.0.0': { url: slow.url, weight: 100 } } } }),
    })
    const underWay = predict(gateway, 'risk', rows(0))
    await until(() => slow.received.length === 1)
    const stopping = gateway.stop()
    const { status, headers } = await underWay
    expect(status).toBe(200)
    expect(headers.connection).toBe('close')
    expect(await stopping).toEqual({ code: 0, signal: null })
  })

  it('with a client that never ends its request still ends by the deadline', async () => {
    const gateway = await startGateway({ routes: content({ drain: { delay: '0ms', deadline: '1s' } }) })
    const hanging = send(`${gateway.predictions}/v2/models/risk/infer`, {
      method: 'POST',
      headers: { 'content-length': '1000', 'content-type': 'application/json' },
    }).catch(() => 'cut')
    await predict(gateway, 'risk', rows(0))
    const startedAt = performance.now()
    expect((await gateway.stop()).code).toBe(0)
    expect(performance.now() - startedAt).toBeLessThan(6_000)
    await hanging
  })

  it('with a shadow that hangs still ends', async () => {
    const hanging = await modelServer(() => {})
    const gateway = await startGateway({
      routes: routesOf({
        risk: {
          live: '1.0.0',
          versions: {
            '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
            '2.0.0': { url: hanging.url, mirrorable: true, shadow: { percent: 100, deadline: '1s' } },
          },
        },
      }),
    })
    await inParallel(100, 8, index => predict(gateway, 'risk', rows(index)))
    const startedAt = performance.now()
    expect((await gateway.stop()).code).toBe(0)
    expect(performance.now() - startedAt).toBeLessThan(8_000)
  })

  it('leaves no process of its own behind', async () => {
    const gateway = await startGateway({ routes: content() })
    await inParallel(50, 8, index => predict(gateway, 'risk', rows(index)))
    const { stdout } = await childrenOf(gateway.pid)
    expect(stdout.length).toBeGreaterThan(0)
    await gateway.stop()
    await until(() => stdout.every(pid => !alive(pid)), { what: () => `processes ${stdout} to end` })
  })
})

describe('61. SIGKILL', () => {
  it('under load: after a restart the closed epochs are there, nothing twice, and what is new is added', async () => {
    let gateway = await startGateway({ routes: content() })
    await inParallel(300, 8, index => predict(gateway, 'risk', rows(index)))
    const closed = (await settled(gateway, 300)).account
    expect(closed.compared).toBe(300)
    // Killed in the middle of more.
    const load = inParallel(2_000, 8, index => predict(gateway, 'risk', rows(index)).catch(() => undefined))
    await until(async () => (await reportOf(gateway)).account.eligible > 350)
    const seen = (await reportOf(gateway)).account
    expect((await gateway.kill()).signal).toBe('SIGKILL')
    const answered = (await load).filter(each => each?.status === 200).length

    gateway = await startGateway({ routes: content(), folder: gateway.folder })
    const kept = (await reportOf(gateway)).account
    // All that was settled when it was shown, and never more than was answered; the open epochs are the difference.
    expect(kept.eligible).toBeGreaterThanOrEqual(seen.eligible - seen.inFlight)
    expect(kept.compared).toBeGreaterThanOrEqual(seen.compared)
    expect(kept.eligible).toBeLessThanOrEqual(300 + answered + 8)
    expect(accountSums(kept).accounted).toBe(kept.eligible)

    await inParallel(100, 8, index => predict(gateway, 'risk', rows(index)))
    const after = (await settled(gateway, kept.eligible + 100)).account
    expect(after.eligible).toBe(kept.eligible + 100)
    expect(after.compared).toBe(kept.compared + 100)
    expect((await gateway.status()).routes[0]!.live).toBe('1.0.0')
    await gateway.stop()
  })

  it('again and again during start and load never leaves a state that does not open', { timeout: 60_000 }, async () => {
    const folder = await scratch()
    for (let round = 0; round < 4; round++) {
      const gateway = await startGateway({ routes: content(), folder })
      await inParallel(50 * round, 8, index => predict(gateway, 'risk', rows(index)))
      await gateway.kill()
    }
    const gateway = await startGateway({ routes: content(), folder })
    expect((await predict(gateway, 'risk', rows(0))).status).toBe(200)
    await gateway.stop()
  })

  it('takes its scoring processes along', async () => {
    const gateway = await startGateway({ routes: content() })
    await inParallel(50, 8, index => predict(gateway, 'risk', rows(index)))
    const { stdout } = await childrenOf(gateway.pid)
    await gateway.kill()
    await until(() => stdout.every(pid => !alive(pid)), { what: () => `processes ${stdout} to end` })
  })
})

describe('the state folder', () => {
  it('that is in use refuses a second gateway, which names the reason and does not take the port', async () => {
    const gateway = await startGateway({ routes: content() })
    const second = await understudy([
      ...['serve', '--routes', gateway.routesFile, '--state', gateway.stateDir],
      ...['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
    ])
    expect(second.code).not.toBe(0)
    expect(second.err).toMatch(/state/)
    expect(second.out).not.toContain('ready')
    expect((await predict(gateway, 'risk', rows(0))).status).toBe(200)
    await gateway.stop()
  })

  it('of another gateway does not help against a port that is taken', async () => {
    const gateway = await startGateway({ routes: content(), threads: 2 })
    const second = await understudy([
      ...['serve', '--routes', gateway.routesFile, '--state', join(await scratch(), 'state')],
      ...['--listen', `127.0.0.1:${gateway.port}`, '--admin', '127.0.0.1:0', '--threads', '2'],
    ])
    expect(second.out).not.toContain('ready')
    expect(second.code).not.toBe(0)
    expect(second.err).toMatch(/listen|EADDRINUSE|in use/)
    await gateway.stop()
  })

  it('62. that disappears stops no prediction', async () => {
    const gateway = await startGateway({ routes: content() })
    await inParallel(20, 4, index => predict(gateway, 'risk', rows(index)))
    await rm(gateway.stateDir, { recursive: true, force: true })
    await writeFile(gateway.stateDir, 'a file where the folder was')
    const answers = await inParallel(200, 8, index => predict(gateway, 'risk', rows(index)))
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    await gateway.kill()
  })

  it('62. of which the store is no store: refused at start with a reason', async () => {
    const folder = await scratch()
    const first = await startGateway({ routes: content(), folder })
    await first.stop()
    await writeFile(join(first.stateDir, 'state.db'), Buffer.alloc(8192, 'x'))
    await rm(join(first.stateDir, 'state.db-wal'), { force: true })
    await rm(join(first.stateDir, 'state.db-shm'), { force: true })
    await expect(startGateway({ routes: content(), folder })).rejects.toThrow(/store/)
  })
})

describe('a model that is broken', () => {
  it.each<[string, (folder: string) => Promise<unknown>]>([
    ['has other bytes than its manifest says', folder => writeFile(join(folder, 'model.onnx'), 'x')],
    ['has no manifest', folder => rm(join(folder, 'model.yaml'))],
    ['is not there at all', folder => rm(folder, { recursive: true })],
  ])('and %s takes no traffic; the rest serves, and status says why', async (_, damage) => {
    const models = await scratch()
    await cp(join(MODELS, 'tumour-risk'), join(models, 'tumour-risk'), { recursive: true })
    await damage(join(models, 'tumour-risk', '1.1.0'))
    const gateway = await startGateway({
      args: ['--adopt'],
      routes: routesOf(
        {
          risk: {
            live: '1.0.0',
            versions: {
              '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 50 },
              '1.1.0': { onnx: 'tumour-risk/1.1.0', weight: 50 },
              '2.0.0': { onnx: 'tumour-risk/2.0.0', shadow: 100 },
            },
            force: 'x-pick',
          },
        },
        { models },
      ),
    })
    const answers = await inParallel(100, 8, index => predict(gateway, 'risk', rows(index)))
    expect(new Set(answers.map(({ status, json }) => `${status} ${json.model_version}`))).toEqual(
      new Set(['200 1.0.0']),
    )
    expect((await predict(gateway, 'risk', rows(0), { headers: { 'x-pick': '1.1.0' } })).status).toBe(503)
    const { versions } = (await gateway.status()).routes[0]!
    expect(versions.find(({ version }) => version === '1.1.0')).toMatchObject({
      weight: 0,
      broken: expect.stringMatching(/tumour-risk\/1\.1\.0/),
    })
    await gateway.stop()
  })

  it('and live answers 503 and makes the gateway not ready; other routes serve', async () => {
    const models = await scratch()
    await cp(join(MODELS, 'tumour-risk'), join(models, 'tumour-risk'), { recursive: true })
    await writeFile(join(models, 'tumour-risk/1.0.0/model.onnx'), 'x')
    const gateway = await startGateway({
      routes: routesOf(
        {
          broken: { live: '1.0.0', versions: { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 } } },
          fine: { live: '1.1.0', versions: { '1.1.0': { onnx: 'tumour-risk/1.1.0', weight: 100 } } },
        },
        { models },
      ),
    })
    const refused = await predict(gateway, 'broken', rows(0))
    expect(refused.status).toBe(503)
    expect(refused.json.error).toMatch(/1\.0\.0.*broken.*not ready/)
    expect((await predict(gateway, 'fine', rows(0))).status).toBe(200)
    expect((await send(`${gateway.predictions}/v2/health/ready`)).status).toBe(503)
    expect((await send(`${gateway.predictions}/v2/models/broken/ready`)).status).toBe(503)
    expect((await send(`${gateway.predictions}/v2/models/fine/ready`)).status).toBe(200)
    await gateway.stop()
  })
})

describe('69. error texts', () => {
  it('tell a client nothing of files, stacks or libraries', async () => {
    const gateway = await startGateway({ routes: content() })
    const texts: string[] = []
    for (const text of [
      '{',
      '[]',
      '{"inputs":[{}]}',
      JSON.stringify({ inputs: [{ ...rows(0).inputs[0], name: 'x' }] }),
    ]) {
      texts.push((await predict(gateway, 'risk', text)).text)
    }
    texts.push((await send(`${gateway.predictions}/v2/models/%ff`)).text)
    texts.push((await send(`${gateway.predictions}/v1/labels`, { body: '{' })).text)
    for (const text of texts) expect(text).not.toMatch(/node:|node_modules|\.ts|at \S+ \(|onnxruntime|undici|hono/)
    await gateway.stop()
  })
})

async function childrenOf(pid: number): Promise<{ stdout: number[] }> {
  const { readdirSync, readFileSync } = await import('node:fs')
  try {
    const stdout = readdirSync(`/proc/${pid}/task`).flatMap(task =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
    )
    return { stdout }
  } catch {
    return { stdout: [] }
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
