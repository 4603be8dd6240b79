// A candidate that is slower only in its tail: how long until that is sure.
import { LEAST_BASELINE, QUANTILES } from '../../../src/evidence/latency.ts'
import { binMiddles, Canary, latencyTable } from '../canary.ts'
import { delayFigures, type Outcome, overOptimumTarget } from '../delays.ts'
import { LIVE, policyOf, weightOf } from '../model.ts'
import { splitInformation } from '../optimum.ts'
import { normalQuantile } from '../peers/kayenta.ts'
import { Random, seedOf } from '../random.ts'
import type { Row } from '../results.ts'
import { demand, type Scenario, SEED, type Size, scaled } from '../scenario.ts'
import { kayentaAt, PER_MINUTE, peekedAt, Series } from '../traffic.ts'

const NAME = 'latency'
const LIMIT = 1.45
const STEP = 100
const PATIENCE = 20
const HORIZON = 4
const LOOKS = [10, 100] as const
const ALPHA = 0.01

interface Cell {
  readonly share: number
  /** This part of the candidate's answers takes four times as long. */
  readonly slow: number
}
const CELLS: readonly Cell[] = [
  { share: 0.5, slow: 0.05 },
  { share: 0.5, slow: 0.1 },
  { share: 0.1, slow: 0.1 },
  { share: 0.5, slow: 0.02 },
  { share: 0.5, slow: 0.04 },
  { share: 0.1, slow: 0.04 },
]
const SLOWER = 4

/** Lognormal around 20 ms, σ = 0.4: p95 is 39 ms, p99 51 ms. */
const typical = Float64Array.from(
  { length: 65_536 },
  (_, index) => 20 * Math.exp(0.4 * normalQuantile((index + 0.5) / 65_536)),
)
const table = latencyTable(p => typical[Math.min(65_535, Math.floor(p * 65_536))]!)
const slowTable = latencyTable(p => SLOWER * typical[Math.min(65_535, Math.floor(p * 65_536))]!)
const middles = binMiddles()

interface Part {
  readonly at: (number | null)[][]
}

export const latency: Scenario<Part> = {
  name: NAME,
  title: 'Slower in the tail only',
  about: `Latencies are lognormal (20 ms, σ 0.4); a few per cent of the candidate's answers take four times as long, its median hardly moves. Whole verdict after every request, thresholds from the baseline's earlier answers, the requests before there are ${LEAST_BASELINE} of them included. The optimum knows the thresholds: ln(1/(α·v))/KL of the exceedances of the quantile that tells sooner. Peers compare mean latencies.`,
  cells: CELLS.length,
  runs: (_, size: Size) => scaled(size, 1_000, 200, 4),

  measure(cell, from, to) {
    const { share, slow } = CELLS[cell]!
    const policy = policyOf()
    const canary = new Canary({ policy, shares: [share], withLatency: true })
    const optimum = optimumOf(CELLS[cell]!)
    const horizon = PER_MINUTE * Math.max(10, Math.ceil((HORIZON * optimum) / PER_MINUTE))
    const series = new Series(horizon, STEP)
    const part: Part = { at: Array.from({ length: 5 }, () => []) }
    for (let run = from; run < to; run++) {
      const random = new Random(SEED, seedOf(NAME), cell, run)
      const sums = [new Float64Array(4), new Float64Array(4)] as const
      canary.start()
      let at: number | null = null
      const last = Math.max(horizon, Math.ceil(PATIENCE * optimum))
      for (let request = 1; request <= last; request++) {
        const isCandidate = random.chance(share)
        const isSlow = isCandidate && random.chance(slow)
        const bin = (isSlow ? slowTable : table)[random.next() >>> 16]!
        const sum = sums[isCandidate ? 0 : 1]
        const ms = middles[bin]!
        sum[0]!++
        sum[2]! += ms
        sum[3]! += ms * ms
        if (at === null) {
          canary.request(isCandidate, false, bin)
          if (canary.isAborted) {
            at = request
            const { decision } = canary.verdict()
            demand(decision === 'abort' || decision === 'invalid', `the gate says ${decision} where Σ v·E crossed`)
          }
        }
        if (request % STEP === 0 && request <= horizon) series.mark(request / STEP - 1, sums[0], sums[1])
        if (request >= horizon && at !== null) break
      }
      part.at[0]!.push(at)
      LOOKS.forEach((looks, index) => {
        part.at[1 + index]!.push(peekedAt(series, looks, 'values') ?? null)
        if (run % 5 === 0) part.at[3 + index]!.push(kayentaAt(series, looks, ['values']) ?? null)
      })
    }
    return part
  },

  rows: parts =>
    CELLS.flatMap((cell, index) => {
      const { share, slow } = cell
      const optimum = optimumOf(cell)
      return ['Understudy, whole verdict', 't test at 5 %', 't test at 5 %', 'Kayenta', 'Kayenta'].map(
        (method, test): Row => {
          const outcomes: Outcome[] = parts[index]!.flatMap(part => part.at[test]!.map(at => ({ at: at ?? undefined })))
          const figures = delayFigures(outcomes, optimum)
          return {
            scenario: NAME,
            setting: `${100 * slow} % of answers four times as slow, w ${share}`,
            method,
            looks: test === 0 ? 'each request' : String(LOOKS[(test - 1) % 2]),
            figures,
            optimum,
            ...(test === 0 && overOptimumTarget(figures, LIMIT)),
          }
        },
      )
    }),
}

/**
 * By the thresholds that the truth gives: the baseline's share above its quantile against the candidate's above the limit;
 * of the two quantiles the one that tells sooner.
 */
function optimumOf({ share, slow }: Cell): number {
  const policy = policyOf()
  const { slack, ...ratios } = policy.gate.latency
  const optima = (['p95', 'p99'] as const).map(name => {
    const p = QUANTILES[name]
    const tau = typical[Math.floor(p * 65_536)]!
    const limit = Math.max(tau * ratios[name], tau + slack)
    const above = (scale: number) => typical.filter(ms => scale * ms >= limit).length / 65_536
    const late = (1 - slow) * above(1) + slow * above(SLOWER)
    if (late <= 1 - p) return Number.POSITIVE_INFINITY
    const level = ALPHA * weightOf(policy, `latency.${name}`, LIVE)
    return Math.log(1 / level) / splitInformation(share, 1 - p, late)
  })
  const optimum = Math.min(...optima)
  demand(Number.isFinite(optimum), 'the candidate is not slower than it may be')
  return optimum
}
