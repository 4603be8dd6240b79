import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Counters } from '../../src/evidence/counters.ts'
import type { PairCount } from '../../src/evidence/pairCount.ts'
import { Recount } from '../../src/report/recount.ts'
import type { FinishedRequest } from '../../src/telemetry/finished.ts'
import { keepRequest } from '../../src/telemetry/keep.ts'
import { readSpans } from '../../src/telemetry/readSpans.ts'
import { readTold } from '../../src/telemetry/readTold.ts'
import { writeRequestSpans } from '../../src/telemetry/spans.ts'
import { askClickhouse, HAS_CLICKHOUSE, type OtlpRequest } from './clickhouse.ts'
import { writtenSpans } from './ownSpans.ts'

const RATIO = 0.25
const SENT = 800
const FOLDER = fileURLToPath(new URL('../../src/telemetry/queries', import.meta.url))
const queries = Object.fromEntries(
  readdirSync(FOLDER)
    .filter(file => file.endsWith('.sql'))
    .map(file => [file.replace(/\.sql$/, ''), readFileSync(join(FOLDER, file), 'utf8')]),
)
const CANDIDATES = ['1.1.0', '2.0.0']
const keyOf = (version: string) => `risk/${version}/a/000001`

/** What happened to one request: 1.1.0 differs at two of seven, 2.0.0 fails at one of eleven and is dropped at one of 13. */
function pairsOf(n: number): readonly PairCount[] {
  const differs = n % 7 < 2
  const base = {
    dropped: undefined,
    errors: { baseline: false, candidate: false },
    unstable: false,
    differences: [differs ? 800 : 0],
    answers: [],
    segments: [`origin=${['JFK', 'EWR', 'LGA'][n % 3]}`],
    latency: n > 100 ? ([1 + (n % 10), 2 + (n % 20)] as const) : undefined,
    late: [],
    sampled: false,
  }
  const second: PairCount =
    n % 13 === 0
      ? { ...base, result: 'dropped', dropped: 'queue_full', errors: undefined, differences: [], latency: undefined }
      : n % 11 === 0
        ? {
            ...base,
            result: 'timeout',
            errors: { baseline: false, candidate: true },
            differences: [],
            latency: undefined,
          }
        : { ...base, result: 'match', differences: [0] }
  return [{ ...base, result: differs ? 'mismatch' : 'match' }, second]
}

function requestOf(n: number): FinishedRequest | undefined {
  // Evenly spread, in no order.
  const low = Math.floor(((n * 0.618033988749895) % 1) * 2 ** 52)
  const traceId = `${(n + 1).toString(16).padStart(16, '0')}00${low.toString(16).padStart(13, '0')}0`
  const startMs = Date.now() - 60_000 + n
  const failed = n % 17 === 0
  const forced = n % 19 === 0
  const pairs = forced ? [] : pairsOf(n)
  const kept = keepRequest(
    { traceId, results: pairs.map(({ result }) => result), failed, durationMs: 5 },
    { ratio: RATIO, slowMs: 1_000 },
  )
  if (kept === undefined) return undefined
  const side = (version: string) => ({ version, digest: version })
  return {
    route: 'risk',
    revision: 1,
    protocol: 'v2',
    requestId: `id-${n}`,
    traceId,
    spanId: (n + 1).toString(16).padStart(16, '0'),
    parentSpanId: '',
    tracestate: '',
    method: 'POST',
    httpRoute: '/v2/models/{model_name}/infer',
    path: '/v2/models/risk/infer',
    status: failed ? 503 : 200,
    startMs,
    durationMs: 5,
    errorType: '',
    assigned: forced ? 'targeting_match' : 'split',
    servedVersion: '1.0.0',
    inferences: [],
    comparisons: pairs.map((count, index) => ({
      result: count.result,
      baseline: { ...side('1.0.0'), answer: 0.25, ...(count.latency && { latencyMs: count.latency[0] }) },
      candidate: {
        ...side(CANDIDATES[index]!),
        answer: `n${n}`,
        ...(count.latency && { latencyMs: count.latency[1] }),
      },
      startMs: startMs + 5,
      durationMs: 0,
      evidence: {
        key: keyOf(CANDIDATES[index]!),
        stage: 'canary',
        share: 0.5,
        number: n,
        count,
        again: undefined,
        predictions: undefined,
        scores: undefined,
      },
    })),
    kept,
    evidence: {
      epoch: Math.floor(n / 100),
      originMs: startMs,
      ratio: RATIO,
      count: {
        arm: 'b',
        arms: forced ? [] : CANDIDATES.map(keyOf),
        failed: failed && !forced,
        latencyMs: undefined,
        cohorts: [],
        label: undefined,
        mirrored: forced ? [] : CANDIDATES.map(keyOf),
        notSampled: [],
      },
    },
  }
}

const allSpans = () =>
  writtenSpans((tracer, ids) => {
    for (let n = 0; n < SENT; n++) {
      const request = requestOf(n)
      if (request !== undefined) writeRequestSpans(tracer, ids, request)
    }
  }) as OtlpRequest

describe.skipIf(!HAS_CLICKHOUSE)('the ready queries on a real ClickHouse', { timeout: 180_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-test-'))
  let answers: Awaited<ReturnType<typeof askClickhouse>>
  const weighted = new Map<string, Counters>()

  beforeAll(async () => {
    const spans = allSpans()
    const recount = new Recount({
      route: 'risk',
      limits: { p50: 1.1, p95: 1.1, p99: 1.25, slack: 0 },
      blocksMs: undefined,
    })
    for (const span of readSpans(spans)) {
      const told = readTold(span)
      if (typeof told === 'object') recount.take(told)
    }
    recount.end()
    for (const version of CANDIDATES) weighted.set(version, recount.weightedOf(keyOf(version)).sum)
    answers = await askClickhouse([spans], queries, { route: 'risk', hours: 2 }, folder)
  }, 180_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const at = (version: string, ...slots: string[]) =>
    slots.reduce((sum, slot) => sum + (weighted.get(version)!.get(slot) ?? 0), 0)

  it('find their spans', () => {
    for (const [name, rows] of Object.entries(answers)) expect(rows.length, name).toBeGreaterThan(0)
  })

  it('estimate how often each candidate differs as the report does, near the truth', () => {
    expect(answers.disagreement).toHaveLength(2)
    for (const version of CANDIDATES) {
      const row = answers.disagreement!.find(({ candidate }) => candidate === version)!
      expect(Number(row.pairs)).toBeCloseTo(at(version, 'pair.match', 'pair.mismatch'), 6)
      expect(Number(row.differ)).toBeCloseTo(at(version, 'pair.mismatch'), 6)
    }
    const share = Number(answers.disagreement!.find(({ candidate }) => candidate === '1.1.0')!.share)
    expect(Math.abs(share - 2 / 7)).toBeLessThan(0.03)
  })

  it('account for every request that was to be a pair', () => {
    const of = (result: string) =>
      Number(answers.outcomes!.find(row => row.candidate === '2.0.0' && row.result === result)?.requests ?? 0)
    expect(of('match')).toBeCloseTo(at('2.0.0', 'pair.match'), 6)
    expect(of('timeout')).toBeCloseTo(at('2.0.0', 'mirror.failed.timeout'), 6)
    expect(of('dropped')).toBeCloseTo(at('2.0.0', 'mirror.dropped.queue_full'), 6)
    expect(of('timeout')).toBeGreaterThan(0)
    const dropped = answers.outcomes!.filter(({ result }) => result === 'dropped')
    expect(dropped.map(({ drop_reason }) => drop_reason)).toEqual(['queue_full'])
  })

  it('give weighted quantiles of both sides', () => {
    for (const version of CANDIDATES) {
      const row = answers.latency!.find(({ candidate }) => candidate === version)!
      const pairs = [...weighted.get(version)!].filter(([slot]) => slot.startsWith('plat.b.'))
      expect(Number(row.pairs)).toBeCloseTo(
        pairs.reduce((sum, [, n]) => sum + n, 0),
        2,
      )
      const [p50, p95, p99] = row.baseline as number[]
      expect([p50! >= 4 && p50! <= 7, p95! >= 9, p99]).toEqual([true, true, 10])
      expect((row.candidates as number[])[2]).toBe(21)
    }
  })

  it('rank segments by their share', () => {
    const rows = answers.segments!.filter(({ candidate }) => candidate === '1.1.0')
    expect(rows.map(({ segment }) => segment).toSorted()).toEqual(['origin=EWR', 'origin=JFK', 'origin=LGA'])
    for (const { segment, pairs, share } of rows) {
      const differ = at('1.1.0', `pair.mismatch@${segment}`)
      expect(Number(pairs)).toBeCloseTo(differ + at('1.1.0', `pair.match@${segment}`), 6)
      expect(Number(share)).toBeCloseTo(differ / Number(pairs), 6)
    }
    const shares = answers.segments!.map(({ share }) => Number(share))
    expect(shares).toEqual(shares.toSorted((a, b) => b - a))
  })

  it('count requests and failures by version, without those that a tester steered', () => {
    expect(answers.errors).toHaveLength(1)
    const [row] = answers.errors!
    expect(row).toMatchObject({ version: '1.0.0', role: 'live' })
    expect(Number(row!.requests)).toBeCloseTo(at('1.1.0', 'arm.b.n'), 6)
    expect(Number(row!.failed)).toBeCloseTo(at('1.1.0', 'arm.b.err'), 6)
    expect(Number(row!.failed)).toBeGreaterThan(20)
    const all = answers.requests!.reduce((sum, { requests }) => sum + Number(requests), 0)
    expect(Math.abs(all - SENT)).toBeLessThan(0.05 * SENT)
    expect(new Set(answers.requests!.map(({ chosen }) => chosen))).toEqual(new Set(['split', 'targeting_match']))
  })

  it('show the slowest mismatches first, with what both sides said', () => {
    const times = answers.slowest!.map(({ candidate_ms }) => Number(candidate_ms))
    expect(times).toEqual(times.toSorted((a, b) => b - a))
    expect(times[0]).toBe(21)
    for (const row of answers.slowest!) {
      expect(row).toMatchObject({ candidate: '1.1.0', baseline: '0.25' })
      expect(row.candidate_said).toBe(`n${String(row.request_id).slice(3)}`)
    }
  })
})
