// Chooses among the evidence that spans hold: one candidate's last attempt, and what a reader must know of it. Judges nothing.

import { addAll, type Counters } from '../evidence/counters.ts'
import type { EvidenceTerms } from '../evidence/told.ts'
import type { Evidence, Waiver } from '../gate/evidence.ts'
import { duration, numeral } from '../gate/wording.ts'
import { evidenceOf } from '../rollout/evidenceOf.ts'
import type { PeriodRecord } from '../rollout/periods.ts'
import type { Recount } from './recount.ts'
import type { TracesReport } from './status.ts'
import { estimatesOf } from './tracesEstimates.ts'

/** One candidate's evidence in spans. */
export interface TracedEvidence {
  readonly evidence: Evidence
  readonly periods: readonly PeriodRecord[]
  readonly compareDigest: string
}

/** Candidates that spans describe, in the order of their last request. */
export function candidatesIn(recount: Recount): string[] {
  const described = recount.keys.flatMap(key => {
    const terms = recount.termsOf(key)
    return terms === undefined || terms.holdback ? [] : [{ version: terms.candidate.version, at: lastOf(recount, key) }]
  })
  return [...new Set(described.sort((a, b) => b.at - a.at).map(({ version }) => version))]
}

/**
 * The evidence of a candidate's last attempt; undefined: spans describe none. What belongs to another attempt, other bytes
 * or another baseline has keys of its own and stays out, as in the gateway.
 */
export function tracedEvidence(recount: Recount, candidate: string, waiver: (digest: string) => Waiver | undefined) {
  const own = recount.keys.flatMap(key => {
    const terms = recount.termsOf(key)
    return terms === undefined || terms.holdback || terms.candidate.version !== candidate ? [] : [terms]
  })
  const last = own.reduce<EvidenceTerms | undefined>(
    (newest, terms) =>
      newest === undefined || lastOf(recount, terms.key) >= lastOf(recount, newest.key) ? terms : newest,
    undefined,
  )
  if (last === undefined) return undefined
  const attempt = attemptOf(last.key)
  const terms = own.filter(({ key }) => attemptOf(key) === attempt).sort((a, b) => (a.key < b.key ? -1 : 1))
  const periods = terms.map((each, index) => recordOf(each, terms[index + 1]?.startedAt))
  const source = {
    counters: (key: string) => recount.countersOf(key),
    segments: (key: string) => recount.segmentsOf(key),
  }
  const evidence = evidenceOf(periods, last.candidates, source, waiver(last.candidate.digest))
  if (evidence === undefined) return undefined
  const traced: TracedEvidence = { evidence, periods, compareDigest: last.compareDigest }
  return traced
}

/** What the reader of the report must know besides its figures. */
export function tracesReport(
  recount: Recount,
  { evidence, periods }: TracedEvidence,
  { hasLabels, wantsLabels, ofArms }: { hasLabels: boolean; wantsLabels: boolean; ofArms: boolean },
): TracesReport {
  const { tally } = recount
  const { requests, sampled } = tally
  const ratio = [Math.min(1, tally.leastRatio), tally.mostRatio] as const
  const isExact = ratio[0] >= 1
  const sample: Counters = new Map()
  for (const { counters } of evidence.periods) addAll(sample, counters)
  return {
    requests,
    sampled,
    ratio,
    estimates: isExact
      ? []
      : estimatesOf(
          periods.map(({ key }) => recount.weightedOf(key)),
          sample,
          ratio[0],
        ),
    notes: [
      ...(isExact ? [] : samplingNotes(requests, sampled, ratio)),
      ...beginningNotes(recount, periods),
      ...missingNotes(recount),
      ...labelNotes(recount, { hasLabels, wantsLabels, ofArms }),
      'spans cannot show requests that never came to the shadow thread (a full ring, a thread that died), and time is counted from the first to the last span',
    ],
  }
}

function samplingNotes(requests: number, sampled: number, [least, most]: readonly [number, number]): string[] {
  const ratio = least === most ? String(least) : `${least} to ${most}`
  return [
    `a share of ${ratio} of ordinary requests was kept, and every mismatch, error and slow answer: the verdict and all figures but the estimates are of the ${numeral(sampled)} of ${numeral(requests)} requests that their trace id chose, whatever came of them`,
    ...(sampled === 0 ? ['no request was chosen so, and without a sample there is no verdict'] : []),
  ]
}

/** The gateway may know more than the file. */
const BEGINS_LATE_MS = 60_000

function beginningNotes(recount: Recount, periods: readonly PeriodRecord[]): string[] {
  const first = periods[0]
  if (first === undefined) return []
  const [from] = recount.spanOf(first.key)
  const lateMs = from - first.startedAt
  if (!(lateMs > BEGINS_LATE_MS)) return []
  return [`the spans begin ${duration(lateMs)} after this evidence did: what was counted before is not in them`]
}

function missingNotes(recount: Recount): string[] {
  const { lost, orphaned, cut, repeated } = recount.tally
  const undescribed = recount.keys.filter(key => recount.termsOf(key) === undefined)
  return [
    ...(lost > 0 ? [`${numeral(lost)} pairs are missing that requests speak of: they count as lost`] : []),
    ...(orphaned > 0 ? [`${numeral(orphaned)} pairs have no request span: their requests count in no arm`] : []),
    ...(repeated > 0 ? [`${numeral(repeated)} spans were there before: each counts once`] : []),
    ...(cut > 0 ? [`the differences of ${numeral(cut)} pairs were cut short on the way`] : []),
    ...(recount.late > 0 ? [`${numeral(recount.late)} spans came more than ten minutes behind the others`] : []),
    ...(undescribed.length > 0
      ? [
          `no span says what ${numeral(undescribed.length)} evidence keys stand for (${undescribed.slice(0, 3).join(', ')}): they are left out`,
        ]
      : []),
  ]
}

function labelNotes(
  { tally }: Recount,
  { hasLabels, wantsLabels, ofArms }: { hasLabels: boolean; wantsLabels: boolean; ofArms: boolean },
): string[] {
  if (!wantsLabels) return []
  if (ofArms) return ['labels of live answers (`labels.affectedByAnswer`) cannot be recounted from spans']
  if (!hasLabels) return ['labels are not in spans: give them with --labels']
  return [`${numeral(tally.labelled)} labels were joined, each as if it had come in time`]
}

/** Keys of one attempt differ in their last part. */
function attemptOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/'))
}

function recordOf(terms: EvidenceTerms, endedAt: number | undefined): PeriodRecord {
  const { route, key, baseline, candidate, compareDigest, attempt, stage, step, share, startedAt } = terms
  return {
    key,
    route,
    version: candidate.version,
    baselineVersion: baseline.version,
    baselineDigest: baseline.digest,
    candidateDigest: candidate.digest,
    compareDigest,
    attemptKey: attemptOf(key),
    attempt,
    stage,
    step,
    share,
    startedAt,
    ...(endedAt !== undefined && { endedAt }),
  }
}

function lastOf(recount: Recount, key: string): number {
  return recount.spanOf(key)[1]
}
