// Puts two answers to one request together, whichever side was served. Decides what counts as an error; counts nothing.
import type { DropReason } from '../evidence/accounting.ts'
import { type Comparison, compareOutputs, type Outputs } from '../evidence/compare.ts'
import { type FirstRow, firstRowOf } from '../evidence/firstRow.ts'
import { type Prediction, predictionOf } from '../evidence/loss.ts'
import type { PairCount } from '../evidence/pairCount.ts'
import { segmentsOf } from '../evidence/segments.ts'
import type { InferRequest } from '../protocols/codec.ts'
import { typedLike } from '../protocols/conform.ts'
import type { Tensor } from '../protocols/tensor.ts'
import { OUTCOME } from '../record/format.ts'
import type { ComparedOutput, SnapshotRoute, SnapshotVersion } from '../rollout/snapshot.ts'
import type { ScoreOutcome } from '../scoring/scorer.ts'
import type { Observation, Task } from './task.ts'

export type CompareResult = 'match' | 'mismatch' | 'baseline_error' | 'candidate_error' | 'timeout' | 'unparseable'

/** One comparison of one request, as counts, spans and labels need it. */
export interface Pair {
  readonly result: CompareResult
  readonly comparison: Comparison | undefined
  /** It came to no pair after all: live was not to be had in the shadow. */
  readonly dropped: DropReason | undefined
  /** Who failed; undefined: the request is no evidence of anybody's errors. */
  readonly errors: { readonly baseline: boolean; readonly candidate: boolean } | undefined
  readonly errorType: string
  readonly segments: readonly string[]
  readonly baseline: Prediction
  readonly candidate: Prediction
  /** First rows of both sides, where both answered. */
  readonly firstRows: readonly [baseline: FirstRow, candidate: FirstRow] | undefined
  /** The baseline's outputs, for a second run of it to be compared with. */
  readonly baselineOutputs: Outputs | undefined
}

/** One candidate's part in a request, for spans. */
export interface Ended {
  /** The candidate, whether it was served or shadowed. */
  readonly version: SnapshotVersion
  /** Undefined: it was dropped before anybody was asked. */
  readonly observation: Observation | undefined
  /** Undefined: dropped, or it could not be compared. */
  readonly pair: Pair | undefined
  /** What it added to the evidence. */
  readonly count: PairCount
  /** Counted from 1 within its evidence key, in the order of observation; undefined: nothing was observed. */
  readonly number: number | undefined
  /** Whether a second run of the baseline differed from its first; undefined: there was none. */
  again?: boolean
  /** The candidate was served, and live was asked in the shadow. */
  readonly isReversed: boolean
}

const FIRST: ComparedOutput = { output: undefined, kind: undefined, tolerance: {} }

/**
 * Live was served, the candidate asked in the shadow. A candidate that cannot answer where live did is in error, and so is
 * a 4xx or a new NaN of it.
 */
export function pairOf(task: Task, { outcome }: Observation): Pair {
  const { route, served } = task
  const base = nothingOf(task, task.servedOk ? served : undefined)
  const errorType = outcome.ok ? '' : outcome.code
  if (!task.servedOk) {
    // A refused request is the candidate's error only where live accepted it.
    const candidate = !outcome.ok && outcome.code !== 'BAD_TENSOR'
    return { ...base, result: 'baseline_error', errorType, errors: { baseline: true, candidate } }
  }
  // A client that asked for other outputs only has left nothing to compare: that says nothing about the candidate.
  if (served === undefined || leavesOut(task)) return { ...base, result: 'unparseable', errorType: '' }
  if (!outcome.ok) {
    const result = outcome.code === 'VERSION_DEADLINE' ? 'timeout' : 'candidate_error'
    return { ...base, baseline: labelledOf(route, served), result, errorType, errors: CANDIDATE_FAILED }
  }
  const candidate = attempt(() => answeredOutputs(task, outcome))
  // It answered what cannot be told to this client, or read: live's answer was.
  if (candidate === undefined) {
    const baseline = labelledOf(route, served)
    return { ...base, baseline, result: 'candidate_error', errorType: 'VERSION_FAILED', errors: CANDIDATE_FAILED }
  }
  return compared(base.segments, route, served, candidate)
}

/**
 * The canary was served, live asked in the shadow: the same evidence with the roles reversed. Where live did not answer in
 * time or could not be reached, the shadow path may be at fault: that is a drop and no evidence, and on the canary's side
 * such requests are left out before (see serving/account), so that neither is favoured. What live refuses is the client's
 * fault.
 */
export function reversedPairOf(task: Task, { outcome }: Observation): Pair {
  const { route, served, servedOk, record } = task
  if (!outcome.ok) {
    const { code: errorType } = outcome
    const dropped = NOT_TO_BE_HAD[errorType]
    const isDecided = dropped === undefined && errorType !== 'BAD_TENSOR'
    const errors = isDecided ? { baseline: true, candidate: record.outcome === OUTCOME.failed } : undefined
    return { ...nothingOf(task), result: 'baseline_error', errorType, errors, dropped }
  }
  if (leavesOut(task)) return { ...nothingOf(task), result: 'unparseable', errorType: '' }
  const baseline = attempt(() => answeredOutputs(task, outcome, task.requestedOutputs))
  if (baseline === undefined) {
    const errors = { baseline: true, candidate: record.outcome === OUTCOME.failed }
    return { ...nothingOf(task), result: 'baseline_error', errorType: 'VERSION_FAILED', errors }
  }
  const base = nothingOf(task, baseline)
  if (!servedOk || served === undefined) {
    const errorType = servedOk ? 'VERSION_FAILED' : record.errorType
    const result = 'candidate_error'
    return { ...base, baseline: labelledOf(route, baseline), result, errorType, errors: CANDIDATE_FAILED }
  }
  return compared(base.segments, route, baseline, served)
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

const CANDIDATE_FAILED = { baseline: false, candidate: true } as const
const NOBODY_FAILED = { baseline: false, candidate: false } as const
const NOT_TO_BE_HAD: Readonly<Record<string, DropReason>> = {
  VERSION_DEADLINE: 'expired',
  VERSION_UNREACHABLE: 'not_ready',
  VERSION_NOT_READY: 'not_ready',
}

/**
 * A shadow's outputs in the form that a served answer has, of the outputs named by `only` where it is given. Served answers
 * went through JSON, which has no infinity: what an embedded model gives as one is compared as the null that a client
 * would have seen.
 */
export function answeredOutputs(
  task: Task,
  { outputs, raw, untyped }: Extract<ScoreOutcome, { ok: true }>,
  only?: readonly string[],
): Outputs {
  const asked = only === undefined ? outputs : only.flatMap(name => outputs.find(output => output.name === name) ?? [])
  const { codec } = task
  if (codec?.protocol === 'v2' && !task.comparesJson) {
    const { served } = task
    const isTyped = untyped !== true && task.servedTyped
    const typed = isTyped || served === undefined || !('tensors' in served) ? asked : typedLike(asked, served.tensors)
    return { tensors: task.servedAsJson ? typed.map(asAnswered) : typed }
  }
  if (raw !== undefined) return task.readAnswer({ bytes: raw, jsonBytes: undefined, contentType: '' })
  const { request } = task
  if (codec === undefined || request === undefined) throw new Error('nothing says what its answer would look like')
  // Other protocols carry neither datatypes nor always names: what the client would have seen is compared.
  const response = { modelName: task.route.name, modelVersion: undefined, id: undefined, outputs: asked }
  const { body, contentType } = codec.encodeResponse(response, inJson(request))
  return task.readAnswer({ bytes: Buffer.from(body), jsonBytes: undefined, contentType })
}

/**
 * The segments of a request, by its inputs and by what the baseline answered where that is known. The request is not
 * decoded where the route has none.
 */
export function segmentsOfTask(task: Task, answer?: Outputs): string[] {
  const { segments } = task.route
  if (segments.length === 0) return []
  return segmentsOf(task.fields, segments, answer)
}

function nothingOf(task: Task, answer?: Outputs): Omit<Pair, 'result' | 'errorType'> {
  return {
    comparison: undefined,
    dropped: undefined,
    errors: undefined,
    segments: segmentsOfTask(task, answer),
    baseline: null,
    candidate: null,
    firstRows: undefined,
    baselineOutputs: undefined,
  }
}

/** Written out, field by field: nearly every pair comes this way, and spreading costs more than counting. */
export function compared(
  segments: readonly string[],
  route: SnapshotRoute,
  baseline: Outputs,
  candidate: Outputs,
): Pair {
  const comparison = compareOutputs(baseline, candidate, route.compare)
  const spec = route.compare[0] ?? FIRST
  const b = firstRowOf(baseline, spec)
  // "The first output" is the baseline's, as in the comparison.
  const ofCandidate = spec.output === undefined ? { ...spec, output: nameOf(baseline) } : spec
  const c = b === undefined ? undefined : firstRowOf(candidate, ofCandidate)
  return {
    result: comparison.result,
    comparison,
    dropped: undefined,
    errors: comparison.unstable ? CANDIDATE_FAILED : NOBODY_FAILED,
    errorType: '',
    segments,
    baseline: labelledOf(route, baseline),
    candidate: labelledOf(route, candidate),
    firstRows: b === undefined || c === undefined ? undefined : [b, c],
    baselineOutputs: baseline,
  }
}

function nameOf(outputs: Outputs): string | undefined {
  return 'tensors' in outputs ? outputs.tensors[0]?.name : undefined
}

/** What a label is held against; null where the route takes none. */
export function labelledOf(route: SnapshotRoute, outputs: Outputs): Prediction {
  return route.labels === undefined ? null : predictionOf(outputs, route.compare[0] ?? FIRST)
}

function leavesOut({ requestedOutputs, route }: Task): boolean {
  if (requestedOutputs === undefined) return false
  return route.compare.some(
    ({ output }) => output !== undefined && !output.startsWith('/') && !requestedOutputs.includes(output),
  )
}

/** Pointers are followed in JSON, so nothing may be answered as raw bytes. */
function inJson(request: InferRequest): InferRequest {
  return { ...request, binaryOutputs: false, outputs: request.outputs?.map(({ name }) => ({ name, binary: false })) }
}

function asAnswered(tensor: Tensor): Tensor {
  const { data } = tensor
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return tensor
  if (!holdsInfinity(data)) return tensor
  return { ...tensor, data: data.map(value => (Number.isFinite(value) ? value : Number.NaN)) }
}

/** A loop: `some` calls back for each value, at ten times its cost. */
function holdsInfinity(data: Float32Array | Float64Array): boolean {
  for (let at = 0; at < data.length; at++) if (Math.abs(data[at]!) === Number.POSITIVE_INFINITY) return true
  return false
}
