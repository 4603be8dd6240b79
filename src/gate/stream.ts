// What a stream is, and the sums that streams share. Knows no metric.
import type { MetricName } from '../config/schema.ts'
import type { Counters } from '../evidence/counters.ts'
import { type Bet, type Bounded, confidenceSequence, logMean, logSumExp } from './eprocess.ts'
import { added, type SortedPeriod, segmentsWith } from './periods.ts'

/** Level of the confidence sequences that are shown. */
export const SHOWN_ALPHA = 0.05

export interface Summary {
  readonly n: number
  readonly estimate: number | null
  readonly baseline?: number | null
  readonly interval?: readonly [number, number]
  readonly limit: number | null
}

export interface SegmentHarm extends Summary {
  readonly segment: string
  readonly logHarm: number
}

export interface Stream {
  readonly metric: MetricName
  readonly what: string
  /** One observation, in the plural: "comparisons", "labels". */
  readonly unit: string
  /** Fed by pairs, which mirror drops may bias; else by the arms of the live split. */
  readonly isPaired: boolean
  /** v_m: its share of α_A, fixed by the policy alone; 0 where it cannot abort. */
  readonly weight: number
  /** Of all evidence; segments are mixed in. */
  readonly logHarm: number
  readonly segments: readonly SegmentHarm[]
  /** Bets of the present step against "not safe"; undefined where the stage needs no proof from this stream. */
  readonly safe: readonly Bet[] | undefined
  /** ln E that it is slower, where a stream withholds promotion while it is shown slower and proves nothing. */
  readonly logWithhold?: number
  /** Of the present step. */
  readonly present: Summary
  /** Of everything that the harm test read. */
  readonly history: Summary
}

/** In the first step both are the same, and confidence sequences are the dear part of a verdict. */
export function summaries(
  periods: readonly SortedPeriod[],
  present: readonly SortedPeriod[],
  summary: (counters: Counters) => Summary,
): Pick<Stream, 'present' | 'history'> {
  const history = summary(added(periods))
  return { history, present: present.length === periods.length ? history : summary(added(present)) }
}

/** Harm of pairs over all periods: paired counters do not depend on the share and add. */
export function pairedHarm(
  periods: readonly SortedPeriod[],
  slots: readonly string[],
  bets: (counters: Counters, segment: string) => Bet[],
  summary: (counters: Counters, isShort?: boolean) => Summary,
): Pick<Stream, 'logHarm' | 'segments'> {
  const segments = segmentsWith(periods, slots).map(segment => {
    const counters = added(periods, segment)
    return { segment, logHarm: logMean(bets(counters, segment)), ...summary(counters, true) }
  })
  return { logHarm: withSegments(logMean(bets(added(periods), '')), segments), segments }
}

/**
 * E = ½·E_overall + ½·mean of the segments' E. The mean is over the segments seen so far; one that is seen for the first
 * time enters with E = 1, which can lift the mean only while the others stand below 1, as in the first requests.
 */
export function withSegments(overall: number, segments: readonly { readonly logHarm: number }[]): number {
  if (segments.length === 0) return overall
  const mean = logSumExp(segments.map(({ logHarm }) => logHarm)) - Math.log(segments.length)
  return logSumExp([overall, mean]) - Math.LN2
}

export function shareSummary(
  events: (counters: Counters) => number,
  size: (counters: Counters) => number,
  limit: number | null,
) {
  return (counters: Counters, isShort = false): Summary => {
    const n = size(counters)
    const values = share(events(counters), n)
    return {
      n,
      estimate: ratio(events(counters), n),
      ...(!isShort && n > 0 && { interval: clamped(confidenceSequence(values, values, SHOWN_ALPHA)) }),
      limit,
    }
  }
}

/** A share is never below 0, whatever the method allows. */
function clamped([low, high]: readonly [number, number]): readonly [number, number] {
  return [Math.max(0, low), high]
}

export function share(events: number, n: number): Bounded {
  return [
    [1, events],
    [0, n - events],
  ]
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

export function get(counters: Counters, slot: string): number {
  return counters.get(slot) ?? 0
}
