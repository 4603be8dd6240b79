// What a report draws, as compact figures: histograms, tables of two versions, curves. Pure; draws nothing.
import type { ReadonlyCounters } from '../evidence/counters.ts'
import {
  binsOf,
  DIFFERENCE_MIDDLES,
  highDifference,
  LARGEST_DIFFERENCE_BIN,
  quantileIndex,
} from '../evidence/histogram.ts'
import { KeptCounters } from '../evidence/keptCounters.ts'
import { type LatencyLimits, latencyThresholds, QUANTILE_NAMES, type QuantileName } from '../evidence/latency.ts'
import { jointDeciles } from '../gate/deciles.ts'
import type { Stage } from '../gate/evidence.ts'
import { shownLatencyEdge } from './shownEdges.ts'

/** One metric over time: `at` in ms since the Unix epoch, the candidate's percent of live traffic, then the verdict's row. */
export interface MetricHistory {
  readonly metric: string
  /** One metric may have several streams: paired errors, and those of live answers. */
  readonly what: string
  readonly points: readonly HistoryPoint[]
}

export type HistoryPoint = readonly [
  at: number,
  step: number,
  n: number | null,
  estimate: number | null,
  low: number | null,
  high: number | null,
  limit: number | null,
  logHarm: number | null,
  logSafe: number | null,
]

/** Counts in equal bins from `from` to `to`. */
export interface EqualBins {
  readonly from: number
  readonly to: number
  readonly counts: readonly number[]
}

/** How two distributions over the same bins differ. They decide nothing: see {@link distancesOf}. */
export interface Distances {
  /** Population stability index, Σ (c − b)·ln(c/b), with half an observation added to each bin. */
  readonly psi: number
  /** Kolmogorov–Smirnov: the largest distance of the two cumulative shares, 0 to 1. */
  readonly ks: number
  /** Jensen–Shannon divergence in bits, 0 to 1. */
  readonly js: number
}

export interface Charts {
  /** Loss difference (candidate − baseline) of labelled requests: exactly 0 apart, and what is beyond an end in its last bin. */
  readonly loss: (EqualBins & { readonly zero: number }) | undefined
  /** By decile of the baseline's own earlier scores: row = the baseline's decile, column = the candidate's. */
  readonly scores: { readonly counts: readonly (readonly number[])[]; readonly distances: Distances } | undefined
  /** Labels of both sides: row = the baseline's, column = the candidate's, most frequent first. */
  readonly classes:
    | {
        readonly names: readonly string[]
        readonly counts: readonly (readonly number[])[]
        readonly distances: Distances
      }
    | undefined
  /** Latency bins of the present stage; the edge of the open last bin is null. */
  readonly latency: {
    readonly baseline: readonly (readonly [upperEdgeMs: number | null, count: number])[]
    readonly candidate: readonly (readonly [upperEdgeMs: number | null, count: number])[]
    /** The largest latency of the candidate that is still fine, ms; absent while the baseline has too few. */
    readonly limitsMs: Readonly<Partial<Record<QuantileName, number>>>
  }
}

const LOSS_BINS = 48
/** More classes than these are drawn as one. */
const CLASSES = 16

/** @param whole counters of all periods; @param periods the same apart, for what belongs to the present stage only */
export function chartsOf(
  whole: ReadonlyCounters,
  periods: readonly { readonly stage: Stage; readonly counters: ReadonlyCounters }[],
  stage: Stage,
  limits: LatencyLimits | undefined,
): Charts {
  return {
    loss: lossChart(whole),
    scores: scoreChart(whole),
    classes: classChart(whole),
    latency: latencyChart(periods, stage, limits),
  }
}

/**
 * Distances of two distributions over the same bins, for display. They decide nothing: none of them says how much chance
 * alone would make of it (PSI exceeds 0.1 in a third of comparisons of a model with itself at 200 requests).
 * Sources: PSI as used in credit scoring (Siddiqi 2006); KS: largest gap of the step functions; JS: Lin 1991, base 2.
 * @returns zeros where a side has no observation
 */
export function distancesOf(baseline: readonly number[], candidate: readonly number[]): Distances {
  const [b, c] = [sum(baseline), sum(candidate)]
  if (b <= 0 || c <= 0) return { psi: 0, ks: 0, js: 0 }
  const bins = baseline.length
  let [psi, ks, js, gap] = [0, 0, 0, 0]
  for (let bin = 0; bin < bins; bin += 1) {
    const [nb, nc] = [baseline[bin]!, candidate[bin]!]
    const [p, q] = [nb / b, nc / c]
    const [sp, sq] = [(nb + 0.5) / (b + bins / 2), (nc + 0.5) / (c + bins / 2)]
    psi += (sq - sp) * Math.log(sq / sp)
    gap += q - p
    ks = Math.max(ks, Math.abs(gap))
    const middle = (p + q) / 2
    if (p > 0) js += (p * Math.log2(p / middle)) / 2
    if (q > 0) js += (q * Math.log2(q / middle)) / 2
  }
  return { psi, ks: Math.min(ks, 1), js: Math.min(Math.max(js, 0), 1) }
}

/** Of all periods of a stage; to be read at once. */
export function countersOfStage(
  periods: readonly { readonly stage: Stage; readonly counters: ReadonlyCounters }[],
  stage: Stage,
): KeptCounters {
  return KeptCounters.sumOf(periods.filter(period => period.stage === stage).map(({ counters }) => counters))
}

function lossChart(counters: ReadonlyCounters): Charts['loss'] {
  const bins = binsOf(counters, 'loss').filter(([, amount]) => amount > 0)
  if (bins.length === 0) return undefined
  // One-sided or tiny differences get the whole width, and 0 stays in the middle; the largest 1 % go into the ends.
  const bySize = new Float64Array(LARGEST_DIFFERENCE_BIN + 1)
  for (const [bin, amount] of bins) bySize[Math.abs(bin)]! += amount
  const zero = bySize[0]!
  bySize[0] = 0
  const edge = highDifference(quantileIndex(bySize, 0.99) ?? 0) || 1
  const counts = new Array<number>(LOSS_BINS).fill(0)
  for (const [bin, amount] of bins) {
    if (bin === 0) continue
    const middle = DIFFERENCE_MIDDLES[bin + LARGEST_DIFFERENCE_BIN]!
    const index = Math.floor(((middle + edge) / (2 * edge)) * LOSS_BINS)
    counts[Math.min(Math.max(index, 0), LOSS_BINS - 1)]! += amount
  }
  return { from: -edge, to: edge, counts, zero }
}

function scoreChart(counters: ReadonlyCounters): Charts['scores'] {
  const counts = jointDeciles(counters)
  const n = sum(counts.map(sum))
  if (n === 0) return undefined
  return { counts, distances: distancesOf(...margins(counts)) }
}

function classChart(counters: ReadonlyCounters): Charts['classes'] {
  const cells = new Map<string, Map<string, number>>()
  const frequency = new Map<string, number>()
  for (const [slot, amount] of KeptCounters.of(counters).segments.get('')!.plain) {
    if (!slot.startsWith('class.') || amount <= 0) continue
    const bar = slot.indexOf('|')
    if (bar < 0) continue
    const [b, c] = [slot.slice('class.'.length, bar), slot.slice(bar + 1)]
    const row = cells.get(b) ?? new Map<string, number>()
    row.set(c, (row.get(c) ?? 0) + amount)
    cells.set(b, row)
    for (const name of [b, c]) frequency.set(name, (frequency.get(name) ?? 0) + amount)
  }
  if (cells.size === 0) return undefined
  const byFrequency = [...frequency].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([name]) => name)
  const shown = byFrequency.length <= CLASSES ? byFrequency : byFrequency.slice(0, CLASSES - 1)
  const names = shown.length === byFrequency.length ? inOrder(shown) : [...inOrder(shown), REST]
  const at = (name: string) => {
    const index = names.indexOf(name)
    return index < 0 ? names.length - 1 : index
  }
  const counts = names.map(() => new Array<number>(names.length).fill(0))
  for (const [b, row] of cells) for (const [c, amount] of row) counts[at(b)]![at(c)]! += amount
  return { names, counts, distances: distancesOf(...margins(counts)) }
}

const REST = 'all others'

/** Digits in their order, other labels by name. */
function inOrder(names: readonly string[]): string[] {
  const numeric = names.every(name => name.trim() !== '' && Number.isFinite(Number(name)))
  return [...names].sort((a, b) => (numeric ? Number(a) - Number(b) : a < b ? -1 : 1))
}

/** Row sums (the baseline) and column sums (the candidate). */
function margins(counts: readonly (readonly number[])[]): [baseline: number[], candidate: number[]] {
  return [counts.map(sum), counts.map((_, column) => sum(counts.map(row => row[column]!)))]
}

function latencyChart(
  periods: readonly { readonly stage: Stage; readonly counters: ReadonlyCounters }[],
  stage: Stage,
  limits: LatencyLimits | undefined,
): Charts['latency'] {
  const counters = countersOfStage(periods, stage)
  const prefix = stage === 'shadow' ? 'plat' : 'lat'
  const bins = (side: string) =>
    binsOf(counters, `${prefix}.${side}`)
      .filter(([, amount]) => amount > 0)
      .map(([bin, amount]): [number | null, number] => [shownLatencyEdge(bin), amount])
  const thresholds = limits === undefined ? undefined : latencyThresholds(counters, `${prefix}.b`, limits)
  const limitsMs: Partial<Record<QuantileName, number>> = {}
  if (thresholds !== undefined) for (const name of QUANTILE_NAMES) limitsMs[name] = thresholds[name].limitMs
  return { baseline: bins('b'), candidate: bins('c'), limitsMs }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
