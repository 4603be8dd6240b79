// Pairs whose answers differ more often than the policy allows: how many comparisons until that is sure.
import { delayFigures, type Outcome, overOptimumTarget } from '../delays.ts'
import { ledgersOf, moved, Watch, type WatchedStream } from '../linear.ts'
import { demandEqual, judged, logHarmOf, PAIRED, policyOf, shadowPeriod, shareBets, weightOf } from '../model.ts'
import { coinDivergence } from '../optimum.ts'
import { Random, seedOf } from '../random.ts'
import type { Row } from '../results.ts'
import { demand, type Scenario, SEED, type Size, scaled } from '../scenario.ts'

const NAME = 'disagreement'
const ALPHA = 0.01
const LIMIT = 1.3
const PATIENCE = 20
/** Times the budget. */
const RATIOS = [1.25, 1.5, 2, 3, 5, 10] as const
const BUDGETS = [0.001, 0.01, 0.05] as const
const CELLS = BUDGETS.flatMap(budget => RATIOS.map(ratio => ({ budget, ratio })))

interface Part {
  readonly alone: (number | null)[]
  readonly whole: (number | null)[]
}

export const disagreement: Scenario<Part> = {
  name: NAME,
  title: 'Answers that differ',
  about: `Pairs of a shadow whose answers differ by more than the tolerance, the given multiple of \`gate.disagreement\`; looked at after every pair, errors of pairs in 1 % on both sides at the same requests. Delays are comparisons. No peer has pairs.`,
  cells: CELLS.length,
  runs: (_, size: Size) => scaled(size, 1_000, 400, 4),

  measure(cell, from, to) {
    const { budget, ratio } = CELLS[cell]!
    const policy = policyOf({ gate: { disagreement: budget } })
    const weight = weightOf(policy, 'disagreement', PAIRED)
    const alone: WatchedStream = { weight: 1, ledgers: ledgersOf(shareBets(budget).groups()) }
    const inVerdict: WatchedStream = { weight, ledgers: ledgersOf(shareBets(budget).groups()) }
    const both = [alone, inVerdict].map(stream => ({ stream, moved: moved(stream.ledgers) }))
    const watches = [new Watch([alone], 1 / ALPHA), new Watch([inVerdict], 1 / ALPHA)]
    const last = Math.ceil((PATIENCE * Math.log(1 / ALPHA)) / coinDivergence(ratio * budget, budget))
    const part: Part = { alone: [], whole: [] }
    for (let run = from; run < to; run++) {
      const random = new Random(SEED, seedOf(NAME), cell, run)
      for (const watch of watches) watch.reset()
      const at: (number | null)[] = [null, null]
      let differing = 0
      for (let pair = 1; pair <= last && (at[0] === null || at[1] === null); pair++) {
        const differs = random.chance(ratio * budget)
        if (differs) differing++
        const outcome = differs ? 0 : 1
        for (let index = 0; index < 2; index++) {
          if (at[index] !== null) continue
          for (const ledger of both[index]!.moved[outcome]!) watches[index]!.add(ledger, outcome)
          if (!watches[index]!.isDue || !watches[index]!.look()) continue
          const verdict = judged(
            [shadowPeriod({ 'pair.match': pair - differing, 'pair.mismatch': differing, 'pair.ok': pair })],
            policy,
          )
          demandEqual(Watch.logOf(both[index]!.stream), logHarmOf(verdict, 'disagreement', PAIRED), 'disagreement')
          if (index === 1) demand(verdict.decision === 'abort', `the gate says ${verdict.decision} where v·E crossed`)
          at[index] = pair
        }
      }
      part.alone.push(at[0] ?? null)
      part.whole.push(at[1] ?? null)
    }
    return part
  },

  rows: parts =>
    CELLS.flatMap(({ budget, ratio }, cell) =>
      (['alone', 'whole'] as const).map((kind): Row => {
        const policy = policyOf({ gate: { disagreement: budget } })
        const level = kind === 'alone' ? ALPHA : ALPHA * weightOf(policy, 'disagreement', PAIRED)
        const optimum = Math.log(1 / level) / coinDivergence(ratio * budget, budget)
        const outcomes: Outcome[] = parts[cell]!.flatMap(part => part[kind].map(at => ({ at: at ?? undefined })))
        const figures = delayFigures(outcomes, optimum)
        return {
          scenario: NAME,
          setting: `ratio ${ratio} to a budget of ${100 * budget} %`,
          method: kind === 'alone' ? 'Understudy, disagreement alone' : 'Understudy, whole verdict',
          looks: 'each pair',
          figures,
          optimum,
          ...overOptimumTarget(figures, LIMIT),
          at: { ratio, budget },
        }
      }),
    ),
}
