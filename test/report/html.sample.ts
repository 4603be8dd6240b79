// Reports for the page: one with everything, one with nothing, one of hostile texts and figures that JSON may hold.
import { type Counters, count } from '../../src/evidence/counters.ts'
import { differenceBin, latencyBin, magnitudeBin } from '../../src/evidence/histogram.ts'
import { judge } from '../../src/gate/verdict.ts'
import type { Manifest } from '../../src/models/manifest.ts'
import type { HistoryPoint, MetricHistory } from '../../src/report/charts.ts'
import { buildReport } from '../../src/report/report.ts'
import type { Report } from '../../src/report/status.ts'
import { evidence, policy, report, shadowCounters } from './sample.ts'

const generatedAt = '2026-01-01T01:00:00Z'

/** As the command receives it. */
export function throughJson(of: Report): Report {
  return JSON.parse(JSON.stringify(of)) as Report
}

function with_(counters: Counters): Report {
  const periods = [{ ...evidence.periods[0]!, counters, startedAt: '2026-01-01T00:00:00Z' }]
  const of = { ...evidence, periods }
  return buildReport({
    evidence: of,
    verdict: judge(of, policy),
    manifests: { baseline: undefined, candidate: undefined },
    generatedAt,
    policy,
  })
}

const manifest: Manifest = {
  name: 'flight-delay',
  version: '1.0.0',
  description: 'First release',
  file: 'model.onnx',
  sha256: 'a'.repeat(64),
  signature: {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
    outputs: [{ name: 'probability', datatype: 'FP32', shape: [-1, 2] }],
  },
  provenance: {
    dataset: { name: 'flights', version: '0.0.3', origin: 'PyPI', sha256: 'f'.repeat(64), split: 'by time' },
    code: { revision: 'c0ffee', command: 'train.py', seed: 7 },
    frameworks: { 'scikit-learn': '1.9.1' },
  },
  golden: { tolerance: { absolute: 0, relative: 0 }, vectors: [{ inputs: [], outputs: [] }] },
}

/** Nothing was counted, by nobody. */
export const empty: Report = with_(new Map())

/** Whatever is drawn, drawn: a confidence sequence over two steps, scores, classes, latencies, 64 segments, provenance. */
export const full: Report = (() => {
  const counters: Counters = new Map(shadowCounters)
  for (let row = 0; row < 10; row += 1) {
    for (let column = 0; column < 10; column += 1) {
      counters.set(`score.${row}.${column}`, Math.round(900 * Math.exp(-((row - column) ** 2))))
    }
  }
  for (let name = 0; name < 10; name += 1) {
    counters.set(`class.${name}|${name}`, 500 + name)
    counters.set(`class.${name}|${(name * 3) % 10}`, 20 + name)
  }
  for (let bin = 0; bin < 200; bin += 1) {
    counters.set(`plat.b.${latencyBin(0.5 * 1.02 ** bin)}`, 1 + ((bin * 7) % 13))
    counters.set(`plat.c.${latencyBin(0.6 * 1.02 ** bin)}`, 1 + ((bin * 5) % 11))
  }
  for (let size = 1; size < 60; size += 1) {
    counters.set(`diff.${magnitudeBin(1e-4 * 1.15 ** size)}`, 60 - size)
    count(counters, `loss.${differenceBin(size / 100)}`, 60 - size)
    count(counters, `loss.${differenceBin(-size / 120)}`, 60 - size)
  }
  for (let slot = 0; slot < 64; slot += 1) {
    const amounts = [
      ['pair.match', 100],
      ['pair.mismatch', slot % 9],
      ['pair.ok', 100 + (slot % 9)],
      [`loss.${differenceBin((slot - 30) / 300)}`, 40],
    ] as const
    for (const [name, amount] of amounts) {
      count(counters, name, amount)
      count(counters, `${name}@dest=D${slot}`, amount)
    }
  }
  const built = with_(counters)
  return {
    ...built,
    baseline: { ...built.baseline, manifest, target: 'flight-delay/1.0.0', identityVerified: true },
    candidate: { ...built.candidate, target: 'http://127.0.0.1:9001', identityVerified: false },
    history: historyOf(built),
    attempt: 3,
    waiver: {
      metrics: ['latency.p99'],
      reason: 'the new build is known to be slower',
      until: Date.parse('2026-02-01T00:00:00Z'),
      expired: false,
    },
  }
})()

function historyOf({ verdict }: Report): MetricHistory[] {
  return verdict.metrics
    .filter(({ segment }) => segment === undefined)
    .map(row => ({
      metric: row.metric,
      what: row.what,
      points: Array.from({ length: 100 }, (_, index): HistoryPoint => {
        const step = index < 60 ? 0 : 5
        const n = index < 60 ? index : index - 59
        const width = 0.2 / Math.sqrt(n + 1)
        const middle = (row.estimate ?? 0) + width * Math.sin(index / 4) * 0.2
        const at = Date.parse(generatedAt) - (100 - index) * 36_000
        return [at, step, n * 30, middle, middle - width, middle + width, row.limit, n / 20, n / 9]
      }),
    }))
}

export const HOSTILE = `"><script>alert(1)</script><img src=x onerror=alert(1)>'&amp;\u202e`
const LONG = 'x'.repeat(300)

/** Every text that comes from a request, a model or a file would run a script if it were not escaped. */
export const hostile: Report = (() => {
  const built: Report = {
    ...with_(
      new Map([
        ...shadowCounters,
        [`class.${HOSTILE.replace('@', '')}|${LONG}`, 4],
        ['class.b|b', 5],
        [`pair.mismatch@${HOSTILE}`, 50],
        [`pair.match@${LONG}`, 50],
      ]),
    ),
  }
  const text = JSON.stringify(built)
    .replaceAll('1.1.0', JSON.stringify(HOSTILE).slice(1, -1))
    .replaceAll('1.0.0', LONG)
    .replaceAll('2026-01-01T01:00:00Z', JSON.stringify(HOSTILE).slice(1, -1))
  const parsed = JSON.parse(text) as Report
  return {
    ...parsed,
    route: HOSTILE,
    candidate: { ...parsed.candidate, target: HOSTILE, manifest: { ...manifest, description: HOSTILE } },
    policy: { [HOSTILE]: HOSTILE, gate: { x: [HOSTILE] } },
    waiver: { metrics: [HOSTILE as 'errors'], reason: HOSTILE, until: Number.NaN, expired: false },
    verdict: { ...parsed.verdict, reason: HOSTILE, missing: [HOSTILE, LONG] },
  }
})()

/** Figures at their ends: a thousand million of everything, one bin, no number at all. */
export const extreme: Report = (() => {
  const counters = new Map<string, number>([
    ['mirror.eligible', 1e9],
    ['mirror.compared', 1e9 - 1],
    ['mirror.lost', 1],
    ['pair.match', 1e9],
    ['pair.mismatch', 1],
    ['diff.0', 1e9],
    [`diff.${magnitudeBin(1e12)}`, 1],
    [`loss.${differenceBin(0)}`, 1e9],
    [`plat.b.${latencyBin(1)}`, 1e9],
    [`plat.c.${latencyBin(1e9)}`, 1],
    ['score.3.3', 1e9],
    ['class.only|only', 1e9],
  ])
  const built = with_(counters)
  const odd = [Number.NaN, null, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e300, -1e-300, 0] as const
  // Types say number; JSON may say null all the same.
  const at = (index: number) => odd[index % odd.length] as number
  return {
    ...built,
    verdict: {
      ...full.verdict,
      metrics: full.verdict.metrics.map((row, index) => ({
        ...row,
        n: 1e9,
        estimate: at(index),
        interval: [at(index + 1), at(index + 3)] as const,
        limit: at(index + 2),
        logHarm: at(index + 3),
        logSafe: at(index + 4),
        logSafeNeeded: at(index + 5),
        needed: 1e12,
        state: 'open' as const,
      })),
    },
    history: full.verdict.metrics
      .filter(({ segment }) => segment === undefined)
      .map(({ metric, what }, series) => ({
        metric,
        what,
        points: Array.from(
          { length: series },
          (_, index): HistoryPoint =>
            [
              index,
              index % 3,
              at(index),
              ...([2, 3, 4, 5, 6, 0] as const).map(more => at(index * series + more)),
            ] as unknown as HistoryPoint,
        ),
      })),
  }
})()

export { report as plain }
