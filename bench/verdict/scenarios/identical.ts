// A/A: both arms run the same version, so every abort is false. Four kinds of traffic, the whole verdict after each request.
import { binMiddles, Canary, latencyTable } from '../canary.ts'
import { policyOf } from '../model.ts'
import { FLAGGER } from '../peers/flagger.ts'
import { Random, seedOf } from '../random.ts'
import type { Row } from '../results.ts'
import { demand, type Scenario, SEED, type Size, scaled } from '../scenario.ts'
import { falseRateTarget, rate } from '../statistics.ts'
import { flaggerAt, kayentaAt, peekedAt, Series } from '../traffic.ts'

const REQUESTS = 100_000
const BASE_RATE = 0.01
/** Peers see 1,000 points of 100 requests. */
const STEP = 100
const LOOKS = [10, 100, 1_000] as const
/** Of the candidate's requests live scores this share too (`gate.paired`). */
const PAIRED = 0.1
const NAME = 'identical'

const lognormal = latencyTable(p => 20 * Math.exp(0.5 * normalAt(p)))
/** Infinite variance: exponent 1.5, from 10 ms on. */
const pareto = latencyTable(p => 10 * (1 - p) ** (-1 / 1.5))
const middles = binMiddles()

interface Traffic {
  readonly name: string
  readonly shares: readonly number[]
  readonly table: Uint16Array
  /** Error rate of both arms at a part 0 to 1 of the run. */
  rateAt(part: number): number
  readonly metrics: readonly ('errors' | 'values')[]
}

const TRAFFIC: readonly Traffic[] = [
  { name: 'iid', shares: [0.5], table: lognormal, rateAt: () => BASE_RATE, metrics: ['errors'] },
  {
    name: 'error rate swings × 10 by day',
    shares: [0.5],
    table: lognormal,
    // Four days; geometric mean 1 %.
    rateAt: part => BASE_RATE * 10 ** (0.5 * Math.sin(8 * Math.PI * part)),
    metrics: ['errors'],
  },
  {
    name: 'share grows from 1 % to 50 %',
    shares: [0.01, 0.02, 0.05, 0.1, 0.25, 0.5],
    table: lognormal,
    rateAt: part => BASE_RATE * 10 ** (0.5 * Math.sin(8 * Math.PI * part)),
    metrics: ['errors'],
  },
  {
    name: 'Pareto latencies, exponent 1.5',
    shares: [0.5],
    table: pareto,
    rateAt: () => BASE_RATE,
    metrics: ['errors', 'values'],
  },
]

interface Part {
  readonly runs: number
  readonly aborted: number
  /** Runs that a look at one of 10, 100, 1,000 equal steps would have aborted. */
  readonly abortedAt: number[]
  readonly invalid: number
  readonly computed: number
  readonly peeked: number[]
  readonly peekedMeans: number[]
  readonly kayenta: number[]
  readonly kayentaRuns: number
  readonly flagger: number
  readonly flaggerWide: number
}

export const identical: Scenario<Part> = {
  name: NAME,
  title: 'A/A: a false abort',
  about: `${REQUESTS.toLocaleString('en')} requests, both arms alike: 1 % errors, latencies of one distribution, a pair for every tenth request of the candidate, and answers that differ exactly as often as the policy allows. Understudy looks at the whole verdict after every request; the peers at equal steps, at error rates (with Pareto latencies at mean latencies too). A minute is 1,000 requests.`,
  cells: TRAFFIC.length,
  runs: (_, size: Size) => scaled(size, 10_000, 1_000, 8),

  measure(cell, from, to) {
    const traffic = TRAFFIC[cell]!
    const canary = new Canary({ policy: policyOf(), shares: traffic.shares, withLatency: true })
    const part = {
      runs: to - from,
      aborted: 0,
      abortedAt: LOOKS.map(() => 0),
      invalid: 0,
      computed: 0,
      peeked: LOOKS.map(() => 0),
      peekedMeans: LOOKS.map(() => 0),
      kayenta: LOOKS.map(() => 0),
      kayentaRuns: 0,
      flagger: 0,
      flaggerWide: 0,
    }
    const series = new Series(REQUESTS, STEP)
    for (let run = from; run < to; run++) {
      const { crossed, plannedLooks, decision } = simulate(
        traffic,
        canary,
        new Random(SEED, seedOf(NAME), cell, run),
        series,
      )
      if (crossed && decision === 'abort') part.aborted++
      if (decision === 'invalid') part.invalid++
      LOOKS.forEach((looks, index) => {
        if (plannedLooks[index]) part.abortedAt[index]!++
        if (peekedAt(series, looks, 'errors') !== undefined) part.peeked[index]!++
        if (traffic.metrics.includes('values') && peekedAt(series, looks, 'values') !== undefined)
          part.peekedMeans[index]!++
        // It has one value a minute, so a thousand looks would be a hundred; and 100 looks are dear, so every fourth run.
        if (looks <= 100 && run % 4 === 0 && kayentaAt(series, looks, traffic.metrics) !== undefined)
          part.kayenta[index]!++
      })
      if (run % 4 === 0) part.kayentaRuns++
      if (flaggerAt(series) !== undefined) part.flagger++
      if (flaggerAt(series, { ...FLAGGER, minimum: 98 }) !== undefined) part.flaggerWide++
    }
    part.computed = canary.looks
    return part
  },

  rows: parts => TRAFFIC.flatMap(({ name, metrics }, cell) => rowsOf(name, metrics.length > 1, parts[cell]!)),
}

function simulate(traffic: Traffic, canary: Canary, random: Random, series: Series) {
  const { shares, table } = traffic
  const paired = PAIRED
  const budget = canary.policy.gate.disagreement
  const candidate = new Float64Array(4)
  const baseline = new Float64Array(4)
  const plannedLooks = LOOKS.map(() => false)
  let crossed = false
  let decision: string | undefined
  canary.start()
  let share = shares[0]!
  let errorRate = traffic.rateAt(0)
  for (let request = 0; request < REQUESTS; request++) {
    if (request % STEP === 0) {
      errorRate = traffic.rateAt(request / REQUESTS)
      const next = shares[Math.floor((shares.length * request) / REQUESTS)]!
      if (next !== share) {
        share = next
        canary.share(share)
      }
    }
    const isCandidate = random.chance(share)
    const isError = random.chance(errorRate)
    const bin = table[random.next() >>> 16]!
    canary.request(isCandidate, isError, bin)
    if (isCandidate && random.chance(paired)) canary.pair(isError, random.chance(errorRate), random.chance(budget))
    const sums = isCandidate ? candidate : baseline
    sums[0]!++
    if (isError) sums[1]!++
    const ms = middles[bin]!
    sums[2]! += ms
    sums[3]! += ms * ms
    if (!crossed && canary.isAborted) {
      crossed = true
      decision = canary.verdict().decision
      demand(decision === 'abort' || decision === 'invalid', `the gate says ${decision} where Σ v·E crossed`)
    }
    if ((request + 1) % STEP === 0) {
      const point = (request + 1) / STEP
      series.mark(point - 1, candidate, baseline)
      // Before the first crossing no planned look could have aborted.
      if (crossed && canary.look()) {
        LOOKS.forEach((looks, index) => {
          if (point % (series.points / looks) === 0) plannedLooks[index] = true
        })
      }
    }
  }
  // The end of every run is held against the gate, not only those that crossed.
  const last = canary.verdict()
  if (last.decision === 'invalid') decision = 'invalid'
  return { crossed, plannedLooks, decision }
}

function rowsOf(setting: string, hasMeans: boolean, parts: readonly Part[]): Row[] {
  const total = (of: (part: Part) => number) => parts.reduce((sum, part) => sum + of(part), 0)
  const runs = total(part => part.runs)
  const understudy = rate(
    total(part => part.aborted),
    runs,
  )
  const row = (method: string, looks: string, hits: number, of: number, more: Partial<Row> = {}): Row => ({
    scenario: NAME,
    setting,
    method,
    looks,
    figures: { falseBlock: rate(hits, of) },
    ...more,
  })
  const computed = Math.round(total(part => part.computed) / runs)
  return [
    {
      ...row(
        'Understudy',
        REQUESTS.toLocaleString('en'),
        total(part => part.aborted),
        runs,
      ),
      figures: {
        falseBlock: understudy,
        falseInvalid: rate(
          total(part => part.invalid),
          runs,
        ),
      },
      target: { figure: 'falseBlock', kind: 'at most', limit: 0.01, bound: 0.013 },
      verdict: falseRateTarget(understudy, 0.01, 0.013),
      note: `whole verdict after every request, of which ${computed.toLocaleString('en')} a run had to be computed; judge() itself at every crossing and every end`,
      at: { looks: REQUESTS },
    },
    ...LOOKS.map((looks, index) =>
      row(
        'Understudy',
        looks.toLocaleString('en'),
        total(part => part.abortedAt[index]!),
        runs,
        { at: { looks } },
      ),
    ),
    ...LOOKS.map((looks, index) =>
      row(
        'z test at 5 %',
        looks.toLocaleString('en'),
        total(part => part.peeked[index]!),
        runs,
        { at: { looks } },
      ),
    ),
    ...(hasMeans
      ? LOOKS.map((looks, index) =>
          row(
            't test of mean latency at 5 %',
            looks.toLocaleString('en'),
            total(part => part.peekedMeans[index]!),
            runs,
          ),
        )
      : []),
    ...LOOKS.slice(0, 2).map((looks, index) =>
      row(
        'Kayenta',
        looks.toLocaleString('en'),
        total(part => part.kayenta[index]!),
        total(part => part.kayentaRuns),
        {
          at: { looks },
        },
      ),
    ),
    row(
      'Flagger, limit 99 %',
      '10',
      total(part => part.flagger),
      runs,
      { at: { looks: 10 } },
    ),
    row(
      'Flagger, limit 98 %',
      '10',
      total(part => part.flaggerWide),
      runs,
      { at: { looks: 10 } },
    ),
  ]
}

/** Standard normal quantile (Acklam's rational approximation, relative error 1.15e-9): a latency table needs no more. */
function normalAt(p: number): number {
  const tail = (q: number) =>
    (((((-7.784894002430293e-3 * q - 0.3223964580411365) * q - 2.400758277161838) * q - 2.549732539343734) * q +
      4.374664141464968) *
      q +
      2.938163982698783) /
    ((((7.784695709041462e-3 * q + 0.3224671290700398) * q + 2.445134137142996) * q + 3.754408661907416) * q + 1)
  if (p < 0.02425) return tail(Math.sqrt(-2 * Math.log(p)))
  if (p > 1 - 0.02425) return -tail(Math.sqrt(-2 * Math.log(1 - p)))
  const q = p - 0.5
  const r = q * q
  return (
    ((((((-39.69683028665376 * r + 220.9460984245205) * r - 275.9285104469687) * r + 138.357751867269) * r -
      30.66479806614716) *
      r +
      2.506628277459239) *
      q) /
    (((((-54.47609879822406 * r + 161.5858368580409) * r - 155.6989798598866) * r + 66.80131188771972) * r -
      13.28068155288572) *
      r +
      1)
  )
}
