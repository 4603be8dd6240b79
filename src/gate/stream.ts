// What a stream is, and the sums that streams share. Knows no metric.
import type { MetricName } from '../config/schema.ts'
import { type Bet, logMean, logSumExp, observationsNeeded } from './bet.ts'
import { type Bounded, confidenceSequence, share } from './betting.ts'
import type { Policy, Stage } from './evidence.ts'
import { added, type SortedPeriod, segmentOrder, type Tally, tallyOf } from './periods.ts'

/** Level of the confidence sequences that are shown. */
export const SHOWN_ALPHA = 0.05

/** The evidence as streams read it. */
export interface View {
  readonly policy: Policy
  readonly stage: Stage
  /** Everything, for harm. */
  readonly periods: readonly SortedPeriod[]
  /** The present step, for proof. */
  readonly present: readonly SortedPeriod[]
  /** Added over all periods, by segment: only for slots that do not depend on the share. */
  readonly all: ReadonlyMap<string, Tally>
  readonly now: ReadonlyMap<string, Tally>
  /** In the order of first sight. */
  readonly segments: readonly string[]
}

export function viewOf(
  policy: Policy,
  stage: Stage,
  periods: readonly SortedPeriod[],
  present: readonly SortedPeriod[],
): View {
  const all = added(periods)
  const now = present.length === periods.length ? all : added(present)
  return { policy, stage, periods, present, all, now, segments: segmentOrder(periods) }
}

export interface Summary {
  readonly n: number
  readonly estimate: number | null
  readonly baseline?: number | null
  readonly interval?: readonly [number, number]
  readonly limit: number | null
}

export interface SegmentHarm {
  readonly segment: string
  /** Only of those that are listed. */
  readonly summary: () => Summary
  readonly logHarm: number
  /** Its fixed share of the mean over segments. */
  readonly weight: number
}

export interface Stream {
  readonly metric: MetricName
  readonly what: string
  /** One observation, in the plural: "comparisons", "labels". */
  readonly unit: string
  /** The setting of routes.yaml that decides how much evidence it takes. */
  readonly setting: string
  /** Fed by pairs, which mirror drops may bias; else by the arms of the live split. */
  readonly isPaired: boolean
  /** v_m: its share of α_A, fixed by the policy alone; 0 where it cannot abort. */
  readonly weight: number
  /** Of all evidence; segments are mixed in. */
  readonly logHarm: number
  readonly segments: readonly SegmentHarm[]
  /** Mixtures of bets of the present step, each against one way not to be safe; undefined: no proof is asked of it. */
  readonly safe: readonly (readonly Bet[])[] | undefined
  /** ln E that it is worse, where a stream withholds promotion while it is shown worse. */
  readonly logWithhold?: number
  /** What it withholds for, as a phrase. */
  readonly withheldFor?: string
  /** A person has waived it for these bytes: no weight, no proof. */
  readonly isWaived?: boolean
  /** Of the present step. */
  readonly present: Summary
  /** Of everything that the harm test read. */
  readonly history: Summary
}

/** The least of a stream's proofs; −Infinity where it has none to give. */
export function logSafeOf({ safe }: Pick<Stream, 'safe'>): number {
  if (safe === undefined) return Number.NEGATIVE_INFINITY
  return safe.reduce((least, bets) => Math.min(least, logMean(bets)), Number.POSITIVE_INFINITY)
}

/** Observations until every proof of a stream reaches `target`; null: not foreseeable. */
export function neededOf({ safe }: Pick<Stream, 'safe'>, target: number): number | null {
  let most = 0
  for (const bets of safe ?? []) {
    const needed = observationsNeeded(bets, target)
    if (needed === null) return null
    most = Math.max(most, needed)
  }
  return most
}

/** A summary of everything and of the present step; in the first step both are the same. */
export function summaries(view: View, summary: (tally: Tally) => Summary): Pick<Stream, 'present' | 'history'> {
  const history = summary(tallyOf(view.all, ''))
  return { history, present: view.now === view.all ? history : summary(tallyOf(view.now, '')) }
}

/** Harm of pairs over all periods: paired counters do not depend on the share and add. */
export function pairedHarm(
  view: View,
  /** Whether a segment has anything of this stream. */
  has: (tally: Tally) => boolean,
  bets: (tally: Tally, segment: string) => readonly Bet[],
  summary: (tally: Tally, isShort?: boolean) => Summary,
): Pick<Stream, 'logHarm' | 'segments'> {
  const segments = segmentHarms(
    view,
    segment => has(tallyOf(view.all, segment)),
    segment => {
      const tally = tallyOf(view.all, segment)
      return { logHarm: logMean(bets(tally, segment)), summary: () => summary(tally, true) }
    },
  )
  return { logHarm: withSegments(view, logMean(bets(tallyOf(view.all, ''), '')), segments), segments }
}

/** Every segment that a stream has anything of, with its fixed weight. */
export function segmentHarms(
  view: View,
  has: (segment: string) => boolean,
  harm: (segment: string) => Omit<SegmentHarm, 'segment' | 'weight'>,
): SegmentHarm[] {
  const found: SegmentHarm[] = []
  for (const [index, segment] of view.segments.entries())
    if (has(segment)) found.push({ segment, weight: segmentWeight(index), ...harm(segment) })
  return found
}

/** Four fields of 64 values and one `other` each: the most that a route can declare. */
const SEGMENTS_WEIGHED = 260
const WEIGHTS = Array.from({ length: SEGMENTS_WEIGHED }, (_, index) => 1 / (index + 8))
const WEIGHT_SUM = WEIGHTS.reduce((sum, weight) => sum + weight, 0)

/**
 * The share of the k-th segment that was seen, k = 0, 1, …, of the mean over segments: proportional to 1/(k + 8), summing to
 * 1 over 260. All fields of a route share one list, since the gate does not know how many there are. The first has 1/29, the
 * 25th 1/114, the 64th 1/250: within a few percent of the delay that equal weights for as many as there are would have.
 */
export function segmentWeight(index: number): number {
  return (WEIGHTS[index] ?? 0) / WEIGHT_SUM
}

/**
 * E = ½·E_overall + ½·Σ w_k·E_k. The weights are fixed by the order of first sight and an unseen segment stands at E = 1, so
 * that a segment that appears later adds nothing: with a mean over those seen so far it could lift the sum. Routes without
 * segments are judged by E_overall alone; a route declares its fields for a whole evidence key, so this does not change.
 */
export function withSegments(
  view: Pick<View, 'segments'>,
  overall: number,
  segments: readonly Pick<SegmentHarm, 'logHarm' | 'weight'>[],
): number {
  if (view.segments.length === 0) return overall
  const weighed = segments.filter(({ weight }) => weight > 0)
  const unseen = 1 - weighed.reduce((sum, { weight }) => sum + weight, 0)
  const logs = weighed.map(({ weight, logHarm }) => Math.log(weight) + logHarm)
  return logSumExp([overall, ...logs, Math.log(Math.max(unseen, Number.MIN_VALUE))]) - Math.LN2
}

export function shareSummary(events: (tally: Tally) => number, size: (tally: Tally) => number, limit: number | null) {
  return (tally: Tally, isShort = false): Summary => {
    const n = size(tally)
    const values = share(events(tally), n)
    return {
      n,
      estimate: ratio(events(tally), n),
      ...(!isShort && n > 0 && { interval: clamped(confidenceSequence(values, values, SHOWN_ALPHA)) }),
      limit,
    }
  }
}

/** A share is never below 0, whatever the method allows. */
function clamped([low, high]: readonly [number, number]): readonly [number, number] {
  return [Math.max(0, low), high]
}

export function size(values: Bounded): number {
  return values.reduce((sum, [, amount]) => sum + amount, 0)
}

export function mean(values: Bounded): number | null {
  const n = size(values)
  return n === 0 ? null : values.reduce((sum, [x, amount]) => sum + x * amount, 0) / n
}

export function ratio(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole
}
