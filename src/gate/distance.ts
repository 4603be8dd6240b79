// How far the candidate's scores lie from the baseline's, as people are used to read it. Judges nothing: under no change at
// all PSI exceeds 0.1 in a third of runs of 200 requests.
export const DECILES = 10

/** Counts `joint[i][j]` of slots `score.<i>.<j>`: the baseline's score in its decile i, the candidate's in j. */
export function jointDeciles(counters: { get(slot: string): number | undefined }): number[][] {
  return Array.from({ length: DECILES }, (_, i) =>
    Array.from({ length: DECILES }, (_, j) => counters.get(`score.${i}.${j}`) ?? 0),
  )
}

export interface DistributionDistance {
  readonly n: number
  /** Share of scores in each decile. */
  readonly baseline: readonly number[]
  readonly candidate: readonly number[]
  /** Population stability index, Σ(c − b)·ln(c/b), half a count added to every bin; 0 or more. */
  readonly psi: number
  /** Kolmogorov-Smirnov distance of the binned distributions, 0 to 1. */
  readonly ks: number
  /** Jensen-Shannon divergence in bits, 0 to 1. */
  readonly js: number
}

/** Distances of the two margins of `joint`; undefined without scores. */
export function distributionDistance(joint: readonly (readonly number[])[]): DistributionDistance | undefined {
  const rows = joint.map(row => row.reduce((sum, amount) => sum + amount, 0))
  const n = rows.reduce((sum, amount) => sum + amount, 0)
  if (n === 0) return undefined
  const columns = joint.map((_, j) => joint.reduce((sum, row) => sum + (row[j] ?? 0), 0))
  const baseline = rows.map(amount => amount / n)
  const candidate = columns.map(amount => amount / n)
  let [psi, ks, js, drift] = [0, 0, 0, 0]
  for (const [decile, b] of baseline.entries()) {
    const c = candidate[decile]!
    // An empty bin would make it infinite.
    const [pb, pc] = [rows[decile]!, columns[decile]!].map(amount => (amount + 0.5) / (n + joint.length / 2)) as [
      number,
      number,
    ]
    psi += (pc - pb) * Math.log(pc / pb)
    drift += c - b
    ks = Math.max(ks, Math.abs(drift))
    const middle = (b + c) / 2
    if (b > 0) js += (b * Math.log2(b / middle)) / 2
    if (c > 0) js += (c * Math.log2(c / middle)) / 2
  }
  return { n, baseline, candidate, psi, ks, js: Math.max(0, Math.min(1, js)) }
}
