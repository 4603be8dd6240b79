// Joins true outcomes to live answers where answers change outcomes, and counts both arms' losses when every label had its time.
// Knows nothing of pairs.
import type { PendingPrediction, StateStore } from '../state/store.ts'
import { count, SLOT, segmentSlot } from './counters.ts'
import { type CounterDeltas, slotsOf } from './epochPost.ts'
import { differenceBin } from './histogram.ts'
import { boundedLoss, type Label, type LossSpec, type Prediction } from './loss.ts'

/** One candidate's evidence key, and the arm of it that the answer belongs to: `b` baseline, `c` candidate. */
export type ArmOf = readonly [evidenceKey: string, arm: 'b' | 'c']

/** The body (JSON) of a waiting prediction in the scope `armScope(route)`; its id is the request id. */
export interface ArmPending {
  readonly arms: readonly ArmOf[]
  /** null: the version failed, or its answer could not be read. */
  readonly p: Prediction | null
  /** Segments of the request, `field=value`. */
  readonly s: readonly string[]
}

/** The scope under which a route's live answers wait for their labels. No version can be called so. */
export function armScope(route: string): string {
  return `${route}/@arms`
}

/** How a route counts the labels of its arms. */
export interface ArmRoute {
  readonly spec: LossSpec
  /** How late a label may come, ms after the request was admitted. */
  readonly within: number
  /** Whether an evidence key is about these settings: losses of two kinds must not meet under one key. */
  readonly isPresent: (key: string) => boolean
}

/** `late`: after the watermark; `repeated`: the first label stays; undefined: nothing waits for it. */
export type ArmOutcome = 'joined' | 'unusable' | 'late' | 'repeated' | undefined

/** What one commit is to keep of both arms' labels. */
export interface ArmTaken {
  readonly counters: CounterDeltas
  readonly labelled: readonly { readonly scope: string; readonly id: string; readonly label: string }[]
  readonly resolved: readonly { readonly scope: string; readonly id: string }[]
}

/**
 * The labels of live answers.
 *
 * An arm whose outcomes are reported later would look better for as long as they are missing. So a label's loss is only
 * remembered with its prediction; when `within` has passed since the request was admitted, the prediction is counted,
 * labelled or not, in order of admission and together with its removal (GATE.md, "delayed-outcome watermark").
 */
export class ArmLabels {
  readonly #store: Pick<StateStore, 'pending' | 'due'>
  #counters: CounterDeltas = new Map()
  #resolved: { scope: string; id: string }[] = []
  /** Labels that the store does not have yet, by scope and id. */
  readonly #labelled = new Map<string, { scope: string; id: string; label: string }>()
  readonly #cut = new Map<string, number>()

  constructor(store: Pick<StateStore, 'pending' | 'due'>) {
    this.#store = store
  }

  /** Remembers a label that was received at `receivedMs` (Unix epoch). @throws STATE_FAILED */
  join(name: string, id: string, label: Label, route: ArmRoute, receivedMs: number): ArmOutcome {
    const scope = armScope(name)
    const pending = this.#store.pending(scope, id)
    if (pending === undefined) return undefined
    if (receivedMs - pending.at > route.within) return 'late'
    const key = keyOf(scope, id)
    if (pending.label !== undefined || this.#labelled.has(key)) return 'repeated'
    const body = read(pending)
    if (body === undefined || !body.arms.some(([evidenceKey]) => route.isPresent(evidenceKey))) return undefined
    const loss = boundedLoss(body.p, label, route.spec)
    if (loss === undefined) return 'unusable'
    this.#labelled.set(key, { scope, id, label: String(loss) })
    return 'joined'
  }

  /**
   * Counts the answers of a route whose time is over: admitted before `nowMs` − within, and before `committedMs`, up to which
   * every admitted request is in the store. Does nothing while an earlier sweep is not kept. @throws STATE_FAILED
   */
  sweep(name: string, route: ArmRoute, nowMs: number, committedMs: number, limit: number): void {
    const scope = armScope(name)
    if (this.#resolved.some(resolved => resolved.scope === scope)) return
    for (const pending of this.#store.due(scope, Math.min(nowMs - route.within, committedMs), limit)) {
      const { id } = pending
      const label = pending.label ?? this.#labelled.get(keyOf(scope, id))?.label
      if (!this.#count(pending, label, route)) this.cut(name, 1)
      this.#resolved.push({ scope, id })
    }
  }

  /** What is to be committed, in one transaction; it stays until `kept`. */
  take(): ArmTaken {
    return { counters: this.#counters, labelled: [...this.#labelled.values()], resolved: this.#resolved }
  }

  /** What `take` gave is in the store. */
  kept(): void {
    this.#counters = new Map()
    this.#resolved = []
    this.#labelled.clear()
  }

  /** Answers of a route that are left out, neither due nor labelled. */
  cut(route: string, answers: number): void {
    this.#cut.set(route, (this.#cut.get(route) ?? 0) + answers)
  }

  cutOf(route: string): number {
    return this.#cut.get(route) ?? 0
  }

  /** False: it belongs to no present evidence. */
  #count(pending: PendingPrediction, label: string | undefined, route: ArmRoute): boolean {
    const body = read(pending)
    const arms = body?.arms.filter(([key]) => route.isPresent(key)) ?? []
    const bin = label === undefined ? undefined : differenceBin(Number(label))
    for (const [key, arm] of arms) {
      const slots = slotsOf(this.#counters, key)
      count(slots, arm === 'b' ? SLOT.dueBaseline : SLOT.dueCandidate)
      if (bin === undefined) continue
      const slot = `arm.${arm}.loss.${bin}`
      count(slots, slot)
      for (const segment of body!.s) count(slots, segmentSlot(slot, segment))
    }
    return arms.length > 0
  }
}

function keyOf(scope: string, id: string): string {
  return `${scope}\0${id}`
}

/** Undefined: a row that this release cannot read. It is left out, since it would hold up all behind it. */
function read({ body }: PendingPrediction): ArmPending | undefined {
  try {
    return JSON.parse(body) as ArmPending
  } catch {
    return undefined
  }
}
