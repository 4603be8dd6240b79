// What is remembered of one live version while it is watched for a decline, and how an epoch changes that. Pure: it reads
// no clock and no store, and does nothing about an alarm.
import { z } from 'zod'
import { METRICS } from '../config/schema.ts'
import type { Counters, ReadonlyCounters } from '../evidence/counters.ts'
import { type AnswersEpoch, declineReason, declineStreams, type HoldbackEpoch, isDeclineSlot } from '../gate/decline.ts'
import {
  declineNeeded,
  type EpochStream,
  FRESH,
  LEAST_REFERENCE,
  leadingBet,
  levelOf,
  observe,
  referenceRate,
} from '../gate/detector.ts'
import type { Policy } from '../gate/evidence.ts'

const Count = z.int().min(0)
const Tally = z.strictObject({ n: z.number(), sum: z.number() })
const Bet = z.strictObject({ log: z.number(), page: z.number(), since: z.number(), live: Tally, reference: Tally })
const Stream = z.strictObject({ bets: z.array(Bet), guard: z.array(z.number()) })
const Alarm = z.strictObject({
  /** The stream that says most, and the bet of it that does. */
  id: z.string(),
  bet: Count,
  metric: z.enum(METRICS),
  reason: z.string(),
  since: z.number(),
  at: z.number(),
  live: Tally,
  reference: Tally,
})

/** JSON for `StateStore.values`. Times in ms since the Unix epoch. */
const Watch = z.strictObject({
  /** The promotion that is watched: version and digest. */
  live: z.string(),
  /** Answers and errors that p0 is taken from: as a canary, else the first ones as live. Frozen once p0 stands. */
  reference: z.strictObject({ n: Count, errors: Count }),
  p0: z.number().optional(),
  /** By evidence key of the holdback: what was observed already. */
  seen: z.record(z.string(), z.record(z.string(), Count)),
  detector: z.strictObject({ epochs: Count, streams: z.record(z.string(), Stream) }),
  alarm: Alarm.optional(),
  /** ln of the evidence after the last epoch; absent: none. */
  log: z.number().optional(),
  /** What live was held against in the last epoch. */
  against: z.enum(['holdback', 'frozen', 'counting']),
})
export type Watch = z.infer<typeof Watch>

/** A period of the holdback's evidence, with everything that was counted in it. */
export interface HoldbackPeriod {
  readonly key: string
  readonly share: number
  readonly endedAt?: number | undefined
  readonly counters: ReadonlyCounters
}

/** Everything that an epoch is made from. */
export interface EpochSources {
  readonly policy: Policy
  readonly holdback: { readonly version: string; readonly periods: readonly HoldbackPeriod[] } | undefined
  /** Live's answers of this epoch and errors among them. */
  readonly answers: { readonly n: number; readonly errors: number }
  /** Units are counted once by the split, so errors are held against the frozen reference. */
  readonly isSticky: boolean
}

/** Undefined: nothing readable, or of another promotion; then the watch begins anew. */
export function readWatch(text: string | undefined, live: string): Watch | undefined {
  if (text === undefined) return undefined
  try {
    const watch = Watch.parse(JSON.parse(text))
    return watch.live === live ? watch : undefined
  } catch {
    return undefined
  }
}

/**
 * The watch over a version that has just become live. `canary`: its answers and errors as a canary. What the holdback's
 * earlier periods counted is of an earlier promotion of the same bytes.
 */
export function newWatch(
  live: string,
  canary: { readonly n: number; readonly errors: number },
  periods: readonly HoldbackPeriod[],
  policy: Policy,
): Watch {
  const ended = periods.filter(({ endedAt }) => endedAt !== undefined)
  return {
    live,
    ...referenced(canary, policy),
    seen: Object.fromEntries(ended.map(({ key, counters }) => [key, readSlots(counters)])),
    detector: { ...FRESH, streams: {} },
    against: 'counting',
  }
}

/** The watch after an epoch that ended at `at`, ms. An alarm stays until nothing speaks for it any more. */
export function nextWatch(watch: Watch, sources: EpochSources, at: number): Watch {
  const { policy, holdback, answers, isSticky } = sources
  const isFrozen = watch.p0 !== undefined
  const reference = isFrozen
    ? { reference: watch.reference, p0: watch.p0 }
    : referenced({ n: watch.reference.n + answers.n, errors: watch.reference.errors + answers.errors }, policy)
  const judged: AnswersEpoch | undefined =
    watch.p0 === undefined || (holdback !== undefined && !isSticky) ? undefined : { ...answers, p0: watch.p0 }
  const streams = declineStreams(policy, holdback && epochOf(watch, holdback.periods), judged)
  const detector = observe(watch.detector, streams, at)
  const level = levelOf(detector, streams)
  const { alarm: before, log: _, ...rest } = watch
  const next: Watch = {
    ...rest,
    ...withoutUndefined(reference),
    seen: Object.fromEntries(holdback?.periods.map(({ key, counters }) => [key, readSlots(counters)]) ?? []),
    detector: { epochs: detector.epochs, streams: copied(detector.streams) },
    against: holdback !== undefined ? 'holdback' : watch.p0 !== undefined ? 'frozen' : 'counting',
    ...(Number.isFinite(level.log) ? { log: level.log } : {}),
  }
  if (before !== undefined) {
    // The bet has lost what it had won: that decline is over, and the next one is looked for from the start.
    const isOver = detector.streams[before.id]?.bets[before.bet]?.page === 0
    return isOver ? { ...next, detector: { epochs: detector.epochs, streams: {} } } : { ...next, alarm: before }
  }
  if (level.log < declineNeeded()) return next
  const worst = streams.reduce((a, b) => (heightOf(level, b) > heightOf(level, a) ? b : a))
  const stream = detector.streams[worst.id]!
  const bet = leadingBet(stream)
  const { since, live, reference: compared } = stream.bets[bet]!
  const reason = declineReason(worst, { live, reference: compared }, holdback?.version)
  return { ...next, alarm: { id: worst.id, bet, metric: worst.metric, reason, since, at, live, reference: compared } }
}

function heightOf({ byStream }: ReturnType<typeof levelOf>, { id }: EpochStream): number {
  return byStream[id] ?? Number.NEGATIVE_INFINITY
}

function referenced(reference: Watch['reference'], policy: Policy): Pick<Watch, 'reference' | 'p0'> {
  if (reference.n < LEAST_REFERENCE) return { reference }
  return { reference, p0: referenceRate(reference.errors, reference.n, policy.gate.errors.floor) }
}

/** What the periods have counted since they were last read. */
function epochOf({ seen }: Watch, periods: readonly HoldbackPeriod[]): HoldbackEpoch {
  const earlier: Counters = new Map()
  for (const slots of Object.values(seen))
    for (const [slot, amount] of Object.entries(slots))
      if (slot.startsWith('lat.c.')) earlier.set(slot, (earlier.get(slot) ?? 0) + amount)
  return {
    earlier,
    periods: periods.map(({ key, share, counters }) => {
      const before = seen[key] ?? {}
      const delta: Counters = new Map()
      for (const [slot, amount] of counters) {
        // Counters only grow; a store that was put back from a copy has less, which is no evidence of anything.
        const more = Math.max(0, amount - (before[slot] ?? 0))
        if (more > 0 && isDeclineSlot(slot)) delta.set(slot, more)
      }
      return { share, counters: delta }
    }),
  }
}

function readSlots(counters: ReadonlyCounters): Record<string, number> {
  return Object.fromEntries([...counters].filter(([slot]) => isDeclineSlot(slot)))
}

function copied(streams: ReturnType<typeof observe>['streams']): Watch['detector']['streams'] {
  return Object.fromEntries(
    Object.entries(streams).map(([id, { bets, guard }]) => [id, { bets: [...bets], guard: [...guard] }]),
  )
}

function withoutUndefined({ reference, p0 }: { reference: Watch['reference']; p0?: number | undefined }) {
  return p0 === undefined ? { reference } : { reference, p0 }
}
