// Puts what a verdict found into sentences. Decides nothing.
import type { Check } from './checks.ts'
import type { Evidence, Stage, Verdict, Waiver } from './evidence.ts'
import { ALPHA_PROMOTE, guiltySegments, isGuilty } from './levels.ts'
import { logSafeOf, neededOf, type SegmentHarm, type Stream, type Summary } from './stream.ts'
import { about, approximate, duration, numeral, percentage } from './wording.ts'

/** Why a version is aborted: the metric that weighs most, its figures and where it is worst. */
export function abortReason({ candidate, baseline }: Evidence, accusers: readonly Stream[]): string {
  const worst = accusers.toSorted((a, b) => b.logHarm + Math.log(b.weight) - a.logHarm - Math.log(a.weight))[0]!
  const blamed = guiltySegments(worst)
  // The sum can cross before any metric does alone.
  const together = isGuilty(worst) ? '' : 'by several metrics together, of which '
  const start = `${candidate.version} is worse than ${baseline.version}: ${together}${worst.what}`
  const { estimate, limit } = worst.history
  const hides = estimate !== null && limit !== null && estimate <= limit && worst.isPaired
  const [first, ...others] = blamed
  // The whole is within the limit: what is worse is a part of it.
  if (first !== undefined && hides) {
    const also = others.length === 0 ? '' : `; also ${list(names(others))}`
    return `${start} at ${first.segment} is ${figures(worst, first.summary())}${also}; over all it is ${figure(worst, estimate)}`
  }
  const most = blamed.length === 0 ? '' : `, most at ${list(names(blamed))}`
  return `${start} is ${figures(worst, worst.history)}${most}`
}

function names(segments: readonly SegmentHarm[]): string[] {
  return segments.slice(0, 3).map(({ segment }) => segment)
}

/** "0.0086 (limit 0.002) over 1,680 labels", or "2 % against 1 % over …" where the baseline stands beside it. */
function figures(stream: Stream, { estimate, baseline, limit, n }: Summary): string {
  const against = baseline === undefined || stream.isPaired ? '' : ` against ${figure(stream, baseline)}`
  const most = limit === null || !stream.isPaired ? '' : ` (limit ${figure(stream, limit)})`
  return `${figure(stream, estimate)}${against}${most} over ${numeral(n)} ${stream.unit}`
}

/** Why the evidence is invalid by a check of its own. */
export function checkReason({ metric, estimate, limit }: Check): string {
  const [seen, due] = [percentage(estimate ?? 0), percentage(limit ?? 0)]
  return metric === 'split'
    ? `the live split is broken: the candidate got ${seen} of requests where ${due} was due, so its arms cannot be compared`
    : `labels arrive unevenly: ${seen} of labelled answers are the candidate's where ${due} was due, so its arms cannot be compared`
}

/** What a stream still lacks for promotion, as phrases. */
export function missingOf(stream: Stream, safeNeeded: number): string[] {
  const name = stream.isPaired
    ? stream.metric
    : { errors: 'live errors', labels: 'live labels' }[stream.metric as string]
  const title = name ?? stream.metric
  if (isWithheld(stream)) return [`${title}: ${stream.withheldFor ?? 'it is worse'}`]
  if (stream.safe === undefined || logSafeOf(stream) >= safeNeeded) return []
  if (stream.present.n === 0) return [`${title}: no ${stream.unit} in this step yet`]
  const needed = neededOf(stream, safeNeeded)
  if (needed === null)
    return [`${title}: not within the limit as it looks now (${numeral(stream.present.n)} ${stream.unit})`]
  return [`${title}: about ${approximate(needed)} more ${title === stream.unit ? '' : stream.unit}`.trimEnd()]
}

/** Whether a stream shows the candidate worse at 5 %, which is no abort and no proof. */
export function isWithheld({ logWithhold }: Stream): boolean {
  return logWithhold !== undefined && logWithhold >= Math.log(1 / ALPHA_PROMOTE)
}

/** What the step still lacks of its least exposure, as phrases. */
export function missingExposure(stage: Stage, exposure: Verdict['exposure']): string[] {
  const { requests, requestsNeeded, elapsedMs, neededMs } = exposure
  const missing: string[] = []
  if (requests < requestsNeeded) {
    const unit = stage === 'canary' ? 'candidate requests' : 'comparisons'
    missing.push(`exposure: ${numeral(requestsNeeded - requests)} more ${unit} in this step`)
  }
  if (elapsedMs < neededMs) missing.push(`time: ${duration(neededMs - elapsedMs)} more in this step`)
  return missing
}

/** " (waived until 2026-12-01: disagreement; the old one rounds)", or nothing. */
export function waiverNote(waiver: Waiver | undefined): string {
  if (waiver === undefined || waiver.expired) return ''
  return ` (waived until ${dayOf(waiver.until)}: ${waiver.metrics.join(', ')}; ${waiver.reason})`
}

/**
 * The last ISO day in UTC before this end: a waiver `until: 2026-12-01` ends with that day, at the midnight after it. A
 * moment that no calendar has is given as it is.
 */
export function dayOf(ms: number): string {
  return Math.abs(ms - 1) <= 8.64e15 ? new Date(ms - 1).toISOString().slice(0, 10) : String(ms)
}

function figure({ metric }: Stream, value: number | null): string {
  if (value === null) return 'unknown'
  if (SHARES.has(metric)) return percentage(value)
  return about(value)
}

const SHARES: ReadonlySet<string> = new Set(['disagreement', 'errors', 'stability', 'distribution'])

/** "in the shadow" or "at 25 %". */
export function where(stage: Stage, step: number): string {
  return stage === 'shadow' ? 'in the shadow' : `at ${numeral(step)} %`
}

/** Phrases joined for a sentence. */
export function list(phrases: readonly string[]): string {
  return phrases.length === 0 ? 'nothing' : phrases.join('; ')
}
