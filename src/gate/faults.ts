// Finds what cannot be true of counters: evidence that is wrong is invalid, whatever it seems to show. Knows no metric's test.
import { SLOT } from '../evidence/counters.ts'
import type { Evidence, Period } from './evidence.ts'
import { type SortedPeriod, sizeOf, type Tally, tallyOf } from './periods.ts'

/** A share nearer to 0 or to 1 than this cannot be told from it by any traffic. */
const LEAST_SHARE = 1e-9
const LATE = ['p50', 'p95', 'p99'] as const

/** Parts that cannot exceed their whole. */
const PARTS: readonly (readonly [parts: readonly string[], whole: readonly string[]])[] = [
  [[SLOT.armBaselineError], [SLOT.armBaseline]],
  [[SLOT.armCandidateError], [SLOT.armCandidate]],
  [[SLOT.armControlError], [SLOT.armControl]],
  [[SLOT.unstable], [SLOT.mismatch]],
  [[SLOT.againMinus], [SLOT.againDiffers]],
  [[SLOT.againPlus], [SLOT.mismatch]],
  [
    [SLOT.againPlus, SLOT.againMinus, SLOT.againZero],
    [SLOT.match, SLOT.mismatch],
  ],
  // A difference of whole numbers is never more than its square.
  [[SLOT.blockPlus, SLOT.blockMinus], [SLOT.blockSquares]],
  ...LATE.flatMap(
    name =>
      [
        [[`late.${name}.b`], ['late.b.n']],
        [[`late.${name}.c`], [`late.${name}.c.may`]],
        [[`late.${name}.c.may`], ['late.c.n']],
      ] as const,
  ),
]

/** Histograms that cannot hold more than a counter. */
const BINNED: readonly (readonly [prefix: string, whole: string])[] = [
  ['mean', SLOT.bothOk],
  ['arm.b.loss', SLOT.dueBaseline],
  ['arm.c.loss', SLOT.dueCandidate],
]

/**
 * Why the evidence cannot be judged at all, as a phrase; undefined when it is sound. A counter that went backwards is found
 * where a part of it stayed: a verdict sees only one moment.
 */
export function faultOf(evidence: Evidence, periods: readonly SortedPeriod[]): string | undefined {
  const { attempt, candidates, stepElapsedMs, mirrored } = evidence
  if (!Number.isSafeInteger(attempt) || attempt < 1) return `attempt is ${attempt}, expected 1 or more`
  if (!Number.isSafeInteger(candidates) || candidates < 1) return `candidates is ${candidates}, expected 1 or more`
  if (!Number.isFinite(stepElapsedMs) || stepElapsedMs < 0) return `the step has lasted ${stepElapsedMs} ms`
  if (!isCount(mirrored.eligible) || !isCount(mirrored.dropped) || mirrored.dropped > mirrored.eligible)
    return `${mirrored.dropped} of ${mirrored.eligible} mirrored requests are counted as dropped`
  for (const [index, period] of evidence.periods.entries()) {
    const fault = periodFault(period, periods[index]!)
    if (fault !== undefined) return fault
  }
  return undefined
}

function periodFault(period: Period, sorted: SortedPeriod): string | undefined {
  const { stage, step, share } = period
  if (stage !== 'shadow' && stage !== 'canary') return `stage is ${String(stage)}, expected shadow or canary`
  if (!(step >= 0 && step <= 100)) return `step is ${step}, expected 0 to 100`
  // 1 is a candidate that has taken all traffic: it has no split to judge, and so no evidence from one.
  if (stage === 'canary' && !(share === 1 || (share >= LEAST_SHARE && share <= 1 - LEAST_SHARE)))
    return `the candidate's share is ${share}, expected 0 to 1`
  const { layout, amounts } = sorted.reading
  let bad = 0
  while (bad < amounts.length && isCount(amounts[bad]!)) bad += 1
  if (bad < amounts.length) return `${layout.names[bad]} is ${amounts[bad]}, expected a count`
  if (layout.fault !== undefined) return layout.fault
  const whole = tallyOf(sorted.bySegment, '')
  const wholes = new Map([...layout.segments.get('')!.bins].map(([prefix, list]) => [prefix, new Map(list)]))
  for (const { segment, plain, bins } of layout.segments.values()) {
    if (segment !== '') {
      for (const [slot, at] of plain) if (amounts[at]! > whole.get(slot)) return `${layout.names[at]} exceeds ${slot}`
      for (const [prefix, list] of bins) {
        const all = wholes.get(prefix)
        for (const [bin, at] of list)
          if (amounts[at]! > (amounts[all?.get(bin) ?? -1] ?? 0)) return `${layout.names[at]} exceeds ${prefix}.${bin}`
      }
    }
    const impossible = tallyFault(tallyOf(sorted.bySegment, segment))
    if (impossible !== undefined) return impossible
  }
  return wholeFault(whole)
}

function tallyFault(tally: Tally): string | undefined {
  for (const [parts, wholes] of PARTS) {
    if (!parts.some(part => tally.has(part))) continue
    const [some, all] = [sum(tally, parts), sum(tally, wholes)]
    if (some > all) return `${parts.join(' + ')} (${some}) exceeds ${wholes.join(' + ')} (${all})`
  }
  return undefined
}

/** What only the whole traffic is held to: segments are counted where they are known. */
function wholeFault(whole: Tally): string | undefined {
  const compared = sum(whole, [SLOT.match, SLOT.mismatch])
  const pairs = sum(whole, [SLOT.bothOk, SLOT.baselineError, SLOT.candidateError, SLOT.bothError])
  if (compared > pairs) return `${compared} comparisons exceed ${pairs} pairs`
  for (const [prefix, slot] of BINNED) {
    const amount = sizeOf(whole.bins(prefix))
    if (amount > whole.get(slot)) return `${amount} in ${prefix} exceed ${whole.get(slot)} in ${slot}`
  }
  // Cauchy-Schwarz: the sum of |d| over n blocks is at most √(n·Σd²).
  const moved = sum(whole, [SLOT.blockPlus, SLOT.blockMinus])
  if (moved ** 2 > whole.get(SLOT.blocks) * whole.get(SLOT.blockSquares) * (1 + 1e-9))
    return `${whole.get(SLOT.blocks)} blocks cannot differ by ${moved} in all`
  return undefined
}

function sum(tally: Tally, slots: readonly string[]): number {
  return slots.reduce((total, slot) => total + tally.get(slot), 0)
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}
