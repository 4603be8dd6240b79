import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  inParallel,
  predict,
  routesOf,
  startGateway,
  TUMOUR_ROWS,
  tumourRequest,
  understudy,
  until,
} from './gateway.ts'

test('what a gateway recorded is exported whole, judged alike, and asked what if the tolerance had been another', async () => {
  const gateway = await startGateway({
    routes: routesOf({
      risk: {
        live: '1.0.0',
        versions: {
          '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
          '2.0.0': { onnx: 'tumour-risk/2.0.0', shadow: 100 },
        },
        compare: { output: 'probabilities', kind: 'probabilities', tolerance: { absolute: 0.02 } },
        gate: { disagreement: 0.5, drops: 1 },
      },
    }),
  })
  const sent = 300
  await inParallel(sent, 8, index =>
    predict(gateway, 'risk', tumourRequest(TUMOUR_ROWS[index % TUMOUR_ROWS.length]!.slice(0, 30))),
  )
  const compared = async () => (await gateway.status()).routes[0]!.candidates[0]!.account.compared
  await until(async () => (await compared()) === sent, { timeoutMs: 30_000 })

  const file = join(gateway.folder, 'week.json')
  const admin = ['--admin', gateway.admin]
  expect((await understudy(['report', 'risk', '--format', 'evidence', '--out', file, ...admin])).code).toBe(0)
  const status = (await gateway.status()).routes[0]!.candidates[0]!
  await gateway.stop()

  const judge = async (...args: string[]) => {
    const { code, out, err } = await understudy(['judge', file, '--json', ...args])
    expect([err, code]).toEqual(['', expect.any(Number)])
    return JSON.parse(out) as { decision: string; evidenceDigest: string; whatIf?: { note: string } }
  }
  expect(await judge()).toMatchObject({
    decision: status.verdict.decision,
    evidenceDigest: status.verdict.evidenceDigest,
    metrics: expect.arrayContaining([expect.objectContaining({ metric: 'disagreement', n: sent })]),
  })
  const counters = (
    JSON.parse(await readFile(file, 'utf8')) as { evidence: { periods: { counters: Record<string, number> }[] } }
  ).evidence.periods[0]!.counters
  const same = await judge('--tolerance', '0.02')
  const mismatches = counters['pair.mismatch'] ?? 0
  expect(mismatches).toBeGreaterThan(0)
  expect(same.whatIf!.note).toContain(`${mismatches} of ${sent} answers would differ`)
  expect((await judge('--tolerance', '1')).whatIf!.note).toMatch(/^0 of 300 /)
}, 120_000)
