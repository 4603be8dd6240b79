// Finds what cannot be true of counters: evidence that is wrong is invalid, whatever it seems to show. Knows no metric's test.
import { SLOT, segmentSlot } from '../evidence/counters.ts'
import { isBin, type SegmentCounters } from '../evidence/keptCounters.ts'
import { BINNED } from '../evidence/slotHistogram.ts'
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
  [[SLOT.againSampledDiffers], [SLOT.againSampled]],
  [[SLOT.againSampledDiffers], [SLOT.mismatch]],
  [[SLOT.againSampled], [SLOT.match, SLOT.mismatch]],
  [
    [SLOT.againPlus, SLOT.againMinus, SLOT.againZero],
    [SLOT.match, SLOT.mismatch],
  ],
  // A difference of whole numbers is never more than its square.
  [[SLOT.blockPlus, SLOT.blockMinus], [SLOT.blockSquares]],
  [[SLOT.blockMore, SLOT.blockLess], [SLOT.blocks]],
  // Nor less than 1. More it may be: blocks that were counted before their signs were.
  [[SLOT.blockMore], [SLOT.blockPlus]],
  [[SLOT.blockLess], [SLOT.blockMinus]],
  ...LATE.flatMap(
    name =>
      [
        [[`late.${name}.b`], ['late.b.n']],
        [[`late.${name}.c`], [`late.${name}.c.may`]],
        [[`late.${name}.c.may`], ['late.c.n']],
      ] as const,
  ),
]

/** Histograms that cannot hold more than these. A mean is of a comparison, also where the candidate has a NaN elsewhere. */
const LIMITED: readonly (readonly [prefix: string, whole: readonly string[]])[] = [
  ['mean', [SLOT.match, SLOT.mismatch]],
  ['arm.b.loss', [SLOT.dueBaseline]],
  ['arm.c.loss', [SLOT.dueCandidate]],
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
  const fault = slotFault(sorted)
  if (fault !== undefined) return fault
  const whole = tallyOf(sorted.bySegment, '')
  const { segments } = sorted.counters
  for (const [segment, counters] of segments) {
    const impossible =
      (segment === '' ? undefined : partFault(segment, counters, segments.get('')!)) ??
      tallyFault(tallyOf(sorted.bySegment, segment))
    if (impossible !== undefined) return impossible
  }
  return wholeFault(whole)
}

/** The first slot by name that holds no count, else the first that nothing counts in. */
function slotFault({ counters }: SortedPeriod): string | undefined {
  if ([...counters.segments.values()].every(isSound)) return undefined
  let bad: string | undefined
  let unknown: string | undefined
  counters.visit((slot, segment, amount) => {
    const name = segment === '' ? slot : segmentSlot(slot, segment)
    if (!isCount(amount)) bad ??= `${name} is ${amount}, expected a count`
    else if (!isBin(slot) && isUnknown(slot))
      unknown ??= slot.startsWith('score.') ? `${name} names no two deciles` : `${name} is no bin`
  })
  return bad ?? unknown
}

function isSound({ plain, histograms }: SegmentCounters): boolean {
  for (const [slot, amount] of plain) if (!isCount(amount) || isUnknown(slot)) return false
  for (const histogram of histograms.values())
    if (histogram.find(amount => !isCount(amount)) !== undefined) return false
  return true
}

/** Whether a slot that is no bin has the prefix of one, or has that of the deciles and names no two. */
function isUnknown(slot: string): boolean {
  if (slot.startsWith('score.')) return !/^score\.\d\.\d$/.test(slot)
  return BINNED.has(slot.slice(0, Math.max(0, slot.lastIndexOf('.'))))
}

/** A segment has no more of a slot than the whole traffic. */
function partFault(segment: string, part: SegmentCounters, whole: SegmentCounters): string | undefined {
  for (const [slot, amount] of part.plain)
    if (amount > (whole.plain.get(slot) ?? 0)) return `${segmentSlot(slot, segment)} exceeds ${slot}`
  for (const [prefix, histogram] of part.histograms) {
    const all = whole.histograms.get(prefix)
    const bin = histogram.find((amount, bin) => amount > (all?.get(bin) ?? 0))
    if (bin !== undefined) return `${segmentSlot(`${prefix}.${bin}`, segment)} exceeds ${prefix}.${bin}`
  }
  return undefined
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
  for (const [prefix, slots] of LIMITED) {
    const amount = sizeOf(whole.bins(prefix))
    const most = sum(whole, slots)
    if (amount > most) return `${amount} in ${prefix} exceed ${most} in ${slots.join(' + ')}`
  }
  return blocksFault(whole)
}

/**
 * Cauchy-Schwarz: over a blocks with d > 0 and b with d < 0, Σd² is at least plus²/a + minus²/b. a and b are known to be at
 * least `block.more` and `block.less` (blocks that are older than these have no sign) and at most n in all; the a that
 * makes the bound least is the share of n that plus is of both, or the nearest that is possible.
 */
function blocksFault(whole: Tally): string | undefined {
  const [n, plus, minus] = [whole.get(SLOT.blocks), whole.get(SLOT.blockPlus), whole.get(SLOT.blockMinus)]
  const moved = plus + minus
  if (moved === 0) return undefined
  const a = Math.min(n - whole.get(SLOT.blockLess), Math.max(whole.get(SLOT.blockMore), (n * plus) / moved))
  const least = squaresOf(plus, a) + squaresOf(minus, n - a)
  return least > whole.get(SLOT.blockSquares) * (1 + 1e-9)
    ? `${n} blocks cannot differ by ${plus} and ${minus} with these signs and squares`
    : undefined
}

function squaresOf(sum: number, blocks: number): number {
  return sum === 0 ? 0 : sum ** 2 / blocks
}

function sum(tally: Tally, slots: readonly string[]): number {
  return slots.reduce((total, slot) => total + tally.get(slot), 0)
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}
