// Tells webhooks what has happened: reads what the rollout applied and what verdicts say, remembers what it told. Decides nothing.
import { randomUUID } from 'node:crypto'
import type { NotifyEvent, RoutesFile } from '../config/schema.ts'
import { messageOf } from '../errors.ts'
import type { Verdict } from '../gate/evidence.ts'
import { type Happening, type Notice, noticeOf, verdictPart } from '../notify/notice.ts'
import { Outbox, type OutboxParts } from '../notify/outbox.ts'
import type { Poster } from '../notify/post.ts'
import {
  firstTold,
  isStillTrue,
  type RouteNow,
  readTold,
  rolloutChanges,
  type Told,
  verdictChange,
} from '../notify/transitions.ts'
import { type LogEntry, routeLog } from '../rollout/log.ts'
import type { Change } from '../rollout/ports.ts'
import type { StateStore } from '../state/store.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'

export interface NotifierParts {
  readonly store: Pick<StateStore, 'value' | 'log'>
  /** Keeps a value with the next commit that works. */
  readonly keepValue: (key: string, value: string) => void
  readonly poster: Poster
  readonly metrics: Pick<Metrics, 'notified'>
  readonly log: Pick<Logger, 'warn' | 'error'>
  /** ms since the Unix epoch. */
  readonly now: () => number
  /** For tests. */
  readonly backoff?: NonNullable<OutboxParts['backoff']>
}

const WAITING = 'notify/waiting'

export class Notifier {
  readonly #parts: NotifierParts
  readonly #outbox: Outbox
  readonly #told = new Map<string, Told>()
  /** By route and version: when the word that was told was last true, ms. */
  readonly #lastTrue = new Map<string, number>()
  /** The verdicts that brought aborts about, by route and version. */
  readonly #aborts = new Map<string, Verdict>()
  #config: RoutesFile | undefined
  #change: Change | undefined

  constructor(parts: NotifierParts) {
    this.#parts = parts
    const { poster, metrics, log, now, backoff } = parts
    this.#outbox = new Outbox({
      post: poster.post,
      now,
      changed: () => parts.keepValue(WAITING, JSON.stringify(this.#outbox.waiting())),
      told: (outcome, { route, event }, host, why) => {
        metrics.notified(route, event, outcome)
        if (outcome !== 'delivered')
          log.warn({ route, event, outcome }, `the webhook at ${host} was not told of ${event}: ${why}`)
      },
      ...(backoff !== undefined && { backoff }),
    })
  }

  /** A change serves: tells what it did to each route. Never throws and never waits. */
  applied(change: Change): void {
    const isFirst = this.#change === undefined
    this.#change = change
    this.#config = change.loaded.config
    const routes = Object.entries(change.loaded.config.routes)
    this.#guarded('the webhooks', () => {
      this.#outbox.configure(new Map(routes.map(([name, { notify }]) => [name, notify.map(({ url }) => url)])))
      // Before anything new: what happened first is told first.
      if (isFirst) this.#outbox.resume(this.#kept())
    })
    for (const name of this.#told.keys()) if (!(name in change.loaded.config.routes)) this.#told.delete(name)
    for (const [name] of routes) this.#guarded(`what happened to ${name}`, () => this.#rollout(name))
  }

  /** The verdict of this moment on the evidence of this key; called again and again. Never throws and never waits. */
  verdict(verdict: Verdict, evidenceKey: string): void {
    const { route, candidate, decision } = verdict
    this.#guarded(`the verdict on ${route}/${candidate}`, () => {
      const name = `${route}/${candidate}`
      if (decision === 'abort') this.#aborts.set(name, verdict)
      else this.#aborts.delete(name)
      const told = this.#toldOf(route)
      if (told === undefined) return
      // A latched version has to be cleared first, and its evidence begins anew with that: it is ready for nothing.
      if (decision === 'promote' && this.#isLatched(route, candidate)) return
      const now = this.#parts.now()
      if (isStillTrue(told, verdict) || !this.#lastTrue.has(name)) this.#lastTrue.set(name, now)
      const next = verdictChange(told, verdict, evidenceKey, now, this.#lastTrue.get(name)!)
      this.#tell(route, next.told, next.happening === undefined ? [] : [next.happening])
      if (next.happening !== undefined) this.#lastTrue.set(name, now)
    })
  }

  /**
   * A decline of live after its promotion, told once for each `key` (what names this alarm) until live changes.
   * Never throws and never waits.
   */
  degraded(route: string, key: string, reason: string, evidenceDigest: string | null = null): void {
    this.#guarded(`the decline of ${route}`, () => {
      const told = this.#toldOf(route)
      const now = this.#nowOf(route)
      if (told === undefined || now === undefined || told.declines.includes(key)) return
      const { version } = now.live
      const happening: Happening = {
        event: 'degraded',
        route,
        version,
        baseline: now.previous ?? null,
        reason,
        stage: 'live',
        step: now.weights[version] ?? 0,
        evidenceDigest,
        verdict: null,
      }
      this.#tell(route, { ...told, declines: [...told.declines, key] }, [happening])
    })
  }

  /** What a person must know of the webhooks of a route. */
  notices(route: string): string[] {
    const urls = new Set(this.#config?.routes[route]?.notify.map(({ url }) => url))
    return [...urls].flatMap(url => {
      const state = this.#outbox.state(url)
      if (state === undefined) return []
      const { host, waiting, lost, failing } = state
      const parts = [
        ...(failing === undefined ? [] : [`the last try failed (${failing})`]),
        ...(failing !== undefined && waiting > 0
          ? [`${waiting} ${waiting === 1 ? 'message waits' : 'messages wait'}`]
          : []),
        ...(lost > 0 ? [`${lost} given up`] : []),
      ]
      return parts.length === 0 ? [] : [`webhook at ${host}: ${parts.join(', ')}`]
    })
  }

  /** Breaks off what is under way; what has not arrived is kept for the next start. */
  async stop(): Promise<void> {
    this.#outbox.stop()
    await this.#parts.poster.close()
  }

  #rollout(route: string): void {
    const now = this.#nowOf(route)
    if (now === undefined) return
    const told = this.#toldOf(route)
    if (told === undefined) return
    const { happenings, told: next } = rolloutChanges(told, now)
    const last = happenings.length === 0 ? undefined : this.#lastEntry(route)
    this.#tell(
      route,
      next,
      happenings.map(happening => this.#explained(happening, last)),
    )
  }

  #isLatched(route: string, version: string): boolean {
    const latches = this.#change?.resolutions[route]?.state.latches ?? {}
    return Object.values(latches).some(latch => latch.version === version)
  }

  #nowOf(route: string): RouteNow | undefined {
    const resolution = this.#change?.resolutions[route]
    if (resolution === undefined) return undefined
    const { state, held, weights } = resolution
    return {
      route,
      live: state.live,
      previous: state.previous.at(-1)?.version,
      holdback: this.#config?.routes[route]?.rollout.holdback ?? 0,
      granted: state.granted,
      latches: state.latches,
      held,
      weights,
    }
  }

  /** What was told of a route; a first sight is kept at once. Undefined: the store cannot say. */
  #toldOf(route: string): Told | undefined {
    const known = this.#told.get(route)
    if (known !== undefined) return known
    const now = this.#nowOf(route)
    if (now === undefined) return undefined
    const kept = readTold(this.#parts.store.value(toldKey(route)))
    const told = kept ?? firstTold(now, randomUUID())
    this.#told.set(route, told)
    if (kept === undefined) this.#parts.keepValue(toldKey(route), JSON.stringify(told))
    return told
  }

  /** Queues the happenings for whoever wants them, and remembers that they are told. */
  #tell(route: string, next: Told, happenings: readonly Happening[]): void {
    const { now, keepValue } = this.#parts
    const told = { ...next, serial: next.serial + happenings.length }
    const before = this.#told.get(route)
    this.#told.set(route, told)
    if (JSON.stringify(before) !== JSON.stringify(told)) keepValue(toldKey(route), JSON.stringify(told))
    happenings.forEach((happening, index) => {
      const notice = noticeOf(happening, told.origin, next.serial + index, now())
      for (const url of this.#urlsFor(route, happening.event)) this.#outbox.send(url, notice)
    })
  }

  #urlsFor(route: string, event: NotifyEvent): Set<string> {
    const hooks = this.#config?.routes[route]?.notify ?? []
    return new Set(hooks.filter(({ on }) => on.includes(event)).map(({ url }) => url))
  }

  /** Who did it and why, from the newest entry of the log; of an abort also the verdict. */
  #explained(happening: Happening, last: LogEntry | undefined): Happening {
    const { event, route, version } = happening
    if (event === 'held') return happening
    const verdict = event === 'abort' ? this.#aborts.get(`${route}/${version}`) : undefined
    const isIts = last !== undefined && (last.version === undefined || last.version === version)
    const why = isIts ? [last.who, last.reason].filter(text => text !== '').join(': ') : ''
    const reason = event === 'promoted' && why !== '' ? `${happening.reason} (${why})` : happening.reason
    return {
      ...happening,
      reason,
      evidenceDigest: verdict?.evidenceDigest ?? (isIts ? last.evidenceDigest : undefined) ?? null,
      verdict: verdict === undefined ? null : verdictPart(verdict),
    }
  }

  #lastEntry(route: string): LogEntry | undefined {
    try {
      return routeLog(this.#parts.store, route).at(-1)
    } catch {
      return undefined
    }
  }

  #kept(): Record<string, Notice[]> {
    try {
      return JSON.parse(this.#parts.store.value(WAITING) ?? '{}') as Record<string, Notice[]>
    } catch {
      return {}
    }
  }

  /** A webhook that cannot be told must not keep anything from being applied. */
  #guarded(what: string, work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#parts.log.error(`${what} could not be told: ${messageOf(error)}`)
    }
  }
}

function toldKey(route: string): string {
  return `notify/told/${route}`
}
