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
    return before === undefined
  }

  /** Adds a histogram of the same prefix; says how many bins are new. */
  addAll({ bins }: SlotHistogram): number {
    let more = 0
    for (const [bin, amount] of bins) more += Number(this.add(bin, amount))
    return more
  }

  /** In order of the bin. */
  get bins(): (readonly [bin: number, amount: number])[] {
    const bins: (readonly [number, number])[] = []
    const [cells, from] = [this.#cells, this.#from]
    for (let at = 0; at < cells.length; at++) {
      const amount = cells[at]
      if (amount !== undefined) bins.push([from + at, amount])
    }
    return bins
  }

  /** The first amount that is refused, in order of the bin. */
  find(refuses: (amount: number, bin: number) => boolean): number | undefined {
    const [cells, from] = [this.#cells, this.#from]
    for (let at = 0; at < cells.length; at++) {
      const amount = cells[at]
      if (amount !== undefined && refuses(amount, from + at)) return from + at
    }
    return undefined
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
