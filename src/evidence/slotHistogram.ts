// A histogram of slots `<prefix>.<bin>` as an array: a name for each bin would take ten times the room. Judges nothing.
import { LARGEST_DIFFERENCE_BIN, LARGEST_LATENCY_BIN, LARGEST_MAGNITUDE_BIN } from './histogram.ts'

export interface BinRange {
  readonly least: number
  readonly most: number
}

const SIGNED: BinRange = { least: -LARGEST_DIFFERENCE_BIN, most: LARGEST_DIFFERENCE_BIN }
const SIZES: BinRange = { least: 0, most: LARGEST_DIFFERENCE_BIN }
const LATENCIES: BinRange = { least: 0, most: LARGEST_LATENCY_BIN }

/** Every prefix whose slots are bins, in the order of their names, and which bins it has. */
export const BINNED: ReadonlyMap<string, BinRange> = new Map([
  ['arm.b.loss', SIZES],
  ['arm.c.loss', SIZES],
  ['diff', { least: 0, most: LARGEST_MAGNITUDE_BIN }],
  ['lat.b', LATENCIES],
  ['lat.c', LATENCIES],
  ['loss', SIGNED],
  ['mean', SIGNED],
  ['plat.b', LATENCIES],
  ['plat.c', LATENCIES],
])

/** The least that an array grows by at an end. */
const GROWTH = 16

export class SlotHistogram {
  readonly #range: BinRange
  /** The bin of the first cell. */
  #from = 0
  /** A bin that was never counted is a hole. Not a typed array: small integers turn into text, for the digest, much faster. */
  #cells: (number | undefined)[] = []
  /** The first `#size` are the bins that were counted, in order: a segment may have five, a thousand cells apart. */
  #filled = new Int16Array(0)
  #size = 0

  constructor(range: BinRange) {
    this.#range = range
  }

  get(bin: number): number | undefined {
    const at = bin - this.#from
    return at >= 0 && at < this.#cells.length ? this.#cells[at] : undefined
  }

  /** Whether the bin is new. `bin` is one of the range. */
  add(bin: number, amount: number): boolean {
    if (bin < this.#from || bin >= this.#from + this.#cells.length) this.#reach(bin)
    const at = bin - this.#from
    const before = this.#cells[at]
    this.#cells[at] = before === undefined ? amount : before + amount
    if (before !== undefined) return false
    this.#list(bin)
    return true
  }

  /** Adds a histogram of the same prefix; says how many bins are new. */
  addAll({ bins }: SlotHistogram): number {
    let more = 0
    for (const [bin, amount] of bins) more += Number(this.add(bin, amount))
    return more
  }

  /** The bins that were counted, in order. */
  get filled(): Int16Array {
    return this.#filled.subarray(0, this.#size)
  }

  /** In order of the bin. */
  get bins(): (readonly [bin: number, amount: number])[] {
    const bins = new Array<readonly [number, number]>(this.#size)
    for (let index = 0; index < this.#size; index++) {
      const bin = this.#filled[index]!
      bins[index] = [bin, this.#cells[bin - this.#from]!]
    }
    return bins
  }

  /** How many were counted, and the sum of their values. @param values of every bin that there may be, from the lowest on */
  total(values: Float64Array): { readonly n: number; readonly sum: number } {
    const { least } = this.#range
    let n = 0
    let sum = 0
    for (let index = 0; index < this.#size; index++) {
      const bin = this.#filled[index]!
      const amount = this.#cells[bin - this.#from]!
      n += amount
      sum += amount * values[bin - least]!
    }
    return { n, sum }
  }

  /** The first bin whose amount is refused, in order. */
  find(refuses: (amount: number, bin: number) => boolean): number | undefined {
    for (let index = 0; index < this.#size; index++) {
      const bin = this.#filled[index]!
      if (refuses(this.#cells[bin - this.#from]!, bin)) return bin
    }
    return undefined
  }

  #list(bin: number): void {
    if (this.#size === this.#filled.length) {
      const { least, most } = this.#range
      const longer = new Int16Array(Math.min(most - least + 1, this.#size + Math.max(GROWTH, this.#size >> 2)))
      longer.set(this.#filled)
      this.#filled = longer
    }
    let [low, high] = [0, this.#size]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#filled[middle]! < bin) low = middle + 1
      else high = middle
    }
    this.#filled.copyWithin(low + 1, low, this.#size)
    this.#filled[low] = bin
    this.#size++
  }

  /** Grows towards `bin`, by half at least: bins that are counted next are mostly near. */
  #reach(bin: number): void {
    const { least, most } = this.#range
    const before = this.#cells
    const isEmpty = before.length === 0
    const more = Math.max(GROWTH, Math.ceil(before.length / 2))
    const last = this.#from + before.length - 1
    const low = isEmpty ? bin - GROWTH : bin < this.#from ? Math.min(bin, this.#from - more) : this.#from
    const high = isEmpty ? bin + GROWTH : bin > last ? Math.max(bin, last + more) : last
    const from = Math.max(least, low)
    const cells = new Array<number | undefined>(Math.min(most, high) - from + 1)
    for (let at = 0; at < before.length; at++) {
      const amount = before[at]
      if (amount !== undefined) cells[this.#from - from + at] = amount
    }
    this.#from = from
    this.#cells = cells
  }
}

/** The whole number that the rest of a slot is, as it is written here: no `01`, no `-0`. */
export function binFrom(slot: string, start: number): number | undefined {
  const isNegative = slot.charCodeAt(start) === MINUS
  const first = isNegative ? start + 1 : start
  const leads = slot.charCodeAt(first) - ZERO
  if (first === slot.length || (leads === 0 && (isNegative || slot.length > first + 1))) return undefined
  let bin = 0
  for (let at = first; at < slot.length; at++) {
    const digit = slot.charCodeAt(at) - ZERO
    if (digit < 0 || digit > 9) return undefined
    bin = 10 * bin + digit
  }
  return isNegative ? -bin : bin
}

const MINUS = 45
const ZERO = 48
