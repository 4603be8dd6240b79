// The streams that the arms of the live split feed: errors and latency. Decides nothing yet.
import { SLOT } from '../evidence/counters.ts'
import { lowerMs, quantileBin, upperMs } from '../evidence/histogram.ts'
import { QUANTILES, type QuantileName } from '../evidence/latency.ts'
import { type Bet, logMean, mix } from './bet.ts'
import { bettingHarm, shareHarm, shareSafe } from './betting.ts'
import type { Bins } from './binnedBetting.ts'
import { blockHarm } from './blocks.ts'
import { type ArmCounts, errorOddsHarm, labelOddsSafe, latencyOddsHarm, SAFE_RATIOS_LATENCY } from './labelOdds.ts'
import { ALPHA_ABORT } from './levels.ts'
import { type ArmSlots, added, arms, type SortedPeriod, sizeOf, type Tally, tallyOf } from './periods.ts'
import { ratio, type Stream, type Summary, segmentHarms, type View, withSegments } from './stream.ts'

const ERRORS: ArmSlots = {
  candidate: SLOT.armCandidate,
  candidateEvents: SLOT.armCandidateError,
  baseline: SLOT.armBaseline,
  baselineEvents: SLOT.armBaselineError,
}

/** Of the safe mixture: the ratio to the baseline, and the floor for routes that hardly ever fail. */
const RATIO_WEIGHT = 0.7

/**
 * Errors of the live split. Harm: more than the baseline's *and* more than the floor (the smaller of the two e-values,
 * since either being true is fine). Safe: H0 "at least M times the baseline's and at least the floor", so evidence
 * against either counts; without any error about 5,900 candidate requests at a floor of 0.1 % (first attempt).
 *
 * With `gate.blocks` P3 and P2 on blocks take the place of P1 in the harm test (see {@link blockHarm}): where an arm fails
 * as a whole, its errors are not the independent draws that P1 needs, but the difference to an equal control cohort is
 * symmetric from block to block. The safe test stays, and nothing may be shown worse by blocks meanwhile.
 *
 * What is promised, and what is not: the smaller of the two is an e-value for a null that holds throughout, that is for
 * a candidate which never fails more often than the baseline, or never above the floor. One that fails a little more often
 * for a million requests, all below the floor, and then shares an outage with the baseline is neither, and can be aborted. The
 * safe test speaks of the average over the step, so an outage of the baseline alone speaks for the candidate.
 */
export function canaryErrors(view: View, v: number): Stream | undefined {
  const { policy, stage, periods, present } = view
  const { floor, ratio: most } = policy.gate.errors
  if (!periods.some(period => period.stage === 'canary')) return undefined
  const byBlocks = policy.gate.blocks !== undefined
  const harmOf = (segment: string) => {
    const counts = arms(periods, ERRORS, segment)
    const { candidateEvents, candidate } = totals(counts)
    const compared = byBlocks ? blocksHarm(tallyOf(view.all, segment), periods) : errorOddsHarm(counts)
    return Math.min(logMean(compared), logMean(shareHarm(candidateEvents, candidate, floor)))
  }
  const summarise = (counts: readonly ArmCounts[]): Summary => {
    const { candidate, candidateEvents, baseline, baselineEvents } = totals(counts)
    const rate = ratio(baselineEvents, baseline)
    return {
      n: candidate,
      estimate: ratio(candidateEvents, candidate),
      baseline: rate,
      limit: rate === null ? null : Math.max(floor, most * rate),
    }
  }
  const now = arms(present, ERRORS)
  const { candidate, candidateEvents } = totals(now)
  const safe = { odds: labelOddsSafe(now, most), floor: shareSafe(candidateEvents, candidate, floor) }
  // Blocks are counted for the whole traffic only.
  const segments = byBlocks
    ? []
    : segmentHarms(
        view,
        segment => {
          const tally = tallyOf(view.all, segment)
          return tally.has(SLOT.armCandidate) || tally.has(SLOT.armBaseline)
        },
        segment => ({ logHarm: harmOf(segment), summary: () => summarise(arms(periods, ERRORS, segment)) }),
      )
  return {
    metric: 'errors',
    what: 'error rate of live answers',
    unit: 'candidate requests',
    setting: logMean(safe.odds) > logMean(safe.floor) ? 'gate.errors.ratio' : 'gate.errors.floor',
    isPaired: false,
    weight: v,
    logHarm: byBlocks ? harmOf('') : withSegments(view, harmOf(''), segments),
    segments,
    safe:
      stage === 'canary'
        ? [
            mix([
              [RATIO_WEIGHT, safe.odds],
              [1 - RATIO_WEIGHT, safe.floor],
            ]),
          ]
        : undefined,
    ...(byBlocks &&
      stage === 'canary' && {
        logWithhold: logMean(blocksHarm(tallyOf(view.now, ''), present)),
        withheldFor: 'its blocks have more errors than the control cohort',
      }),
    present: summarise(now),
    history: summarise(arms(periods, ERRORS)),
  }
}

/**
 * Latency. On the live split P1 on exceedances: harm H0 "the candidate exceeds the limit at most as often as the baseline
 * its own quantile", safe H0 "at least as often". In the shadow stage the same of unbatched pairs, which may withhold
 * promotion while they show a slower candidate, and neither abort nor prove anything: a shadow that sent no pair alone
 * is not held up, since no share can grow past the first step without the test on the live split.
 */
export function latency(name: QuantileName, view: View, v: number): Stream {
  const { policy, stage, periods, present } = view
  const limits = policy.gate.latency
  const slots = {
    candidate: 'late.c.n',
    candidateEvents: `late.${name}.c`,
    baseline: 'late.b.n',
    baselineEvents: `late.${name}.b`,
  }
  // By definition this share of the baseline's answers lies above its quantile: the non-events of p50 count half.
  const isMedian = name === 'p50'
  const prefix = stage === 'canary' ? 'lat' : 'plat'
  const now = tallyOf(view.now, '')
  const estimate = quantileMs(now.bins(`${prefix}.c`), QUANTILES[name])
  const baseline = quantileMs(now.bins(`${prefix}.b`), QUANTILES[name])
  const summary: Summary = {
    n: stage === 'canary' ? now.get('late.c.n') : sizeOf(now.bins('plat.c')),
    estimate,
    baseline,
    limit: baseline === null ? null : Math.max(baseline * limits[name], baseline + limits.slack),
  }
  const pair = (sign: string) => now.get(`pair.late.${name}.${sign}`)
  return {
    metric: `latency.${name}`,
    what:
      stage === 'canary' ? `${name} latency of live answers, ms` : `${name} latency of unbatched shadow answers, ms`,
    unit: stage === 'canary' ? 'candidate requests' : 'unbatched comparisons',
    setting: `gate.latency.${name}`,
    isPaired: stage === 'shadow',
    weight: v,
    logHarm: logMean(latencyOddsHarm(arms(periods, slots), isMedian)),
    segments: [],
    safe:
      stage === 'canary'
        ? [
            labelOddsSafe(
              arms(present, { ...slots, candidateEvents: `late.${name}.c.may` }),
              1,
              isMedian ? 0.5 : 0,
              SAFE_RATIOS_LATENCY,
            ),
          ]
        : undefined,
    ...(stage === 'shadow' && {
      logWithhold: logMean(
        bettingHarm(
          [
            [1, pair('plus')],
            [-1, pair('minus')],
            [0, pair('zero')],
          ],
          0,
        ),
      ),
      withheldFor: 'the shadow is slower than the limit',
    }),
    present: summary,
    history: summary,
  }
}

/** The p-quantile of latency bins, ms (geometric middle of its bin); null without data. */
function quantileMs(bins: Bins, p: number): number | null {
  const bin = quantileBin(bins, p)
  if (bin === undefined) return null
  if (bin <= 0) return upperMs(0)
  const high = upperMs(bin)
  return Number.isFinite(high) ? Math.sqrt(lowerMs(bin) * high) : lowerMs(bin)
}

/** Blocks of the whole traffic; their signs only of periods in which the candidate's arm is not the larger one. */
function blocksHarm(tally: Tally, periods: readonly SortedPeriod[]): Bet[] {
  const signs = tallyOf(added(periods.filter(({ share }) => share <= 0.5)), '')
  return blockHarm(
    {
      blocks: tally.get(SLOT.blocks),
      plus: tally.get(SLOT.blockPlus),
      minus: tally.get(SLOT.blockMinus),
      squares: tally.get(SLOT.blockSquares),
      more: tally.get(SLOT.blockMore),
      less: tally.get(SLOT.blockLess),
    },
    ALPHA_ABORT,
    { more: signs.get(SLOT.blockMore), less: signs.get(SLOT.blockLess) },
  )
}

function totals(periods: readonly ArmCounts[]): Omit<ArmCounts, 'share'> {
  const sum = { candidate: 0, candidateEvents: 0, baseline: 0, baselineEvents: 0 }
  for (const period of periods) {
    sum.candidate += period.candidate
    sum.candidateEvents += period.candidateEvents
    sum.baseline += period.baseline
    sum.baselineEvents += period.baselineEvents
  }
  return sum
}
