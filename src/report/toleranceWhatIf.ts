// Answers "what if the tolerance had been 1e-3?" from the histogram of differences. Pure; it licenses nothing.
import { type Counters, type ReadonlyCounters, SLOT, splitSlot } from '../evidence/counters.ts'
import { binsOf, magnitudeEdge } from '../evidence/histogram.ts'
import type { Evidence, Policy, Verdict } from '../gate/evidence.ts'
import { judge } from '../gate/verdict.ts'
import type { ComparedOutput } from '../rollout/snapshot.ts'

/** The mismatches that there would have been: at least and at most, since a bin of differences is 2 % wide. */
export interface MismatchBounds {
  readonly atLeast: number
  readonly atMost: number
}

export type ToleranceAnswer =
  | { readonly verdict: Verdict; readonly compared: number; readonly mismatches: MismatchBounds }
  | { readonly refused: string }

/**
 * The verdict with another absolute tolerance. The safe test reads the most mismatches that the bins allow, the harm test
 * the fewest; where the two disagree the answer is *continue*. Segments are left out: their counters have no histogram.
 * @param compared how answers were compared while they were counted; undefined: not known
 * @param tolerance ≥ 0, in the output's unit
 */
export function judgeWithTolerance(
  evidence: Evidence,
  policy: Policy,
  compared: readonly ComparedOutput[] | undefined,
  tolerance: number,
): ToleranceAnswer {
  const before = absoluteOf(compared)
  if (typeof before !== 'number') return before
  const secondRuns = [SLOT.againPlus, SLOT.againMinus, SLOT.againZero, SLOT.againSampled]
  if (evidence.periods.some(({ counters }) => secondRuns.some(slot => (counters.get(slot) ?? 0) > 0)))
    return refused(
      'live scored some requests twice (`compare.again`), and those runs were compared by the tolerance of then',
    )
  const periods: { readonly bounds: MismatchBounds; readonly compared: number }[] = []
  for (const { counters } of evidence.periods) {
    const bounds = mismatchBounds(counters, before, tolerance)
    if (bounds === undefined)
      return refused(
        `the mismatches that were counted do not follow from differences above ${before}: the output was not compared as a number`,
      )
    periods.push({ bounds, compared: at(counters, SLOT.match) + at(counters, SLOT.mismatch) })
  }
  const sum = (of: (period: (typeof periods)[number]) => number) =>
    periods.reduce((total, period) => total + of(period), 0)
  const fewest = judge(
    withMismatches(evidence, index => periods[index]!.bounds.atLeast),
    policy,
  )
  const most = judge(
    withMismatches(evidence, index => periods[index]!.bounds.atMost),
    policy,
  )
  return {
    verdict: between(fewest, most),
    compared: sum(({ compared }) => compared),
    mismatches: { atLeast: sum(({ bounds }) => bounds.atLeast), atMost: sum(({ bounds }) => bounds.atMost) },
  }
}

/** The one absolute tolerance that was applied, or why there is none. */
function absoluteOf(compared: readonly ComparedOutput[] | undefined): number | { refused: string } {
  if (compared === undefined)
    return refused(
      'the file does not say how answers were compared; name the route with --policy routes.yaml --route ROUTE',
    )
  const [first] = compared
  if (first === undefined || compared.length > 1)
    return refused(`${compared.length} outputs were compared, and their differences were counted together`)
  const { kind, tolerance } = first
  if (kind !== undefined && kind !== 'number' && kind !== 'probabilities')
    return refused(`the output was compared as a ${kind}, which no difference decides`)
  if (tolerance.threshold !== undefined) return refused('the output was compared as a label, by a threshold')
  if (tolerance.top !== undefined) return refused('the output was compared as a ranking')
  if ((tolerance.relative ?? 0) > 0)
    return refused('the tolerance has a relative part, and only absolute differences were counted')
  if (tolerance.absolute === undefined && kind === undefined)
    return refused('no absolute tolerance was set, so it is not known that the output was compared as a number')
  return tolerance.absolute ?? 0
}

/**
 * How many comparisons would have been mismatches. With d the largest difference of a row, V(t) the comparisons with d > t
 * and M those that were counted at tolerance t₀:
 *
 * - A smaller t adds mismatches and a larger one takes some away: M(t) ≥ M for t ≤ t₀, M(t) ≤ M for t ≥ t₀.
 * - Mismatches that no difference explains (shapes, NaN) number M − V(t₀) and stay: M(t) = V(t) + M − V(t₀), where an
 *   answer with a NaN has no other value beyond the tolerance. Those of the candidate's own that do are at most `pair.unstable`.
 * - V lies between the rows of bins wholly above t and of bins that reach above it. A bin counts rows: where requests held
 *   several, V may be smaller than its rows, and only the first line bounds it from below.
 *
 * Undefined where M itself is not within the bounds at t₀: then it was not counted from these differences.
 */
function mismatchBounds(counters: ReadonlyCounters, before: number, tolerance: number): MismatchBounds | undefined {
  const counted = at(counters, SLOT.mismatch)
  const compared = counted + at(counters, SLOT.match)
  const unstable = at(counters, SLOT.unstable)
  const bins = binsOf(counters, 'diff')
  const rows = bins.reduce((sum, [, amount]) => sum + amount, 0)
  const isSingle = rows <= compared
  const then = beyond(bins, before)
  const now = beyond(bins, tolerance)
  // Rows can only be fewer than requests where some had no numbers.
  if (isSingle && then.surely > counted) return undefined
  if (counted > then.perhaps + (isSingle ? compared - rows : compared) + unstable) return undefined
  // The tolerance of then: its bins are no question.
  if (tolerance === before) return { atLeast: counted, atMost: counted }
  const unexplained = {
    atLeast: Math.max(0, counted - then.perhaps),
    atMost: isSingle ? counted - then.surely : counted,
  }
  const bounds =
    tolerance <= before
      ? { atLeast: Math.max(counted, isSingle ? now.surely : 0), atMost: now.perhaps + unexplained.atMost }
      : {
          atLeast: Math.max(unstable, isSingle ? now.surely + unexplained.atLeast : unexplained.atLeast),
          atMost: Math.min(counted, now.perhaps + unexplained.atMost + unstable),
        }
  const atMost = Math.min(compared, bounds.atMost)
  return { atLeast: Math.min(bounds.atLeast, atMost), atMost }
}

/** Rows whose difference is above `tolerance` for certain, and those that may be. */
function beyond(bins: readonly (readonly [bin: number, count: number])[], tolerance: number) {
  let [surely, perhaps] = [0, 0]
  for (const [bin, amount] of bins) {
    // A logarithm may round across an edge.
    if (magnitudeEdge(bin - 1) * (1 - 1e-9) >= tolerance && bin > 0) surely += amount
    if (isOpen(bin) || magnitudeEdge(bin) * (1 + 1e-9) > tolerance) perhaps += amount
  }
  return { surely, perhaps }
}

/** Differences beyond 10¹² share the last bin. */
function isOpen(bin: number): boolean {
  return magnitudeEdge(bin) >= 1e12
}

/** The same evidence with other mismatches, and without the segments of comparisons. */
function withMismatches(evidence: Evidence, mismatchesOf: (period: number) => number): Evidence {
  return {
    ...evidence,
    periods: evidence.periods.map((period, index) => {
      const mismatches = mismatchesOf(index)
      const compared = at(period.counters, SLOT.match) + at(period.counters, SLOT.mismatch)
      const counters: Counters = new Map()
      for (const [name, amount] of period.counters) {
        const [slot, segment] = splitSlot(name)
        const isComparison = slot === SLOT.match || slot === SLOT.mismatch
        if (!(isComparison && segment !== undefined)) counters.set(name, amount)
      }
      counters.set(SLOT.match, compared - mismatches)
      counters.set(SLOT.mismatch, mismatches)
      return { ...period, counters }
    }),
  }
}

/** More mismatches never look better: an abort holds for both when it holds for the fewest, a promote for the most. */
function between(fewest: Verdict, most: Verdict): Verdict {
  if (fewest.decision === 'abort' || most.decision !== 'abort') return fewest.decision === 'abort' ? fewest : most
  return {
    ...most,
    decision: 'continue',
    guilty: [],
    metrics: most.metrics.map((row, index) => {
      if (row.metric !== 'disagreement') return row
      const state = row.state === 'guilty' ? 'open' : row.state
      return { ...row, state, logHarm: fewest.metrics[index]?.logHarm ?? row.logHarm }
    }),
    reason: 'the differences were counted in bins 2 % wide, and that is too wide to tell at this tolerance',
    missing: ['differences that are counted more finely'],
  }
}

function refused(why: string): { refused: string } {
  return { refused: why }
}

function at(counters: ReadonlyCounters, slot: string): number {
  return counters.get(slot) ?? 0
}
