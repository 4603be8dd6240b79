// A candidate that fails more often from its first request on: how long until each method stops it, and what it cost.
import { count } from '../../../src/evidence/counters.ts'
import { Canary, latencyTable } from '../canary.ts'
import { delayFigures, type Outcome, overOptimumTarget } from '../delays.ts'
import { moved, Watch } from '../linear.ts'
import { demandEqual, LIVE, liveErrors, logHarmOf, policyOf, weightOf } from '../model.ts'
import { splitInformation } from '../optimum.ts'
import { Random, seedOf } from '../random.ts'
import type { Row } from '../results.ts'
import { demand, type Scenario, SEED, type Size, scaled } from '../scenario.ts'
import { ERROR_PEERS, errorsUpTo, PER_MINUTE, Series } from '../traffic.ts'

const NAME = 'errors'
const BASE_RATE = 0.01
const ALPHA = 0.01
const LIMIT = 1.25
const PAIRED = 0.1
const STEP = 100
const RATIOS = [1.25, 1.5, 2, 3, 5, 10] as const
const SHARES = [0.05, 0.2, 0.5] as const
/** Peers look at equal steps up to four times the optimum, at least ten minutes; Understudy is waited for up to 20 times. */
const HORIZON = 4
const PATIENCE = 20
const CELLS = SHARES.flatMap(share => RATIOS.map(ratio => ({ share, ratio })))

const METHODS = [
  { method: 'Understudy, errors alone', looks: 'each request' },
  { method: 'Understudy, whole verdict', looks: 'each request' },
  ...ERROR_PEERS,
]

interface Part {
  /** By method, a run each; null for never. */
  readonly at: (number | null)[][]
  readonly bad: number[][]
}

// Latencies are alike: what they say is nothing, and the verdict has to bear it.
const table = latencyTable(p => 20 * (1 + p))

export const errors: Scenario<Part> = {
  name: NAME,
  title: 'Sudden increase of the error rate',
  about: `The baseline fails in 1 % of requests, the candidate in a multiple of it from the start. The optimum is ln(1/α)/KL with α = 1 % (for the whole verdict α·v, v the share of this metric). Delays are requests of both arms; means are over the runs that stopped the candidate, misses are those that had not by four times the optimum or ten minutes (Understudy: 20 times the optimum). The peers' delays are at false alarm rates of the first table. Bad requests are failures that the candidate served before.`,
  cells: CELLS.length,
  runs: (cell, size: Size) => scaled(size, CELLS[cell]!.ratio < 2 ? 1_500 : 3_000, 200, 3),

  measure(cell, from, to) {
    const { share, ratio } = CELLS[cell]!
    const policy = policyOf()
    const canary = new Canary({ policy, shares: [share], withLatency: true })
    const alone = liveErrors(policy, share, 1)
    const arms = moved(alone.ledgers)
    const guards = moved(alone.guard!)
    const watch = new Watch([alone], 1 / ALPHA)
    const optimum = Math.log(1 / ALPHA) / splitInformation(share, BASE_RATE, ratio * BASE_RATE)
    const horizon = PER_MINUTE * Math.max(10, Math.ceil((HORIZON * optimum) / PER_MINUTE))
    const series = new Series(horizon, STEP)
    const part: Part = { at: METHODS.map(() => []), bad: METHODS.map(() => []) }

    for (let run = from; run < to; run++) {
      const random = new Random(SEED, seedOf(NAME), cell, run)
      const sums = [new Float64Array(2), new Float64Array(2)] as const
      let [aloneAt, wholeAt, aloneBad, wholeBad] = [0, 0, 0, 0]
      canary.start()
      watch.reset()
      const last = Math.max(horizon, Math.ceil(PATIENCE * optimum))
      for (let request = 1; request <= last; request++) {
        const isCandidate = random.chance(share)
        const isError = random.chance(isCandidate ? ratio * BASE_RATE : BASE_RATE)
        const sum = sums[isCandidate ? 0 : 1]
        sum[0]!++
        if (isError) sum[1]!++
        if (aloneAt === 0) {
          const outcome = (isCandidate ? 0 : 1) + (isError ? 0 : 2)
          for (const ledger of arms[outcome]!) watch.add(ledger, outcome)
          if (isCandidate) for (const ledger of guards[isError ? 0 : 1]!) watch.add(ledger, isError ? 0 : 1)
          if (watch.isDue && watch.look()) {
            aloneAt = request
            aloneBad = sums[0][1]!
            // The stream's logarithm as the gate has it, on the same counts.
            const ours = Watch.logOf(alone)
            if (wholeAt === 0)
              demandEqual(ours, logHarmOf(canaryWith(canary, isCandidate, isError), 'errors', LIVE), 'errors alone')
          }
        }
        if (wholeAt === 0) {
          canary.request(isCandidate, isError, table[random.next() >>> 16]!)
          if (isCandidate && random.chance(PAIRED)) canary.pair(isError, random.chance(BASE_RATE), false)
          if (canary.isAborted) {
            wholeAt = request
            wholeBad = sums[0][1]!
            const { decision } = canary.verdict()
            demand(decision === 'abort' || decision === 'invalid', `the gate says ${decision} where Σ v·E crossed`)
          }
        }
        if (request % STEP === 0 && request <= horizon) series.mark(request / STEP - 1, sums[0], sums[1])
        if (request >= horizon && aloneAt > 0 && wholeAt > 0) break
      }
      put(part, 0, aloneAt || undefined, aloneBad)
      put(part, 1, wholeAt || undefined, wholeBad)
      for (const [index, peer] of ERROR_PEERS.entries()) {
        if (run % peer.every !== 0) continue
        const at = peer.at(series)
        put(part, index + 2, at, at === undefined ? 0 : errorsUpTo(series, at))
      }
    }
    return part
  },

  rows: parts =>
    CELLS.flatMap(({ share, ratio }, cell) =>
      METHODS.map(({ method, looks }, index) => rowOf(share, ratio, method, looks, index, parts[cell]!)),
    ),
}

/** The verdict with this request counted, which the canary has not seen yet. */
function canaryWith(canary: Canary, isCandidate: boolean, isError: boolean) {
  const periods = canary.evidence()
  const [first, ...others] = periods
  const counters = new Map(first!.counters)
  const arm = isCandidate ? 'c' : 'b'
  count(counters, `arm.${arm}.n`)
  if (isError) count(counters, `arm.${arm}.err`)
  return canary.judgeOf([{ ...first!, counters }, ...others])
}

function put(part: Part, method: number, at: number | undefined, bad: number): void {
  part.at[method]!.push(at ?? null)
  part.bad[method]!.push(bad)
}

function rowOf(
  share: number,
  ratio: number,
  method: string,
  looks: string,
  index: number,
  parts: readonly Part[],
): Row {
  const isOurs = index < 2
  const level = index === 1 ? ALPHA * weightOf(policyOf(), 'errors', LIVE) : ALPHA
  const optimum = Math.log(1 / level) / splitInformation(share, BASE_RATE, ratio * BASE_RATE)
  const outcomes: Outcome[] = parts.flatMap(part =>
    part.at[index]!.map((at, run) => (at === null ? { at: undefined } : { at, bad: part.bad[index]![run]! })),
  )
  const figures = delayFigures(outcomes, optimum)
  return {
    scenario: NAME,
    setting: `ratio ${ratio}, w ${share}`,
    method,
    looks,
    figures,
    optimum,
    ...(isOurs && overOptimumTarget(figures, LIMIT)),
    at: { ratio, share },
  }
}
