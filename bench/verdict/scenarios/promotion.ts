// A candidate that is no worse: how long until its error rate is proved, and how often one at the border is let through.
import { type ArmCounts, labelOddsSafe } from '../../../src/gate/eprocess.ts'
import { ALPHA_PROMOTE } from '../../../src/gate/levels.ts'
import { sortPeriod } from '../../../src/gate/periods.ts'
import { streamsOf } from '../../../src/gate/streams.ts'
import { delayFigures, type Outcome, overOptimumTarget } from '../delays.ts'
import { LinearBets, ledgersOf, moved, Watch } from '../linear.ts'
import { armCounters, armsOf, canaryPeriod, demandEqual, judged, LIVE, metricOf, policyOf } from '../model.ts'
import { splitInformationAt } from '../optimum.ts'
import { Random, seedOf } from '../random.ts'
import type { Row } from '../results.ts'
import { demand, type Scenario, SEED, type Size, scaled } from '../scenario.ts'
import { falseRateTarget, rate } from '../statistics.ts'

const NAME = 'promotion'
const BASE_RATE = 0.01
const LIMIT = 1.25
const PATIENCE = 20
const SHARES = [0.1, 0.5] as const
const MARGINS = [1.25, 1.5, 2] as const
const RATIOS = [0.8, 0.9, 1] as const
/** The upper 95 % bound of a false promotion rate may be this much above its level. */
const BOUND = 0.005
const BOUNDARY_REQUESTS = 100_000
/** The first attempt of a digest is judged at α_P/2. */
const FIRST_ATTEMPT = ALPHA_PROMOTE / 2

interface Cell {
  readonly share: number
  readonly margin: number
  /** True ratio of the error rates; the margin itself in the cells of false promotions. */
  readonly ratio: number
}
const CELLS: readonly Cell[] = [
  ...SHARES.flatMap(share => MARGINS.flatMap(margin => RATIOS.map(ratio => ({ share, margin, ratio })))),
  ...MARGINS.map(margin => ({ share: 0.5, margin, ratio: margin })),
]
const isBoundary = ({ ratio, margin }: Cell) => ratio === margin

const METHODS = [
  { method: 'Understudy, P1 alone', level: ALPHA_PROMOTE },
  { method: 'Understudy, error stream, first attempt', level: FIRST_ATTEMPT },
] as const

interface Part {
  readonly at: (number | null)[][]
}

export const promotion: Scenario<Part> = {
  name: NAME,
  title: 'Promotion: errors no worse than M times',
  about: `The baseline fails in 1 % of requests. H0: the candidate fails at least M times as often (\`gate.errors.ratio\`). P1 alone at α = 5 %; the error stream as the verdict reads it, half of it on the error floor, at the α = 2.5 % of a first attempt. The optimum is ln(1/α)/KL of the level in question. At the border the candidate fails exactly M times as often, for ${BOUNDARY_REQUESTS.toLocaleString('en')} requests. Looked at after every request.`,
  cells: CELLS.length,
  runs: (cell, size: Size) =>
    isBoundary(CELLS[cell]!) ? scaled(size, 10_000, 1_000, 10) : scaled(size, 2_000, 200, 4),

  measure(cell, from, to) {
    const { share, margin, ratio } = CELLS[cell]!
    const policy = policyOf({ gate: { errors: { ratio: margin } } })
    const safeOf = (arms: ArmCounts) => {
      const period = sortPeriod(canaryPeriod(share, armCounters(arms)))
      return streamsOf(policy, 'canary', [period], [period]).find(
        ({ metric, isPaired }) => metric === 'errors' && !isPaired,
      )!.safe![0]!
    }
    const tests = [
      (arms: ArmCounts) => labelOddsSafe([arms], margin),
      // Without requests the share of errors has no size; its bets are 1 all the same.
      safeOf,
    ].map((bets, index) => {
      const groups = new LinearBets(4, counts => bets(armsOf(share, counts))).groups()
      const stream = { weight: 1, ledgers: ledgersOf(groups) }
      return { stream, moved: moved(stream.ledgers), watch: new Watch([stream], 1 / METHODS[index]!.level) }
    })
    const last = isBoundary(CELLS[cell]!)
      ? BOUNDARY_REQUESTS
      : Math.ceil(PATIENCE * optimumOf(CELLS[cell]!, FIRST_ATTEMPT))
    const part: Part = { at: METHODS.map(() => []) }
    for (let run = from; run < to; run++) {
      const random = new Random(SEED, seedOf(NAME), cell, run)
      for (const { watch } of tests) watch.reset()
      const at = tests.map((): number | null => null)
      const counts = [0, 0, 0, 0]
      for (let request = 1; request <= last && at.includes(null); request++) {
        const isCandidate = random.chance(share)
        const isError = random.chance(isCandidate ? ratio * BASE_RATE : BASE_RATE)
        const outcome = (isCandidate ? 0 : 1) + (isError ? 0 : 2)
        counts[outcome]!++
        for (const [index, { stream, moved: ledgers, watch }] of tests.entries()) {
          if (at[index] !== null) continue
          for (const ledger of ledgers[outcome]!) watch.add(ledger, outcome)
          if (!watch.isDue || !watch.look()) continue
          at[index] = request
          if (index === 0) continue
          const verdict = judged([canaryPeriod(share, armCounters(armsOf(share, counts)))], policy)
          const row = metricOf(verdict, 'errors', LIVE)
          demandEqual(Watch.logOf(stream), row.logSafe ?? Number.NaN, 'errors, safe')
          demand(row.state === 'safe', `the gate says ${row.state} where the safe test crossed`)
        }
      }
      for (const [index, request] of at.entries()) part.at[index]!.push(request)
    }
    return part
  },

  rows: parts =>
    CELLS.flatMap((cell, index) =>
      METHODS.map(({ method, level }, test) => rowOf(cell, method, level, test, parts[index]!)),
    ),
}

function optimumOf({ share, margin, ratio }: Cell, level: number): number {
  return Math.log(1 / level) / splitInformationAt(share, BASE_RATE, ratio * BASE_RATE, margin)
}

function rowOf(cell: Cell, method: string, level: number, test: number, parts: readonly Part[]): Row {
  const { share, margin, ratio } = cell
  const outcomes: Outcome[] = parts.flatMap(part => part.at[test]!.map(at => ({ at: at ?? undefined })))
  const common = { scenario: NAME, method, looks: 'each request', at: { share, margin, ratio } }
  if (isBoundary(cell)) {
    const promoted = rate(outcomes.filter(({ at }) => at !== undefined).length, outcomes.length)
    return {
      ...common,
      setting: `at the border: ratio ${ratio} to M ${margin}, w ${share}`,
      figures: { falsePromotion: promoted },
      target: { figure: 'falsePromotion', kind: 'at most', limit: level, bound: level + BOUND },
      verdict: falseRateTarget(promoted, level, level + BOUND),
    }
  }
  const optimum = optimumOf(cell, level)
  const figures = delayFigures(outcomes, optimum)
  return {
    ...common,
    setting: `ratio ${ratio} to M ${margin}, w ${share}`,
    figures,
    optimum,
    ...overOptimumTarget(figures, LIMIT),
  }
}
