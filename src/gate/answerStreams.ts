// The streams that say how answers move: mean signed difference and score distribution. Decides nothing yet.
import { DEFAULT_SHIFT, DIFFERENCE_LIMIT, shiftLimit } from '../evidence/scale.ts'
import { type Bet, logMean, mix } from './bet.ts'
import { BETTING_FRACTIONS, type Bounded, bettingHarm, confidenceSequence } from './betting.ts'
import { binnedHarm, binnedInterval, binnedSafe, middleOf } from './binnedBetting.ts'
import { DECILES, jointDeciles } from './deciles.ts'
import { sizeOf, type Tally, tallyOf } from './periods.ts'
import { mean, SHOWN_ALPHA, type Stream, type Summary, size, summaries, type View } from './stream.ts'

/**
 * Mean signed difference of the first compared output, D = (candidate − baseline)/s clipped to ±1, whose limit is 0.1. With
 * `gate.difference`: harm is the mean of the two one-sided tests beyond the limit, safe both one-sided tests within it.
 * Without, s is ten times the absolute tolerance, which bounds single answers and no mean: shown in tolerances, never judged.
 * A difference beyond ten limits counts as ten.
 */
export function difference(view: View, v: number): Stream | undefined {
  const limit = view.policy.gate.difference
  const read = (tally: Tally) => tally.bins('mean')
  if (limit === undefined && sizeOf(read(tallyOf(view.all, ''))) === 0) return undefined
  const unit = (limit ?? 1) / DIFFERENCE_LIMIT
  const summary = (tally: Tally): Summary => {
    const bins = read(tally)
    const n = sizeOf(bins)
    const middle = middleOf(bins)
    const interval = n > 0 ? binnedInterval(bins, SHOWN_ALPHA) : undefined
    return {
      n,
      estimate: middle === null ? null : middle * unit,
      ...(interval !== undefined && { interval: [interval[0] * unit, interval[1] * unit] as const }),
      limit: limit ?? null,
    }
  }
  const harm = (tally: Tally): Bet[] =>
    mix([
      [0.5, binnedHarm(read(tally), DIFFERENCE_LIMIT, BETTING_FRACTIONS)],
      [0.5, binnedHarm(read(tally), DIFFERENCE_LIMIT, BETTING_FRACTIONS, -1)],
    ])
  const now = read(tallyOf(view.now, ''))
  return {
    metric: 'difference',
    what: limit === undefined ? 'mean signed difference, in tolerances' : 'mean signed difference',
    unit: 'comparisons',
    setting: 'gate.difference',
    isPaired: true,
    weight: limit === undefined ? 0 : v,
    logHarm: logMean(harm(tallyOf(view.all, ''))),
    segments: [],
    safe:
      limit === undefined
        ? undefined
        : [
            binnedSafe(now, DIFFERENCE_LIMIT, BETTING_FRACTIONS),
            binnedSafe(now, DIFFERENCE_LIMIT, BETTING_FRACTIONS, -1),
          ],
    ...summaries(view, summary),
  }
}

/** Of the score distribution's weight: the deciles, and the tilt of all of them. */
const DECILE_WEIGHT = 0.8

/**
 * Scores by deciles of the baseline's. For decile j, D = 1[candidate in j] − 1[baseline in j]; harm: some decile grows or
 * shrinks by more than the limit ({@link shiftLimit}), P2 for both signs, averaged over the ten. Deciles that stay within ±m bound the
 * mean of the tilt (j − i)/9 by (9 + 8 + 7 + 6 + 5 − 4 − 3 − 2 − 1)·m/9 = 25m/9, which a bet of its own is held against.
 *
 * The declared margin is what GATE.md's point null lacks: with it a candidate within its tolerance is no evidence here.
 */
export function distribution(view: View, v: number): Stream {
  const limit = shiftLimit(view.policy)
  const m = limit ?? DEFAULT_SHIFT
  const summary = (tally: Tally): Summary => {
    const joint = jointDeciles(tally)
    const moved = Array.from({ length: DECILES }, (_, decile) => movement(joint, decile))
    const n = size(moved[0]!)
    const worst = moved.reduce((most, values) =>
      Math.abs(mean(values) ?? 0) > Math.abs(mean(most) ?? 0) ? values : most,
    )
    return {
      n,
      estimate: mean(worst),
      ...(n > 0 && { interval: confidenceSequence(worst, worst, SHOWN_ALPHA / DECILES) }),
      limit: limit ?? null,
    }
  }
  return {
    metric: 'distribution',
    what: "growth of the decile of the baseline's scores that moved most",
    unit: 'comparisons',
    setting: 'gate.distribution',
    isPaired: true,
    weight: limit === undefined ? 0 : v,
    logHarm: logMean(distributionHarm(jointDeciles(tallyOf(view.all, '')), m)),
    segments: [],
    safe: undefined,
    ...summaries(view, summary),
  }
}

/** Bets that a decile moves by more than m, or that all of them tilt. `joint[i][j]`: baseline in i, candidate in j. */
export function distributionHarm(joint: readonly (readonly number[])[], m: number): Bet[] {
  const both = (values: Bounded, limit: number) =>
    mix([
      [0.5, bettingHarm(values, limit)],
      [0.5, bettingHarm(negated(values), limit)],
    ])
  const deciles = Array.from({ length: DECILES }, (_, decile) => both(movement(joint, decile), m))
  return mix([
    ...deciles.map(bets => [DECILE_WEIGHT / DECILES, bets] as const),
    [1 - DECILE_WEIGHT, both(tilt(joint), (25 * m) / 9)],
  ])
}

function movement(joint: readonly (readonly number[])[], decile: number): Bounded {
  let [plus, minus, total] = [0, 0, 0]
  for (const [i, row] of joint.entries()) {
    for (const [j, amount] of row.entries()) {
      total += amount
      if (i === j) continue
      if (j === decile) plus += amount
      if (i === decile) minus += amount
    }
  }
  return [
    [1, plus],
    [-1, minus],
    [0, total - plus - minus],
  ]
}

function tilt(joint: readonly (readonly number[])[]): Bounded {
  const amounts = new Array<number>(2 * DECILES - 1).fill(0)
  for (const [i, row] of joint.entries())
    for (const [j, amount] of row.entries()) amounts[j - i + DECILES - 1]! += amount
  return amounts.map((amount, index) => [(index - DECILES + 1) / (DECILES - 1), amount] as const)
}

function negated(values: Bounded): Bounded {
  return values.map(([x, amount]) => [-x, amount] as const)
}
