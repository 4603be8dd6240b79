// Counts latencies in logarithmic bins that merge by adding, and reads quantiles from them. Knows no clock.
import { latencyBin, lowerMs, upperMs } from '../evidence/histogram.ts'

/** Quantiles of a run, ms. Null without data. */
export interface LatencySummary {
  readonly n: number
  readonly meanMs: number | null
  readonly p50Ms: number | null
  readonly p90Ms: number | null
  readonly p99Ms: number | null
  readonly p999Ms: number | null
  readonly maxMs: number | null
  /** Counts by bin of `evidence/histogram`, each 1.92 % wide: summaries of several processes merge by adding. */
  readonly bins: readonly (readonly [bin: number, count: number])[]
}

export class Latencies {
  readonly #bins = new Map<number, number>()
  #n = 0
  #sumMs = 0
  #maxMs = 0

  add(ms: number): void {
    const bin = latencyBin(ms)
    this.#bins.set(bin, (this.#bins.get(bin) ?? 0) + 1)
    this.#n++
    this.#sumMs += ms
    if (ms > this.#maxMs) this.#maxMs = ms
  }

  /** Adds what another process counted. */
  merge(other: LatencySummary): void {
    for (const [bin, count] of other.bins) this.#bins.set(bin, (this.#bins.get(bin) ?? 0) + count)
    this.#n += other.n
    this.#sumMs += (other.meanMs ?? 0) * other.n
    this.#maxMs = Math.max(this.#maxMs, other.maxMs ?? 0)
  }

  summary(): LatencySummary {
    const bins = [...this.#bins].sort((a, b) => a[0] - b[0])
    const at = (p: number) => (this.#n === 0 ? null : quantileOf(bins, this.#n, p, this.#maxMs))
    return {
      n: this.#n,
      meanMs: this.#n === 0 ? null : this.#sumMs / this.#n,
      p50Ms: at(0.5),
      p90Ms: at(0.9),
      p99Ms: at(0.99),
      p999Ms: at(0.999),
      maxMs: this.#n === 0 ? null : this.#maxMs,
      bins,
    }
  }
}

/** The p-quantile, interpolated within its bin: a ratio of two medians would otherwise move in steps of 2 %. */
function quantileOf(bins: readonly (readonly [number, number])[], total: number, p: number, maxMs: number): number {
  const rank = p * total
  let below = 0
  for (const [bin, count] of bins) {
    if (below + count >= rank) {
      const low = lowerMs(bin)
      const high = Math.min(upperMs(bin), maxMs)
      return low + (high - low) * ((rank - below) / count)
    }
    below += count
  }
  return maxMs
}
