// Sorts the counters of periods by segment and finds what cannot be true of them. Decides nothing about versions.
import { type Counters, count, SLOT, splitSlot } from '../evidence/counters.ts'
import { isDifferenceBin } from '../evidence/histogram.ts'
import type { ArmCounts } from './eprocess.ts'
import type { Evidence, Period, Stage } from './evidence.ts'

/** A period with its counters sorted by segment; '' is the whole traffic. */
export interface SortedPeriod {
  readonly stage: Stage
  readonly step: number
  readonly share: number
  readonly bySegment: ReadonlyMap<string, Counters>
}

/** One pass over the slots of a period. */
export function sortPeriod(period: Period): SortedPeriod {
  const bySegment = new Map<string, Counters>([['', new Map()]])
  for (const [name, amount] of period.counters) {
    const [slot, segment = ''] = splitSlot(name)
    let counters = bySegment.get(segment)
    if (counters === undefined) {
      counters = new Map()
      bySegment.set(segment, counters)
    }
    counters.set(slot, amount)
  }
  return { stage: period.stage, step: period.step, share: period.share, bySegment }
}

/** The periods at the end that share the last one's stage and step: what safe tests may read. */
export function presentStep(periods: readonly SortedPeriod[]): readonly SortedPeriod[] {
  const last = periods.at(-1)
  let from = periods.length
  while (from > 0 && periods[from - 1]!.stage === last?.stage && periods[from - 1]!.step === last.step) from -= 1
  return periods.slice(from)
}

/** Counters of one segment ('' is all traffic) added over periods. Only for slots that do not depend on the share. */
export function added(periods: readonly SortedPeriod[], segment = ''): Counters {
  if (periods.length === 1) return periods[0]!.bySegment.get(segment) ?? new Map()
  const sum: Counters = new Map()
  for (const period of periods) {
    for (const [slot, amount] of period.bySegment.get(segment) ?? []) count(sum, slot, amount)
  }
  return sum
}

/** Every segment that has one of `slots` (or a slot that starts with one that ends in a dot). */
export function segmentsWith(periods: readonly SortedPeriod[], slots: readonly string[]): string[] {
  const found = new Set<string>()
  for (const period of periods) {
    for (const [segment, counters] of period.bySegment) {
      if (segment === '' || found.has(segment)) continue
      const has = slots.some(slot => (slot.endsWith('.') ? someKey(counters, slot) : counters.has(slot)))
      if (has) found.add(segment)
    }
  }
  return [...found].sort()
}

function someKey(counters: Counters, start: string): boolean {
  for (const slot of counters.keys()) if (slot.startsWith(start)) return true
  return false
}

/** Events of the two arms, a period each. Periods without two arms (shadow, or a share of all traffic) have none. */
export function arms(
  periods: readonly SortedPeriod[],
  slots: {
    readonly candidate: string
    readonly candidateEvents: string
    readonly baseline: string
    readonly baselineEvents: string
  },
  segment = '',
): ArmCounts[] {
  return periods
    .filter(period => period.stage === 'canary' && period.share < 1)
    .map(({ share, bySegment }) => {
      const read = (slot: string) => bySegment.get(segment)?.get(slot) ?? 0
      return {
        share,
        candidate: read(slots.candidate),
        candidateEvents: read(slots.candidateEvents),
        baseline: read(slots.baseline),
        baselineEvents: read(slots.baselineEvents),
      }
    })
}

const LATE = ['p50', 'p95', 'p99'] as const

/** Parts that cannot exceed their whole. */
const PARTS: readonly (readonly [part: string, whole: readonly string[]])[] = [
  [SLOT.armBaselineError, [SLOT.armBaseline]],
  [SLOT.armCandidateError, [SLOT.armCandidate]],
  [SLOT.unstable, [SLOT.mismatch]],
  ...LATE.flatMap(
    name =>
      [
        [`late.${name}.b`, ['late.b.n']],
        [`late.${name}.c`, ['late.c.n']],
        [`late.${name}.c.may`, ['late.c.n']],
      ] as const,
  ),
]

/** Why the evidence cannot be judged at all, as a phrase; undefined when it is sound. */
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
  if (stage === 'canary' && !(share > 0 && share <= 1)) return `the candidate's share is ${share}, expected 0 to 1`
  const whole = sorted.bySegment.get('')!
  for (const [name, amount] of period.counters) {
    if (!isCount(amount)) return `${name} is ${amount}, expected a count`
    const [slot, segment] = splitSlot(name)
    if (segment !== undefined && amount > (whole.get(slot) ?? 0)) return `${name} exceeds ${slot}`
    if (slot.startsWith('loss.') && !isDifferenceBin(Number(slot.slice(5)))) return `${name} is no bin of a loss`
  }
  for (const counters of sorted.bySegment.values()) {
    for (const [part, wholes] of PARTS) {
      const [some, all] = [counters.get(part) ?? 0, sum(counters, wholes)]
      if (some > all) return `${part} (${some}) exceeds ${wholes.join(' + ')} (${all})`
    }
  }
  const compared = sum(whole, [SLOT.match, SLOT.mismatch])
  const pairs = sum(whole, [SLOT.bothOk, SLOT.baselineError, SLOT.candidateError, SLOT.bothError])
  if (compared > pairs) return `${compared} comparisons exceed ${pairs} pairs`
  return undefined
}

function sum(counters: Counters, slots: readonly string[]): number {
  return slots.reduce((total, slot) => total + (counters.get(slot) ?? 0), 0)
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}
