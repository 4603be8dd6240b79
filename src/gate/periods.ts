// Sorts the counters of periods by segment and adds them up. Decides nothing about versions.
import { KeptCounters, type SegmentCounters } from '../evidence/keptCounters.ts'
import type { Bins } from './binnedBetting.ts'
import type { Period, Stage } from './evidence.ts'
import type { ArmCounts } from './labelOdds.ts'

/** What one segment counted; '' is the whole traffic. */
export interface Tally {
  /** 0 where nothing was counted. */
  get(slot: string): number
  has(slot: string): boolean
  /** The histogram of slots `<prefix>.<bin>`, in order of the bin; bins without a count are left out. */
  bins(prefix: string): Bins
}

/** A period with its counters by segment. */
export interface SortedPeriod {
  readonly stage: Stage
  readonly step: number
  readonly share: number
  readonly segments: readonly string[]
  readonly bySegment: ReadonlyMap<string, Tally>
  readonly counters: KeptCounters
}

const NO_BINS: Bins = []

/** Looks into the counters of a period: a thousand segments are not copied apart for a verdict. */
class SegmentTally implements Tally {
  readonly #counters: SegmentCounters
  #bins: Map<string, Bins> | undefined

  constructor(counters: SegmentCounters) {
    this.#counters = counters
  }

  get(slot: string): number {
    return this.#counters.plain.get(slot) ?? 0
  }

  has(slot: string): boolean {
    return this.#counters.plain.has(slot)
  }

  bins(prefix: string): Bins {
    const histogram = this.#counters.histograms.get(prefix)
    if (histogram === undefined) return NO_BINS
    const before = this.#bins?.get(prefix)
    if (before !== undefined) return before
    const filled = histogram.bins.filter(([, amount]) => amount !== 0)
    this.#bins ??= new Map()
    this.#bins.set(prefix, filled)
    return filled
  }
}

/** The same segment of several periods, added when it is asked for. */
class SumTally implements Tally {
  readonly #tallies: readonly Tally[]
  readonly #bins = new Map<string, Bins>()

  constructor(tallies: readonly Tally[]) {
    this.#tallies = tallies
  }

  get(slot: string): number {
    let sum = 0
    for (const tally of this.#tallies) sum += tally.get(slot)
    return sum
  }

  has(slot: string): boolean {
    return this.#tallies.some(tally => tally.has(slot))
  }

  bins(prefix: string): Bins {
    let bins = this.#bins.get(prefix)
    if (bins === undefined) {
      const sum = new Map<number, number>()
      for (const tally of this.#tallies)
        for (const [bin, amount] of tally.bins(prefix)) sum.set(bin, (sum.get(bin) ?? 0) + amount)
      bins = [...sum].sort((a, b) => a[0] - b[0])
      this.#bins.set(prefix, bins)
    }
    return bins
  }
}

const NOTHING: Tally = new SumTally([])

/** The counters of a period, told apart by segment. */
export function sortPeriod({ stage, step, share, segments = [], counters: counted }: Period): SortedPeriod {
  const counters = KeptCounters.of(counted)
  const bySegment = new Map<string, Tally>()
  for (const [segment, of] of counters.segments) bySegment.set(segment, new SegmentTally(of))
  return { stage, step, share, segments, bySegment, counters }
}

/** The periods at the end that share the last one's stage and step: what safe tests may read. */
export function presentStep(periods: readonly SortedPeriod[]): readonly SortedPeriod[] {
  const last = periods.at(-1)
  let from = periods.length
  while (from > 0 && periods[from - 1]!.stage === last?.stage && periods[from - 1]!.step === last.step) from -= 1
  return periods.slice(from)
}

/** Every segment's tally added over periods. Only slots that do not depend on the share may be read from the sum. */
export function added(periods: readonly SortedPeriod[]): ReadonlyMap<string, Tally> {
  if (periods.length === 1) return periods[0]!.bySegment
  const parts = new Map<string, Tally[]>()
  for (const { bySegment } of periods) {
    for (const [segment, tally] of bySegment) {
      const list = parts.get(segment)
      if (list === undefined) parts.set(segment, [tally])
      else list.push(tally)
    }
  }
  return new Map([...parts].map(([segment, tallies]) => [segment, new SumTally(tallies)]))
}

export function sizeOf(bins: Bins): number {
  let total = 0
  for (const [, amount] of bins) total += amount
  return total
}

/** The tally of one segment. */
export function tallyOf(tallies: ReadonlyMap<string, Tally>, segment: string): Tally {
  return tallies.get(segment) ?? NOTHING
}

/**
 * Every segment in the order in which it was first seen: the earliest period's, then what later ones saw first. Segments
 * that no period lists (evidence of a file that has no order) come last, by name.
 */
export function segmentOrder(periods: readonly SortedPeriod[]): readonly string[] {
  const order = new Set<string>()
  for (const { segments } of periods) for (const segment of segments) order.add(segment)
  const unlisted = new Set<string>()
  for (const { bySegment } of periods) {
    for (const segment of bySegment.keys()) if (segment !== '' && !order.has(segment)) unlisted.add(segment)
  }
  return [...order, ...[...unlisted].sort()]
}

/** Slots of the events of the two arms. */
export interface ArmSlots {
  readonly candidate: string
  readonly candidateEvents: string
  readonly baseline: string
  readonly baselineEvents: string
}

/** Periods with two arms to compare: not the shadow, and not a share of all traffic. */
export function split(periods: readonly SortedPeriod[]): readonly SortedPeriod[] {
  return periods.filter(period => period.stage === 'canary' && period.share < 1)
}

/** Events of the two arms, one entry a period that has both. */
export function arms(periods: readonly SortedPeriod[], slots: ArmSlots, segment = ''): ArmCounts[] {
  return split(periods).map(({ share, bySegment }) => {
    const tally = tallyOf(bySegment, segment)
    return {
      share,
      candidate: tally.get(slots.candidate),
      candidateEvents: tally.get(slots.candidateEvents),
      baseline: tally.get(slots.baseline),
      baselineEvents: tally.get(slots.baselineEvents),
    }
  })
}
