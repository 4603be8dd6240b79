// Turns live's answer and a candidate's observation into evidence counts. Decides what counts as an error; sends nothing.
import { type FailReason, MIRROR } from '../evidence/accounting.ts'
import { type Comparison, compareOutputs, type Outputs } from '../evidence/compare.ts'
import { type Counters, count, SLOT, segmentSlot } from '../evidence/counters.ts'
import { magnitudeBin } from '../evidence/histogram.ts'
import { countLatency, pairedExceedances, type QuantileName, type Threshold } from '../evidence/latency.ts'
import { type Prediction, predictionOf } from '../evidence/loss.ts'
import { segmentsOf } from '../evidence/segments.ts'
import { encodeInferResponse } from '../protocols/openInference.ts'
import type { Tensor } from '../protocols/tensor.ts'
import type { SnapshotVersion } from '../rollout/snapshot.ts'
import type { ScoreOutcome } from '../scoring/scorer.ts'
import type { Observation, Task } from './task.ts'

export type CompareResult = 'match' | 'mismatch' | 'baseline_error' | 'candidate_error' | 'timeout' | 'unparseable'

/** One comparison of one request, as spans and labels need it. */
export interface Pair {
  readonly result: CompareResult
  readonly comparison: Comparison | undefined
  readonly errorType: string
  readonly segments: readonly string[]
  readonly baseline: Prediction
  readonly candidate: Prediction
}

/** One candidate's part in a request, for spans. */
export interface Ended {
  readonly version: SnapshotVersion
  readonly observation: Observation
  readonly pair: Pair
}

/** Compares both sides. A candidate that cannot answer where live did is in error, and so is a 4xx or a new NaN of it. */
export function pairOf(task: Task, { outcome }: Observation): Pair {
  const { route } = task
  const segments = segmentsOfTask(task)
  const spec = route.compare[0] ?? { output: undefined, kind: undefined }
  const base = { comparison: undefined, segments, baseline: null, candidate: null }
  if (!task.baselineOk) return { ...base, result: 'baseline_error', errorType: outcome.ok ? '' : outcome.code }
  const { baseline } = task
  // A client that asked for other outputs only has left nothing to compare: that says nothing about the candidate.
  if (baseline === undefined || leavesOut(task)) return { ...base, result: 'unparseable', errorType: '' }
  const prediction = route.labels === undefined ? null : predictionOf(baseline, spec)
  if (!outcome.ok) {
    const result = outcome.code === 'VERSION_DEADLINE' ? 'timeout' : 'candidate_error'
    return { ...base, baseline: prediction, result, errorType: outcome.code }
  }
  const candidate = candidateOutputs(task, outcome)
  const comparison = compareOutputs(baseline, candidate, route.compare)
  return {
    result: comparison.result,
    comparison,
    errorType: '',
    segments,
    baseline: prediction,
    candidate: route.labels === undefined ? null : predictionOf(candidate, spec),
  }
}

function segmentsOfTask(task: Task): string[] {
  const specs = task.route.segments
  if (specs.length === 0) return []
  const { inputs } = task
  const asksAnswer = specs.some(spec => typeof spec === 'object' && 'answer' in spec)
  const answer = asksAnswer && task.baselineOk ? task.baseline : undefined
  return segmentsOf(inputs && { tensors: inputs }, specs, answer)
}

function leavesOut({ requestedOutputs, route }: Task): boolean {
  if (requestedOutputs === undefined) return false
  return route.compare.some(
    ({ output }) => output !== undefined && !output.startsWith('/') && !requestedOutputs.includes(output),
  )
}

/**
 * The candidate's outputs in the form that live's answer had. Live's went through JSON, which has no infinity: what an
 * embedded candidate gives as one is compared as the null that a client would have seen.
 */
function candidateOutputs(task: Task, { outputs, raw }: Extract<ScoreOutcome, { ok: true }>): Outputs {
  if (!task.comparesJson) return { tensors: outputs.map(asAnswered) }
  const text =
    raw ?? encodeInferResponse({ modelName: task.route.name, modelVersion: undefined, id: undefined, outputs })
  return { json: JSON.parse(text.toString()) }
}

function asAnswered(tensor: Tensor): Tensor {
  const { data } = tensor
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return tensor
  if (!data.some(value => value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY)) return tensor
  return { ...tensor, data: data.map(value => (Number.isFinite(value) ? value : Number.NaN)) }
}

/** Counts a pair into the evidence of its candidate. */
export function countPair(
  slots: Counters,
  task: Task,
  observation: Observation,
  pair: Pair,
  takeSegment: (segment: string) => string,
): void {
  const { result, comparison } = pair
  const segments = pair.segments.map(takeSegment)
  const add = (slot: string) => {
    count(slots, slot)
    for (const segment of segments) count(slots, segmentSlot(slot, segment))
  }
  if (result === 'match' || result === 'mismatch') count(slots, MIRROR.compared)
  else count(slots, MIRROR.failed(result satisfies FailReason))
  if (result === 'unparseable') return
  add(errorSlot(task.baselineOk, candidateFailed(observation, pair, task.baselineOk)))
  if (comparison === undefined) return
  add(result === 'match' ? SLOT.match : SLOT.mismatch)
  if (comparison.unstable) count(slots, SLOT.unstable)
  for (const difference of comparison.differences) count(slots, `diff.${magnitudeBin(difference)}`)
}

/** Counts both latencies of a pair that was sent alone, and its exceedances where thresholds are known. */
export function countPairLatency(
  slots: Counters,
  baselineMs: number,
  candidateMs: number,
  thresholds: Readonly<Record<QuantileName, Threshold>> | undefined,
): void {
  countLatency(slots, 'plat.b', baselineMs)
  countLatency(slots, 'plat.c', candidateMs)
  if (thresholds === undefined) return
  for (const slot of pairedExceedances(thresholds, baselineMs, candidateMs)) count(slots, slot)
}

function candidateFailed({ outcome }: Observation, pair: Pair, baselineOk: boolean): boolean {
  if (pair.comparison?.unstable) return true
  if (outcome.ok) return false
  // A refused request is the candidate's error only where live accepted it.
  return baselineOk || outcome.code !== 'BAD_TENSOR'
}

function errorSlot(baselineOk: boolean, candidateFailed: boolean): string {
  if (baselineOk) return candidateFailed ? SLOT.candidateError : SLOT.bothOk
  return candidateFailed ? SLOT.bothError : SLOT.baselineError
}
