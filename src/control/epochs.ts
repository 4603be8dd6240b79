// Puts together what the threads counted, epoch by epoch, and releases an epoch only when every thread has settled it.
import { MIRROR } from '../evidence/accounting.ts'
import { addAll } from '../evidence/counters.ts'
import { type CounterDeltas, type EpochDelta, type EpochPost, slotsOf } from '../evidence/epochPost.ts'
import type { PendingPrediction } from '../state/store.ts'

interface OpenEpoch {
  readonly counters: CounterDeltas
  readonly pending: PendingPrediction[]
  lost: boolean
}

/**
 * Evidence is committed by whole epochs, in order, over all threads at once: an arm whose outcomes arrive later would
 * otherwise look better while they are missing (GATE.md).
 */
export class EpochCollector {
  readonly #settled = new Map<string, number>()
  readonly #open = new Map<number, OpenEpoch>()
  #released = -1
  /** Newest epoch that was given up: see `post`. */
  #lost = -1

  /** A thread that will post; nothing newer than `epoch` is released before it does. One that comes back goes on. */
  join(thread: string, epoch: number): void {
    if (!this.#settled.has(thread)) this.#settled.set(thread, epoch)
  }

  /**
   * A thread that died. What it had not posted can never be known, and what others counted of the same epochs is the
   * half of pairs: the epochs from its last post to `now` are counted as lost, whole.
   * @param returns it is started again under its name, and newer epochs wait for it
   */
  died(thread: string, now: number, returns = false): void {
    const settled = this.#settled.get(thread)
    if (settled !== undefined && returns) this.#settled.set(thread, Math.max(settled, now))
    else this.#settled.delete(thread)
    if (settled === undefined) return
    for (let epoch = Math.max(settled, this.#released) + 1; epoch <= now; epoch++) this.#at(epoch).lost = true
    this.#lost = Math.max(this.#lost, now)
  }

  /**
   * A restarted shadow thread drains records of epochs that were given up meanwhile. Those are released and counted as
   * lost already, whole, so what comes late for them is dropped.
   */

  post(thread: string, post: EpochPost): void {
    for (const { epoch, counters, pending } of post.epochs) {
      if (epoch <= Math.min(this.#released, this.#lost)) continue
      const open = this.#at(epoch)
      for (const [key, slots] of counters) addAll(slotsOf(open.counters, key), slots)
      open.pending.push(...pending)
    }
    if (this.#settled.has(thread)) this.#settled.set(thread, Math.max(post.settled, this.#settled.get(thread)!))
  }

  /** Every epoch up to this one is released; −1: none. */
  get released(): number {
    return this.#released
  }

  /** Epochs that every thread has settled, oldest first. */
  release(): EpochDelta[] {
    const last = this.#settled.size === 0 ? Number.POSITIVE_INFINITY : Math.min(...this.#settled.values())
    const epochs = [...this.#open.keys()].filter(epoch => epoch <= last).sort((a, b) => a - b)
    this.#released = Math.max(this.#released, last === Number.POSITIVE_INFINITY ? (epochs.at(-1) ?? -1) : last)
    return epochs.map(epoch => {
      const open = this.#open.get(epoch)!
      this.#open.delete(epoch)
      return open.lost ? lostEpoch(epoch, open) : { epoch, counters: open.counters, pending: open.pending }
    })
  }

  #at(epoch: number): OpenEpoch {
    let open = this.#open.get(epoch)
    if (open === undefined) {
      open = { counters: new Map(), pending: [], lost: false }
      this.#open.set(epoch, open)
    }
    return open
  }
}

/** What stays of a lost epoch: how many requests it is missing. */
function lostEpoch(epoch: number, { counters }: OpenEpoch): EpochDelta {
  const lost: CounterDeltas = new Map()
  for (const [key, slots] of counters) {
    const eligible = slots.get(MIRROR.eligible) ?? 0
    if (eligible > 0) {
      lost.set(
        key,
        new Map([
          [MIRROR.eligible, eligible],
          [MIRROR.lost, eligible],
        ]),
      )
    }
  }
  return { epoch, counters: lost, pending: [] }
}
