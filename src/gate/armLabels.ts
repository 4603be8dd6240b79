// Labels of the live arms, where the answer changes the outcome and pairs say nothing. Decides nothing yet.
import { highDifference, lowDifference } from '../evidence/histogram.ts'
import { type Bet, logMean } from './bet.ts'
import { BETTING_FRACTIONS, type Bounded, bettingHarm } from './betting.ts'
import { type Bins, middleOf } from './binnedBetting.ts'
import type { Policy } from './evidence.ts'
import { type SortedPeriod, sizeOf, split, type Tally, tallyOf } from './periods.ts'
import type { Stream, Summary, View } from './stream.ts'

/** Labelled losses of both arms while the candidate's share was `share`. */
export interface ArmLosses {
  readonly share: number
  readonly candidate: Bins
  readonly baseline: Bins
}

/**
 * Bets that the candidate's mean loss is above the baseline's by more than δ. X weighs each labelled answer by one over the
 * chance of its arm: X = s·l/w for the candidate, −s·l/(1 − w) for the baseline, l in [0, 1], so E[X] is s times the
 * difference of the mean losses (Horvitz & Thompson 1952), and s = min(w, 1 − w) keeps X within ±1. P2 on X against s·δ; the k-th
 * bets of all periods multiply. A loss is read at the edge of its bin that works against the claim.
 *
 * What is not labelled does not count: given that both arms' labels arrive alike, which {@link arrivalOf} watches, a labelled
 * answer is the candidate's with chance w.
 */
export function armLossesHarm(periods: readonly ArmLosses[], delta: number): Bet[] {
  return weighed(periods, delta, lowDifference, highDifference, 1)
}

/** Bets against "the candidate's mean loss is at least δ above the baseline's": {@link armLossesHarm} of −X against −s·δ. */
export function armLossesSafe(periods: readonly ArmLosses[], delta: number): Bet[] {
  return weighed(periods, -delta, highDifference, lowDifference, -1)
}

function weighed(
  periods: readonly ArmLosses[],
  m: number,
  candidateLoss: (bin: number) => number,
  baselineLoss: (bin: number) => number,
  sign: 1 | -1,
): Bet[] {
  const logs = BETTING_FRACTIONS.map(() => 0)
  let labels = 0
  for (const { share: w, candidate, baseline } of periods) {
    const scale = Math.min(w, 1 - w)
    const values: Bounded = [
      ...candidate.map(([bin, amount]) => [(sign * scale * candidateLoss(bin)) / w, amount] as const),
      ...baseline.map(([bin, amount]) => [(-sign * scale * baselineLoss(bin)) / (1 - w), amount] as const),
    ]
    for (const [index, { log }] of bettingHarm(values, scale * m).entries()) logs[index]! += log
    labels += sizeOf(candidate)
  }
  return logs.map(log => ({ weight: 1 / logs.length, log, rate: log / labels }))
}

function lossesOf(periods: readonly SortedPeriod[]): ArmLosses[] {
  return split(periods).map(({ share, bySegment }) => {
    const tally = tallyOf(bySegment, '')
    return { share, candidate: tally.bins('arm.c.loss'), baseline: tally.bins('arm.b.loss') }
  })
}

/** Labels by arms: undefined where labels of pairs count, and until the candidate has had a share of live traffic. */
export function armLabels(view: View, setting: NonNullable<Policy['labels']>, v: number): Stream | undefined {
  const { policy, stage, periods, present } = view
  if (!setting.affectedByAnswer || !periods.some(period => period.stage === 'canary')) return undefined
  const summary = (tally: Tally): Summary => {
    const [b, c] = [tally.bins('arm.b.loss'), tally.bins('arm.c.loss')]
    const baseline = middleOf(b)
    return {
      n: sizeOf(c),
      estimate: middleOf(c),
      baseline,
      limit: baseline === null ? null : baseline + setting.margin,
    }
  }
  return {
    metric: 'labels',
    what: `mean ${setting.loss} loss of live answers`,
    unit: 'labels of the candidate',
    setting: 'labels.margin',
    isPaired: false,
    weight: v,
    logHarm: logMean(armLossesHarm(lossesOf(periods), 0)),
    segments: [],
    safe:
      stage === 'canary' && policy.expect === 'change' ? [armLossesSafe(lossesOf(present), setting.margin)] : undefined,
    present: summary(tallyOf(view.now, '')),
    history: summary(tallyOf(view.all, '')),
  }
}
