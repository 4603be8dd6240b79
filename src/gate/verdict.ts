// Decides abort, continue, hold, promote or invalid from evidence and policy. Knows nothing of traffic, time or storage.
import type { MetricName } from '../config/schema.ts'
import { SLOT } from '../evidence/counters.ts'
import { logSumExp } from './bet.ts'
import { checksOf, labelsByArms } from './checks.ts'
import { digestOf } from './digest.ts'
import type { Decision, Evidence, MetricVerdict, Policy, Verdict } from './evidence.ts'
import { abortReason, checkReason, dayOf, list, missingExposure, missingOf, waiverNote, where } from './explain.ts'
import { faultOf } from './faults.ts'
import { ALPHA_ABORT, ALPHA_PROMOTE } from './levels.ts'
import { presentStep, type SortedPeriod, sortPeriod, tallyOf } from './periods.ts'
import { checkRow, rowsOf } from './rows.ts'
import { logSafeOf, type Stream, type View, viewOf } from './stream.ts'
import { streamsIn } from './streams.ts'
import { duration, numeral, percentage } from './wording.ts'

/** Below this many eligible requests a single drop would exceed 1 %; the drop limit is judged as if there were this many. */
const LEAST_ELIGIBLE = 100

interface Judged {
  readonly evidence: Evidence
  readonly view: View
  readonly step: number
  readonly streams: readonly Stream[]
  readonly checks: readonly MetricVerdict[]
  /** ln 1/α for promotion, after attempts and simultaneous candidates. */
  readonly safeNeeded: number
}

/** A decision with its reason and what it still lacks. */
interface Outcome {
  readonly decision: Decision
  readonly reason: string
  readonly missing: readonly string[]
}

/**
 * The verdict on a candidate, from all its evidence and nothing else: the same evidence in any order of counting gives
 * the same verdict. GATE.md, "Verdict".
 *
 * - invalid: evidence that cannot be true, a broken split or uneven labels (P4, α = 0.001), or too many drops. Where only
 *   drops are wrong, the live split, which drops cannot bias, may still abort.
 * - abort: Σ v_m·E_m ≥ 1/α_A at present, harm over all periods.
 * - promote: every required stream of the present stage and step is safe at α_P/(k(k+1))/candidates, and the exposure is
 *   reached. α_A is not divided by attempts: that would make a retry harder to stop.
 * - hold: `exposure.atMost` is over, an override has run out, or nothing could ever prove the candidate.
 *
 * Waived metrics neither abort nor withhold; the shares of the others stay as they are.
 */
export function judge(evidence: Evidence, policy: Policy): Verdict {
  const periods = evidence.periods.map(sortPeriod)
  const fault = faultOf(evidence, periods)
  if (fault !== undefined) return refused(evidence, periods, policy, fault)
  const present = presentStep(periods)
  const view = viewOf(policy, present[0]?.stage ?? 'shadow', periods, present)
  const streams = streamsIn(view, evidence.waiver)
  const checks = checksOf(view)
  const unclear = [
    ...streams.filter(stream => Number.isNaN(stream.logHarm) || Number.isNaN(logSafeOf(stream))),
    ...checks.filter(({ log }) => Number.isNaN(log)),
  ]
  if (unclear.length > 0)
    return refused(evidence, periods, policy, `${unclear.map(({ metric }) => metric).join(', ')} came out as no number`)
  const safeNeeded = Math.log((evidence.attempt * (evidence.attempt + 1) * evidence.candidates) / ALPHA_PROMOTE)
  const judged: Judged = {
    evidence,
    view,
    step: present[0]?.step ?? 0,
    streams,
    checks: checks.map(check => checkRow(check, isWaived(evidence, check.metric), safeNeeded)),
    safeNeeded,
  }
  const broken = checks.find(check => !isWaived(evidence, check.metric) && check.log >= check.logNeeded)
  if (broken !== undefined) return verdict(judged, { decision: 'invalid', reason: checkReason(broken), missing: [] })
  const { eligible, dropped } = evidence.mirrored
  const tooManyDrops = dropped > policy.gate.drops * Math.max(eligible, LEAST_ELIGIBLE)
  // Labels of the arms come by the ring as pairs do, so drops may bias them too.
  const isBiased = (stream: Stream) => tooManyDrops && (stream.isPaired || stream.metric === 'labels')
  const accusers = streams.filter(stream => stream.weight > 0 && !isBiased(stream))
  const harm = logSumExp(accusers.map(stream => Math.log(stream.weight) + stream.logHarm))
  if (harm >= Math.log(1 / ALPHA_ABORT))
    return verdict(
      judged,
      { decision: 'abort', reason: `${abortReason(evidence, accusers)}${waiverNote(evidence.waiver)}`, missing: [] },
      accusers,
    )
  if (tooManyDrops) {
    const reason = `${numeral(dropped)} of ${numeral(eligible)} mirrored requests were dropped, more than ${percentage(policy.gate.drops)}: what is left may not be like the rest`
    return verdict(judged, { decision: 'invalid', reason, missing: ['fewer dropped mirror requests'] })
  }
  return verdict(judged, undecided(judged))
}

function isWaived({ waiver }: Evidence, metric: MetricName): boolean {
  return waiver !== undefined && !waiver.expired && waiver.metrics.includes(metric)
}

/** Not aborted and not invalid: promote, hold or continue. */
function undecided(judged: Judged): Outcome {
  const { evidence, view, step, streams, safeNeeded } = judged
  const { candidate, baseline, waiver } = evidence
  const at = where(view.stage, step)
  const note = waiverNote(waiver)
  const blocked = neverProved(judged)
  if (blocked !== undefined) {
    const [why, missing] = blocked
    const reason = `${candidate.version} cannot be proved${note}: ${why}`
    return { decision: 'hold', reason, missing: [missing] }
  }
  const missing = [
    ...streams.flatMap(stream => missingOf(stream, safeNeeded)),
    ...missingExposure(view.stage, exposure(judged)),
  ]
  // A step with all the traffic has no arm to compare with: whatever was needed had to be shown before.
  if (view.present.some(period => period.share === 1)) missing.push('traffic on the baseline to compare with')
  if (missing.length === 0 && view.present.length > 0) {
    const required = streams.filter(stream => stream.safe !== undefined)
    const shown = [...new Set(required.map(stream => stream.metric))].join(', ')
    const proved = `${candidate.version} is shown no worse than ${baseline.version} ${at}${note}: ${shown}`
    if (waiver?.expired)
      return {
        decision: 'hold',
        reason: `${proved}, but the time of its override is over (${dayOf(waiver.until)}, ${waiver.reason})`,
        missing: ['an override that is renewed or taken out'],
      }
    return { decision: 'promote', reason: proved, missing: [] }
  }
  const { atMost } = view.policy.gate.exposure
  return evidence.stepElapsedMs >= atMost
    ? { decision: 'hold', reason: `not decided within ${duration(atMost)} ${at}${note}: ${list(missing)}`, missing }
    : { decision: 'continue', reason: `not decided yet ${at}${note}: still needs ${list(missing)}`, missing }
}

/** Why no amount of evidence could prove the candidate under this policy, and what it would take. */
function neverProved({ evidence, view, streams }: Judged): readonly [why: string, missing: string] | undefined {
  const { policy, stage } = view
  const { exposure: least } = policy.gate
  const isLabelled = isWaived(evidence, 'labels')
  if (policy.expect === 'change' && !isLabelled) {
    if (policy.labels === undefined)
      return [
        'a changed model must differ, and the route declares no labels that could show it is no worse',
        'labels that count',
      ]
    if (labelsByArms(policy) && stage === 'shadow')
      return [
        'its answers change the outcomes, so labels count once it has a share of live traffic (gate.unproven)',
        'a share of live traffic',
      ]
  }
  if (streams.every(stream => stream.safe === undefined))
    return ['its override waives everything that could show it is no worse', 'a required metric that is not waived']
  if (least.for > least.atMost)
    return [
      `gate.exposure asks for ${duration(least.for)} in a step and allows ${duration(least.atMost)}`,
      'an exposure that can be reached',
    ]
  return undefined
}

function exposure({ view, evidence }: Pick<Judged, 'view' | 'evidence'>): Verdict['exposure'] {
  const tally = tallyOf(view.now, '')
  const slots =
    view.stage === 'canary'
      ? [SLOT.armCandidate]
      : [SLOT.bothOk, SLOT.baselineError, SLOT.candidateError, SLOT.bothError]
  return {
    requests: slots.reduce((sum, slot) => sum + tally.get(slot), 0),
    requestsNeeded: view.policy.gate.exposure.requests,
    elapsedMs: evidence.stepElapsedMs,
    neededMs: view.policy.gate.exposure.for,
  }
}

function verdict(judged: Judged, outcome: Outcome, accusers: readonly Stream[] = []): Verdict {
  const { evidence, view, step, streams, checks, safeNeeded } = judged
  const { metrics, guilty } = rowsOf(streams, accusers, safeNeeded)
  return {
    route: evidence.route,
    candidate: evidence.candidate.version,
    baseline: evidence.baseline.version,
    decision: outcome.decision,
    stage: view.stage,
    step,
    reason: outcome.reason,
    missing: outcome.missing,
    metrics: [...metrics, ...checks],
    guilty,
    exposure: exposure(judged),
    evidenceDigest: digestOf(evidence, view.periods, view.policy),
  }
}

/** Evidence that cannot be judged at all. */
function refused(evidence: Evidence, periods: readonly SortedPeriod[], policy: Policy, fault: string): Verdict {
  const last = evidence.periods.at(-1)
  return {
    route: evidence.route,
    candidate: evidence.candidate.version,
    baseline: evidence.baseline.version,
    decision: 'invalid',
    stage: last?.stage ?? 'shadow',
    step: last?.step ?? 0,
    reason: `the evidence cannot be judged: ${fault}`,
    missing: [],
    metrics: [],
    guilty: [],
    exposure: {
      requests: 0,
      requestsNeeded: policy.gate.exposure.requests,
      elapsedMs: evidence.stepElapsedMs,
      neededMs: policy.gate.exposure.for,
    },
    evidenceDigest: digestOf(evidence, periods, policy),
  }
}
