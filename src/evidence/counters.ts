// The names of evidence counters and how they merge. Every counter is an integer that only grows; nothing here decides.

/** Slot name → grow-only integer. A slot of a segment carries `@field=value` at its end. */
export type Counters = Map<string, number>

/** Counters as they are read, whichever way they are kept. */
export interface ReadonlyCounters extends Iterable<readonly [slot: string, amount: number]> {
  readonly size: number
  get(slot: string): number | undefined
  keys(): Iterable<string>
  /** The bins of slots `<prefix>.<bin>` of the whole traffic, in order, where they need not be looked for by name. */
  bins?(prefix: string): readonly (readonly [bin: number, amount: number])[]
}

/**
 * The evidence slots.
 *
 * Paired (one request, both versions): what the shadow thread and the label join count.
 *   pair.match, pair.mismatch            both answered; within or beyond tolerance
 *   pair.unstable                        of the mismatches: the candidate gave a NaN or infinity that the baseline did not
 *   pair.ok, pair.err.b, pair.err.c, pair.err.both   who failed
 *   pair.late.p50.plus|minus|zero (p95, p99)         1[candidate > r·τ] − 1[baseline > τ]
 *   plat.b.<bin>, plat.c.<bin>           latency of both sides of unbatched pairs (log bins)
 *   diff.<bin>                           |candidate − baseline| of numeric outputs (log bins)
 *   loss.<bin>                           loss(candidate) − loss(baseline) in [−1, 1] (signed log bins)
 *   mean.<bin>                           (candidate − baseline)/s of a number's first row, clipped to ±1 (signed log bins)
 *   score.<i>.<j>                        the baseline's score fell in decile i of its own earlier scores, the candidate's in j; 0 to 9
 *   class.<b>|<c>                        labels of both sides, first row; at most 16 names a side, then `other`
 *   again.plus|minus|zero                1[candidate ≠ baseline] − 1[second run of the baseline ≠ first], where live scored twice
 *   again.differs                        second runs that differed from the first
 *   again.of, again.of.differs           comparisons while live was to score some twice; of them the candidate differed
 * Unpaired (arms of the live split): what serving threads count.
 *   arm.b.n, arm.b.err, arm.c.n, arm.c.err
 *   lat.b.<bin>, lat.c.<bin>             latency of each arm (log bins)
 *   late.p50.b, late.p50.c (p95, p99)    exceedances, derived from the bins when an epoch is committed
 *   late.p50.c.may                       candidate answers in or above the limit's bin: what the safe test reads
 *   late.b.n, late.c.n                   observations that could have exceeded
 *   arm.k.n, arm.k.err                   a control cohort of the baseline's requests, as many as the candidate's, and its errors; where
 *                                        the candidate has the larger arm the cohort is all of the baseline's, and
 *   arm.t.n, arm.t.err                   is the part of the candidate's requests that it is held against
 *   block.n, block.plus, block.minus, block.squares   blocks of `gate.blocks`; sums of max(d, 0), max(−d, 0) and d², where d is the
 *                                        candidate's errors less the control cohort's in one block
 *   block.more, block.less               blocks with d > 0 and with d < 0; neither in evidence that was counted before they were
 *   arm.b.loss.<bin>, arm.c.loss.<bin>   losses in [0, 1] of labelled live answers once every label had its time (`labels.within`)
 *   arm.b.due, arm.c.due                 live answers whose labels had their time, labelled or not
 *   record.b.n, record.c.n               answers that were to wait for their label by arm (`labels.affectedByAnswer`)
 *   record.b.dropped.<reason>, record.c.…   of them: what the serving thread could not hand over
 * Neither:
 *   time.ms                              how long the gateway served while the key was open; no observation
 */
export const SLOT = {
  match: 'pair.match',
  mismatch: 'pair.mismatch',
  unstable: 'pair.unstable',
  bothOk: 'pair.ok',
  baselineError: 'pair.err.b',
  candidateError: 'pair.err.c',
  bothError: 'pair.err.both',
  armBaseline: 'arm.b.n',
  armBaselineError: 'arm.b.err',
  armCandidate: 'arm.c.n',
  armCandidateError: 'arm.c.err',
  armControl: 'arm.k.n',
  armControlError: 'arm.k.err',
  armThinned: 'arm.t.n',
  armThinnedError: 'arm.t.err',
  dueBaseline: 'arm.b.due',
  dueCandidate: 'arm.c.due',
  againPlus: 'again.plus',
  againMinus: 'again.minus',
  againZero: 'again.zero',
  againDiffers: 'again.differs',
  againSampled: 'again.of',
  againSampledDiffers: 'again.of.differs',
  blocks: 'block.n',
  blockPlus: 'block.plus',
  blockMinus: 'block.minus',
  blockSquares: 'block.squares',
  blockMore: 'block.more',
  blockLess: 'block.less',
  timeMs: 'time.ms',
} as const

/** The slot of one segment value, such as `pair.match@origin=JFK`. */
export function segmentSlot(slot: string, segment: string): string {
  return `${slot}@${segment}`
}

/** Adds `amount` to a slot. */
export function count(counters: Counters, slot: string, amount = 1): void {
  counters.set(slot, (counters.get(slot) ?? 0) + amount)
}

/** Adds every slot of `delta` into `into`. */
export function addAll(into: Counters, delta: Iterable<readonly [string, number]>): void {
  for (const [slot, amount] of delta) count(into, slot, amount)
}

/** The slot without its segment, and the segment: `pair.match@origin=JFK` → `pair.match`, `origin=JFK`. */
export function splitSlot(slot: string): readonly [slot: string, segment: string | undefined] {
  const at = slot.indexOf('@')
  return at < 0 ? [slot, undefined] : [slot.slice(0, at), slot.slice(at + 1)]
}

/**
 * What all replicas counted together. A replica's counters only grow, so of several reports the greatest is the newest
 * whatever order they came in; then replicas add. Reports may be repeated and shuffled.
 */
export function mergeReplicas(
  reports: Iterable<readonly [replica: string, counters: Iterable<readonly [string, number]>]>,
): Counters {
  const replicas = new Map<string, Counters>()
  for (const [replica, counters] of reports) {
    let newest = replicas.get(replica)
    if (newest === undefined) {
      newest = new Map()
      replicas.set(replica, newest)
    }
    for (const [slot, amount] of counters) newest.set(slot, Math.max(newest.get(slot) ?? 0, amount))
  }
  const merged: Counters = new Map()
  for (const counters of replicas.values()) addAll(merged, counters)
  return merged
}
