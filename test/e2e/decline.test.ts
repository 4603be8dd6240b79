import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import {
  getJson,
  inParallel,
  predict,
  routesOf,
  scratch,
  startGateway,
  type TestGateway,
  tumourRequest,
  understudy,
  until,
} from './gateway.ts'
import { answerHalf, modelServer } from './upstream.ts'

/** The newer version fails from the moment that `isBroken` is set. */
async function twoVersions() {
  const fault = { isBroken: false }
  const old = await modelServer()
  const current = await modelServer((received, response) => {
    if (!fault.isBroken) return answerHalf(received, response)
    response.writeHead(500, { 'content-type': 'application/json' })
    response.end('{"error":"out of memory"}')
  })
  return { fault, old: old.url, current: current.url }
}

type Servers = Awaited<ReturnType<typeof twoVersions>>

const routes = (servers: Servers, live: string, held: number, rollout: object) =>
  routesOf({
    risk: {
      live,
      versions: {
        '1.0.0': { url: servers.old, identity: { literal: 'a' }, weight: live === '1.0.0' ? 100 : held },
        '2.0.0': { url: servers.current, identity: { literal: 'b' }, weight: live === '2.0.0' ? 100 - held : 0 },
      },
      gate: { latency: { p50: 1000, p95: 1000, p99: 1000, slack: '10s' } },
      rollout: { steps: [50, 100], ...rollout },
    },
  })

/** 1.0.0 was live, 2.0.0 is now, by adoption. */
async function promoted(servers: Servers, held: number, rollout: object): Promise<TestGateway> {
  const folder = await scratch()
  const first = await startGateway({ folder, routes: routes(servers, '1.0.0', 0, rollout) })
  await first.stop()
  return startGateway({ folder, routes: routes(servers, '2.0.0', held, rollout), args: ['--adopt'] })
}

const routeOf = async (gateway: TestGateway) => (await gateway.status()).routes[0]!

/** Sends traffic until the condition holds. */
async function under<T>(gateway: TestGateway, what: string, condition: () => Promise<T>) {
  let last: unknown
  return until(
    async () => {
      await inParallel(40, 8, () => predict(gateway, 'risk', tumourRequest()))
      last = await routeOf(gateway)
      return condition()
    },
    { timeoutMs: 60_000, what: () => `${what}: ${JSON.stringify(last)}` },
  )
}

describe('a promoted version that begins to fail', () => {
  it.concurrent('is rolled back by itself where the policy says so, and the holdback has everything again', {
    timeout: 120_000,
  }, async () => {
    const servers = await twoVersions()
    const gateway = await promoted(servers, 20, { holdback: 20, detector: 'rollback' })
    // It is no candidate: nobody judges it.
    const before = await routeOf(gateway)
    expect(before.versions.map(({ version, role, weight }) => [version, role, weight])).toEqual([
      ['1.0.0', 'holdback', 20],
      ['2.0.0', 'live', 80],
    ])
    expect(before.candidates).toEqual([])
    expect(before.holdback).toMatchObject({ version: '1.0.0', weight: 20 })
    expect(Date.parse(before.holdback!.until) - Date.parse(before.holdback!.since)).toBe(7 * 86_400_000)

    const epochs = await under(gateway, 'an epoch', async () => (await routeOf(gateway)).decline?.epochs)
    expect(epochs).toBe(1)
    expect((await routeOf(gateway)).decline).toMatchObject({ policy: 'rollback', reference: 'holdback' })
    servers.fault.isBroken = true
    await under(gateway, 'the rollback', async () => (await routeOf(gateway)).live === '1.0.0')

    const after = await routeOf(gateway)
    expect(after.versions.map(({ version, role, weight }) => [version, role, weight])).toEqual([
      ['1.0.0', 'live', 100],
      ['2.0.0', 'idle', 0],
    ])
    expect(after.versions[1]?.latched).toMatchObject({ kind: 'rollback' })
    expect(after.versions[1]?.latched?.reason).toMatch(
      /^errors: .* answers failed, 0 % of [\d,]+ of the holdback 1\.0\.0$/,
    )
    expect(JSON.parse(await readFile(gateway.routesFile, 'utf8')).routes.risk.live).toBe('1.0.0')
    const { entries } = (await getJson(`${gateway.admin}/v1/history?route=risk`)) as {
      entries: { kind: string; who: string }[]
    }
    expect(entries.filter(({ kind }) => kind === 'rollback').every(({ who }) => who === 'detector')).toBe(true)
    // Live again, it answers everybody.
    expect((await predict(gateway, 'risk', tumourRequest())).status).toBe(200)
  })

  it.concurrent('is only told of where the policy says so, over a restart too, and against a frozen rate without a holdback', {
    timeout: 120_000,
  }, async () => {
    const servers = await twoVersions()
    let gateway = await promoted(servers, 0, { detector: 'tell' })
    await under(gateway, 'a reference', async () => (await routeOf(gateway)).decline?.reference === 'frozen')
    servers.fault.isBroken = true
    const alarm = await under(gateway, 'the alarm', async () => (await routeOf(gateway)).decline?.alarm)
    expect(alarm).toMatchObject({ metric: 'errors' })
    expect(alarm.reason).toMatch(/answers failed, .* is the most that was possible at its promotion$/)
    const { live, notices } = await routeOf(gateway)
    expect(live).toBe('2.0.0')
    expect(notices.join()).toContain('live has declined since')
    const metrics = await getText(`${gateway.admin}/metrics`)
    expect(metrics).toContain('understudy_declined{route="risk",metric="errors"} 1')
    const { out } = await understudy(['status', '--admin', gateway.admin])
    expect(out).toContain('live has declined since')

    await gateway.stop()
    gateway = await startGateway({ folder: gateway.folder, routes: await readFile(gateway.routesFile, 'utf8') })
    const again = await until(async () => (await routeOf(gateway)).decline?.alarm, {
      timeoutMs: 30_000,
      what: () => 'the alarm after the restart',
    })
    expect(again).toEqual(alarm)
  })
})

describe('a holdback whose time is over', () => {
  it('goes to live by itself, in routes.yaml too, and says so in the history', { timeout: 60_000 }, async () => {
    const servers = await twoVersions()
    const gateway = await promoted(servers, 20, { holdback: 20, holdbackFor: '1s' })
    await until(async () => (await routeOf(gateway)).versions.every(({ weight }) => weight === 0 || weight === 100), {
      timeoutMs: 40_000,
      what: () => 'the end of the holdback',
    })
    const { versions } = JSON.parse(await readFile(gateway.routesFile, 'utf8')).routes.risk
    expect([versions['1.0.0'].weight, versions['2.0.0'].weight]).toEqual([0, 100])
    const { entries } = (await getJson(`${gateway.admin}/v1/history?route=risk`)) as {
      entries: { kind: string; who: string; reason: string }[]
    }
    expect(entries.at(-1)).toMatchObject({
      kind: 'set-weight',
      who: 'holdback',
      reason: 'the holdback of 1 second is over',
    })
    expect((await routeOf(gateway)).holdback).toBeUndefined()
  })
})

async function getText(url: string): Promise<string> {
  return (await fetch(url)).text()
}
