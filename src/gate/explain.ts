// Puts what a verdict found into sentences. Decides nothing.
import { logMean, observationsNeeded } from './eprocess.ts'
import type { Evidence, Stage, Verdict } from './evidence.ts'
import { ALPHA_PROMOTE, guiltySegments, isGuilty } from './levels.ts'
import type { Stream } from './stream.ts'
import { about, approximate, duration, numeral, percentage } from './wording.ts'

/** Why a version is aborted: the metric that weighs most, its figures and where it is worst. */
export function abortReason({ candidate, baseline }: Evidence, accusers: readonly Stream[]): string {
  const worst = accusers.toSorted((a, b) => b.logHarm + Math.log(b.weight) - a.logHarm - Math.log(a.weight))[0]!
  const { history } = worst
  const against = history.baseline === undefined || worst.isPaired ? '' : ` against ${figure(worst, history.baseline)}`
  const limit = history.limit === null || !worst.isPaired ? '' : ` (limit ${figure(worst, history.limit)})`
  const segments = guiltySegments(worst)
    .slice(0, 3)
    .map(({ segment }) => segment)
  const most = segments.length === 0 ? '' : `, most at ${list(segments)}`
  // The sum can cross before any metric does alone.
  const together = isGuilty(worst) ? '' : 'by several metrics together, of which '
  return `${candidate.version} is worse than ${baseline.version}: ${together}${worst.what} is ${figure(worst, history.estimate)}${against}${limit} over ${numeral(history.n)} ${worst.unit}${most}`
}

/** What a stream still lacks for promotion, as phrases. */
export function missingOf(stream: Stream, safeNeeded: number): string[] {
  const name = stream.metric === 'errors' && !stream.isPaired ? 'live errors' : stream.metric
  if (stream.logWithhold !== undefined)
    return stream.logWithhold >= Math.log(1 / ALPHA_PROMOTE) ? [`${name}: the shadow is slower than the limit`] : []
  if (stream.safe === undefined || logMean(stream.safe) >= safeNeeded) return []
  if (stream.present.n === 0) return [`${name}: no ${stream.unit} in this step yet`]
  const needed = observationsNeeded(stream.safe, safeNeeded)
  if (needed === null)
    return [`${name}: not within the limit as it looks now (${numeral(stream.present.n)} ${stream.unit})`]
  return [`${name}: about ${approximate(needed)} more ${name === stream.unit ? '' : stream.unit}`.trimEnd()]
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

function figure({ metric }: Stream, value: number | null): string {
  if (value === null) return 'unknown'
  if (metric === 'disagreement' || metric === 'errors' || metric === 'stability') return percentage(value)
  return about(value)
}

/** "in the shadow" or "at 25 %". */
export function where(stage: Stage, step: number): string {
  return stage === 'shadow' ? 'in the shadow' : `at ${numeral(step)} %`
}

/** Phrases joined for a sentence. */
export function list(phrases: readonly string[]): string {
  return phrases.length === 0 ? 'nothing' : phrases.join('; ')
}
