import { describe, expect, it } from 'vitest'
import { droppedOf, failedOf } from '../../src/evidence/accounting.ts'
import { SLOT } from '../../src/evidence/counters.ts'
import { latencyBin } from '../../src/evidence/histogram.ts'
import { accountWithInFlight, buildReport, latencyOf } from '../../src/report/report.ts'
import { evidence, report, shadowCounters, verdict } from './sample.ts'

const build = (periods: typeof evidence.periods) =>
  buildReport({
    evidence: { ...evidence, periods },
    verdict: { ...verdict, metrics: [], guilty: [] },
    manifests: { baseline: undefined, candidate: undefined },
    generatedAt: '2026-01-01T01:00:00Z',
  })

describe('a report without evidence', () => {
  const empty = build([])

  it('counts nothing and knows no latency, difference or label', () => {
    expect(empty.account).toMatchObject({ eligible: 0, compared: 0, inFlight: 0, lost: 0 })
    expect(empty.comparison).toEqual({
      compared: 0,
      mismatches: 0,
      unstable: 0,
      difference: undefined,
      differenceBins: [],
    })
    expect(empty.latency.candidate).toEqual({ n: 0, p50Ms: null, p95Ms: null, p99Ms: null })
    expect(empty.labels).toBeUndefined()
    expect(empty.segments).toEqual([])
  })

  it('says that labels are awaited where the verdict asks for them', () => {
    const waiting = buildReport({
      evidence: { ...evidence, periods: [] },
      verdict,
      manifests: { baseline: undefined, candidate: undefined },
      generatedAt: '',
    })
    expect(waiting.labels).toEqual({ n: 0, meanDifference: null })
  })
})

describe('the account', () => {
  it('adds up, with what is unsettled in flight', () => {
    const { account } = report
    const { eligible, notSampled, compared, inFlight, lost } = account
    expect(notSampled + droppedOf(account) + failedOf(account) + compared + inFlight + lost).toBe(eligible)
    expect(inFlight).toBe(8)
  })

  it('is never negative in flight while threads settle at different times', () => {
    expect(accountWithInFlight(new Map([['mirror.compared', 3]])).inFlight).toBe(0)
  })
})

describe('answers', () => {
  it('gives quantiles of the difference by the upper edge of their bin', () => {
    const { difference, differenceBins } = report.comparison
    expect(difference).toMatchObject({ p50: 0, p90: 0 })
    expect(difference!.p99).toBeGreaterThanOrEqual(0.5)
    expect(difference!.max).toBeLessThan(0.5 * 1.03)
    expect(differenceBins.map(([, count]) => count)).toEqual([800, 80])
  })

  it('gives the mean loss difference within the width of its bins', () => {
    expect(report.labels!.n).toBe(400)
    expect(report.labels!.meanDifference).toBeCloseTo((300 * 0.1 - 100 * 0.05) / 400, 2)
  })

  it('tells who failed', () => {
    expect(report.errors).toEqual({ both: 0, baselineOnly: 0, candidateOnly: 4, neither: 880 })
  })
})

describe('segments', () => {
  it('come worst first, each with its own counts', () => {
    expect(report.segments.map(({ segment }) => segment)).toEqual(['origin=JFK', 'origin=EWR'])
    expect(report.segments[0]).toMatchObject({ compared: 120, mismatches: 70, labels: 250 })
    expect(report.segments[1]).toMatchObject({ candidateErrors: 4, labels: 0, meanLossDifference: null })
  })

  it('that the verdict names come before all others', () => {
    const named = buildReport({
      evidence,
      verdict: { ...verdict, guilty: [{ metric: 'errors', segment: 'origin=EWR' }] },
      manifests: { baseline: undefined, candidate: undefined },
      generatedAt: '',
    })
    expect(named.segments[0]!.segment).toBe('origin=EWR')
  })
})

describe('latency', () => {
  const canary = new Map([
    [`lat.b.${latencyBin(10)}`, 5],
    [`lat.c.${latencyBin(20)}`, 3],
    [SLOT.armCandidate, 3],
  ])

  it('of the shadow stage comes from pairs sent alone, of the canary stage from the live split', () => {
    const periods = [
      { stage: 'shadow', counters: shadowCounters },
      { stage: 'canary', counters: canary },
    ] as const
    expect(latencyOf(periods, 'shadow').candidate.n).toBe(90)
    const live = latencyOf(periods, 'canary')
    expect([live.baseline.n, live.candidate.n]).toEqual([5, 3])
    expect(live.candidate.p99Ms! / live.baseline.p99Ms!).toBeCloseTo(2, 1)
  })

  it('and requests of a step count the candidate’s own', () => {
    const steps = build([
      { key: 'a', stage: 'shadow', step: 0, share: 0, counters: shadowCounters },
      { key: 'b', stage: 'canary', step: 5, share: 0.05, counters: canary },
    ]).periods
    expect(steps.map(({ requests }) => requests)).toEqual([884, 3])
  })
})
