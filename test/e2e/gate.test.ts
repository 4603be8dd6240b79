import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Verdict } from '../../src/gate/evidence.ts'
import type { Report } from '../../src/report/status.ts'
import {
  getJson,
  inParallel,
  MODELS,
  postJson,
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
} from './gateway.ts'

const rows = (index: number) => tumourRequest(TUMOUR_ROWS[index % TUMOUR_ROWS.length]!.slice(0, 30))
const load = (gateway: TestGateway, count: number, model = 'risk') =>
  inParallel(count, 8, index => predict(gateway, model, rows(index)))
const verdictOf = async (gateway: TestGateway, candidate = '1.1.0') =>
  (await getJson(`${gateway.admin}/v1/routes/risk/gate?candidate=${candidate}`)) as Verdict
const weightsOf = async (gateway: TestGateway) => {
  const { versions } = (await gateway.status()).routes[0]!
  return Object.fromEntries(versions.map(({ version, weight }) => [version, weight]))
}
const liveOf = async (gateway: TestGateway) => (await gateway.status()).routes[0]!.live
const act = (gateway: TestGateway, action: string, more: object = {}) =>
  postJson(`${gateway.admin}/v1/routes/risk/${action}`, { who: 'a tester', reason: 'to see', ...more })

/** A policy so wide that a few hundred requests decide. Comments and odd layout, to see them kept. */
const file = (versions: string, live = '1.0.0', models = MODELS) => `# what serves
models: ${models}   # shipped
drain: { delay: 0ms, deadline: 5s }

routes:
  risk:   # tumours
    live: ${live}
    versions:
${versions}
    compare: { output: probabilities, tolerance: { absolute: 1 } }
    gate:
      disagreement: 0.5
      distribution: 0.95
      errors: { ratio: 10, floor: 0.5 }   # wide
      latency: { p50: 1000, p95: 1000, p99: 1000, slack: 1s }
      exposure: { requests: 100, for: 0s }
      drops: 1
    rollout: { steps: [50, 100] }   # two steps
# the end
`
const SHADOW = `      1.0.0: { onnx: tumour-risk/1.0.0, weight: 100 }   # the old one
      1.1.0:   # the new one
        onnx: tumour-risk/1.1.0
        shadow: 100`

/** Sends traffic until the gate says so. */
async function until_(gateway: TestGateway, decision: Verdict['decision'], step: number, candidate = '1.1.0') {
  let last: Verdict | undefined
  await until(
    async () => {
      await load(gateway, 200)
      last = await verdictOf(gateway, candidate)
      return last.decision === decision && last.step === step
    },
    { timeoutMs: 20_000, what: () => `${decision} at ${step}: ${JSON.stringify(last?.metrics)} ${last?.reason}` },
  )
}

describe('a version that is proven', () => {
  it('climbs by promote, keeps the comments of routes.yaml, becomes live, is rolled back at once and stays latched', {
    timeout: 90_000,
  }, async () => {
    const text = file(SHADOW)
    let gateway = await startGateway({ routes: text })
    // Nothing is proven yet.
    const early = await act(gateway, 'promote', { candidate: '1.1.0' })
    expect({ status: early.status, error: early.json.error }).toEqual({ status: 409, error: expect.any(String) })
    expect(await readFile(gateway.routesFile, 'utf8')).toBe(text)

    await until_(gateway, 'promote', 0)
    const rehearsal = await act(gateway, 'promote', { candidate: '1.1.0', dryRun: true })
    expect(rehearsal.json).toMatchObject({ dryRun: true, applied: false, after: { '1.1.0': 50 } })
    expect(await readFile(gateway.routesFile, 'utf8')).toBe(text)

    const first = await act(gateway, 'promote', { candidate: '1.1.0' })
    expect({ status: first.status, json: first.json }).toMatchObject({
      status: 200,
      json: { applied: true, before: { '1.0.0': 100 }, after: { '1.0.0': 50, '1.1.0': 50 } },
    })
    const at50 = await readFile(gateway.routesFile, 'utf8')
    for (const comment of [
      '# what serves',
      '# shipped',
      '# tumours',
      '# the old one',
      '# the new one',
      '# wide',
      '# two steps',
      '# the end',
    ]) {
      expect(at50).toContain(comment)
    }
    expect(at50).toMatch(/weight: 50/)
    // Everything but the lines of the two weights is untouched.
    const kept = text.split('\n').filter(line => !/1\.[01]\.0|onnx|shadow/.test(line))
    expect(at50.split('\n').filter(line => !/1\.[01]\.0|onnx|shadow|weight/.test(line))).toEqual(kept)
    const answers = await load(gateway, 400)
    const canary = answers.filter(({ json }) => json.model_version === '1.1.0').length
    expect(Math.abs(canary - 200)).toBeLessThan(5 * Math.sqrt(400 * 0.25))

    await until_(gateway, 'promote', 50)
    const last = await act(gateway, 'promote', { candidate: '1.1.0' })
    expect(last.status).toBe(200)
    expect(await liveOf(gateway)).toBe('1.1.0')
    expect(await weightsOf(gateway)).toEqual({ '1.0.0': 0, '1.1.0': 100 })
    expect(await readFile(gateway.routesFile, 'utf8')).toMatch(/live: 1\.1\.0/)

    // A restart keeps live.
    await gateway.kill()
    const promoted = await readFile(gateway.routesFile, 'utf8')
    gateway = await startGateway({ routes: promoted, folder: gateway.folder })
    expect(await liveOf(gateway)).toBe('1.1.0')
    expect(new Set((await load(gateway, 20)).map(({ json }) => json.model_version))).toEqual(new Set(['1.1.0']))

    const back = await act(gateway, 'rollback')
    expect({ status: back.status, json: back.json }).toMatchObject({ status: 200, json: { applied: true } })
    expect(new Set((await load(gateway, 20)).map(({ json }) => json.model_version))).toEqual(new Set(['1.0.0']))
    expect(await liveOf(gateway)).toBe('1.0.0')
    expect(await readFile(gateway.routesFile, 'utf8')).toMatch(/live: 1\.0\.0/)
    for (const comment of ['# what serves', '# wide', '# the end']) {
      expect(await readFile(gateway.routesFile, 'utf8')).toContain(comment)
    }

    // The latch holds against the file, and over a restart.
    const again = promoted.replace(/\n# the end/, '\n# once more')
    await writeFile(gateway.routesFile, again)
    await until(async () => (await gateway.status()).routes[0]!.held.length > 0, { what: () => 'the edit to be held' })
    expect(await liveOf(gateway)).toBe('1.0.0')
    await gateway.kill()
    gateway = await startGateway({ routes: again, folder: gateway.folder })
    const status = (await gateway.status()).routes[0]!
    expect(status.live).toBe('1.0.0')
    expect(status.versions.find(({ version }) => version === '1.1.0')!.latched).toMatchObject({ kind: 'rollback' })
    expect(new Set((await load(gateway, 20)).map(({ json }) => json.model_version))).toEqual(new Set(['1.0.0']))

    const history = (await getJson(`${gateway.admin}/v1/history?route=risk`)) as {
      entries: { kind: string; who: string }[]
    }
    expect(history.entries.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['promote', 'rollback']))
    expect(history.entries.find(({ kind }) => kind === 'rollback')!.who).toBe('a tester')

    // Only `clear` lifts it, on record.
    const cleared = await act(gateway, 'clear', { version: '1.1.0', reason: 'found the cause' })
    expect(cleared.status).toBe(200)
    expect(
      (await gateway.status()).routes[0]!.versions.find(({ version }) => version === '1.1.0')!.latched,
    ).toBeUndefined()
    await gateway.stop()
  })

  it('is promoted once when asked twice with one key, and not again before it is proven there', async () => {
    const gateway = await startGateway({ routes: file(SHADOW) })
    await until_(gateway, 'promote', 0)
    const gate = await understudy(['gate', 'risk', '1.1.0', '--admin', gateway.admin])
    expect({ code: gate.code, err: gate.err }).toMatchObject({ code: 0 })
    const keyed = () =>
      send(`${gateway.admin}/v1/routes/risk/promote`, {
        body: JSON.stringify({ candidate: '1.1.0', who: 'a tester' }),
        headers: { 'idempotency-key': 'once' },
      })
    const [one, two] = await Promise.all([keyed(), keyed()])
    expect([one!.status, two!.status]).toEqual([200, 200])
    expect(await weightsOf(gateway)).toEqual({ '1.0.0': 50, '1.1.0': 50 })
    const { entries } = (await getJson(`${gateway.admin}/v1/history?route=risk`)) as {
      entries: { kind: string; phase?: string }[]
    }
    expect(entries.filter(({ kind, phase }) => kind === 'promote' && phase === 'applied')).toHaveLength(1)
    // Not proven at 50 yet.
    const refused = await understudy(['promote', 'risk', '1.1.0', '--admin', gateway.admin])
    expect(refused.code).toBe(4)
    await gateway.stop()
  })
})

describe('a version that is not proven', () => {
  it('is held to `unproven` when the file gives it more, and status says why and what is missing', async () => {
    const text = file(SHADOW)
    const gateway = await startGateway({ routes: text })
    await load(gateway, 10)
    await writeFile(gateway.routesFile, text.replace('weight: 100', 'weight: 50').replace('shadow: 100', 'weight: 50'))
    const route = await until(async () => {
      const each = (await gateway.status()).routes[0]!
      return each.held.length > 0 ? each : undefined
    })
    expect(route.held[0]).toMatchObject({ version: '1.1.0', key: 'weight', wanted: 50 })
    expect(route.held[0]!.allowed).toBeLessThanOrEqual(1)
    expect(route.held[0]!.reason.length).toBeGreaterThan(10)
    const { '1.0.0': live, '1.1.0': canary } = await weightsOf(gateway)
    expect(canary).toBeLessThanOrEqual(1)
    expect(live! + canary!).toBe(100)
    expect(gateway.log()).toMatch(/held: 1\.1\.0/)
    const answers = await load(gateway, 400)
    expect(answers.filter(({ json }) => json.model_version === '1.1.0').length).toBeLessThan(25)
    await gateway.stop()
  })

  it('is held at the first start too, and `serve --adopt` accepts it, on record', async () => {
    const text = file(SHADOW).replace('weight: 100', 'weight: 60').replace('shadow: 100', 'weight: 40')
    let gateway = await startGateway({ routes: text })
    expect((await weightsOf(gateway))['1.1.0']).toBeLessThanOrEqual(1)
    await gateway.stop()
    gateway = await startGateway({ routes: text, folder: gateway.folder, args: ['--adopt'] })
    expect(await weightsOf(gateway)).toEqual({ '1.0.0': 60, '1.1.0': 40 })
    const { entries } = (await getJson(`${gateway.admin}/v1/history`)) as { entries: { kind: string }[] }
    expect(entries.map(({ kind }) => kind)).toContain('adopt')
    // Lowering applies at once; the old share must be earned again.
    await writeFile(gateway.routesFile, text.replace('weight: 60', 'weight: 90').replace('weight: 40', 'weight: 10'))
    await until(async () => (await weightsOf(gateway))['1.1.0'] === 10)
    await writeFile(gateway.routesFile, text)
    await until(async () => (await gateway.status()).routes[0]!.held.length > 0)
    expect((await weightsOf(gateway))['1.1.0']).toBe(10)
    await gateway.stop()
  })

  it('cannot be made live by an edit', async () => {
    const text = file(SHADOW)
    const gateway = await startGateway({ routes: text })
    await writeFile(
      gateway.routesFile,
      text
        .replace('live: 1.0.0', 'live: 1.1.0')
        .replace('weight: 100', 'weight: 0')
        .replace('shadow: 100', 'weight: 100'),
    )
    await until(async () => (await gateway.status()).routes[0]!.held.length > 0)
    expect(await liveOf(gateway)).toBe('1.0.0')
    const answers = await load(gateway, 100)
    expect(answers.filter(({ json }) => json.model_version === '1.0.0').length).toBeGreaterThan(85)
    await gateway.stop()
  })

  it('that has changed its bytes under its old name starts without the evidence of the old ones', async () => {
    const models = await scratch()
    await cp(join(MODELS, 'tumour-risk'), join(models, 'tumour-risk'), { recursive: true })
    const text = file(SHADOW, '1.0.0', models)
    const gateway = await startGateway({ routes: text })
    await until_(gateway, 'promote', 0)
    const before = (await getJson(`${gateway.admin}/v1/routes/risk/report`)) as Report
    // Version 2.0.0's files under 1.1.0's name.
    await cp(join(MODELS, 'tumour-risk/2.0.0/model.onnx'), join(models, 'tumour-risk/1.1.0/model.onnx'))
    const manifest = await readFile(join(MODELS, 'tumour-risk/2.0.0/model.yaml'), 'utf8')
    await writeFile(join(models, 'tumour-risk/1.1.0/model.yaml'), manifest.replace('version: 2.0.0', 'version: 1.1.0'))
    await writeFile(gateway.routesFile, `${text}# touched\n`)
    const after = await until(async () => {
      const report = (await getJson(`${gateway.admin}/v1/routes/risk/report`)) as Report
      return report.candidate.digest !== before.candidate.digest ? report : undefined
    })
    expect(after.comparison.compared).toBe(0)
    expect(after.verdict.decision).not.toBe('promote')
    expect((await act(gateway, 'promote', { candidate: '1.1.0' })).status).toBe(409)
    await gateway.stop()
  })
})

describe('a version that is worse', () => {
  it('is aborted by the gate, which names the metric, takes its share and latches', { timeout: 60_000 }, async () => {
    const text = routesOf({
      risk: {
        live: '1.0.0',
        versions: {
          '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
          '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow: 100 },
        },
        // Two different models held to be the same to the last digit.
        compare: { output: 'probabilities' },
        expect: 'same',
        gate: { disagreement: 0.01, exposure: { requests: 100, for: '0s' } },
      },
    })
    let gateway = await startGateway({ routes: text })
    const latched = await until(
      async () => {
        await load(gateway, 100)
        return (await gateway.status()).routes[0]!.versions.find(({ version }) => version === '1.1.0')!.latched
      },
      { timeoutMs: 20_000, what: () => 'the abort' },
    )
    expect(latched).toMatchObject({ kind: 'abort', reason: expect.stringMatching(/disagree|differ/) })
    const verdict = await verdictOf(gateway)
    expect(verdict.guilty.map(({ metric }) => metric)).toContain('disagreement')
    expect((await act(gateway, 'promote', { candidate: '1.1.0' })).status).toBe(409)
    const gate = await understudy(['gate', 'risk', '1.1.0', '--admin', gateway.admin])
    expect(gate.code).toBe(3)

    // An aborted shadow stays mirrored, and editing the policy lifts nothing.
    const before = ((await getJson(`${gateway.admin}/v1/routes/risk/report`)) as Report).account.eligible
    await load(gateway, 50)
    await until(
      async () => ((await getJson(`${gateway.admin}/v1/routes/risk/report`)) as Report).account.eligible >= before + 50,
    )
    const { revision } = await gateway.status()
    await writeFile(gateway.routesFile, text.replace('"disagreement": 0.01', '"disagreement": 0.9'))
    await until(async () => (await gateway.status()).revision > revision || undefined, { timeoutMs: 5_000 })
    expect(
      (await gateway.status()).routes[0]!.versions.find(({ version }) => version === '1.1.0')!.latched,
    ).toBeDefined()
    await gateway.kill()
    gateway = await startGateway({ routes: text, folder: gateway.folder })
    expect(
      (await gateway.status()).routes[0]!.versions.find(({ version }) => version === '1.1.0')!.latched,
    ).toBeDefined()
    await gateway.stop()
  })
})

describe('evidence', () => {
  it('is the same after a restart, counter for counter', async () => {
    let gateway = await startGateway({ routes: file(SHADOW) })
    await load(gateway, 300)
    const evidence = async () =>
      (await getJson(`${gateway.admin}/v1/routes/risk/evidence`)) as {
        evidence: { periods: { counters: Record<string, number> }[]; mirrored: unknown }
      }
    // How long it served goes on until it stops: that is no observation.
    const observed = (periods: { counters: Record<string, number> }[]) =>
      periods.map(period => ({ ...period, counters: { ...period.counters, 'time.ms': undefined } }))
    await until(async () => {
      const { account } = (await getJson(`${gateway.admin}/v1/routes/risk/report`)) as Report
      return account.eligible === 300 && account.inFlight === 0
    })
    const before = (await evidence()).evidence
    await gateway.stop()
    gateway = await startGateway({ routes: file(SHADOW), folder: gateway.folder })
    const after = (await evidence()).evidence
    expect(observed(after.periods)).toEqual(observed(before.periods))
    expect(after.mirrored).toEqual(before.mirrored)
    await gateway.stop()
  })
})
