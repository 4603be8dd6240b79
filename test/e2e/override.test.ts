import { writeFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import type { Verdict } from '../../src/gate/evidence.ts'
import {
  getJson,
  inParallel,
  predict,
  routesOf,
  startGateway,
  type TestGateway,
  TUMOUR_ROWS,
  tumourRequest,
  until,
} from './gateway.ts'

const metrics = ['disagreement', 'distribution']
/** Two models that differ, held to be the same to the last digit. */
const content = (override?: object) =>
  routesOf({
    risk: {
      live: '1.0.0',
      versions: {
        '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
        '2.0.0': { onnx: 'tumour-risk/2.0.0', shadow: 100, ...(override === undefined ? {} : { override }) },
      },
      compare: { output: 'probabilities' },
      gate: {
        exposure: { requests: 50, for: '0s' },
        latency: { p50: 1000, p95: 1000, p99: 1000, slack: '1s' },
        drops: 1,
      },
    },
  })
const load = (gateway: TestGateway) =>
  inParallel(150, 8, index =>
    predict(gateway, 'risk', tumourRequest(TUMOUR_ROWS[index % TUMOUR_ROWS.length]!.slice(0, 30))),
  )
const verdictOf = async (gateway: TestGateway) =>
  (await getJson(`${gateway.admin}/v1/routes/risk/gate?candidate=2.0.0`)) as Verdict
const route = async (gateway: TestGateway) => (await gateway.status()).routes[0]!
const latchOf = async (gateway: TestGateway) =>
  (await route(gateway)).versions.find(({ version }) => version === '2.0.0')!.latched

it('an override keeps a version from being aborted for what it waives, over a restart, and no longer than it stands', {
  timeout: 240_000,
}, async () => {
  const text = content({ metrics, reason: 'a known rounding', until: '2999-12-31' })
  let gateway = await startGateway({ routes: text })
  const waived = async () => {
    await load(gateway)
    const { metrics: rows } = await verdictOf(gateway)
    const row = rows.find(({ metric, segment }) => metric === 'disagreement' && segment === undefined)
    return row !== undefined && row.n >= 300 ? row : undefined
  }
  expect(await until(waived, { timeoutMs: 60_000 })).toMatchObject({ state: 'waived' })
  await gateway.kill()
  gateway = await startGateway({ routes: text, folder: gateway.folder })
  expect(await until(waived, { timeoutMs: 60_000 })).toMatchObject({ state: 'waived' })
  expect(await latchOf(gateway)).toBeUndefined()
  expect((await verdictOf(gateway)).decision).not.toBe('abort')

  await writeFile(gateway.routesFile, content())
  const latched = await until(
    async () => {
      await load(gateway)
      return latchOf(gateway)
    },
    { timeoutMs: 60_000, what: () => `the abort: ${gateway.log()}` },
  )
  expect(latched).toMatchObject({ kind: 'abort' })
  const { entries } = (await getJson(`${gateway.admin}/v1/history?route=risk`)) as {
    entries: { kind: string; reason: string }[]
  }
  expect(entries.filter(({ kind }) => kind === 'override').map(({ reason }) => reason)).toEqual([
    'the override of 2.0.0 is taken out',
  ])
  expect(entries[0]).toMatchObject({ kind: 'start', reason: expect.stringMatching(/override of 2\.0\.0 applied/) })
  await gateway.stop()
})

it('an override that has ended is told, moves no traffic, and raises nobody', { timeout: 120_000 }, async () => {
  const gateway = await startGateway({
    routes: content({ metrics, reason: 'a known rounding', until: '2020-01-01' }),
  })
  expect((await route(gateway)).notices).toContain(
    'the override of 2.0.0 ended (until 2020-01-01): renew it or take it out',
  )
  for (let turn = 0; turn < 4; turn++) await load(gateway)
  await new Promise(resolve => setTimeout(resolve, 2_500))
  expect(['continue', 'hold']).toContain((await verdictOf(gateway)).decision)
  expect(await latchOf(gateway)).toBeUndefined()
  await gateway.stop()
})
