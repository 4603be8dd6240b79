// What a thread tells the control thread of its settled epochs: integer deltas, ready to be committed in order.
import type { PendingPrediction } from '../state/store.ts'
import type { Counters } from './counters.ts'

/** Evidence key → slots. */
export type CounterDeltas = Map<string, Counters>

export interface EpochDelta {
  readonly epoch: number
  readonly counters: CounterDeltas
  /** Predictions that wait for their label. */
  readonly pending: readonly PendingPrediction[]
}

export interface EpochPost {
  /** Every epoch up to this one is settled on that thread. */
  readonly settled: number
  readonly epochs: readonly EpochDelta[]
}

/** The slots of `key`, made when they are not there. */
export function slotsOf(deltas: CounterDeltas, key: string): Counters {
  let slots = deltas.get(key)
  if (slots === undefined) {
    slots = new Map()
    deltas.set(key, slots)
  }
  return slots
}
