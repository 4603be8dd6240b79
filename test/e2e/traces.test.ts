import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import { runHere } from '../cli/runHere.ts'
import { getJson, until } from './gateway.ts'
import { labelAll, type TracedGateway, tracedGateway, traffic } from './tracedGateway.ts'

interface EvidenceJson {
  readonly evidence: {
    readonly periods: readonly { readonly counters: Record<string, number>; readonly segments: readonly string[] }[]
    readonly stepElapsedMs: number
  }
}

const CANDIDATES = ['1.1.0', '2.0.0', '3.0.0']

async function live(gateway: TracedGateway, candidate: string) {
  const of = async (what: string) => getJson(`${gateway.admin}/v1/routes/risk/${what}?candidate=${candidate}`)
  return { report: (await of('report')) as Report, evidence: (await of('evidence')) as EvidenceJson }
}

/** Nothing is under way, and what was asked for is counted. */
async function settled(gateway: TracedGateway, isCounted: (report: Report) => boolean = () => true): Promise<void> {
  let last = ''
  await until(
    async () => {
      const reports = await Promise.all(CANDIDATES.map(candidate => live(gateway, candidate)))
      const now = JSON.stringify(reports.map(({ evidence }) => withoutTime(evidence)))
      const isSame = now === last
      last = now
      return isSame && reports.every(({ report }) => report.account.inFlight === 0 && isCounted(report))
    },
    { timeoutMs: 60_000, what: () => `the evidence to settle: ${last.slice(0, 2_000)}` },
  )
}

async function recomputed<T>(gateway: TracedGateway, candidate: string, format: string, ...more: string[]): Promise<T> {
  const args = ['report', 'risk', candidate, '--traces', gateway.spanFile, '--routes', gateway.routesFile]
  const { code, out, err } = await runHere([...args, '--format', format, ...more])
  expect([err, code]).toEqual(['', 0])
  return JSON.parse(out) as T
}

/** Time is the one thing that spans know otherwise: from the first to the last of them. */
function withoutTime({ evidence }: EvidenceJson): EvidenceJson['evidence'] {
  return {
    ...evidence,
    stepElapsedMs: 0,
    periods: evidence.periods.map(({ counters, ...period }) => ({
      ...period,
      counters: Object.fromEntries(Object.entries(counters).filter(([slot]) => slot !== 'time.ms').sort()),
    })),
  }
}

function comparable({ verdict, ...report }: Report) {
  const { generatedAt: _, history: __, timeToVerdict: ___, traces: ____, baseline, candidate, ...rest } = report
  const { target: _t, identityVerified: _i, ...baselineRest } = baseline
  const { target: _u, identityVerified: _j, ...candidateRest } = candidate
  const { reason: _r, missing: _m, exposure, ...verdictRest } = verdict
  return {
    ...rest,
    baseline: baselineRest,
    candidate: candidateRest,
    verdict: { ...verdictRest, exposure: { ...exposure, elapsedMs: 0 } },
  }
}

describe('a report from spans', { timeout: 240_000 }, () => {
  it('is the report of the gateway that wrote them, counter by counter, where every request was kept', async () => {
    const gateway = await tracedGateway(1)
    const sent = 1_200
    await traffic(gateway, sent)
    await settled(gateway)
    const labels = await labelAll(gateway, sent)
    await settled(gateway, ({ labels: told }) => (told?.n ?? 0) > 0)
    const known = await Promise.all(CANDIDATES.map(candidate => live(gateway, candidate)))
    await gateway.stop()

    for (const [index, candidate] of CANDIDATES.entries()) {
      const { report, evidence } = known[index]!
      const again = await recomputed<EvidenceJson>(gateway, candidate, 'evidence', '--labels', labels)
      expect(withoutTime(again)).toEqual(withoutTime(evidence))
      const lost = evidence.evidence.stepElapsedMs - again.evidence.stepElapsedMs
      expect(lost, 'time before the first and after the last request').toBeGreaterThan(-100)
      const made = await recomputed<Report>(gateway, candidate, 'json', '--labels', labels)
      expect(made.verdict.evidenceDigest).toBe(report.verdict.evidenceDigest)
      expect(comparable(made)).toEqual(comparable(report))
      expect(made.traces).toMatchObject({ ratio: [1, 1], estimates: [] })
    }

    // What was in the traffic is in the evidence, or the above would say little.
    const [canary, shadow, failing] = known.map(({ evidence }) => {
      const slots = evidence.evidence.periods.at(-1)!.counters
      return (prefix: string) =>
        Object.entries(slots).reduce((sum, [slot, n]) => sum + (slot.startsWith(prefix) ? n : 0), 0)
    })
    for (const slot of ['arm.b.n', 'arm.c.n', 'arm.k.n', 'lat.b.', 'lat.c.', 'late.b.n', 'block.n', 'pair.match'])
      expect(canary!(slot), slot).toBeGreaterThan(0)
    for (const slot of [
      'mirror.not_sampled',
      'mirror.dropped.too_large',
      'pair.mismatch',
      'pair.match@features[0]',
      'diff.',
      'plat.b.',
      'pair.late.',
      'score.',
      'class.',
      'mean.',
      'again.',
      'loss.',
    ])
      expect(shadow!(slot), slot).toBeGreaterThan(0)
    expect(failing!('mirror.failed.candidate_error')).toBeGreaterThan(50)
    expect(failing!('pair.err.c@')).toBeGreaterThan(0)
  })

  it('covers a restart, reads what was delivered twice once, and skips half lines and foreign spans', async () => {
    const first = await tracedGateway(1)
    await traffic(first, 300)
    await settled(first)
    await first.stop()
    const second = await tracedGateway(1, first.folder)
    await traffic(second, 300, 300)
    await settled(second)
    const known = await live(second, '2.0.0')
    await second.stop()

    const text = await (await import('node:fs/promises')).readFile(second.spanFile, 'utf8')
    const lines = text.trimEnd().split('\n')
    const foreign = JSON.stringify({
      resourceSpans: [
        {
          scopeSpans: [
            {
              spans: [
                {
                  traceId: '1'.repeat(32),
                  spanId: '2'.repeat(16),
                  name: 'GET /',
                  kind: 2,
                  startTimeUnixNano: '1',
                  endTimeUnixNano: '2',
                },
              ],
            },
          ],
        },
      ],
    })
    const spoilt = join(second.folder, 'spoilt.jsonl')
    await writeFile(spoilt, [...lines, foreign, ...lines.toReversed(), lines.at(-1)!.slice(0, 500)].join('\n'))
    const args = ['report', 'risk', '2.0.0', '--routes', second.routesFile, '--format', 'evidence']
    const { out, err, code } = await runHere([...args, '--traces', spoilt])
    expect([err, code]).toEqual(['lines left out that are no JSON: 1\n', 0])
    expect(withoutTime(JSON.parse(out) as EvidenceJson)).toEqual(withoutTime(known.evidence))
  })
})
