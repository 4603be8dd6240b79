// Joins true outcomes to predictions that wait for them, within bounds. Says what to count; the caller keeps it.
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { UnderstudyError } from '../errors.ts'
import type { PendingPrediction, StateStore } from '../state/store.ts'
import { ArmLabels, type ArmRoute, armScope } from './armLabels.ts'
import { count, segmentSlot } from './counters.ts'
import { type CounterDeltas, slotsOf } from './epochPost.ts'
import { differenceBin } from './histogram.ts'
import { lossDifference, type Prediction } from './loss.ts'

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
export interface LabelRoute extends ArmRoute {
  readonly candidates: readonly string[]
  /** The answer changes the outcome: live answers wait for labels too, each by itself. */
  readonly affectedByAnswer: boolean
}

/** What a batch of labels came to. */
export interface LabelResult {
  /** Labels joined to at least one prediction, or pair of predictions. */
  joined: number
  /** Labels kept a while, since their prediction may be on its way. */
  waiting: number
  /** Labels that do not fit the route's loss. */
  unusable: number
  /** Labels that came after `labels.within`. */
  late: number
  /** Labels of a request that has one: the first stays. */
  repeated: number
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
export type LabelOutcome = 'joined' | 'unusable' | 'late' | 'repeated' | 'unmatched'

/** A label that is kept a while, with what it has been joined to. */
interface Early {
  readonly entry: LabelEntry
  /** ms since the Unix epoch: a prediction that is committed later makes no label late. */
  readonly receivedMs: number
  /** The route that it is counted under; '' when it may be of several. */
  readonly route: string
  /** Scopes that it was joined in. An id may be used again, and its old label must not count for the new prediction. */
  readonly joined: Set<string>
  isCounted: boolean
}

/** The best that became of a label under any of its predictions is what is told of it. */
const FROM_BEST = ['joined', 'unusable', 'repeated', 'late', 'waiting'] as const satisfies (keyof LabelResult)[]

export class LabelJoin {
  readonly #store: Pick<StateStore, 'pending' | 'due'>
  readonly #arms: ArmLabels
  readonly #onOutcome: (route: string, outcome: LabelOutcome) => void
  readonly #early: LRUCache<string, Early>
  readonly #waiting = new Map<string, number>()
  readonly #joined = new Map<string, number>()
  readonly #unmatched = new Map<string, number>()
  readonly #late = new Map<string, number>()
  #counters: CounterDeltas = new Map()
  #resolved: { scope: string; id: string }[] = []
  /** Resolved since the last commit: the store still has them. */
  #taken = new Set<string>()

  /**
   * @param onOutcome called once a label and route, when it is known what became of it
   * @param mostEarly labels that may wait for their prediction
   */
  constructor(
    store: Pick<StateStore, 'pending' | 'due'>,
    arms: ArmLabels = new ArmLabels(store),
    onOutcome: (route: string, outcome: LabelOutcome) => void = () => {},
    mostEarly = EARLY_LABELS,
  ) {
    this.#store = store
    this.#arms = arms
    this.#onOutcome = onOutcome
    this.#early = new LRUCache({
      max: mostEarly,
      ttl: EARLY_MS,
      perf: { now: () => performance.now() },
      dispose: (early, _, reason) => this.#left(early, reason === 'evict' || reason === 'expire'),
    })
  }

  /** Joins what can be joined now; `nowMs` since the Unix epoch. @throws STATE_FAILED; what was joined before it stays */
  submit(entries: readonly LabelEntry[], routes: ReadonlyMap<string, LabelRoute>, nowMs: number): LabelResult {
    const result: LabelResult = { joined: 0, waiting: 0, unusable: 0, late: 0, repeated: 0 }
    for (const entry of entries) result[this.#join(entry, routes, nowMs)]++
    return result
  }

  /** Joins labels that came before these predictions did. Call it after the predictions are committed. @throws STATE_FAILED */
  arrived(pending: readonly PendingPrediction[], routes: ReadonlyMap<string, LabelRoute>): void {
    if (this.#early.size === 0) return
    for (const { id } of pending) {
      const early = this.#early.get(id)
      if (early === undefined) continue
      // It stays in the cache: other candidates' predictions of the same request may still come.
      if (this.#joinAll(early, routes) !== 'unusable' || early.joined.size > 0) continue
      this.#early.delete(id)
      this.#onOutcome(early.route, 'unusable')
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

  /** Labels of one route, and those that may be of any: joined to nothing yet, ever and never, and those that came too late. */
  counts(route: string): { waiting: number; joined: number; unmatched: number; late: number } {
    const of = (counts: ReadonlyMap<string, number>) => (counts.get(route) ?? 0) + (counts.get('') ?? 0)
    return {
      waiting: of(this.#waiting),
      joined: of(this.#joined),
      unmatched: of(this.#unmatched),
      late: of(this.#late),
    }
  }

  /**
   * Whether a label of this request came lately, or whether an answer waits for one; undefined: neither is known (any more).
   * @throws STATE_FAILED
   */
  stateOf(name: string, route: LabelRoute, requestId: string): 'joined' | 'awaited' | undefined {
    const scopes = route.candidates.map(version => pendingScope(name, version))
    if (route.affectedByAnswer) scopes.push(armScope(name))
    const early = this.#early.peek(requestId)
    if (early !== undefined && scopes.some(scope => early.joined.has(scope))) return 'joined'
    return scopes.some(scope => this.#store.pending(scope, requestId) !== undefined) ? 'awaited' : undefined
  }

  #join(entry: LabelEntry, routes: ReadonlyMap<string, LabelRoute>, nowMs: number): keyof LabelResult {
    const before = this.#early.get(entry.request_id)
    const only = routes.size === 1 ? [...routes.keys()][0] : undefined
    const route = entry.route ?? only ?? ''
    // The first label of a request stays, also while it waits.
    const isRepeated = before !== undefined && before.entry.route === entry.route
    const early: Early = isRepeated
      ? before
      : { entry, receivedMs: nowMs, route, joined: before?.joined ?? new Set(), isCounted: false }
    let outcome = this.#joinAll(early, routes)
    if (outcome === 'waiting' && (isRepeated || early.joined.size > 0)) outcome = 'repeated'
    if (outcome === 'late') add(this.#late, route, 1)
    if (outcome !== 'waiting' && outcome !== 'joined') {
      // A right one may follow.
      if (outcome === 'unusable' && early.joined.size === 0) this.#early.delete(entry.request_id)
      this.#onOutcome(route, outcome)
      return outcome
    }
    if (isRepeated) return outcome
    // Also after a join: a slower candidate's prediction of the same request may come later.
    this.#early.set(entry.request_id, early)
    if (early.joined.size === 0) {
      early.isCounted = true
      add(this.#waiting, route, 1)
    }
    return outcome
  }

  #joinAll(early: Early, routes: ReadonlyMap<string, LabelRoute>): keyof LabelResult {
    const { entry, joined } = early
    let best: number = FROM_BEST.indexOf('waiting')
    for (const [name, route] of routes) {
      if (entry.route !== undefined && entry.route !== name) continue
      const scopes = route.candidates.map(version => pendingScope(name, version))
      if (route.affectedByAnswer) scopes.push(armScope(name))
      for (const scope of scopes) {
        if (joined.has(scope)) continue
        const outcome =
          scope === armScope(name)
            ? this.#arms.join(name, entry.request_id, entry.label, route, early.receivedMs)
            : this.#joinPair(entry, scope, route, early.receivedMs)
        if (outcome === undefined) continue
        best = Math.min(best, FROM_BEST.indexOf(outcome))
        if (outcome !== 'joined') continue
        if (!scopes.some(other => joined.has(other))) {
          add(this.#joined, name, 1)
          this.#onOutcome(name, 'joined')
        }
        joined.add(scope)
        this.#left(early, false)
      }
    }
    return FROM_BEST[best]!
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

  /** Both sides of a pair share the label, whenever it comes, so it is counted at once. Undefined: nothing waits for it. */
  #joinPair(
    entry: LabelEntry,
    scope: string,
    route: LabelRoute,
    receivedMs: number,
  ): 'joined' | 'unusable' | 'late' | undefined {
    const id = entry.request_id
    const taken = `${scope}\0${id}`
    if (this.#taken.has(taken)) return undefined
    const pending = this.#store.pending(scope, id)
    if (pending === undefined) return undefined
    if (receivedMs - pending.at > route.within) return 'late'
    const body = JSON.parse(pending.body) as PendingBody
    if (!route.isPresent(body.key)) return undefined
    const difference = lossDifference(body.b, body.c, entry.label, route.spec)
    if (difference === undefined) return 'unusable'
    const slots = slotsOf(this.#counters, body.key)
    const slot = `loss.${differenceBin(difference)}`
    count(slots, slot)
    for (const segment of body.s) count(slots, segmentSlot(slot, segment))
    this.#resolved.push({ scope, id })
    this.#taken.add(taken)
    return 'joined'
  }
}

function add(counts: Map<string, number>, route: string, amount: number): void {
  counts.set(route, (counts.get(route) ?? 0) + amount)
}
