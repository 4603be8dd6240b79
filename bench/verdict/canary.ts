// A simulated canary: counts every request, looks at the verdict's harm after each, and shows the same stream to the peers.
// Knows no truth: scenarios say who failed and how long it took.
import type { Counters } from '../../src/evidence/counters.ts'
import { latencyBin, lowerMs } from '../../src/evidence/histogram.ts'
import { type LatencyLimits, LEAST_BASELINE, latencyThresholds, QUANTILE_NAMES } from '../../src/evidence/latency.ts'
import type { Period, Policy, Verdict } from '../../src/gate/evidence.ts'
import { ALPHA_ABORT } from '../../src/gate/levels.ts'
import { type Ledger, type LinearBets, ledgersOf, moved, Watch, type WatchedStream } from './linear.ts'
import {
  BASELINE_EVENT,
  BASELINE_QUIET,
  CANDIDATE_EVENT,
  CANDIDATE_QUIET,
  canaryPeriod,
  demandEqual,
  judged,
  LIVE,
  latencyGroups,
  liveErrorGroups,
  logHarmOf,
  PAIRED,
  pairedErrorBets,
  shareBets,
  weightOf,
  weightOfAll,
} from './model.ts'

/** New thresholds whenever there are half as many requests again; the gateway has them every quarter of a second. */
const EPOCH_GROWTH = 1.5
/** More than there are latency bins. */
const BINS = 1_300

export interface CanarySettings {
  readonly policy: Policy
  /** The candidate's share of the two arms, a period each. */
  readonly shares: readonly number[]
  readonly withLatency: boolean
  /** Aborts at Σ v·E ≥ 1/α; the product's α_A unless a single stream is watched. */
  readonly alpha?: number
}

interface PeriodCounts {
  readonly share: number
  /** candidate errors, baseline errors, candidate answers, baseline answers without one. */
  readonly arms: Float64Array
  /** The same of exceedances, by quantile. */
  readonly late: readonly Float64Array[]
  /** By quantile the candidate's answers that may be late. */
  readonly may: Float64Array
}

interface Wired {
  readonly metric: string
  readonly what: RegExp
  readonly stream: WatchedStream
  readonly moved: readonly (readonly Ledger[])[]
}

/** One canary over many runs; `start` begins a run, `request` and `pair` count, `isAborted` says what a look would. */
export class Canary {
  readonly policy: Policy
  readonly #settings: CanarySettings
  readonly #errors: Wired
  readonly #guard: readonly (readonly Ledger[])[]
  readonly #late: readonly Wired[]
  readonly #pairs: { readonly errors: Wired; readonly differ: Wired; readonly stability: Wired }
  readonly #groups: ReadonlyMap<number, { errors: LinearBets[]; late: LinearBets[][] }>
  readonly #watch: Watch
  readonly #baselineBins = new Float64Array(BINS)
  readonly #candidateBins = new Float64Array(BINS)
  #periods: PeriodCounts[] = []
  #period!: PeriodCounts
  #pairCounts = { plus: 0, minus: 0, zero: 0, differ: 0, match: 0 }
  #requests = 0
  #baselineSeen = 0
  #epochEnd = 0
  /** Per quantile the first bins that are events of the baseline and of the candidate, and that may be one of the latter. */
  #limits: readonly (readonly [baseline: number, candidate: number, candidateMay: number])[] | undefined

  constructor(settings: CanarySettings) {
    const { policy, shares, withLatency } = settings
    this.policy = policy
    this.#settings = settings
    this.#groups = new Map(
      [...new Set(shares)].map(share => [
        share,
        { errors: liveErrorGroups(share), late: QUANTILE_NAMES.map(name => latencyGroups(share, name)) },
      ]),
    )
    let idle = weightOfAll(policy)
    const wire = (metric: string, what: RegExp, groups: LinearBets[], guard?: Ledger[]): Wired => {
      const weight = weightOf(policy, metric, what)
      idle -= weight
      const ledgers = ledgersOf(groups)
      return { metric, what, stream: { weight, ledgers, ...(guard && { guard }) }, moved: moved(ledgers) }
    }
    const first = this.#groups.get(shares[0]!)!
    const { floor } = policy.gate.errors
    const guard = ledgersOf(shareBets(floor).groups())
    this.#guard = moved(guard)
    this.#errors = wire('errors', LIVE, first.errors, guard)
    this.#late = withLatency
      ? QUANTILE_NAMES.map((name, index) => wire(`latency.${name}`, LIVE, first.late[index]!))
      : []
    this.#pairs = {
      errors: wire('errors', PAIRED, pairedErrorBets(floor).groups()),
      differ: wire('disagreement', PAIRED, shareBets(policy.gate.disagreement).groups()),
      stability: wire('stability', PAIRED, shareBets(floor).groups()),
    }
    this.#watch = new Watch(
      this.#wired.map(({ stream }) => stream),
      1 / (settings.alpha ?? ALPHA_ABORT),
      Math.max(0, idle),
    )
  }

  get #wired(): Wired[] {
    return [this.#errors, ...this.#late, this.#pairs.errors, this.#pairs.differ, this.#pairs.stability]
  }

  /** How often the mixture was computed; the other looks could not have crossed. */
  get looks(): number {
    return this.#watch.looks
  }

  start(): void {
    this.#watch.reset()
    this.#periods = []
    this.#pairCounts = { plus: 0, minus: 0, zero: 0, differ: 0, match: 0 }
    this.#requests = 0
    this.#baselineSeen = 0
    this.#epochEnd = 0
    this.#limits = undefined
    this.#baselineBins.fill(0)
    this.#candidateBins.fill(0)
    this.share(this.#settings.shares[0]!)
  }

  /** Goes on at another share of traffic: a new period. */
  share(share: number): void {
    const groups = this.#groups.get(share)!
    for (const [index, ledger] of this.#errors.stream.ledgers.entries()) ledger.change(groups.errors[index]!)
    for (const [quantile, { stream }] of this.#late.entries())
      for (const [index, ledger] of stream.ledgers.entries()) ledger.change(groups.late[quantile]![index]!)
    this.#period = {
      share,
      arms: new Float64Array(4),
      late: QUANTILE_NAMES.map(() => new Float64Array(4)),
      may: new Float64Array(3),
    }
    this.#periods.push(this.#period)
  }

  /** One live answer. @param bin its latency bin; not read without latency */
  request(isCandidate: boolean, isError: boolean, bin: number): void {
    const outcome = (isCandidate ? 0 : 1) + (isError ? 0 : 2)
    this.#period.arms[outcome]!++
    this.#add(this.#errors.moved[outcome]!, outcome)
    if (isCandidate) this.#add(this.#guard[isError ? 0 : 1]!, isError ? 0 : 1)
    this.#requests++
    if (!this.#settings.withLatency) return
    if (isCandidate) this.#candidateBins[bin]!++
    else {
      this.#baselineBins[bin]!++
      this.#baselineSeen++
    }
    if (this.#limits !== undefined) {
      for (let quantile = 0; quantile < this.#late.length; quantile++) {
        const isLate: boolean = bin >= this.#limits[quantile]![isCandidate ? 1 : 0]
        const late = (isCandidate ? 0 : 1) + (isLate ? 0 : 2)
        this.#period.late[quantile]![late]!++
        if (isCandidate && bin >= this.#limits[quantile]![2]) this.#period.may[quantile]!++
        this.#add(this.#late[quantile]!.moved[late]!, late)
      }
    }
    if (this.#baselineSeen >= LEAST_BASELINE && this.#requests >= this.#epochEnd) this.#commit()
  }

  /** One pair: who failed, and whether both answers differ when nobody did. */
  pair(candidateError: boolean, baselineError: boolean, differs: boolean): void {
    const { errors, differ, stability } = this.#pairs
    const outcome = candidateError === baselineError ? 2 : candidateError ? 0 : 1
    if (outcome === 0) this.#pairCounts.plus++
    else if (outcome === 1) this.#pairCounts.minus++
    else this.#pairCounts.zero++
    this.#add(errors.moved[outcome]!, outcome)
    if (candidateError || baselineError) return
    if (differs) this.#pairCounts.differ++
    else this.#pairCounts.match++
    this.#add(differ.moved[differs ? 0 : 1]!, differs ? 0 : 1)
    this.#add(stability.moved[1]!, 1)
  }

  #add(ledgers: readonly Ledger[], outcome: number): void {
    for (let index = 0; index < ledgers.length; index++) this.#watch.add(ledgers[index]!, outcome)
  }

  /** Whether a look at this request crosses. False without a computation where none could. */
  get isAborted(): boolean {
    return this.#watch.isDue && this.#watch.look()
  }

  /** The same whatever is known: for looks that are planned. */
  look(): boolean {
    return this.#watch.look()
  }

  /** New thresholds from all earlier answers of the baseline, by the product's rule. */
  #commit(): void {
    this.#epochEnd = EPOCH_GROWTH * this.#requests
    const previous: Counters = new Map()
    for (let bin = 0; bin < BINS; bin++) {
      const amount = this.#baselineBins[bin]!
      if (amount > 0) previous.set(`lat.b.${bin}`, amount)
    }
    const limits: LatencyLimits = this.policy.gate.latency
    const thresholds = latencyThresholds(previous, 'lat.b', limits)
    this.#limits =
      thresholds &&
      QUANTILE_NAMES.map(name => {
        const { tauMs, limitMs } = thresholds[name]
        return [firstFrom(tauMs), firstFrom(limitMs), latencyBin(limitMs)]
      })
  }

  /** What `judge` says now; its logarithms must be ours. */
  verdict(): Verdict {
    const verdict = judged(this.evidence(), this.policy)
    for (const { metric, what, stream } of this.#wired)
      demandEqual(Watch.logOf(stream), logHarmOf(verdict, metric, what), metric)
    return verdict
  }

  /** What `judge` says of other periods under the same policy. */
  judgeOf(periods: readonly Period[]): Verdict {
    return judged(periods, this.policy)
  }

  evidence(): Period[] {
    const { plus, minus, zero, differ, match } = this.#pairCounts
    return this.#periods.map(({ share, arms, late, may }, index) => {
      const counters: Record<string, number> = {
        'arm.c.n': arms[CANDIDATE_EVENT]! + arms[CANDIDATE_QUIET]!,
        'arm.c.err': arms[CANDIDATE_EVENT]!,
        'arm.b.n': arms[BASELINE_EVENT]! + arms[BASELINE_QUIET]!,
        'arm.b.err': arms[BASELINE_EVENT]!,
      }
      for (const [quantile, name] of QUANTILE_NAMES.entries()) {
        const counts = late[quantile]!
        counters['late.c.n'] = counts[CANDIDATE_EVENT]! + counts[CANDIDATE_QUIET]!
        counters['late.b.n'] = counts[BASELINE_EVENT]! + counts[BASELINE_QUIET]!
        counters[`late.${name}.c`] = counts[CANDIDATE_EVENT]!
        counters[`late.${name}.c.may`] = may[quantile]!
        counters[`late.${name}.b`] = counts[BASELINE_EVENT]!
      }
      // Pairs do not depend on the share; they are kept with the last period.
      if (index === this.#periods.length - 1) {
        Object.assign(counters, { 'pair.match': match, 'pair.mismatch': differ })
        // Who failed in a pair; where both did or neither did, the difference is none.
        Object.assign(counters, { 'pair.err.c': plus, 'pair.err.b': minus, 'pair.ok': zero })
      }
      return canaryPeriod(share, counters)
    })
  }
}

/** The first bin whose values all lie at or above `ms`: what `unpairedExceedances` counts for sure. */
function firstFrom(ms: number): number {
  let bin = latencyBin(ms)
  while (lowerMs(bin) < ms * (1 - 1e-12)) bin++
  return bin
}

/** Latency bins of a distribution at 65,536 equal steps of probability: one draw picks one. */
export function latencyTable(quantile: (p: number) => number): Uint16Array {
  return Uint16Array.from({ length: 65_536 }, (_, index) => latencyBin(quantile((index + 0.5) / 65_536)))
}

/** The middles of the bins, ms, for peers that see means. */
export function binMiddles(): Float64Array {
  return Float64Array.from({ length: BINS }, (_, bin) => (lowerMs(bin) + lowerMs(bin + 1)) / 2)
}
