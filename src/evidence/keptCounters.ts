// The counters of an evidence key as they are kept: by segment, histograms as arrays. What it reads like is a map of slots.
import { type ReadonlyCounters, segmentSlot, splitSlot } from './counters.ts'
import { BINNED, type BinRange, binFrom, SlotHistogram } from './slotHistogram.ts'

/** What one segment counted; the whole traffic is a segment too. */
export interface SegmentCounters {
  /** Slots that are no bin of a histogram, without the segment. */
  readonly plain: ReadonlyMap<string, number>
  /** By prefix, see {@link BINNED}. */
  readonly histograms: ReadonlyMap<string, SlotHistogram>
}

interface KeptSegment extends SegmentCounters {
  readonly plain: Map<string, number>
  readonly histograms: Map<string, SlotHistogram>
}

interface PlainSlot {
  readonly name: string
  readonly slot: string
  readonly segment: string
  /** Where its amount stands. */
  readonly plain: ReadonlyMap<string, number>
}

interface Place {
  readonly prefix: string
  readonly range: BinRange
  readonly bin: number
}

let stamps = 0

export class KeptCounters implements ReadonlyCounters {
  readonly #segments = new Map<string, KeptSegment>([['', emptySegment()]])
  #size = 0
  #stamp = ++stamps
  /** Plain slots by name; undefined: there are new ones. */
  #plainByName: readonly PlainSlot[] | undefined

  /** These counters, taken over by their names where they are kept otherwise. */
  static of(counters: ReadonlyCounters): KeptCounters {
    if (counters instanceof KeptCounters) return counters
    const kept = new KeptCounters()
    kept.addAll(counters)
    return kept
  }

  /** The sum; one alone is not copied, so it must not be added to. */
  static sumOf(all: readonly ReadonlyCounters[]): KeptCounters {
    if (all.length === 1) return KeptCounters.of(all[0]!)
    const sum = new KeptCounters()
    for (const counters of all) sum.addAll(counters)
    return sum
  }

  get size(): number {
    return this.#size
  }

  /** Another number after every addition, and never that of other counters: who has seen it has seen these. */
  get stamp(): number {
    return this.#stamp
  }

  /** By name; '' is the whole traffic, which is always there. */
  get segments(): ReadonlyMap<string, SegmentCounters> {
    return this.#segments
  }

  get(name: string): number | undefined {
    const [slot, segment = ''] = splitSlot(name)
    const of = this.#segments.get(segment)
    if (of === undefined) return undefined
    const place = placeOf(slot)
    return place === undefined ? of.plain.get(slot) : of.histograms.get(place.prefix)?.get(place.bin)
  }

  /** The bins of slots `<prefix>.<bin>` of the whole traffic, in order. */
  bins(prefix: string): readonly (readonly [bin: number, amount: number])[] {
    return this.#segments.get('')!.histograms.get(prefix)?.bins ?? []
  }

  add(name: string, amount: number): void {
    this.#stamp = ++stamps
    const [slot, segment = ''] = splitSlot(name)
    const of = this.#segment(segment)
    const place = placeOf(slot)
    if (place === undefined) this.#addPlain(of, slot, amount)
    else this.#size += Number(histogramOf(of, place.prefix, place.range).add(place.bin, amount))
  }

  addAll(counters: Iterable<readonly [name: string, amount: number]>): void {
    if (!(counters instanceof KeptCounters)) {
      for (const [name, amount] of counters) this.add(name, amount)
      return
    }
    this.#stamp = ++stamps
    for (const [segment, { plain, histograms }] of counters.segments) {
      const of = this.#segment(segment)
      for (const [slot, amount] of plain) this.#addPlain(of, slot, amount)
      for (const [prefix, histogram] of histograms)
        this.#size += histogramOf(of, prefix, BINNED.get(prefix)!).addAll(histogram)
    }
  }

  /** Every counter, by the code units of its name: `slot` without the segment, which is '' for the whole traffic. */
  visit(each: (slot: string, segment: string, amount: number) => void): void {
    const blocks = [...BINNED.keys()].values()
    let block = blocks.next()
    this.#plainByName ??= this.#sortedPlain()
    for (const { name, slot, segment, plain } of this.#plainByName) {
      for (; !block.done && `${block.value}.` < name; block = blocks.next()) this.#visitBins(block.value, each)
      each(slot, segment, plain.get(slot)!)
    }
    for (; !block.done; block = blocks.next()) this.#visitBins(block.value, each)
  }

  [Symbol.iterator](): Iterator<readonly [name: string, amount: number]> {
    return this.#entries().values()
  }

  keys(): string[] {
    return this.#entries().map(([name]) => name)
  }

  #entries(): (readonly [name: string, amount: number])[] {
    const entries: (readonly [string, number])[] = []
    this.visit((slot, segment, amount) => entries.push([segment === '' ? slot : segmentSlot(slot, segment), amount]))
    return entries
  }

  #visitBins(prefix: string, each: (slot: string, segment: string, amount: number) => void): void {
    const whole = this.#segments.get('')!.histograms.get(prefix)
    const segments = [...this.#segments]
      .flatMap(([segment, { histograms }]) => {
        const histogram = histograms.get(prefix)
        return segment === '' || histogram === undefined ? [] : [{ segment, histogram }]
      })
      .sort((a, b) => (a.segment < b.segment ? -1 : 1))
    if (whole === undefined && segments.length === 0) return
    const range = BINNED.get(prefix)!
    // Of many segments, most have few bins.
    const isOfAny = new Uint8Array(range.most - range.least + 1)
    for (const { histogram } of segments) for (const bin of histogram.filled) isOfAny[bin - range.least] = 1
    for (const code of binsByName(range)) {
      const bin = code >> 1
      if (code === 2 * bin) {
        const amount = whole?.get(bin)
        if (amount !== undefined) each(`${prefix}.${bin}`, '', amount)
        continue
      }
      if (isOfAny[bin - range.least] === 0) continue
      let slot: string | undefined
      for (const { segment, histogram } of segments) {
        const amount = histogram.get(bin)
        if (amount === undefined) continue
        slot ??= `${prefix}.${bin}`
        each(slot, segment, amount)
      }
    }
  }

  #sortedPlain(): PlainSlot[] {
    const slots: PlainSlot[] = []
    for (const [segment, { plain }] of this.#segments)
      for (const slot of plain.keys())
        slots.push({ name: segment === '' ? slot : segmentSlot(slot, segment), slot, segment, plain })
    return slots.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  #segment(segment: string): KeptSegment {
    let of = this.#segments.get(segment)
    if (of === undefined) {
      of = emptySegment()
      this.#segments.set(segment, of)
    }
    return of
  }

  #addPlain({ plain }: KeptSegment, slot: string, amount: number): void {
    const before = plain.get(slot)
    plain.set(slot, (before ?? 0) + amount)
    if (before !== undefined) return
    this.#size++
    this.#plainByName = undefined
  }
}

/** Whether a slot, without its segment, is a bin of a histogram. */
export function isBin(slot: string): boolean {
  return placeOf(slot) !== undefined
}

function emptySegment(): KeptSegment {
  return { plain: new Map(), histograms: new Map() }
}

function histogramOf({ histograms }: KeptSegment, prefix: string, range: BinRange): SlotHistogram {
  let histogram = histograms.get(prefix)
  if (histogram === undefined) {
    histogram = new SlotHistogram(range)
    histograms.set(prefix, histogram)
  }
  return histogram
}

/** Where a slot's bin stands; undefined: it is no bin of a histogram. */
function placeOf(slot: string): Place | undefined {
  const dot = slot.lastIndexOf('.')
  const prefix = slot.slice(0, Math.max(0, dot))
  const range = BINNED.get(prefix)
  if (range === undefined) return undefined
  const bin = binFrom(slot, dot + 1)
  if (bin === undefined || bin < range.least || bin > range.most) return undefined
  return { prefix, range, bin }
}

const byName = new Map<BinRange, Int16Array>()

/**
 * The bins of a range in the order of their names: 2·bin for the whole traffic and 2·bin + 1 for segments, where an @ follows
 * the number: 1, 10, 10@…, 1@…, 2.
 */
function binsByName(range: BinRange): Int16Array {
  let codes = byName.get(range)
  if (codes === undefined) {
    const named: (readonly [name: string, code: number])[] = []
    for (let bin = range.least; bin <= range.most; bin++) named.push([`${bin}`, 2 * bin], [`${bin}@`, 2 * bin + 1])
    codes = Int16Array.from(named.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, code]) => code))
    byName.set(range, codes)
  }
  return codes
}
