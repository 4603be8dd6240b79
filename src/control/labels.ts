// Takes labels from both listeners and answers when they are kept. The join itself is evidence/labels.
import type { RoutesFile } from '../config/schema.ts'
import { asUnderstudyError, UnderstudyError } from '../errors.ts'
import {
  LabelJoin,
  type LabelOutcome,
  type LabelResult,
  type LabelRoute,
  parseLabels,
  pendingScope,
} from '../evidence/labels.ts'
import { encodeError } from '../protocols/openInference.ts'
import type { LabelStatus } from '../report/status.ts'
import type { PendingPrediction, StateStore } from '../state/store.ts'

export interface LabelAnswer {
  readonly status: number
  readonly body: string
}

/**
 * Each label is looked up in the store on the control thread, which has verdicts and rollbacks to look after: beyond this
 * many between two commits (a quarter of a second) labels are refused and have to be sent again.
 */
const MOST_LABELS_A_COMMIT = 20_000

export class Labels {
  readonly #store: Pick<StateStore, 'pending' | 'expire'>
  readonly #join: LabelJoin
  readonly #expired = new Map<string, number>()
  readonly #cut = new Map<string, number>()
  #waitingForCommit: (() => void)[] = []
  #sinceCommit = 0

  constructor(
    store: Pick<StateStore, 'pending' | 'expire'>,
    onOutcome: (route: string, outcome: LabelOutcome) => void = () => {},
  ) {
    this.#store = store
    this.#join = new LabelJoin(store, onOutcome)
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
      const routes = labelRoutes(config)
      const entries = parseLabels(body)
      this.#sinceCommit += Math.max(1, entries.length)
      for (const { route } of entries) {
        if (route !== undefined && !routes.has(route)) {
          return { status: 404, body: encodeError(`no route "${route.slice(0, 128)}" takes labels`) }
        }
      }
      result = this.#join.submit(entries, routes, nowMs)
    } catch (error) {
      const { status, message } = asUnderstudyError(error)
      return { status, body: encodeError(message) }
    }
    if (result.joined > 0) await new Promise<void>(resolve => this.#waitingForCommit.push(resolve))
    return { status: 200, body: JSON.stringify(result) }
  }

  take(): ReturnType<LabelJoin['take']> {
    return this.#join.take()
  }

  /** What `take` gave is in the store. */
  kept(): void {
    this.#join.kept()
    this.#sinceCommit = 0
    const waiting = this.#waitingForCommit
    this.#waitingForCommit = []
    for (const resolve of waiting) resolve()
  }

  arrived(pending: readonly PendingPrediction[], config: RoutesFile, nowMs: number): void {
    this.#join.arrived(pending, labelRoutes(config), nowMs)
  }

  /**
   * Gives up labels without a prediction, predictions whose label is too late, and the oldest beyond `keep` a candidate.
   * @throws STATE_FAILED
   */
  expire(config: RoutesFile, nowMs: number, keep: number): void {
    this.#join.purge()
    for (const [route, { labels, candidates }] of labelRoutes(config)) {
      for (const version of candidates) {
        const { late, beyond } = this.#store.expire(pendingScope(route, version), nowMs - labels.within, keep)
        this.#expired.set(route, (this.#expired.get(route) ?? 0) + late)
        this.#cut.set(route, (this.#cut.get(route) ?? 0) + beyond)
      }
    }
  }

  counts(route: string): LabelStatus {
    return {
      ...this.#join.counts(route),
      expired: this.#expired.get(route) ?? 0,
      cut: this.#cut.get(route) ?? 0,
    }
  }
}

function labelRoutes(config: RoutesFile): ReadonlyMap<string, LabelRoute> {
  const routes = new Map<string, LabelRoute>()
  for (const [name, { labels, live, versions, compare }] of Object.entries(config.routes)) {
    if (labels === undefined) continue
    const candidates = Object.keys(versions).filter(version => version !== live)
    routes.set(name, { labels, threshold: compare.tolerance.threshold, candidates })
  }
  return routes
}
