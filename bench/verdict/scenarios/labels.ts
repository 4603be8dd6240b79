// True outcomes arrive for both versions: how many labels until a worse loss is sure, or a loss that is no worse.
import { differenceBin } from '../../../src/evidence/histogram.ts'
import { binnedHarm, binnedSafe, LOSS_FRACTIONS, logSumExp } from '../../../src/gate/eprocess.ts'
import { ALPHA_PROMOTE } from '../../../src/gate/levels.ts'
import { delayFigures, type Outcome } from '../delays.ts'
import { demandEqual, judged, logHarmOf, policyOf, shadowPeriod, weightOf } from '../model.ts'
import { boundedGrowth } from '../optimum.ts'
import { Random, seedOf } from '../random.ts'
import type { Row } from '../results.ts'
import { demand, type Scenario, SEED, type Size, scaled } from '../scenario.ts'

const NAME = 'labels'
const ALPHA = 0.01
const PATIENCE = 20
const SAMPLE = 40_000

interface Cell {
  readonly name: string
  readonly loss: 'brier' | 'zero-one'
  readonly kind: 'harm' | 'safe'
  readonly margin: number
  draw(random: Random): number
}
const gaussian = (mean: number, deviation: number) => (random: Random) =>
  Math.max(-1, Math.min(1, mean + deviation * random.normal()))
const discordant = (worse: number, better: number) => (random: Random) => {
  const u = random.uniform()
  return u < worse ? 1 : u < worse + better ? -1 : 0
}
const CELLS: readonly Cell[] = [
  { name: 'Brier +0.008, sd 0.08', loss: 'brier', kind: 'harm', margin: 0.002, draw: gaussian(0.008, 0.08) },
  { name: 'Brier +0.02, sd 0.1', loss: 'brier', kind: 'harm', margin: 0.002, draw: gaussian(0.02, 0.1) },
  {
    name: 'zero-one: 6 % newly wrong, 4 % newly right',
    loss: 'zero-one',
    kind: 'harm',
    margin: 0.01,
    draw: discordant(0.06, 0.04),
  },
  {
    name: 'Brier −0.004, sd 0.08, margin 0.004',
    loss: 'brier',
    kind: 'safe',
    margin: 0.004,
    draw: gaussian(-0.004, 0.08),
  },
  { name: 'Brier ±0, sd 0.05, margin 0.005', loss: 'brier', kind: 'safe', margin: 0.005, draw: gaussian(0, 0.05) },
  {
    name: 'zero-one: 4 % newly wrong, 6 % newly right, margin 0.01',
    loss: 'zero-one',
    kind: 'safe',
    margin: 0.01,
    draw: discordant(0.04, 0.06),
  },
]

interface Part {
  readonly at: (number | null)[]
}

export const labels: Scenario<Part> = {
  name: NAME,
  title: 'Labels: a loss that is worse, or no worse',
  about: `Paired loss differences in signed log bins, looked at after every label. Abort at α·v of the labels' share, promotion at α = 2.5 % of a first attempt. The optimum knows the distribution: ln(1/level) over the best bounded bet's growth on unbinned differences. No target is set.`,
  cells: CELLS.length,
  runs: (_, size: Size) => scaled(size, 1_000, 200, 4),

  measure(cell, from, to) {
    const setting = CELLS[cell]!
    const policy = policyFor(setting)
    const level = levelOf(setting)
    const last = Math.ceil(PATIENCE * optimumOf(cell))
    /** Each bin's increments by the product's function of one observation in it. */
    const steps = new Map<number, readonly number[]>()
    const stepsOf = (bin: number) => {
      let known = steps.get(bin)
      if (known === undefined) {
        known = (
          setting.kind === 'harm'
            ? binnedHarm([[bin, 1]], 0, LOSS_FRACTIONS)
            : binnedSafe([[bin, 1]], setting.margin, LOSS_FRACTIONS)
        ).map(({ log }) => log)
        steps.set(bin, known)
      }
      return known
    }
    const at: (number | null)[] = []
    for (let run = from; run < to; run++) {
      const random = new Random(SEED, seedOf(NAME), cell, run)
      const logs = LOSS_FRACTIONS.map(() => 0)
      const bins = new Map<number, number>()
      let found: number | null = null
      for (let label = 1; label <= last && found === null; label++) {
        const bin = differenceBin(setting.draw(random))
        bins.set(bin, (bins.get(bin) ?? 0) + 1)
        for (const [index, step] of stepsOf(bin).entries()) logs[index]! += step
        // No mean exceeds its greatest member.
        if (Math.max(...logs) < -Math.log(level)) continue
        const log = logSumExp(logs) - Math.log(logs.length)
        if (log < -Math.log(level)) continue
        found = label
        const counters = Object.fromEntries([...bins].map(([index, amount]) => [`loss.${index}`, amount]))
        const verdict = judged([shadowPeriod({ ...counters, 'pair.ok': label, 'pair.match': label })], policy)
        if (setting.kind === 'harm') {
          demandEqual(log, logHarmOf(verdict, 'labels', /loss/), 'labels')
          demand(verdict.decision === 'abort', `the gate says ${verdict.decision} where v·E crossed`)
        } else {
          const row = verdict.metrics.find(({ metric, segment }) => metric === 'labels' && segment === undefined)
          demandEqual(log, row?.logSafe ?? Number.NaN, 'labels, safe')
          demand(row?.state === 'safe', `the gate says ${row?.state} where the safe test crossed`)
        }
      }
      at.push(found)
    }
    return { at }
  },

  rows: parts =>
    CELLS.map(({ name, kind }, cell): Row => {
      const optimum = optimumOf(cell)
      const outcomes: Outcome[] = parts[cell]!.flatMap(part => part.at.map(at => ({ at: at ?? undefined })))
      return {
        scenario: NAME,
        setting: name,
        method: kind === 'harm' ? 'Understudy, whole verdict: abort' : 'Understudy, first attempt: labels safe',
        looks: 'each label',
        figures: delayFigures(outcomes, optimum),
        optimum,
      }
    }),
}

function policyFor({ loss, margin }: Cell) {
  return policyOf({ expect: 'change', labels: { loss, margin } })
}

function levelOf(cell: Cell): number {
  return cell.kind === 'safe' ? ALPHA_PROMOTE / 2 : ALPHA * weightOf(policyFor(cell), 'labels', /loss/)
}

const optima = new Map<number, number>()

function optimumOf(cell: number): number {
  const known = optima.get(cell)
  if (known !== undefined) return known
  const setting = CELLS[cell]!
  const random = new Random(SEED, seedOf(NAME), cell, -1)
  const sample = Float64Array.from({ length: SAMPLE }, () => setting.draw(random))
  const growth =
    setting.kind === 'harm'
      ? boundedGrowth(sample, 0)
      : boundedGrowth(
          sample.map(x => -x),
          -setting.margin,
        )
  const optimum = Math.log(1 / levelOf(setting)) / growth
  optima.set(cell, optimum)
  return optimum
}
