// The streams that pairs feed: labels, disagreement, errors and stability of the same requests. Decides nothing yet.
import { SLOT } from '../evidence/counters.ts'
import { logMean } from './bet.ts'
import { type Bounded, bettingHarm, bettingSafe, confidenceSequence, LOSS_FRACTIONS, shareHarm } from './betting.ts'
import { binnedHarm, binnedInterval, binnedSafe, middleOf } from './binnedBetting.ts'
import type { Policy } from './evidence.ts'
import { type Disagreement, isNoiseAsked, noiseFloorHarm, noiseFloorSafe } from './noiseFloor.ts'
import { sizeOf, type Tally, tallyOf } from './periods.ts'
import {
  mean,
  pairedHarm,
  ratio,
  SHOWN_ALPHA,
  type Stream,
  type Summary,
  shareSummary,
  size,
  summaries,
  type View,
  withSegments,
} from './stream.ts'

/** Whether labels of pairs say anything under this policy: where answers change outcomes, they are only shown. */
export function pairedLabelsCount(policy: Policy): boolean {
  return policy.labels !== undefined && !policy.labels.affectedByAnswer
}

/**
 * Paired loss differences. Harm: the mean difference exceeds 0 (in a segment: exceeds the margin, since a model that is
 * better may be a little worse somewhere). Safe: it stays below the margin. Bins are read at the edge that works against
 * the claim.
 */
export function labels(view: View, setting: NonNullable<Policy['labels']>, v: number): Stream {
  const read = (tally: Tally) => tally.bins('loss')
  const summary = (tally: Tally, isShort = false): Summary => {
    const bins = read(tally)
    const n = sizeOf(bins)
    return {
      n,
      estimate: middleOf(bins),
      ...(!isShort && n > 0 && { interval: binnedInterval(bins, SHOWN_ALPHA) }),
      limit: setting.margin,
    }
  }
  const counts = pairedLabelsCount(view.policy)
  return {
    metric: 'labels',
    what: `mean ${setting.loss} loss above the baseline's`,
    unit: 'labels',
    setting: 'labels.margin',
    isPaired: true,
    weight: counts ? v : 0,
    ...pairedHarm(
      view,
      tally => tally.bins('loss').length > 0,
      (tally, segment) => binnedHarm(read(tally), segment === '' ? 0 : setting.margin, LOSS_FRACTIONS),
      summary,
    ),
    safe:
      counts && view.policy.expect === 'change'
        ? [binnedSafe(read(tallyOf(view.now, '')), setting.margin, LOSS_FRACTIONS)]
        : undefined,
    ...summaries(view, summary),
  }
}

/**
 * Share of compared requests that differ, above live's own noise where `compare.again` measures it. Harm: above the budget;
 * safe: below it. Shown only where change is expected. Second runs are not counted by segment, and a segment may be noisier
 * than the whole, so with them no segment accuses.
 */
export function disagreement(view: View, v: number): Stream {
  const budget = view.policy.gate.disagreement
  const differing = (tally: Tally) => tally.get(SLOT.mismatch)
  const compared = (tally: Tally) => tally.get(SLOT.mismatch) + tally.get(SLOT.match)
  const read = (tally: Tally): Disagreement => ({
    differing: differing(tally),
    n: compared(tally),
    plus: tally.get(SLOT.againPlus),
    minus: tally.get(SLOT.againMinus),
    zero: tally.get(SLOT.againZero),
    differs: tally.get(SLOT.againDiffers),
    sampled: tally.has(SLOT.againSampled)
      ? { n: tally.get(SLOT.againSampled), differing: tally.get(SLOT.againSampledDiffers) }
      : undefined,
  })
  const gated = view.policy.expect === 'same'
  const limit = gated ? budget : null
  const all = read(tallyOf(view.all, ''))
  const isNoisy = all.differs > 0
  const shown = shareSummary(differing, compared, limit)
  // Once live has contradicted itself, the share that differs says little: what counts is the excess over its own noise.
  const excess = (tally: Tally): Summary => {
    const counts = read(tally)
    const values = signed(counts.plus, counts.minus, counts.zero)
    const n = size(values)
    return {
      n,
      estimate: mean(values),
      baseline: ratio(counts.differs, n),
      ...(n > 0 && { interval: confidenceSequence(values, values, SHOWN_ALPHA) }),
      limit,
    }
  }
  const harm = pairedHarm(
    view,
    tally => tally.has(SLOT.match) || tally.has(SLOT.mismatch),
    tally => (isNoiseAsked(all) ? [] : shareHarm(differing(tally), compared(tally), budget)),
    shown,
  )
  return {
    metric: 'disagreement',
    what: isNoisy ? "share of answers that differ, above live's own noise" : 'share of answers that differ',
    unit: 'comparisons',
    setting: 'gate.disagreement',
    isPaired: true,
    weight: gated ? v : 0,
    segments: harm.segments,
    logHarm: withSegments(view, noiseFloorHarm(all, budget), harm.segments),
    safe: gated ? [noiseFloorSafe(read(tallyOf(view.now, '')), budget)] : undefined,
    ...summaries(view, isNoisy ? excess : shown),
  }
}

function signed(plus: number, minus: number, zero: number): Bounded {
  return [
    [1, plus],
    [-1, minus],
    [0, zero],
  ]
}

/**
 * Errors of pairs, D = 1[candidate failed] − 1[baseline failed]. Both tests put the error floor at the border: below it a
 * candidate "is always fine", so an excess below it is no harm either.
 */
export function pairedErrors(view: View, v: number): Stream {
  const { floor } = view.policy.gate.errors
  const read = (tally: Tally): Bounded =>
    signed(
      tally.get(SLOT.candidateError),
      tally.get(SLOT.baselineError),
      tally.get(SLOT.bothOk) + tally.get(SLOT.bothError),
    )
  const summary = (tally: Tally, isShort = false): Summary => {
    const values = read(tally)
    const n = size(values)
    return {
      n,
      estimate: mean(values),
      baseline: ratio(tally.get(SLOT.baselineError) + tally.get(SLOT.bothError), n),
      ...(!isShort && n > 0 && { interval: confidenceSequence(values, values, SHOWN_ALPHA) }),
      limit: floor,
    }
  }
  return {
    metric: 'errors',
    what: "error rate above the baseline's, same requests",
    unit: 'comparisons',
    setting: 'gate.errors.floor',
    isPaired: true,
    weight: v,
    ...pairedHarm(
      view,
      tally => tally.has(SLOT.bothOk) || tally.has(SLOT.candidateError) || tally.has(SLOT.baselineError),
      tally => bettingHarm(read(tally), floor),
      summary,
    ),
    safe: [bettingSafe(read(tallyOf(view.now, '')), floor)],
    ...summaries(view, summary),
  }
}

/** Answers with a NaN or an infinity that the baseline did not give. Harm: their share exceeds the error floor. */
export function stability(view: View, v: number): Stream {
  const { floor } = view.policy.gate.errors
  const compared = (tally: Tally) => tally.get(SLOT.match) + tally.get(SLOT.mismatch)
  const summary = shareSummary(tally => tally.get(SLOT.unstable), compared, floor)
  const all = tallyOf(view.all, '')
  return {
    metric: 'stability',
    what: 'share of answers with a NaN or infinity of their own',
    unit: 'comparisons',
    setting: 'gate.errors.floor',
    isPaired: true,
    weight: v,
    logHarm: logMean(shareHarm(all.get(SLOT.unstable), compared(all), floor)),
    segments: [],
    safe: undefined,
    ...summaries(view, summary),
  }
}
