// Commits what spans counted epoch by epoch, in order, as a gateway's control thread does. Judges nothing. Pure.
import { type BlockSetting, nextBlocks, type OpenBlocks } from '../evidence/blocks.ts'
import { addAll, type Counters } from '../evidence/counters.ts'
import type { CounterDeltas } from '../evidence/epochPost.ts'
import { commitEpoch, type LatencyLimits } from '../evidence/latency.ts'
import type { ToldPlace } from '../evidence/told.ts'
import { EPOCH_MS } from '../record/clock.ts'

interface OpenEpoch {
  readonly atMs: number
  readonly process: string
  readonly epoch: number
  readonly counters: CounterDeltas
}

/** Spans come in batches and late ones after a deadline: epochs wait so long for them. */
const WAIT_MS = 600_000
const LOOK_EVERY_MS = 10_000

/**
 * The limits of the latency of live answers are learned from earlier epochs, so epochs have to be committed in order. An
 * epoch is kept open for ten minutes of the file's own time. What comes even later counts in an epoch of its own, next: the
 * limits that it is held against then come from more answers, though never from itself, so the tests stay valid.
 */
export class EpochReplay {
  readonly #committed: (key: string) => Counters
  readonly #limits: LatencyLimits
  readonly #setting: (key: string) => BlockSetting | undefined
  readonly #open = new Map<string, OpenEpoch>()
  /** By process: a block that a restart cut short is not counted. */
  readonly #blocks = new Map<string, OpenBlocks>()
  #newestMs = Number.NEGATIVE_INFINITY
  #lookedMs = Number.NEGATIVE_INFINITY
  #closedMs = Number.NEGATIVE_INFINITY
  #late = 0

  constructor(
    committed: (key: string) => Counters,
    limits: LatencyLimits,
    setting: (key: string) => BlockSetting | undefined,
  ) {
    this.#committed = committed
    this.#limits = limits
    this.#setting = setting
  }

  /** Spans of epochs that were committed already. */
  get late(): number {
    return this.#late
  }

  /** The counters of the epoch that a span belongs to. */
  at({ process, epoch, originMs }: ToldPlace): CounterDeltas {
    const atMs = originMs + epoch * EPOCH_MS
    if (atMs <= this.#closedMs) this.#late++
    this.#newestMs = Math.max(this.#newestMs, atMs)
    if (this.#newestMs - this.#lookedMs > LOOK_EVERY_MS) {
      this.#lookedMs = this.#newestMs
      this.#commit(this.#newestMs - WAIT_MS)
    }
    const id = `${process}/${epoch}`
    let open = this.#open.get(id)
    if (open === undefined) {
      open = { atMs, process, epoch, counters: new Map() }
      this.#open.set(id, open)
    }
    return open.counters
  }

  /** No more spans come. A block that is not over stays uncounted, as in the gateway. */
  end(): void {
    this.#commit(Number.POSITIVE_INFINITY)
  }

  #commit(untilMs: number): void {
    const due = [...this.#open].filter(([, { atMs }]) => atMs <= untilMs)
    for (const [id, { process, epoch, counters }] of due.sort(([, a], [, b]) => a.atMs - b.atMs)) {
      this.#open.delete(id)
      for (const [key, delta] of counters) commitEpoch(this.#committed(key), delta, this.#limits)
      const before = this.#blocks.get(process) ?? new Map()
      const { open, ended } = nextBlocks(before, [{ epoch, counters, pending: [] }], this.#setting)
      this.#blocks.set(process, open)
      for (const [key, slots] of ended) addAll(this.#committed(key), slots)
    }
    this.#closedMs = Math.max(this.#closedMs, Math.min(untilMs, this.#newestMs))
  }
}
