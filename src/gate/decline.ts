// What an epoch's counts say of a promoted version, metric by metric, and how an alarm is put into words. It keeps no
// state and sets no alarm: detector.ts does.
import type { MetricName } from '../config/schema.ts'
import { addAll, type Counters, SLOT } from '../evidence/counters.ts'
import { binsOf, highDifference } from '../evidence/histogram.ts'
import { unpairedExceedances } from '../evidence/latency.ts'
import {
  armLossDecline,
  type BetState,
  disagreementDecline,
  type EpochStream,
  errorDecline,
  latencyDecline,
  lossDecline,
  referenceDecline,
} from './detector.ts'
import type { ArmCounts } from './eprocess.ts'
import type { Policy } from './evidence.ts'
import { about, numeral, percentage } from './wording.ts'

/** What the holdback's evidence counted. Roles are those of its key: `c` is the holdback, `b` is live. */
export interface HoldbackEpoch {
  /** An entry a share; `share` is the holdback's share of the two arms. */
  readonly periods: readonly { readonly share: number; readonly counters: Counters }[]
  /** Latencies of the holdback before this epoch: slots `lat.c.<bin>`. */
  readonly earlier: Counters
}

/** Live's own answers, held against the frozen error rate p0. */
export interface AnswersEpoch {
  readonly n: number
  readonly errors: number
  readonly p0: number
}

/**
 * The streams of an epoch. With a holdback: errors, latency and, where they count, labels and disagreement of pairs, an
 * equal share each. Errors are held against the frozen reference (`answers`) where that is given: without a holdback,
 * and on sticky routes, whose split counts a unit once, so that it is blind to those it has counted.
 */
export function declineStreams(
  policy: Policy,
  holdback: HoldbackEpoch | undefined,
  answers: AnswersEpoch | undefined,
): EpochStream[] {
  const frozen = (share: number): EpochStream[] => {
    if (answers === undefined) return []
    const { errors, n, p0 } = answers
    return [{ id: 'errors.reference', metric: 'errors', share, ...referenceDecline(errors, n, p0) }]
  }
  if (holdback === undefined) return frozen(1)
  const families = 2 + Number(policy.labels !== undefined) + Number(policy.expect === 'same')
  const share = 1 / families
  const { latency, errors } = policy.gate
  const of = (id: MetricName, part: number, stream: Omit<EpochStream, 'id' | 'metric' | 'share'>): EpochStream => ({
    id,
    metric: id,
    share: part,
    ...stream,
  })
  const streams: EpochStream[] =
    answers === undefined
      ? [of('errors', share, errorDecline(armsOf(holdback.periods, ERRORS), errors.floor))]
      : frozen(share)
  const late = holdback.periods.map(period => ({
    share: period.share,
    counters: unpairedExceedances(swapped(holdback.earlier), swapped(period.counters), latency),
  }))
  for (const name of ['p50', 'p95', 'p99'] as const) {
    const arms = armsOf(late, {
      live: 'late.c.n',
      liveEvents: `late.${name}.c`,
      held: 'late.b.n',
      heldEvents: `late.${name}.b`,
    })
    streams.push(of(`latency.${name}`, share / 3, latencyDecline(arms, name === 'p50' ? 0.5 : 0)))
  }
  const paired: Counters = new Map()
  for (const { counters } of holdback.periods) addAll(paired, counters)
  // Where the answer changes the outcome, the label of a pair says nothing about the version that did not answer.
  if (policy.labels?.affectedByAnswer) {
    const arms = holdback.periods.map(period => ({
      share: 1 - period.share,
      candidate: binsOf(period.counters, 'arm.b.loss'),
      baseline: binsOf(period.counters, 'arm.c.loss'),
    }))
    streams.push({ ...of('labels', share, armLossDecline(arms)), id: 'labels.arms' })
  } else if (policy.labels !== undefined) {
    // The key counts loss(holdback) − loss(live); of a bin the edge that speaks less for a decline.
    const losses = binsOf(paired, 'loss').map(([bin, amount]) => [-highDifference(bin), amount] as const)
    streams.push(of('labels', share, lossDecline(losses)))
  }
  if (policy.expect === 'same') {
    const mismatches = paired.get(SLOT.mismatch) ?? 0
    const pairs = mismatches + (paired.get(SLOT.match) ?? 0)
    streams.push(of('disagreement', share, disagreementDecline(mismatches, pairs, policy.gate.disagreement)))
  }
  return streams
}

interface ArmSlots {
  readonly live: string
  readonly liveEvents: string
  readonly held: string
  readonly heldEvents: string
}

const ERRORS: ArmSlots = {
  live: SLOT.armBaseline,
  liveEvents: SLOT.armBaselineError,
  held: SLOT.armCandidate,
  heldEvents: SLOT.armCandidateError,
}

/** Live takes the candidate's part in P1: it is the arm that may have become worse. */
function armsOf(periods: HoldbackEpoch['periods'], slots: ArmSlots): ArmCounts[] {
  return periods.map(({ share, counters }) => ({
    share: 1 - share,
    candidate: counters.get(slots.live) ?? 0,
    candidateEvents: counters.get(slots.liveEvents) ?? 0,
    baseline: counters.get(slots.held) ?? 0,
    baselineEvents: counters.get(slots.heldEvents) ?? 0,
  }))
}

/** Latency slots with the roles of P1: the holdback's quantiles are the limit, live is held against them. */
function swapped(counters: Counters): Counters {
  const other: Counters = new Map()
  for (const [slot, amount] of counters) {
    if (slot.startsWith('lat.b.')) other.set(`lat.c.${slot.slice(6)}`, amount)
    else if (slot.startsWith('lat.c.')) other.set(`lat.b.${slot.slice(6)}`, amount)
  }
  return other
}

/** The slots that `declineStreams` reads. */
export function isDeclineSlot(slot: string): boolean {
  if (slot.includes('@')) return false
  return READ.has(slot) || /^(lat\.[bc]|loss|arm\.[bc]\.loss)\./.test(slot)
}

const READ: ReadonlySet<string> = new Set([...Object.values(ERRORS), SLOT.match, SLOT.mismatch])

/** Why live is said to have declined: "errors: 4.1 % of 2,300 answers, 0.2 % of 50 of the holdback 1.0.0". */
export function declineReason(
  { id, metric }: Pick<EpochStream, 'id' | 'metric'>,
  { live, reference }: Pick<BetState, 'live' | 'reference'>,
  holdback: string | undefined,
): string {
  const rate = (sum: number, n: number) => (n === 0 ? 'none' : percentage(sum / n))
  const seen = `${rate(live.sum, live.n)} of ${numeral(live.n)}`
  const against =
    `${rate(reference.sum, reference.n)} of ${numeral(reference.n)} of the holdback ${holdback ?? ''}`.trimEnd()
  if (id === 'errors.reference')
    return `errors: ${seen} answers failed, ${rate(reference.sum, reference.n)} is the most that was possible at its promotion`
  if (metric === 'errors') return `errors: ${seen} answers failed, ${against}`
  if (id === 'labels.arms')
    return `labels: mean loss is ${about(live.sum / live.n)} by ${numeral(live.n)} labels, that of the holdback ${holdback ?? ''} ${about(reference.sum / reference.n)} by ${numeral(reference.n)}`
  if (metric === 'labels')
    return `labels: loss is ${about(live.sum / live.n)} above that of the holdback ${holdback ?? ''} on average, by ${numeral(live.n)} labels`
  if (metric === 'disagreement')
    return `disagreement: ${seen} answers differ from the holdback's, ${rate(reference.sum, reference.n)} may`
  return `${metric}: ${seen} answers are slower than the limit that the holdback sets, which ${against} reach themselves`
}
