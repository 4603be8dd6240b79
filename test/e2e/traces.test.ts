import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import { runHere } from '../cli/runHere.ts'
import { getJson, until } from './gateway.ts'
import { labelAll, ODD, type TracedGateway, tracedGateway, traffic } from './tracedGateway.ts'

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

/** All of the first `sent` requests are committed: epochs are, in order and whole. */
async function settled(
  gateway: TracedGateway,
  sent: number,
  isCounted: (report: Report) => boolean = () => true,
): Promise<void> {
  const counted = Array.from({ length: sent }, (_, index) => index).filter(index => index % ODD.forced !== 0).length
  let last: unknown
  await until(
    async () => {
      const [canary, ...others] = await Promise.all(CANDIDATES.map(candidate => live(gateway, candidate)))
      const { counters } = canary!.evidence.evidence.periods.at(-1)!
      const arms = (counters['arm.b.n'] ?? 0) + (counters['arm.c.n'] ?? 0)
      last = [arms, ...[canary!, ...others].map(({ report }) => report.account)]
      return (
        arms === counted &&
        [canary!, ...others].every(({ report }) => report.account.inFlight === 0 && isCounted(report))
      )
    },
    { timeoutMs: 60_000, what: () => `the evidence of ${counted} requests to settle: ${JSON.stringify(last)}` },
  )
}

/** Of a canary's arm and of a shadow's pairs. */
async function countsLate(gateway: TracedGateway): Promise<boolean> {
  const [canary, shadow] = await Promise.all(['1.1.0', '2.0.0'].map(candidate => live(gateway, candidate)))
  const has = ({ evidence }: { evidence: EvidenceJson }, slot: string) =>
    Object.keys(evidence.evidence.periods.at(-1)!.counters).some(name => name.startsWith(slot))
  return has(canary!, 'late.b.n') && has(shadow!, 'pair.late.')
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
      counters: Object.fromEntries(
        Object.entries(counters)
          .filter(([slot]) => slot !== 'time.ms')
          .sort(),
      ),
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

/** What the gateway counted, in the words of the estimates. */
function truthOf(counters: Record<string, number>): (what: string) => number {
  const at = (...slots: string[]) => slots.reduce((sum, slot) => sum + (counters[slot] ?? 0), 0)
  const compared = at('pair.match', 'pair.mismatch')
  const observed = at('pair.ok', 'pair.err.b', 'pair.err.c', 'pair.err.both')
  const truths: Record<string, number> = {
    'pairs compared': compared,
    differ: at('pair.mismatch') / compared,
    'candidate failed': at('pair.err.c', 'pair.err.both') / observed,
    'baseline failed': at('pair.err.b', 'pair.err.both') / observed,
    'live answers of the baseline': at('arm.b.n'),
    'live answers of the baseline that failed': at('arm.b.err') / at('arm.b.n'),
    'live answers of the candidate': at('arm.c.n'),
    'live answers of the candidate that failed': at('arm.c.err') / at('arm.c.n'),
  }
  return what => {
    if (truths[what] === undefined) throw new Error(`nobody knows ${what}`)
    return truths[what]
  }
}

describe('a report from spans', { timeout: 240_000 }, () => {
  it('is the report of the gateway that wrote them, counter by counter, where every request was kept', async () => {
    // The worse one as the shadow: a canary would be aborted as soon as labels show it, and no candidate then.
    const gateway = await tracedGateway({ threads: 2, canary: '2.0.0', shadow: '1.1.0' })
    let sent = 0
    // How many latencies count, and teach what is late, depends on the machine: requests that share a run are none.
    do {
      await traffic(gateway, 1_200, sent)
      sent += 1_200
      await settled(gateway, sent)
    } while (sent < 12_000 && !(await countsLate(gateway)))
    const labels = await labelAll(gateway, sent)
    await settled(gateway, sent, ({ labels: told }) => (told?.n ?? 0) > 0)
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

  it('holds the truth within its bounds where a tenth was kept, and judges by the tenth alone', async () => {
    const gateway = await tracedGateway({ ratio: 0.1, tolerance: 0.3, differing: 5 })
    const sent = 2_000
    await traffic(gateway, sent)
    await settled(gateway, sent)
    const known = await Promise.all(CANDIDATES.map(candidate => live(gateway, candidate)))
    await gateway.stop()
    let compared = 0
    for (const [index, candidate] of CANDIDATES.entries()) {
      const { report, evidence } = known[index]!
      const counters = evidence.evidence.periods.at(-1)!.counters
      const again = await recomputed<EvidenceJson>(gateway, candidate, 'evidence')
      for (const [slot, n] of Object.entries(again.evidence.periods.at(-1)!.counters)) {
        // Limits of live latency are learned from what is there; all else is a part of what the gateway counted.
        if (!/^(late|block|time)\./.test(slot)) expect(n, slot).toBeLessThanOrEqual(counters[slot] ?? 0)
      }
      const made = await recomputed<Report>(gateway, candidate, 'json')
      const { sampled, requests, ratio, estimates } = made.traces!
      expect(ratio).toEqual([0.1, 0.1])
      expect(Math.abs(sampled - 0.1 * sent)).toBeLessThan(20)
      expect(requests).toBeLessThan(0.5 * sent)

      // The verdict is of its sample: each of its rows counts what the sample counted, and holds the truth in its bounds.
      expect(made.verdict.exposure.requests).toBeLessThan(0.2 * report.verdict.exposure.requests)
      expect(made.verdict.decision).not.toBe('promote')
      for (const row of made.verdict.metrics) {
        const whole = report.verdict.metrics.find(
          each => each.metric === row.metric && each.what === row.what && each.segment === row.segment,
        )
        if (row.interval === undefined || whole?.estimate == null) continue
        expect(row.interval[0], row.what).toBeLessThanOrEqual(whole.estimate)
        expect(row.interval[1], row.what).toBeGreaterThanOrEqual(whole.estimate)
        compared++
      }

      // The estimates are of all requests: at five standard errors, or one run in a hundred would fail on a 95 % interval.
      const truth = truthOf(counters)
      expect(estimates.length).toBeGreaterThan(1)
      for (const { what, estimate, interval } of estimates) {
        const half = 2.55 * Math.max(interval![1] - estimate!, estimate! - interval![0])
        expect(Math.abs(estimate! - truth(what)), `${candidate} ${what}`).toBeLessThanOrEqual(half + 1e-9)
      }
    }
    expect(compared).toBeGreaterThan(3)
  })

  it('covers a restart, reads what was delivered twice once, and skips half lines and foreign spans', async () => {
    const first = await tracedGateway()
    await traffic(first, 300)
    await settled(first, 300)
    await first.stop()
    const second = await tracedGateway({ folder: first.folder })
    await traffic(second, 300, 300)
    await settled(second, 600)
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
