import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import {
  getJson,
  inParallel,
  predict,
  routesOf,
  scratch,
  send,
  startGateway,
  tumourRequest,
  understudy,
  until,
} from '../e2e/gateway.ts'

const routes = routesOf({
  'tumour-risk': {
    live: '1.0.0',
    versions: {
      '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
      '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow: 100 },
    },
  },
})
const path = '/v1/routes/tumour-risk/report?candidate=1.1.0'

it('a gateway remembers how its verdicts came about, over a restart too, and writes the page in both ways', async () => {
  const folder = await scratch()
  const first = await startGateway({ routes, folder })
  await inParallel(60, 4, () => predict(first, 'tumour-risk', tumourRequest()))
  const frames = (report: Report) => Math.max(0, ...report.history.map(({ points }) => points.length))
  const of = async (gateway: { admin: string }) => (await getJson(gateway.admin + path)) as Report
  const before = await until(async () => {
    const report = await of(first)
    return frames(report) >= 4 && report.comparison.compared === 60 ? report : undefined
  })
  expect(before.history.every(({ metric, what }) => metric !== '' && what !== '')).toBe(true)
  expect(before.policy).toMatchObject({ expect: 'same', compare: { again: 0 } })
  expect(before.candidate).toMatchObject({ target: 'tumour-risk/1.1.0', identityVerified: true })

  const file = join(folder, 'report.html')
  const { code, out, err } = await understudy([
    'report',
    'tumour-risk',
    '1.1.0',
    ...['--format', 'html', '--out', file, '--admin', first.admin],
  ])
  expect({ code, out, err }).toEqual({ code: 0, out: '', err: `written to ${file}\n` })
  const served = await send(`${first.admin}${path}&format=html`)
  for (const page of [await readFile(file, 'utf8'), served.text]) {
    expect(page).toMatch(/^<!doctype html>/)
    expect(page).toContain('60 pairs compared')
    expect(page).toContain('<polyline class="candidate"')
  }
  await first.stop()

  const second = await startGateway({ routes, folder })
  const kept = await until(async () => {
    const report = await of(second)
    return frames(report) >= frames(before) ? report : undefined
  })
  const times = (report: Report) =>
    report.history.find(({ metric }) => metric === 'disagreement')!.points.map(([at]) => at)
  // The last point of a report is its own moment.
  const seen = times(before).slice(0, -1)
  expect(times(kept).slice(0, seen.length)).toEqual(seen)
  await second.stop()
})
