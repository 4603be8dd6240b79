// Watches live after its promotion: feeds the detector every 10 s, tells or rolls back at an alarm, ends holdbacks whose time
// is over. What a decline is, gate/detector decides; which bets are made, gate/decline.
import type { Route } from '../config/schema.ts'
import { messageOf } from '../errors.ts'
import type { ReadonlyCounters } from '../evidence/counters.ts'
import { DECLINE_EPOCH_MS, declineNeeded } from '../gate/detector.ts'
import { duration } from '../gate/wording.ts'
import type { DeclineAlarm, DeclineStatus, HoldbackStatus } from '../report/status.ts'
import { liveSince } from '../rollout/holdback.ts'
import type { RolloutPorts } from '../rollout/ports.ts'
import { setWeight } from '../rollout/promote.ts'
import { readRoute } from '../rollout/record.ts'
import { rollback } from '../rollout/rollback.ts'
import type { StateStore } from '../state/store.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { AnswerCounts } from './answered.ts'
import type { EvidenceBook } from './evidence.ts'
import type { Notifier } from './notifier.ts'
import type { Standing } from './snapshot.ts'
import { type HoldbackPeriod, newWatch, nextWatch, readWatch, type Watch } from './watch.ts'

export interface DeclineParts {
  readonly book: Pick<EvidenceBook, 'holdback' | 'canaryErrors' | 'keepValue'> & {
    counters(key: string): ReadonlyCounters
  }
  readonly store: Pick<StateStore, 'value'>
  readonly ports: RolloutPorts
  readonly metrics: Pick<Metrics, 'decline'>
  /** Answers of each version since the last call, by `route/version`. What testers made it answer is no evidence. */
  readonly takeAnswers: () => ReadonlyMap<string, AnswerCounts>
  readonly notifier: Pick<Notifier, 'degraded'>
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** Undefined until the first configuration serves. */
  readonly standing: () => Standing | undefined
  /** ms since the Unix epoch. */
  readonly now: () => number
}

/** After an attempt that failed. */
const RETRY_MS = 60_000
const WHO = 'detector'

/** What the log says of the version that is live. */
interface Promotion {
  /** Version and digest. */
  readonly live: string
  readonly since: number
}

interface Attempt {
  readonly underWay: boolean
  readonly retryAt: number
  readonly problem: string | undefined
}

export class Decline {
  readonly #parts: DeclineParts
  readonly #promotions = new Map<string, Promotion>()
  readonly #watches = new Map<string, Watch>()
  /** By what is attempted. */
  readonly #attempts = new Map<string, Attempt>()
  #epochAt: number | undefined

  constructor(parts: DeclineParts) {
    this.#parts = parts
  }

  /** Call it often: every 10 s it does something. One route that fails keeps no other from being watched. */
  tick(): void {
    const now = this.#parts.now()
    const standing = this.#parts.standing()
    if (standing === undefined) return
    if (this.#epochAt === undefined) {
      this.#epochAt = now
      this.#recall(standing)
    }
    if (now - this.#epochAt < DECLINE_EPOCH_MS) return
    this.#epochAt = now
    const answers = this.#parts.takeAnswers()
    const names = new Set(Object.keys(standing.change.loaded.config.routes))
    for (const known of [...this.#watches.keys()]) if (!names.has(known)) this.#forget(known)
    const failures: unknown[] = []
    for (const name of names) {
      try {
        this.#epoch(name, standing, answers, now)
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  /** Undefined: the previous live has no share, or its promotion is only just under way. */
  holdbackStatus(name: string): HoldbackStatus | undefined {
    const standing = this.#parts.standing()
    const route = standing?.change.loaded.config.routes[name]
    const holdback = this.#parts.book.holdback(name)
    const promotion = standing && this.#promotionOf(name, standing)
    if (route === undefined || holdback === undefined || promotion === undefined) return undefined
    const problem = this.#attempts.get(endOf(name))?.problem
    return {
      version: holdback.version,
      weight: standing?.change.resolutions[name]?.weights[holdback.version] ?? 0,
      since: iso(promotion.since),
      until: iso(promotion.since + route.rollout.holdbackFor),
      ...(problem === undefined ? {} : { problem }),
    }
  }

  /** Undefined: live is not watched. */
  declineStatus(name: string): DeclineStatus | undefined {
    const standing = this.#parts.standing()
    const detector = standing?.change.loaded.config.routes[name]?.rollout.detector
    const watch = this.#watches.get(name)
    const promotion = standing && this.#promotionOf(name, standing)
    if (detector === undefined || detector === 'off' || watch === undefined || promotion?.live !== watch.live)
      return undefined
    return {
      policy: detector,
      reference: watch.against,
      ...(watch.p0 === undefined ? {} : { errorRate: watch.p0 }),
      since: iso(promotion.since),
      epochs: watch.detector.epochs,
      log: watch.log ?? null,
      logNeeded: declineNeeded(),
      ...(watch.alarm === undefined ? {} : { alarm: this.#alarmStatus(name, watch.alarm) }),
    }
  }

  /** What a person must know of a route. */
  notices(name: string): readonly string[] {
    const decline = this.declineStatus(name)
    const problem = this.holdbackStatus(name)?.problem
    return [
      ...(decline?.alarm === undefined
        ? []
        : [`live has declined since ${decline.alarm.since}: ${decline.alarm.reason}`]),
      ...(decline?.alarm?.problem === undefined ? [] : [`it is not rolled back: ${decline.alarm.problem}`]),
      ...(problem === undefined ? [] : [`the holdback is over and still has traffic: ${problem}`]),
    ]
  }

  /** What a restart must not hide until the first epoch is over: an alarm. */
  #recall(standing: Standing): void {
    for (const name of Object.keys(standing.change.loaded.config.routes)) {
      const promotion = this.#promotionOf(name, standing)
      const watch = promotion && readWatch(this.#parts.store.value(keyOf(name)), promotion.live)
      if (watch !== undefined) this.#watches.set(name, watch)
    }
  }

  #alarmStatus(name: string, alarm: NonNullable<Watch['alarm']>): DeclineAlarm {
    const { metric, reason, since, at, live, reference } = alarm
    const problem = this.#attempts.get(rollbackOf(name))?.problem
    const figures = ({ n, sum }: { n: number; sum: number }) => ({ n, mean: n === 0 ? null : sum / n })
    return {
      metric,
      reason,
      since: iso(since),
      at: iso(at),
      live: figures(live),
      reference: figures(reference),
      ...(problem === undefined ? {} : { problem }),
    }
  }

  #epoch(name: string, standing: Standing, answers: ReadonlyMap<string, AnswerCounts>, at: number): void {
    const route = standing.change.loaded.config.routes[name]!
    const promotion = this.#promotionOf(name, standing)
    if (promotion === undefined) return
    this.#endHoldback(name, route, promotion, at)
    if (route.rollout.detector === 'off') {
      this.#forget(name)
      return
    }
    const { book, metrics, store } = this.#parts
    const holdback = this.#holdback(name)
    const known = this.#watches.get(name)
    const watch =
      known?.live === promotion.live
        ? known
        : (readWatch(store.value(keyOf(name)), promotion.live) ?? this.#begin(name, standing, promotion, route))
    const { version } = standing.change.resolutions[name]!.state.live
    const next = nextWatch(
      watch,
      {
        policy: route,
        holdback,
        answers: answers.get(`${name}/${version}`) ?? { n: 0, errors: 0 },
        isSticky: route.sticky !== undefined,
      },
      at,
    )
    this.#watches.set(name, next)
    book.keepValue(keyOf(name), JSON.stringify(next))
    metrics.decline(name, next.log ?? Number.NEGATIVE_INFINITY, next.alarm?.metric)
    if (watch.alarm !== undefined && next.alarm === undefined)
      this.#parts.log.info({ route: name }, `live ${version} is as it was again (${watch.alarm.metric})`)
    if (next.alarm === undefined) this.#attempts.delete(rollbackOf(name))
    else this.#alarmed(name, version, route, next.alarm, watch.alarm === undefined, at)
  }

  #begin(name: string, standing: Standing, { live }: Promotion, route: Route): Watch {
    const { digest } = standing.change.resolutions[name]!.state.live
    const canary = digest === undefined ? { n: 0, errors: 0 } : this.#parts.book.canaryErrors(name, digest)
    return newWatch(live, canary, this.#holdback(name)?.periods ?? [], route)
  }

  #holdback(name: string): { readonly version: string; readonly periods: readonly HoldbackPeriod[] } | undefined {
    const { book } = this.#parts
    const holdback = book.holdback(name)
    if (holdback === undefined) return undefined
    const periods = holdback.periods.map(({ key, share, endedAt }) => ({
      key,
      share,
      endedAt,
      counters: book.counters(key),
    }))
    return { version: holdback.version, periods }
  }

  #alarmed(
    name: string,
    version: string,
    route: Route,
    alarm: NonNullable<Watch['alarm']>,
    isNew: boolean,
    at: number,
  ): void {
    const { log, notifier, ports } = this.#parts
    const reason = `live ${version} has declined since ${iso(alarm.since)}: ${alarm.reason}`
    if (isNew) log.warn({ route: name, metric: alarm.metric }, reason)
    // Told once by its key; after a restart too.
    notifier.degraded(name, `decline ${alarm.at}`, reason)
    if (route.rollout.detector !== 'rollback') return
    this.#attempt(rollbackOf(name), 'the rollback', at, name, async () => {
      // Read before it queues: whatever comes first, such as a person's own rollback, makes this one a conflict.
      const { head, state } = readRoute(ports, name)
      if (state?.live.version !== version) return undefined
      if (state.previous.length === 0) return 'no earlier live is on record'
      await rollback(ports, { route: name, who: WHO, reason: alarm.reason, base: head })
      return undefined
    })
  }

  #endHoldback(name: string, route: Route, { since }: Promotion, at: number): void {
    const holdback = this.#parts.book.holdback(name)
    if (holdback === undefined || at < since + route.rollout.holdbackFor) {
      this.#attempts.delete(endOf(name))
      return
    }
    this.#attempt(endOf(name), 'the end of the holdback', at, name, async () => {
      const reason = `the holdback of ${duration(route.rollout.holdbackFor)} is over`
      const { version } = holdback
      const result = await setWeight(this.#parts.ports, { route: name, version, weight: 0, who: 'holdback', reason })
      return result.outcome === 'patch'
        ? (result.problems[0] ?? `set the weight of ${version} to 0 in routes.yaml`)
        : undefined
    })
  }

  /** Not awaited: the tick goes on, and the action queues behind others. It is tried again, and a failure told once. */
  #attempt(key: string, what: string, at: number, route: string, act: () => Promise<string | undefined>): void {
    const before = this.#attempts.get(key)
    if (before !== undefined && (before.underWay || at < before.retryAt)) return
    this.#attempts.set(key, { underWay: true, retryAt: 0, problem: before?.problem })
    const ended = (problem: string | undefined) => {
      if (problem !== undefined && problem !== before?.problem)
        this.#parts.log.error({ route }, `${what} could not be applied: ${problem}`)
      this.#attempts.set(key, { underWay: false, retryAt: at + RETRY_MS, problem })
    }
    act().then(ended, error => ended(messageOf(error)))
  }

  /** Undefined: it serves already, but the log does not have it yet. */
  #promotionOf(name: string, { change }: Standing): Promotion | undefined {
    const state = change.resolutions[name]?.state
    if (state === undefined) return undefined
    const live = nameOf(state.live)
    const known = this.#promotions.get(name)
    if (known?.live === live) return known
    const { state: logged, entries } = readRoute(this.#parts.ports, name)
    if (logged === null || nameOf(logged.live) !== live) return undefined
    const promotion = { live, since: liveSince(entries) ?? entries[0]?.at ?? this.#parts.now() }
    this.#promotions.set(name, promotion)
    return promotion
  }

  #forget(name: string): void {
    this.#watches.delete(name)
    this.#attempts.delete(rollbackOf(name))
  }
}

function nameOf({ version, digest }: { readonly version: string; readonly digest?: string | undefined }): string {
  return `${version} ${digest ?? ''}`
}

function keyOf(route: string): string {
  return `decline/${route}`
}

function rollbackOf(route: string): string {
  return `rollback ${route}`
}

function endOf(route: string): string {
  return `end ${route}`
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
