// Decides abort, continue, hold, promote or invalid from evidence and policy. Knows nothing of traffic, time or storage.
import { hash } from 'node:crypto'
import { SLOT } from '../evidence/counters.ts'
import { logMean, logSumExp, observationsNeeded } from './eprocess.ts'
import type { Decision, Evidence, MetricVerdict, Policy, Stage, Verdict } from './evidence.ts'
import { abortReason, list, missingExposure, missingOf, where } from './explain.ts'
import { ALPHA_ABORT, ALPHA_PROMOTE, ALPHA_SPLIT, guiltySegments, harmNeeded, isGuilty } from './levels.ts'
import { splitOf } from './liveStreams.ts'
import { labelsCount } from './pairedStreams.ts'
import { added, faultOf, presentStep, type SortedPeriod, sortPeriod } from './periods.ts'
import type { SegmentHarm, Stream, Summary } from './stream.ts'
import { streamsOf } from './streams.ts'
import { duration, numeral, percentage } from './wording.ts'

/** Below this many eligible requests a single drop would exceed 1 %; the drop limit is judged as if there were this many. */
const LEAST_ELIGIBLE = 100
/** Segments that are listed for each stream, the most suspicious first; guilty ones always. */
const LISTED_SEGMENTS = 10

interface Judged {
  readonly evidence: Evidence
  readonly policy: Policy
  readonly stage: Stage
  readonly step: number
  readonly present: readonly SortedPeriod[]
  readonly streams: readonly Stream[]
  /** ln 1/α for promotion, after attempts and simultaneous candidates. */
  readonly safeNeeded: number
}

/**
 * The verdict on a candidate, from all its evidence and nothing else: the same evidence in any order of counting gives
 * the same verdict. GATE.md, "Verdict".
 *
 * - invalid: evidence that cannot be true, a broken split (P4, α = 0.001), or too many drops. Where only drops are wrong,
 *   the live split, which drops cannot bias, may still abort.
 * - abort: Σ v_m·E_m ≥ 1/α_A at present, harm over all periods.
 * - promote: every required stream of the present stage and step is safe at α_P/(k(k+1))/candidates, and the exposure is
 *   reached. α_A is not divided by attempts: that would make a retry harder to stop.
 * - hold: `exposure.atMost` is over, or nothing could ever prove the candidate (expect: change without labels that count).
 */
export function judge(evidence: Evidence, policy: Policy): Verdict {
  const periods = evidence.periods.map(sortPeriod)
  const fault = faultOf(evidence, periods)
  if (fault !== undefined) return refused(evidence, policy, `the evidence cannot be judged: ${fault}`)
  const present = presentStep(periods)
  const stage = present[0]?.stage ?? 'shadow'
  const judged: Judged = {
    evidence,
    policy,
    stage,
    step: present[0]?.step ?? 0,
    present,
    streams: streamsOf(policy, stage, periods, present),
    safeNeeded: Math.log((evidence.attempt * (evidence.attempt + 1) * evidence.candidates) / ALPHA_PROMOTE),
  }
  const split = splitOf(periods, present)
  const splitRow: MetricVerdict = {
    metric: 'split',
    what: "candidate's share of live requests",
    unit: 'requests',
    n: split.n,
    estimate: split.estimate,
    limit: split.limit,
    logHarm: split.log,
    logHarmNeeded: Math.log(1 / ALPHA_SPLIT),
    logSafe: Number.NEGATIVE_INFINITY,
    logSafeNeeded: judged.safeNeeded,
    state: 'watched',
    needed: null,
  }
  if (split.log >= splitRow.logHarmNeeded) {
    const seen = percentage(split.estimate ?? 0)
    const reason = `the live split is broken: the candidate got ${seen} of requests where ${percentage(split.limit ?? 0)} was due, so its arms cannot be compared`
    return verdict(judged, 'invalid', reason, [], splitRow)
  }
  const { eligible, dropped } = evidence.mirrored
  const tooManyDrops = dropped > policy.gate.drops * Math.max(eligible, LEAST_ELIGIBLE)
  const accusers = judged.streams.filter(stream => stream.weight > 0 && !(tooManyDrops && stream.isPaired))
  const harm = logSumExp(accusers.map(stream => Math.log(stream.weight) + stream.logHarm))
  if (harm >= Math.log(1 / ALPHA_ABORT))
    return verdict(judged, 'abort', abortReason(evidence, accusers), [], splitRow, accusers)
  if (tooManyDrops) {
    const reason = `${numeral(dropped)} of ${numeral(eligible)} mirrored requests were dropped, more than ${percentage(policy.gate.drops)}: what is left may not be like the rest`
    return verdict(judged, 'invalid', reason, ['fewer dropped mirror requests'], splitRow)
  }
  return undecided(judged, splitRow)
}

/** Not aborted and not invalid: promote, hold or continue. */
function undecided(judged: Judged, splitRow: MetricVerdict): Verdict {
  const { policy, evidence, streams, safeNeeded } = judged
  const { candidate, baseline } = evidence
  const missing = [
    ...streams.flatMap(stream => missingOf(stream, safeNeeded)),
    ...missingExposure(judged.stage, exposure(judged)),
  ]
  if (policy.expect === 'change' && !labelsCount(policy)) {
    const why =
      policy.labels === undefined
        ? 'a changed model must differ, and the route declares no labels that could show it is no worse'
        : 'its answers change the outcomes, so labels of shadow answers license nothing'
    return verdict(judged, 'hold', `${candidate.version} cannot be proved: ${why}`, ['labels that count'], splitRow)
  }
  // A step with all the traffic has no arm to compare with: whatever was needed had to be shown before.
  if (judged.present.some(period => period.share === 1)) missing.push('traffic on the baseline to compare with')
  const required = streams.filter(stream => stream.safe !== undefined)
  if (missing.length === 0 && required.length > 0 && judged.present.length > 0) {
    const shown = [...new Set(required.map(stream => stream.metric))].join(', ')
    return verdict(
      judged,
      'promote',
      `${candidate.version} is shown no worse than ${baseline.version} ${where(judged.stage, judged.step)}: ${shown}`,
      [],
      splitRow,
    )
  }
  const { atMost } = policy.gate.exposure
  if (evidence.stepElapsedMs >= atMost)
    return verdict(
      judged,
      'hold',
      `not decided within ${duration(atMost)} ${where(judged.stage, judged.step)}: ${list(missing)}`,
      missing,
      splitRow,
    )
  return verdict(
    judged,
    'continue',
    `not decided yet ${where(judged.stage, judged.step)}: still needs ${list(missing)}`,
    missing,
    splitRow,
  )
}

function exposure({
  stage,
  present,
  policy,
  evidence,
}: Pick<Judged, 'stage' | 'present' | 'policy' | 'evidence'>): Verdict['exposure'] {
  const counters = added(present)
  const slots =
    stage === 'canary' ? [SLOT.armCandidate] : [SLOT.bothOk, SLOT.baselineError, SLOT.candidateError, SLOT.bothError]
  return {
    requests: slots.reduce((sum, slot) => sum + (counters.get(slot) ?? 0), 0),
    requestsNeeded: policy.gate.exposure.requests,
    elapsedMs: evidence.stepElapsedMs,
    neededMs: policy.gate.exposure.for,
  }
}

function verdict(
  judged: Judged,
  decision: Decision,
  reason: string,
  missing: readonly string[],
  split: MetricVerdict,
  accusers: readonly Stream[] = [],
): Verdict {
  const { evidence, policy, stage, step, streams } = judged
  const guilty: Verdict['guilty'][number][] = []
  const metrics: MetricVerdict[] = []
  for (const stream of streams) {
    const accused = accusers.includes(stream) && isGuilty(stream)
    const blamed = accused ? guiltySegments(stream) : []
    if (accused && !guilty.some(({ metric, segment }) => metric === stream.metric && segment === undefined))
      guilty.push({ metric: stream.metric })
    for (const { segment } of blamed) guilty.push({ metric: stream.metric, segment })
    metrics.push(streamRow(judged, stream, accused))
    const suspicious = stream.segments.toSorted((a, b) => b.logHarm - a.logHarm)
    for (const segment of suspicious.slice(0, Math.max(LISTED_SEGMENTS, blamed.length)))
      metrics.push(segmentRow(judged, stream, segment, blamed.includes(segment)))
  }
  return {
    route: evidence.route,
    candidate: evidence.candidate.version,
    baseline: evidence.baseline.version,
    decision,
    stage,
    step,
    reason,
    missing,
    metrics: [...metrics, split],
    guilty,
    exposure: exposure(judged),
    evidenceDigest: digestOf(evidence, policy),
  }
}

function streamRow({ safeNeeded }: Judged, stream: Stream, accused: boolean): MetricVerdict {
  const { safe, logWithhold } = stream
  const logSafe = safe === undefined ? Number.NEGATIVE_INFINITY : logMean(safe)
  const withheld = logWithhold !== undefined && logWithhold >= Math.log(1 / ALPHA_PROMOTE)
  // Proof is about this step; blame, and what is only watched, about everything.
  const shown = accused || (safe === undefined && logWithhold === undefined) ? stream.history : stream.present
  return {
    metric: stream.metric,
    what: stream.what,
    unit: stream.unit,
    ...plainSummary(shown),
    logHarm: stream.logHarm,
    logHarmNeeded: harmNeeded(stream),
    logSafe,
    logSafeNeeded: safeNeeded,
    state: accused
      ? 'guilty'
      : withheld
        ? 'open'
        : safe === undefined
          ? 'watched'
          : logSafe >= safeNeeded
            ? 'safe'
            : 'open',
    needed: safe === undefined ? null : observationsNeeded(safe, safeNeeded),
  }
}

function segmentRow({ safeNeeded }: Judged, stream: Stream, segment: SegmentHarm, blamed: boolean): MetricVerdict {
  return {
    metric: stream.metric,
    segment: segment.segment,
    what: stream.what,
    unit: stream.unit,
    ...plainSummary(segment),
    logHarm: segment.logHarm,
    // Alone, at half the stream's weight and one share of the mean over segments.
    logHarmNeeded: harmNeeded(stream) + Math.log(2 * stream.segments.length),
    logSafe: Number.NEGATIVE_INFINITY,
    logSafeNeeded: safeNeeded,
    state: blamed ? 'guilty' : 'watched',
    needed: null,
  }
}

function plainSummary({ n, estimate, baseline, interval, limit }: Summary) {
  return {
    n,
    estimate,
    ...(baseline !== undefined && { baseline }),
    ...(interval !== undefined && { interval }),
    limit,
  }
}

function refused(evidence: Evidence, policy: Policy, reason: string): Verdict {
  const last = evidence.periods.at(-1)
  return {
    route: evidence.route,
    candidate: evidence.candidate.version,
    baseline: evidence.baseline.version,
    decision: 'invalid',
    stage: last?.stage ?? 'shadow',
    step: last?.step ?? 0,
    reason,
    missing: [],
    metrics: [],
    guilty: [],
    exposure: {
      requests: 0,
      requestsNeeded: policy.gate.exposure.requests,
      elapsedMs: evidence.stepElapsedMs,
      neededMs: policy.gate.exposure.for,
    },
    evidenceDigest: digestOf(evidence, policy),
  }
}

/** sha256, hexadecimal, of what was counted and of the policy, as JSON with sorted keys; the clock is left out. */
function digestOf(evidence: Evidence, policy: Policy): string {
  const { stepElapsedMs: _, ...rest } = evidence
  const periods = rest.periods.map(period => {
    if (!period.counters.has(SLOT.timeMs)) return period
    const counters = new Map(period.counters)
    counters.delete(SLOT.timeMs)
    return { ...period, counters }
  })
  const counted = { ...rest, periods }
  const { expect, labels, gate } = policy
  return hash('sha256', canonical({ counted, policy: { expect, labels, gate } }))
}

/** JSON with sorted keys; a Map is an object, undefined members are left out, numbers that JSON lacks are text. */
function canonical(value: unknown): string {
  if (value instanceof Map) return canonical(Object.fromEntries(value))
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value === 'number' && !Number.isFinite(value)) return JSON.stringify(String(value))
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(',')}}`
}
