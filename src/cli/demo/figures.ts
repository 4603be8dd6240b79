// Computes the demo's own figures: seeded draws, AUC, Brier loss and quantiles. Pure; knows nothing of the gateway.

/** Numbers in [0, 1) from a 32-bit seed (mulberry32, by Tommy Ettinger; public domain): the same seed, the same numbers. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A draw with replacement: whole numbers from 0 to below `size`. */
export function drawer(size: number, seed: number): () => number {
  const next = seeded(seed)
  return () => Math.floor(next() * size)
}

export interface Scored {
  /** Probability of the positive class. */
  readonly p: number
  /** 1: the positive class came true. */
  readonly truth: 0 | 1
}

/**
 * Area under the ROC curve: the chance that a positive is scored above a negative, ties counting half
 * (Mann & Whitney's U over n₊·n₋). Undefined unless both classes are there.
 */
export function auc(scored: readonly Scored[]): number | undefined {
  const sorted = scored.toSorted((a, b) => a.p - b.p)
  let positives = 0
  let rankSum = 0
  for (let start = 0; start < sorted.length; ) {
    let end = start
    while (end < sorted.length && sorted[end]!.p === sorted[start]!.p) end++
    const rank = (start + 1 + end) / 2
    for (let at = start; at < end; at++) {
      if (sorted[at]!.truth === 1) {
        positives++
        rankSum += rank
      }
    }
    start = end
  }
  const negatives = sorted.length - positives
  if (positives === 0 || negatives === 0) return undefined
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives)
}

/** Mean of (p − truth)²; undefined without rows. */
export function brier(scored: readonly Scored[]): number | undefined {
  if (scored.length === 0) return undefined
  return scored.reduce((sum, { p, truth }) => sum + (p - truth) ** 2, 0) / scored.length
}

/** Nearest-rank quantile; undefined without values. */
export function quantile(values: readonly number[], p: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)]
}

/** Middle value, or the mean of the two middle ones; undefined without values. */
export function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  if (sorted.length === 0) return undefined
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}
