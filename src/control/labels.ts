// Takes labels from both listeners and answers when they are kept. The joins themselves are evidence/labels and armLabels.
import { randomUUID } from 'node:crypto'
import type { RoutesFile } from '../config/schema.ts'
import { asUnderstudyError, UnderstudyError } from '../errors.ts'
import { ArmLabels, armScope } from '../evidence/armLabels.ts'
import { ArmSample } from '../evidence/armSample.ts'
import type { EpochDelta } from '../evidence/epochPost.ts'
import {
  LabelJoin,
  type LabelOutcome,
  type LabelResult,
  type LabelRoute,
  parseLabels,
  pendingScope,
} from '../evidence/labels.ts'
import { v2 } from '../protocols/openInference.ts'
import type { LabelStatus } from '../report/status.ts'
import { compareDigest } from '../rollout/periods.ts'
import { uniform } from '../routing/assign.ts'
import type { PendingPrediction, StateStore } from '../state/store.ts'
import type { Extra } from './evidence.ts'
import { comparedOutputs } from './snapshot.ts'

export interface LabelAnswer {
  readonly status: number
  readonly body: string
}

export interface LabelParts {
  readonly store: Pick<StateStore, 'pending' | 'due' | 'waiting' | 'scopes' | 'expire'>
  /** The compare digest that an evidence key stands for. */
  readonly compareDigestOf: (key: string) => string | undefined
  /** Requests that were admitted before (ms since the Unix epoch) are settled on every thread. */
  readonly settledMs: () => number
  readonly onOutcome?: (route: string, outcome: LabelOutcome) => void
  /** Live answers of a route that may wait for their label. */
  readonly armsKept?: number
}

/**
 * Each label is looked up in the store on the control thread, which has verdicts and rollbacks to look after: beyond this
 * many between two commits (a quarter of a second) labels are refused and have to be sent again.
 */
const MOST_LABELS_A_COMMIT = 20_000
/** Live answers of a route that are counted in one commit: 20,000 a second, more than a gateway answers. */
const MOST_DUE_A_COMMIT = 5_000
/** Predictions for versions that nobody compares any more, or of routes that take no labels. */
const LEFT_KEPT_MS = 7 * 86_400_000
/** The store takes 10 ms and more to count a full room, so it is asked now and then, for what was counted twice. */
const WAITING_KNOWN_MS = 60_000

/** What is known of the live answers of one route that wait. */
interface ArmsWaiting {
  count: number
  /** When the store was asked; what came and went since is in `count`. */
  askedMs: number
  readonly sample: ArmSample
}

export class Labels {
  readonly #parts: LabelParts
  readonly #arms: ArmLabels
  readonly #join: LabelJoin
  readonly #expired = new Map<string, number>()
  readonly #cut = new Map<string, number>()
  /** By scope. */
  readonly #waiting = new Map<string, ArmsWaiting>()
  readonly #routes = new WeakMap<RoutesFile, ReadonlyMap<string, LabelRoute>>()
  /** Nobody outside can tell which requests a sample takes. */
  readonly #salt = randomUUID()
  /** Admitted before: in the store. Behind `settledMs` by one commit. */
  #committedMs: number
  #committingMs: number
  #waitingForCommit: (() => void)[] = []
  #sinceCommit = 0

  constructor(parts: LabelParts) {
    this.#parts = parts
    this.#arms = new ArmLabels(parts.store)
    this.#join = new LabelJoin(parts.store, this.#arms, parts.onOutcome)
    this.#committedMs = this.#committingMs = parts.settledMs()
  }

  /**
   * Joins the labels of a JSON body; resolves with the answer once what they came to is in the store. Never rejects.
   * While the store fails the answer waits, and the caller's own deadline ends it. Beyond a bound the answer is 503.
   */
  async submit(body: Uint8Array, config: RoutesFile, nowMs: number): Promise<LabelAnswer> {
    let result: LabelResult
    try {
      if (this.#sinceCommit >= MOST_LABELS_A_COMMIT) {
        throw new UnderstudyError('OVERLOADED', 'too many labels at once: send these again in a moment')
      }
      const routes = this.#labelRoutes(config)
      const entries = parseLabels(body)
      this.#sinceCommit += Math.max(1, entries.length)
      for (const { route } of entries) {
        if (route !== undefined && !routes.has(route)) {
          return { status: 404, body: v2.encodeError(`no route "${route.slice(0, 128)}" takes labels`, 404) }
        }
      }
      result = this.#join.submit(entries, routes, nowMs)
    } catch (error) {
      const { status, message } = asUnderstudyError(error)
      return { status, body: v2.encodeError(message, status) }
    }
    if (result.joined > 0) await new Promise<void>(resolve => this.#waitingForCommit.push(resolve))
    return { status: 200, body: JSON.stringify(result) }
  }

  /** Whether a request's label came lately, or is waited for; undefined: neither is known. @throws STATE_FAILED */
  stateOf(route: string, requestId: string, config: RoutesFile): 'joined' | 'awaited' | undefined {
    const known = this.#labelRoutes(config).get(route)
    return known === undefined ? undefined : this.#join.stateOf(route, known, requestId)
  }

  /**
   * Settled epochs as they are to be committed. Of the live answers that wait for labels, a sample where too many would wait;
   * call it once an epoch. Never throws: a store that cannot be asked is believed to hold what it held.
   */
  admitted(epochs: readonly EpochDelta[], config: RoutesFile, nowMs: number): readonly EpochDelta[] {
    const shares = new Map<string, { readonly route: string; readonly share: number; readonly waiting: ArmsWaiting }>()
    for (const [route, { affectedByAnswer, within }] of this.#labelRoutes(config)) {
      if (!affectedByAnswer) continue
      const waiting = this.#waitingOf(route, nowMs)
      shares.set(armScope(route), { route, share: waiting.sample.share(waiting.count, within), waiting })
    }
    if (shares.size === 0) return epochs
    const came = new Map<string, number>()
    const isTaken = ({ scope, id }: PendingPrediction): boolean => {
      const of = shares.get(scope)
      if (of === undefined) return true
      came.set(scope, (came.get(scope) ?? 0) + 1)
      const isIn = of.share >= 1 || uniform(this.#salt, id) < of.share
      if (isIn) of.waiting.count++
      else this.#arms.cut(of.route, 1)
      return isIn
    }
    const taken = epochs.map(epoch =>
      epoch.pending.length === 0 ? epoch : { ...epoch, pending: epoch.pending.filter(isTaken) },
    )
    for (const [scope, { waiting }] of shares) waiting.sample.offered(came.get(scope) ?? 0, nowMs)
    return taken
  }

  /** What is to be committed, with the live answers whose labels have had their time. @throws STATE_FAILED */
  take(config: RoutesFile, nowMs: number): Extra {
    this.#committingMs = this.#parts.settledMs()
    for (const [name, route] of this.#labelRoutes(config)) {
      if (route.affectedByAnswer) this.#arms.sweep(name, route, nowMs, this.#committedMs, MOST_DUE_A_COMMIT)
    }
    const pairs = this.#join.take()
    const arms = this.#arms.take()
    return {
      counters: [...pairs.counters, ...arms.counters],
      labelled: arms.labelled,
      resolved: [...pairs.resolved, ...arms.resolved],
    }
  }

  /** What `take` gave is in the store, and so are the epochs that were settled before it. */
  kept(): void {
    for (const { scope } of this.#arms.take().resolved) {
      const waiting = this.#waiting.get(scope)
      if (waiting !== undefined) waiting.count--
    }
    this.#join.kept()
    this.#arms.kept()
    this.#committedMs = this.#committingMs
    this.#sinceCommit = 0
    const waiting = this.#waitingForCommit
    this.#waitingForCommit = []
    for (const resolve of waiting) resolve()
  }

  arrived(pending: readonly PendingPrediction[], config: RoutesFile): void {
    this.#join.arrived(pending, this.#labelRoutes(config))
  }

  /**
   * Gives up labels without a prediction, predictions whose label is too late, the oldest beyond `keep` a candidate, and in
   * the end what waits for nobody.
   * @throws STATE_FAILED
   */
  expire(config: RoutesFile, nowMs: number, keep: number): void {
    this.#join.purge()
    const followed = new Set<string>()
    for (const [route, { within, affectedByAnswer, candidates }] of this.#labelRoutes(config)) {
      // Live answers leave when they are counted.
      if (affectedByAnswer) followed.add(armScope(route))
      for (const version of candidates) {
        const scope = pendingScope(route, version)
        followed.add(scope)
        const { late, beyond } = this.#parts.store.expire(scope, nowMs - within, keep)
        this.#expired.set(route, (this.#expired.get(route) ?? 0) + late)
        this.#cut.set(route, (this.#cut.get(route) ?? 0) + beyond)
      }
    }
    for (const scope of this.#parts.store.scopes()) {
      if (!followed.has(scope)) this.#parts.store.expire(scope, nowMs - LEFT_KEPT_MS, keep)
    }
  }

  /** Never throws: what the store cannot tell now is told as it was. */
  counts(route: string, config: RoutesFile, nowMs: number): LabelStatus {
    const settings = this.#labelRoutes(config).get(route)
    return {
      ...this.#join.counts(route),
      expired: this.#expired.get(route) ?? 0,
      cut: this.#cut.get(route) ?? 0,
      ...(settings?.affectedByAnswer && { arms: this.#armsStatus(route, settings, nowMs) }),
    }
  }

  #armsStatus(route: string, { within }: LabelRoute, nowMs: number): NonNullable<LabelStatus['arms']> {
    const { count } = this.#waitingOf(route, nowMs)
    let oldest: number | undefined
    try {
      oldest = this.#parts.store.due(armScope(route), Number.MAX_SAFE_INTEGER, 1)[0]?.at
    } catch {}
    return {
      waiting: count,
      nextDueAt: oldest === undefined ? null : new Date(oldest + within).toISOString(),
      cut: this.#arms.cutOf(route),
    }
  }

  #waitingOf(route: string, nowMs: number): ArmsWaiting {
    const scope = armScope(route)
    const known = this.#waiting.get(scope)
    if (known !== undefined && nowMs - known.askedMs < WAITING_KNOWN_MS) return known
    const sample = known?.sample ?? new ArmSample(this.#parts.armsKept ?? Number.POSITIVE_INFINITY)
    const asked: ArmsWaiting = { count: known?.count ?? 0, askedMs: nowMs, sample }
    try {
      asked.count = this.#parts.store.waiting(scope).count
    } catch {}
    this.#waiting.set(scope, asked)
    return asked
  }

  /** Digests are made once a configuration: labels are looked up with them one by one. */
  #labelRoutes(config: RoutesFile): ReadonlyMap<string, LabelRoute> {
    const known = this.#routes.get(config)
    if (known !== undefined) return known
    const routes = new Map<string, LabelRoute>()
    for (const [name, route] of Object.entries(config.routes)) {
      const { labels, versions } = route
      if (labels === undefined) continue
      const digest = compareDigest(route)
      routes.set(name, {
        spec: { loss: labels.loss, clip: labels.clip, threshold: comparedOutputs(route)[0]?.tolerance.threshold },
        within: labels.within,
        affectedByAnswer: labels.affectedByAnswer,
        // All of them: the version that the file calls live may be held, and is a candidate until then.
        candidates: Object.keys(versions),
        isPresent: key => this.#parts.compareDigestOf(key) === digest,
      })
    }
    this.#routes.set(config, routes)
    return routes
  }
}
