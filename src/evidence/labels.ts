// Joins true outcomes to predictions that wait for them, within bounds. Says what to count; the caller keeps it.
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { Route } from '../config/schema.ts'
import { UnderstudyError } from '../errors.ts'
import type { PendingPrediction, StateStore } from '../state/store.ts'
import { count, segmentSlot } from './counters.ts'
import { type CounterDeltas, slotsOf } from './epochPost.ts'
import { differenceBin } from './histogram.ts'
import { type Label, lossDifference, type Prediction } from './loss.ts'

const LabelValue = z.union([z.number(), z.string().max(1000), z.boolean()])
const LabelEntry = z.strictObject({
  request_id: z.string().min(1).max(128),
  label: LabelValue,
  /** Narrows the search; a request id is looked for in every route otherwise. */
  route: z.string().optional(),
})
const LabelBody = z.union([
  LabelEntry,
  z.array(LabelEntry).max(10_000),
  z.strictObject({ labels: z.array(LabelEntry).max(10_000) }),
])

export type LabelEntry = z.infer<typeof LabelEntry>

/** What is kept of a mirrored request until its label comes. `s`: its segments. */
interface PendingBody {
  readonly key: string
  readonly b: Prediction
  readonly c: Prediction
  readonly s: readonly string[]
}

/** A route that takes labels, with the candidates that predictions wait for. */
export interface LabelRoute {
  readonly labels: NonNullable<Route['labels']>
  readonly threshold: number | undefined
  readonly candidates: readonly string[]
}

/** What a batch of labels came to. */
export interface LabelResult {
  /** Labels joined to at least one pair of predictions. */
  joined: number
  /** Labels kept a while, since their prediction may be on its way. */
  waiting: number
  /** Labels that do not fit the route's loss. */
  unusable: number
}

// A prediction is committed within a few seconds of its answer; a label that is quicker waits for it here.
const EARLY_LABELS = 100_000
const EARLY_MS = 120_000

/** The scope under which predictions for a candidate wait. */
export function pendingScope(route: string, version: string): string {
  return `${route}/${version}`
}

/**
 * The labels in a JSON body: one object, an array, or `{"labels": […]}`, 10,000 at most.
 * @throws BAD_JSON, BAD_REQUEST
 */
export function parseLabels(body: Uint8Array): readonly LabelEntry[] {
  let json: unknown
  try {
    json = JSON.parse(Buffer.from(body).toString('utf8'))
  } catch (cause) {
    throw new UnderstudyError('BAD_JSON', 'the body is not valid JSON', { cause })
  }
  const parsed = LabelBody.safeParse(json)
  if (!parsed.success) {
    throw new UnderstudyError(
      'BAD_REQUEST',
      'expected {"request_id": "…", "label": …}, an array of these, or {"labels": […]} with at most 10,000',
    )
  }
  const { data } = parsed
  return Array.isArray(data) ? data : 'labels' in data ? data.labels : [data]
}

/** What became of a label: `unmatched`, its prediction did not come while it was kept. */
export type LabelOutcome = 'joined' | 'unusable' | 'unmatched'

/** A label that is kept a while, with what it has been joined to. */
interface Early {
  readonly entry: LabelEntry
  /** The route that it is counted under; '' when it may be of several. */
  readonly route: string
  /** Scopes that it was joined in. An id may be used again, and its old label must not count for the new prediction. */
  readonly joined: Set<string>
  isCounted: boolean
}

export class LabelJoin {
  readonly #store: Pick<StateStore, 'pending'>
  readonly #onOutcome: (route: string, outcome: LabelOutcome) => void
  readonly #early = new LRUCache<string, Early>({
    max: EARLY_LABELS,
    ttl: EARLY_MS,
    perf: { now: () => performance.now() },
    dispose: (early, _, reason) => this.#left(early, reason === 'evict' || reason === 'expire'),
  })
  readonly #waiting = new Map<string, number>()
  readonly #joined = new Map<string, number>()
  readonly #unmatched = new Map<string, number>()
  #counters: CounterDeltas = new Map()
  #resolved: { scope: string; id: string }[] = []
  /** Resolved since the last commit: the store still has them. */
  #taken = new Set<string>()

  /** @param onOutcome called once a label and route, when it is known what became of it */
  constructor(
    store: Pick<StateStore, 'pending'>,
    onOutcome: (route: string, outcome: LabelOutcome) => void = () => {},
  ) {
    this.#store = store
    this.#onOutcome = onOutcome
  }

  /** Joins what can be joined now; `nowMs` since the Unix epoch. @throws STATE_FAILED; what was joined before it stays */
  submit(entries: readonly LabelEntry[], routes: ReadonlyMap<string, LabelRoute>, nowMs: number): LabelResult {
    const result: LabelResult = { joined: 0, waiting: 0, unusable: 0 }
    for (const entry of entries) result[this.#join(entry, routes, nowMs)]++
    return result
  }

  /** Joins labels that came before these predictions did. Call it after the predictions are committed. @throws STATE_FAILED */
  arrived(pending: readonly PendingPrediction[], routes: ReadonlyMap<string, LabelRoute>, nowMs: number): void {
    if (this.#early.size === 0) return
    for (const { id } of pending) {
      const early = this.#early.get(id)
      // It stays in the cache: other candidates' predictions of the same request may still come.
      if (early !== undefined) this.#joinAll(early, routes, nowMs)
    }
  }

  /** What is to be committed; it stays until `kept`, so that a commit that failed is tried again with all of it. */
  take(): { counters: CounterDeltas; resolved: readonly { scope: string; id: string }[] } {
    return { counters: this.#counters, resolved: this.#resolved }
  }

  /** What `take` gave is in the store, which no longer has the predictions it resolved. */
  kept(): void {
    this.#counters = new Map()
    this.#resolved = []
    this.#taken.clear()
  }

  /** Gives up labels that were kept long enough. Call it now and then: a cache that nobody asks would keep them. */
  purge(): void {
    this.#early.purgeStale()
  }

  /** Labels of one route, and those that may be of any, that were joined to nothing yet, ever and never. */
  counts(route: string): { waiting: number; joined: number; unmatched: number } {
    const of = (counts: ReadonlyMap<string, number>) => (counts.get(route) ?? 0) + (counts.get('') ?? 0)
    return { waiting: of(this.#waiting), joined: of(this.#joined), unmatched: of(this.#unmatched) }
  }

  #join(entry: LabelEntry, routes: ReadonlyMap<string, LabelRoute>, nowMs: number): keyof LabelResult {
    const before = this.#early.get(entry.request_id)
    const only = routes.size === 1 ? [...routes.keys()][0] : undefined
    const route = entry.route ?? only ?? ''
    const early: Early = { entry, route, joined: before?.joined ?? new Set(), isCounted: false }
    const outcome = this.#joinAll(early, routes, nowMs)
    if (outcome === 'unusable') {
      this.#onOutcome(route, outcome)
      return outcome
    }
    // Also after a join: a slower candidate's prediction of the same request may come later.
    this.#early.set(entry.request_id, early)
    if (early.joined.size === 0) {
      early.isCounted = true
      add(this.#waiting, route, 1)
    }
    return outcome
  }

  #joinAll(early: Early, routes: ReadonlyMap<string, LabelRoute>, nowMs: number): keyof LabelResult {
    const { entry, joined } = early
    let outcome: keyof LabelResult = 'waiting'
    for (const [name, route] of routes) {
      if (entry.route !== undefined && entry.route !== name) continue
      const scopes = route.candidates.map(version => pendingScope(name, version))
      for (const scope of scopes) {
        if (joined.has(scope)) continue
        const fits = this.#joinOne(entry, scope, route, nowMs)
        if (fits === undefined) continue
        if (fits) {
          outcome = 'joined'
          if (!scopes.some(other => joined.has(other))) {
            add(this.#joined, name, 1)
            this.#onOutcome(name, 'joined')
          }
          joined.add(scope)
          this.#left(early, false)
        } else if (outcome !== 'joined') outcome = 'unusable'
      }
    }
    return outcome
  }

  /** It waits no more. */
  #left(early: Early, isUnmatched: boolean): void {
    if (!early.isCounted) return
    early.isCounted = false
    add(this.#waiting, early.route, -1)
    // Another label of the same id may have been joined meanwhile.
    if (!isUnmatched || early.joined.size > 0) return
    add(this.#unmatched, early.route, 1)
    this.#onOutcome(early.route, 'unmatched')
  }

  /** True: counted; false: the label does not fit; undefined: nothing waits for it. */
  #joinOne(entry: LabelEntry, scope: string, { labels, threshold }: LabelRoute, nowMs: number): boolean | undefined {
    const id = entry.request_id
    const taken = `${scope}\0${id}`
    if (this.#taken.has(taken)) return undefined
    const pending = this.#store.pending(scope, id)
    if (pending === undefined || nowMs - pending.at > labels.within) return undefined
    const body = JSON.parse(pending.body) as PendingBody
    const difference = lossDifference(body.b, body.c, entry.label as Label, {
      loss: labels.loss,
      clip: labels.clip,
      threshold,
    })
    if (difference === undefined) return false
    const slots = slotsOf(this.#counters, body.key)
    const slot = `loss.${differenceBin(difference)}`
    count(slots, slot)
    for (const segment of body.s) count(slots, segmentSlot(slot, segment))
    this.#resolved.push({ scope, id })
    this.#taken.add(taken)
    return true
  }
}

function add(counts: Map<string, number>, route: string, amount: number): void {
  counts.set(route, (counts.get(route) ?? 0) + amount)
}
