// Says how long each metric still takes at the measured rate, and which setting that is due to. Pure: no clock, no traffic.
import { SLOT } from '../evidence/counters.ts'
import { binsOf } from '../evidence/histogram.ts'
import type { Evidence, MetricVerdict, Policy, Verdict } from '../gate/evidence.ts'
import { judge } from '../gate/verdict.ts'
import { looser, settingOf, withSetting } from './settings.ts'

/** Observations a second over the last minute. */
export interface Rates {
  readonly comparisons: number
  readonly labels: number
  readonly requests: number
}

/** One thing that a verdict still waits for. */
export interface Wait {
  /** The metric, `live errors`, `exposure` (requests of this step) or `time` (of this step). */
  readonly what: string
  /** Index into `verdict.metrics`; absent for exposure and time. */
  readonly row?: number
  /** Observations so far, or seconds of `time`. */
  readonly n: number
  /** Observations, or seconds of `time`; null: not within its limit as it looks now, or nothing has come yet (n is 0). */
  readonly needed: number | null
  readonly unit: string
  readonly perSecond: number | null
  /** Whether the rate is of the last minute or, where that saw too little, the mean of this step. */
  readonly rateOf: 'minute' | 'step' | null
  readonly secondsToVerdict: number | null
  readonly setting?: string
}

export interface TimeToVerdict {
  /** The longest first; those that nobody can foresee before all others. */
  readonly waits: readonly Wait[]
  /** Until all of them are over; null: not foreseeable. 0: nothing is waited for. */
  readonly secondsToVerdict: number | null
  /** Serving time of this step until the verdict is hold, seconds. */
  readonly secondsToHold: number
  /** What takes longest. */
  readonly dominates: Dominating | null
}

export interface Dominating {
  readonly what: string
  readonly secondsToVerdict: number | null
  readonly setting?: string
  /** Its value now; ms where it is a duration. */
  readonly value?: number
  /** The same evidence judged with this value: how long it would take then. Present only where that is less. */
  readonly at?: { readonly value: number; readonly secondsToVerdict: number }
}

/** Below this many observations a minute the mean of the step is the better estimate of the rate. */
const FEW_A_MINUTE = 30

/** `judge`, or what gives the same. */
type Judge = (evidence: Evidence, policy: Policy) => Verdict

/** Undefined where no time would bring another verdict: promote, abort, invalid, or a hold that evidence does not end. */
export function timeToVerdict(
  evidence: Evidence,
  policy: Policy,
  verdict: Verdict,
  rates: Rates,
  judgeBy: Judge = judge,
): TimeToVerdict | undefined {
  const isLate = verdict.decision === 'hold' && evidence.stepElapsedMs >= policy.gate.exposure.atMost
  if (verdict.decision !== 'continue' && !isLate) return undefined
  const step = stepCounts(evidence)
  const waits = waitsOf(verdict, step, rates)
  const first = waits[0]
  return {
    waits,
    secondsToVerdict: first === undefined ? 0 : first.secondsToVerdict,
    secondsToHold: Math.max(0, policy.gate.exposure.atMost - evidence.stepElapsedMs) / 1000,
    dominates: first === undefined ? null : dominating(evidence, policy, first, step, rates, judgeBy),
  }
}

/** The verdict on the same evidence under one other setting. It licenses nothing. */
export function whatIf(
  evidence: Evidence,
  policy: Policy,
  change: { readonly setting: string; readonly value: number },
  judgeBy: Judge = judge,
): Verdict {
  return judgeBy(evidence, withSetting(policy, change.setting, change.value))
}

function dominating(
  evidence: Evidence,
  policy: Policy,
  wait: Wait,
  step: StepCounts,
  rates: Rates,
  judgeBy: Judge,
): Dominating {
  const { what, secondsToVerdict, setting, n, perSecond } = wait
  const value = setting === undefined ? undefined : settingOf(policy, setting)
  const start = { what, secondsToVerdict }
  // Where nothing comes, no setting is to blame.
  if (setting === undefined || value === undefined || (n === 0 && secondsToVerdict === null) || perSecond === null)
    return start
  const other = looser(setting, value)
  if (other === undefined) return { ...start, setting, value }
  const then = whatIf(evidence, policy, { setting, value: other }, judgeBy)
  const seconds = then.decision === 'promote' ? 0 : (waitsOf(then, step, rates)[0]?.secondsToVerdict ?? null)
  const isShorter =
    (then.decision === 'continue' || then.decision === 'promote') &&
    seconds !== null &&
    (secondsToVerdict === null || seconds < 0.95 * secondsToVerdict)
  return { ...start, setting, value, ...(isShorter && { at: { value: other, secondsToVerdict: seconds } }) }
}

function waitsOf(verdict: Verdict, step: StepCounts, rates: Rates): Wait[] {
  const { exposure, metrics } = verdict
  const waits: Wait[] = metrics.flatMap((row, index) => {
    if (row.segment !== undefined || row.state !== 'open') return []
    const { perSecond, rateOf } = rateFor(row.unit, row.n, step, rates)
    return [
      {
        what: nameOf(row),
        row: index,
        n: row.n,
        needed: row.needed,
        unit: row.unit,
        perSecond,
        rateOf,
        secondsToVerdict: row.needed === null || perSecond === null ? null : row.needed / perSecond,
        ...(row.setting !== undefined && { setting: row.setting }),
      },
    ]
  })
  if (exposure.requests < exposure.requestsNeeded) {
    const unit = verdict.stage === 'canary' ? 'candidate requests' : 'comparisons'
    const needed = exposure.requestsNeeded - exposure.requests
    const { perSecond, rateOf } = rateFor(unit, exposure.requests, step, rates)
    const secondsToVerdict = perSecond === null ? null : needed / perSecond
    waits.push({
      what: 'exposure',
      n: exposure.requests,
      needed,
      unit,
      perSecond,
      rateOf,
      secondsToVerdict,
      setting: 'gate.exposure.requests',
    })
  }
  if (exposure.elapsedMs < exposure.neededMs) {
    const needed = (exposure.neededMs - exposure.elapsedMs) / 1000
    waits.push({
      what: 'time',
      n: exposure.elapsedMs / 1000,
      needed,
      unit: 'seconds',
      perSecond: 1,
      rateOf: null,
      secondsToVerdict: needed,
      setting: 'gate.exposure.for',
    })
  }
  const length = ({ secondsToVerdict }: Wait) => secondsToVerdict ?? Number.POSITIVE_INFINITY
  return waits.sort((a, b) => (length(a) === length(b) ? 0 : length(b) - length(a)))
}

/** `live errors` are not the errors of pairs. */
export function nameOf({ metric, unit }: Pick<MetricVerdict, 'metric' | 'unit'>): string {
  return metric === 'errors' && unit !== 'comparisons' ? 'live errors' : metric
}

/**
 * Observations of a unit a second. The last minute counts comparisons, labels and requests as a whole; of a metric that
 * takes only some of them (second runs, pairs sent alone) the same part of them as in this step.
 */
function rateFor(
  unit: string,
  n: number,
  step: StepCounts,
  rates: Rates,
): { perSecond: number | null; rateOf: Wait['rateOf'] } {
  const [minute, whole] = /comparisons$/.test(unit)
    ? [rates.comparisons, step.comparisons]
    : unit === 'labels'
      ? [rates.labels, step.labels]
      : unit === 'candidate requests'
        ? [rates.requests, step.requests]
        : [0, 0]
  const now = minute * (n > 0 && whole > 0 ? Math.min(1, n / whole) : 1)
  if (minute * 60 >= FEW_A_MINUTE) return { perSecond: now, rateOf: 'minute' }
  if (n > 0 && step.elapsedSeconds > 0) return { perSecond: n / step.elapsedSeconds, rateOf: 'step' }
  return now > 0 ? { perSecond: now, rateOf: 'minute' } : { perSecond: null, rateOf: null }
}

/** What the present step has counted, and how long it took. */
interface StepCounts {
  readonly comparisons: number
  readonly labels: number
  readonly requests: number
  readonly elapsedSeconds: number
}

function stepCounts({ periods, stepElapsedMs }: Evidence): StepCounts {
  const last = periods.at(-1)
  let [comparisons, labels, requests] = [0, 0, 0]
  for (const { stage, step, counters } of periods.toReversed()) {
    if (stage !== last?.stage || step !== last.step) break
    comparisons += (counters.get(SLOT.match) ?? 0) + (counters.get(SLOT.mismatch) ?? 0)
    requests += counters.get(SLOT.armCandidate) ?? 0
    for (const [, amount] of binsOf(counters, 'loss')) labels += amount
  }
  return { comparisons, labels, requests, elapsedSeconds: stepElapsedMs / 1000 }
}
