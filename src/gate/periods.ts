// Sorts the counters of periods by segment and adds them up. Decides nothing about versions.
import type { Counters } from '../evidence/counters.ts'
import type { Bins } from './binnedBetting.ts'
import type { Period, Stage } from './evidence.ts'
import type { ArmCounts } from './labelOdds.ts'
import { layoutOf } from './layout.ts'

/** What one segment counted; '' is the whole traffic. */
export interface Tally {
  readonly counters: ReadonlyMap<string, number>
  /** Histograms by prefix: `loss`, `lat.b`, … Bins without a count are left out. */
  readonly bins: ReadonlyMap<string, Bins>
}

/** A period with its counters sorted by segment. */
export interface SortedPeriod {
  readonly stage: Stage
  readonly step: number
  readonly share: number
  readonly segments: readonly string[]
  readonly bySegment: ReadonlyMap<string, Tally>
}

const NOTHING: Tally = { counters: new Map(), bins: new Map() }
const NO_BINS: Bins = []

/** One pass over the slots of a period. */
export function sortPeriod(period: Period): SortedPeriod {
  const { counters } = period
  const bySegment = new Map<string, Tally>()
  for (const { segment, plain, bins } of layoutOf(counters as Counters).segments) {
    const amounts = new Map<string, number>()
    for (const [slot, name] of plain) amounts.set(slot, counters.get(name)!)
    const histograms = new Map<string, Bins>()
    for (const [prefix, list] of bins) {
      const filled: (readonly [number, number])[] = []
      for (const [bin, name] of list) {
        const amount = counters.get(name)!
        if (amount !== 0) filled.push([bin, amount])
      }
      histograms.set(prefix, filled)
    }
    bySegment.set(segment, { counters: amounts, bins: histograms })
  }
  if (!bySegment.has('')) bySegment.set('', NOTHING)
  const { stage, step, share, segments = [] } = period
  return { stage, step, share, segments, bySegment }
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
  return new Map([...parts].map(([segment, tallies]) => [segment, sumOf(tallies)]))
}

function sumOf(tallies: readonly Tally[]): Tally {
  if (tallies.length === 1) return tallies[0]!
  const counters = new Map<string, number>()
  const histograms = new Map<string, Map<number, number>>()
  for (const tally of tallies) {
    for (const [slot, amount] of tally.counters) counters.set(slot, (counters.get(slot) ?? 0) + amount)
    for (const [prefix, bins] of tally.bins) {
      let sum = histograms.get(prefix)
      if (sum === undefined) {
        sum = new Map()
        histograms.set(prefix, sum)
      }
      for (const [bin, amount] of bins) sum.set(bin, (sum.get(bin) ?? 0) + amount)
    }
  }
  return {
    counters,
    bins: new Map([...histograms].map(([prefix, sum]) => [prefix, [...sum].sort((a, b) => a[0] - b[0])])),
  }
}

/** A counter of a tally; 0 when nothing was counted. */
export function get(tally: Tally, slot: string): number {
  return tally.counters.get(slot) ?? 0
}

/** The bins of slots `<prefix>.<bin>`. */
export function binsOf(tally: Tally, prefix: string): Bins {
  return tally.bins.get(prefix) ?? NO_BINS
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
      candidate: get(tally, slots.candidate),
      candidateEvents: get(tally, slots.candidateEvents),
      baseline: get(tally, slots.baseline),
      baselineEvents: get(tally, slots.baselineEvents),
    }
  })
}
