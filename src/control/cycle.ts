// The heartbeat of the control thread: commits settled epochs, asks the gate, acts on an abort. A store that fails ends nothing.
import type { RoutesFile } from '../config/schema.ts'
import { messageOf, UnderstudyError } from '../errors.ts'
import type { EpochDelta } from '../evidence/epochPost.ts'
import type { Policy, Verdict } from '../gate/evidence.ts'
import { EPOCH_MS, monotonicMs } from '../record/clock.ts'
import type { RolloutPorts } from '../rollout/ports.ts'
import { abort } from '../rollout/rollback.ts'
import type { SnapshotRoute } from '../rollout/snapshot.ts'
import type { PendingPrediction } from '../state/store.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Automatic } from './automatic.ts'
import type { Decline } from './decline.ts'
import type { EpochCollector } from './epochs.ts'
import type { EvidenceBook } from './evidence.ts'
import type { VerdictHistory } from './history.ts'
import type { Labels } from './labels.ts'
import type { Meters } from './meters.ts'
import type { ModelRegistry } from './models.ts'
import type { Notifier } from './notifier.ts'
import type { SeenUnits } from './seenUnits.ts'
import type { Standing } from './snapshot.ts'
import type { Traces } from './traces.ts'
import { unreadable, type Verdicts } from './verdicts.ts'

export interface CycleParts {
  readonly collector: EpochCollector
  readonly book: EvidenceBook
  /** Evidence from spans of traffic that is served elsewhere; it is late by itself and holds nobody else's back. */
  readonly traces: Pick<Traces, 'release' | 'end'>
  readonly labels: Labels
  readonly meters: Meters
  readonly verdicts: Verdicts
  readonly history: VerdictHistory
  readonly models: () => ModelRegistry
  readonly seenUnits: SeenUnits
  readonly ports: RolloutPorts
  readonly notifier: Pick<Notifier, 'verdict'>
  readonly decline: Pick<Decline, 'tick'>
  readonly automatic: Pick<Automatic, 'judged' | 'keep'>
  readonly log: Logger
  readonly config: () => RoutesFile
  /** Undefined until the first configuration serves. */
  readonly standing: () => Standing | undefined
  /** ms since the Unix epoch. */
  readonly now: () => number
}

const JUDGE_EVERY_MS = 1_000
const EXPIRE_EVERY_MS = 60_000
const KEEP_SEEN_EVERY_MS = 10_000
/** Predictions of a candidate that may wait for their label. */
export const PENDING_KEPT = 1_000_000
/** A control thread that stood still for longer (a stopped process) did not serve all that time. */
const MOST_SERVED_MS = 10_000
/** Predictions whose early label could not be looked up while the store failed. */
const MOST_ARRIVED = 100_000
/** Epochs kept in memory while the store fails: five minutes. */
const MOST_UNSAVED = 1_200

export class Cycle {
  readonly #parts: CycleParts
  readonly #aborting = new Set<string>()
  readonly #toldOnce = new Set<string>()
  #unsaved: readonly EpochDelta[] = []
  #arrived: PendingPrediction[] = []
  #storeError: string | undefined
  #judgedMs = 0
  #judgedStanding: Standing | undefined
  #routesJudged: readonly SnapshotRoute[] = []
  #expiredMs = 0
  #keptSeenMs = 0
  #servedMs: number | undefined
  #ticking: NodeJS.Timeout | undefined

  constructor(parts: CycleParts) {
    this.#parts = parts
  }

  /** Why the state store does not work; undefined when it does. */
  get storeError(): string | undefined {
    return this.#storeError
  }

  start(): void {
    this.#ticking = setInterval(() => this.#tick(), EPOCH_MS)
  }

  stop(): void {
    clearInterval(this.#ticking)
  }

  /** Commits what was counted last, and what would only be kept now and then. @throws nothing */
  keep(): void {
    if (this.#parts.standing() !== undefined) this.#commit(true)
  }

  /** The verdict of this moment, and by the policy `next` too where one is given; a store that cannot be read holds. */
  verdictNow(route: string, version: string, next: Policy | undefined): Verdict | undefined {
    const { verdicts, config, standing } = this.#parts
    try {
      return verdicts.now(config(), route, version, this.#storeError === undefined, next)
    } catch (error) {
      this.#failed(`the verdict on ${route}/${version}`, error)
      const resolution = standing()?.change.resolutions[route]
      return unreadable(route, version, resolution?.live ?? '', resolution?.weights[version] ?? 0)
    }
  }

  #tick(): void {
    this.#guarded(
      () => 'the commit',
      () => this.#commit(false),
    )
    this.#guarded(
      () => 'the watch for a decline',
      () => this.#parts.decline.tick(),
    )
    const now = monotonicMs()
    const standing = this.#parts.standing()
    if (standing === undefined || now - this.#judgedMs < JUDGE_EVERY_MS) return
    this.#judgedMs = now
    const judged = new Set<string>()
    for (const route of this.#routesToJudge(standing)) {
      const verdicts = new Map<string, Verdict>()
      for (const { version, evidenceKey } of route.versions) {
        if (evidenceKey === undefined) continue
        judged.add(`${route.name}/${version}`)
        const judging = () => `the judgement of ${route.name}/${version}`
        this.#guarded(judging, () => {
          const verdict = this.#judge(route.name, version, evidenceKey)
          if (verdict !== undefined) verdicts.set(version, verdict)
        })
      }
      const raising = () => `the rollout of ${route.name}`
      this.#guarded(raising, () => this.#parts.automatic.judged(route.name, verdicts))
    }
    this.#parts.history.forgetOthers(judged)
    if (now - this.#expiredMs > EXPIRE_EVERY_MS) {
      this.#expiredMs = now
      const { labels, config } = this.#parts
      this.#guarded(
        () => 'the expiry of predictions',
        () => labels.expire(config(), this.#parts.now(), PENDING_KEPT),
      )
    }
  }

  /** All routes once a configuration, then those that a verdict or time may change: most of thousands have no candidate. */
  #routesToJudge(standing: Standing): readonly SnapshotRoute[] {
    if (standing === this.#judgedStanding) return this.#routesJudged
    const { routes } = standing.snapshot
    const configs = standing.change.loaded.config.routes
    this.#judgedStanding = standing
    this.#routesJudged = routes.filter(
      ({ name, versions }) =>
        versions.some(({ evidenceKey }) => evidenceKey !== undefined) || configs[name]?.rollout.mode === 'auto',
    )
    this.#parts.automatic.keep(new Set(routes.map(({ name }) => name)))
    return routes
  }

  #commit(isLast: boolean): void {
    const { book, seenUnits, collector, traces, history, labels, meters, log, standing, config } = this.#parts
    const now = monotonicMs()
    // Also while it drains: requests are answered then.
    if (standing() !== undefined) {
      if (this.#servedMs !== undefined) book.served(Math.min(now - this.#servedMs, MOST_SERVED_MS))
      this.#servedMs = now
    }
    if (isLast || now - this.#keptSeenMs > KEEP_SEEN_EVERY_MS) {
      this.#keptSeenMs = now
      for (const { key, value } of seenUnits.takeChanged()) book.keepValue(key, value)
    }
    if (isLast) history.keepAll()
    // A store that failed is tried with a write even when there is nothing else to write.
    if (this.#storeError !== undefined) book.keepValue('tried', String(this.#parts.now()))
    const nowMs = this.#parts.now()
    const epochs = [
      ...this.#unsaved,
      ...labels.admitted(collector.release(), config(), nowMs),
      ...(isLast ? traces.end() : traces.release()),
    ]
    let isWritten: boolean
    try {
      isWritten = book.commit(epochs, labels.take(config(), nowMs))
    } catch (error) {
      // Kept for the next try; serving goes on, and nothing is promoted meanwhile.
      this.#unsaved = epochs.slice(-MOST_UNSAVED)
      const given = epochs.length - this.#unsaved.length
      if (given > 0) log.error({ epochs: given }, 'the state store fails for too long: epochs are given up')
      this.#failed('the commit', error)
      return
    }
    this.#unsaved = []
    labels.kept()
    meters.committed(epochs, standing()?.snapshot)
    this.#arrived.push(...epochs.flatMap(epoch => epoch.pending))
    this.#arrived.splice(0, this.#arrived.length - MOST_ARRIVED)
    labels.arrived(this.#arrived, config())
    this.#arrived = []
    if (isWritten && this.#storeError !== undefined) {
      log.info('the state store works again')
      this.#storeError = undefined
    }
  }

  /** Aborts where the gate says so. Undefined: it gathers no evidence. */
  #judge(route: string, version: string, evidenceKey: string): Verdict | undefined {
    const { verdicts, history, ports, meters, book, notifier, log, now } = this.#parts
    verdicts.sample(route, version, now())
    const verdict = ports.verdictNow(route, version)
    if (verdict === undefined) return undefined
    meters.verdict(verdict)
    notifier.verdict(verdict, evidenceKey)
    // What the verdict is about: bytes that were swapped meanwhile are not latched for it.
    const period = book.periods(route, version).at(-1)
    const digest = period?.candidateDigest
    // One at a time, however the evidence grows meanwhile: a thread that is late would have one more queued every second.
    const key = `${route}/${version}/${digest ?? ''}`
    if (period !== undefined)
      this.#guarded(
        () => 'the history',
        () => history.sample(verdict, period, now()),
      )
    if (verdict.decision !== 'abort' || this.#latched(route, version) || this.#aborting.has(key)) return verdict
    this.#aborting.add(key)
    log.warn({ route, version }, `aborted: ${verdict.reason}`)
    // Not awaited: the tick goes on, and the action queues behind others.
    abort(ports, {
      route,
      version,
      who: 'gate',
      reason: verdict.reason,
      evidenceDigest: verdict.evidenceDigest,
      ...(digest === undefined ? {} : { digest }),
    })
      .catch(error => log.error({ route, version }, `the abort could not be applied: ${messageOf(error)}`))
      .finally(() => this.#aborting.delete(key))
    return verdict
  }

  #latched(route: string, version: string): boolean {
    const digest = this.#parts.models().known(route, version)?.digest
    return (
      digest !== undefined && this.#parts.standing()?.change.resolutions[route]?.state.latches[digest] !== undefined
    )
  }

  /** @param what is only called where something fails or has failed: there may be thousands of routes */
  #guarded(what: () => string, work: () => void): void {
    try {
      work()
      if (this.#toldOnce.size > 0) this.#toldOnce.delete(what())
    } catch (error) {
      this.#failed(what(), error)
    }
  }

  /** Tells a failure once until it has worked again. */
  #failed(what: string, error: unknown): void {
    const { log } = this.#parts
    const message = messageOf(error)
    if (error instanceof UnderstudyError && error.code === 'STATE_FAILED') {
      if (this.#storeError === undefined) log.error(`the state store fails, nothing is promoted: ${message}`)
      this.#storeError = message
    } else if (!this.#toldOnce.has(what)) {
      this.#toldOnce.add(what)
      log.error({ err: error }, `${what} failed`)
    }
  }
}
