// Which bin a latency or a difference falls in, and what its edges are. Knows nothing of slots' meaning or of tests.
import type { ReadonlyCounters } from './counters.ts'

/** Ratio of neighbouring edges: five bins are exactly a factor of 1.1, each is 1.92 % wide. */
export const LATENCY_GAMMA = 1.1 ** (1 / 5)
const LATENCY_FLOOR_MS = 0.001
/** The last bin is open above: about 2.8 hours. */
const LATENCY_BINS = 1208
export const LARGEST_LATENCY_BIN = LATENCY_BINS

/** Bin of a latency: bin 0 is below 1 µs, bin i ≥ 1 is [edge(i−1), edge(i)) with edge(i) = 1 µs·γ^i. */
export function latencyBin(ms: number): number {
  if (!(ms >= LATENCY_FLOOR_MS)) return 0
  if (ms >= upperMs(LATENCY_BINS - 1)) return LATENCY_BINS
  // The logarithm may round across an edge; the edges themselves decide.
  let bin = Math.floor((5 * Math.log(ms / LATENCY_FLOOR_MS)) / Math.log(1.1)) + 1
  while (ms < lowerMs(bin)) bin -= 1
  while (ms >= upperMs(bin)) bin += 1
  return bin
}

/** Low edge of a latency bin, ms. */
export function lowerMs(bin: number): number {
  return bin <= 0 ? 0 : latencyEdge(bin - 1)
}

/** High edge of a latency bin, ms; Infinity for the last. */
export function upperMs(bin: number): number {
  return bin >= LATENCY_BINS ? Number.POSITIVE_INFINITY : latencyEdge(Math.max(bin, 0))
}

// Looked up and not computed: a serving thread asks for three edges a request, and a report for thousands.
const LATENCY_EDGES = Float64Array.from({ length: LATENCY_BINS }, (_, index) => computedEdge(index))

function latencyEdge(index: number): number {
  // A threshold may lie above the last bin.
  return LATENCY_EDGES[index] ?? computedEdge(index)
}

function computedEdge(index: number): number {
  // Whole powers of 1.1 times a fifth root, so that edges five apart have the same factor at every height.
  return LATENCY_FLOOR_MS * 1.1 ** Math.floor(index / 5) * LATENCY_GAMMA ** (index % 5)
}

/**
 * How many bins a latency ratio spans. Counting from `atMost` bins above sees every value beyond the ratio and perhaps
 * some before it (a safe test must not undercount); from `atLeast` only values beyond it (a harm test must not
 * overcount). 1.1 → 5 and 5; 1.25 → 11 and 12.
 */
export function ratioBins(ratio: number): { readonly atMost: number; readonly atLeast: number } {
  const bins = (5 * Math.log(ratio)) / Math.log(1.1)
  const whole = Math.round(bins)
  if (Math.abs(bins - whole) < 1e-9) return { atMost: whole, atLeast: whole }
  return { atMost: Math.floor(bins), atLeast: Math.ceil(bins) }
}

/**
 * Bins of |differences| in [−1, 1]. GATE.md asked for 256 equal bins, 0.0078 wide: the edge error of a safe test (up to
 * 0.008) would exceed a margin of 0.002, which no amount of labels could then prove. Hence signed logarithmic bins: 0
 * and ±1 are exact (zero-one losses are mostly these), the others 1 % wide, and what is below 1e-5 shares one bin. At
 * 2 % a Brier regression took 14 % more labels than exact differences would, at 1 % it takes 7 %.
 */
const DIFFERENCE_GAMMA = 1.01
const DIFFERENCE_FLOOR = 1e-5
/** The last bin below 1; the one above it is exactly 1. */
const DIFFERENCE_BINS = Math.ceil(-Math.log(DIFFERENCE_FLOOR) / Math.log(DIFFERENCE_GAMMA)) + 1

/** That of exactly 1. */
export const LARGEST_DIFFERENCE_BIN = DIFFERENCE_BINS + 1

/** Signed bin of a difference in [−1, 1] (values beyond are taken as ±1): 0 is exactly 0. @throws RangeError on NaN */
export function differenceBin(difference: number): number {
  if (Number.isNaN(difference)) throw new RangeError('NaN has no bin')
  const size = Math.abs(difference)
  if (size === 0) return 0
  const sign = difference < 0 ? -1 : 1
  if (size >= 1) return sign * LARGEST_DIFFERENCE_BIN
  if (size <= DIFFERENCE_FLOOR) return sign
  let bin = Math.ceil(Math.log(size / DIFFERENCE_FLOOR) / Math.log(DIFFERENCE_GAMMA)) + 1
  while (size <= innerEdge(bin)) bin -= 1
  while (size > outerEdge(bin)) bin += 1
  return sign * bin
}

/** The lowest value that a bin may hold (algebraically): what a harm test reads. */
export function lowDifference(bin: number): number {
  return bin === 0 ? 0 : bin > 0 ? innerEdge(bin) : -outerEdge(-bin)
}

/** The highest value that a bin may hold (algebraically): what a safe test reads. */
export function highDifference(bin: number): number {
  return bin === 0 ? 0 : bin > 0 ? outerEdge(bin) : -innerEdge(-bin)
}

/** Outer edges of the bins from 1 on. */
const DIFFERENCE_EDGES = Float64Array.from(
  { length: DIFFERENCE_BINS - 1 },
  (_, index) => DIFFERENCE_FLOOR * DIFFERENCE_GAMMA ** index,
)

function innerEdge(bin: number): number {
  return bin > DIFFERENCE_BINS ? 1 : bin <= 1 ? 0 : DIFFERENCE_EDGES[bin - 2]!
}

function outerEdge(bin: number): number {
  return bin >= DIFFERENCE_BINS ? 1 : DIFFERENCE_EDGES[bin - 1]!
}

/** The middle of every difference bin, from the lowest bin, −{@link LARGEST_DIFFERENCE_BIN}, on: what an estimate reads. */
export const DIFFERENCE_MIDDLES: Float64Array = Float64Array.from(
  { length: 2 * LARGEST_DIFFERENCE_BIN + 1 },
  (_, index) => (lowDifference(index - LARGEST_DIFFERENCE_BIN) + highDifference(index - LARGEST_DIFFERENCE_BIN)) / 2,
)

const MAGNITUDE_GAMMA = 1.02

/** Bin of an unbounded |difference| ≥ 0 for `diff.<bin>`: 0 is exactly 0, else logarithmic by 2 % from 1e-9 to 1e12. */
export function magnitudeBin(difference: number): number {
  const size = Math.abs(difference)
  if (!(size > 0)) return 0
  if (size <= 1e-9) return 1
  return Math.ceil(Math.log(Math.min(size, 1e12) / 1e-9) / Math.log(MAGNITUDE_GAMMA)) + 1
}

/** That of 1e12 and everything above. */
export const LARGEST_MAGNITUDE_BIN = magnitudeBin(1e12)

// As those of latencies.
const MAGNITUDE_EDGES = Float64Array.from({ length: LARGEST_MAGNITUDE_BIN + 1 }, (_, bin) => computedMagnitude(bin))

/** High edge of a {@link magnitudeBin}. */
export function magnitudeEdge(bin: number): number {
  return MAGNITUDE_EDGES[bin] ?? computedMagnitude(bin)
}

function computedMagnitude(bin: number): number {
  return bin === 0 ? 0 : 1e-9 * MAGNITUDE_GAMMA ** (bin - 1)
}

/** The bins of slots `<prefix>.<bin>`, in order of bin. Slots of segments are not read. */
export function binsOf(counters: ReadonlyCounters, prefix: string): readonly (readonly [bin: number, count: number])[] {
  if (counters.bins !== undefined) return counters.bins(prefix)
  const bins: [number, number][] = []
  const start = `${prefix}.`
  for (const [slot, amount] of counters) {
    if (!slot.startsWith(start) || slot.includes('@')) continue
    const bin = Number(slot.slice(start.length))
    if (Number.isInteger(bin)) bins.push([bin, amount])
  }
  return bins.sort((a, b) => a[0] - b[0])
}

/** Nearest-rank quantile of ordered bins: the bin that holds it; undefined without data. */
export function quantileBin(bins: readonly (readonly [bin: number, count: number])[], p: number): number | undefined {
  let total = 0
  for (const [, amount] of bins) total += amount
  if (total === 0) return undefined
  const rank = Math.max(1, Math.ceil(p * total))
  let seen = 0
  for (const [bin, amount] of bins) {
    seen += amount
    if (seen >= rank) return bin
  }
  return bins.at(-1)?.[0]
}

/** The same where `counts[bin]` are the bins. */
export function quantileIndex(counts: Float64Array, p: number): number | undefined {
  let total = 0
  for (const amount of counts) total += amount
  if (total === 0) return undefined
  const rank = Math.max(1, Math.ceil(p * total))
  let bin = -1
  for (let seen = 0; seen < rank && bin < counts.length - 1; ) seen += counts[++bin]!
  return bin
}

/** The p-quantile of ordered latency bins, ms (geometric middle of its bin); undefined without data. */
export function latencyQuantile(
  bins: readonly (readonly [bin: number, count: number])[],
  p: number,
): number | undefined {
  const bin = quantileBin(bins, p)
  if (bin === undefined) return undefined
  if (bin <= 0) return LATENCY_FLOOR_MS
  return bin >= LATENCY_BINS ? lowerMs(bin) : Math.sqrt(lowerMs(bin) * upperMs(bin))
}
