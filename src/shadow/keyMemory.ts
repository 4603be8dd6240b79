// What is remembered of one evidence key between epochs: slots that are taken, and what the baseline's latencies are. Pure.
import { AnswerSlots } from '../evidence/answerSlots.ts'
import { addAll, type Counters } from '../evidence/counters.ts'
import { type LatencyLimits, latencyThresholds, type QuantileName, type Threshold } from '../evidence/latency.ts'
import { SegmentSlots } from '../evidence/segments.ts'

// The first pairs after a load run cold code: they say nothing of a version's latency.
export const WARM_UP_PAIRS = 100

export interface KeyMemory {
  readonly segments: SegmentSlots
  readonly answers: AnswerSlots
  readonly baselineLatency: Counters
  thresholds: Readonly<Record<QuantileName, Threshold>> | undefined
  timedPairs: number
  /** Pairs so far, timed or not. */
  observed: number
}

/** @param taken segments and classes that have slots already */
export function newKeyMemory(taken?: {
  readonly segments: readonly string[]
  readonly classes: readonly string[]
}): KeyMemory {
  return {
    segments: new SegmentSlots(taken?.segments),
    answers: new AnswerSlots(taken?.classes),
    baselineLatency: new Map(),
    thresholds: undefined,
    timedPairs: 0,
    observed: 0,
  }
}

/**
 * Takes the baseline's latencies from the counters of a settled epoch, so that no pair is judged by a threshold that it moved
 * itself. `limits` is asked only where there are any; undefined: the key is of no present configuration.
 */
export function learnLatency(memory: KeyMemory, slots: Counters, limits: () => LatencyLimits | undefined): void {
  const latency = [...slots].filter(([slot]) => slot.startsWith('plat.b.'))
  if (latency.length === 0) return
  addAll(memory.baselineLatency, latency)
  const present = limits()
  if (present) memory.thresholds = latencyThresholds(memory.baselineLatency, 'plat.b', present)
}
