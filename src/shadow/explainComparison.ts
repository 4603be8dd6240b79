// Tells how two answers to one request differ, output by output, and shows the answers themselves, shortened. Pure.
import type { CompareSpec, Outputs } from '../evidence/compare.ts'
import { type OutputValue, outputOf } from '../evidence/outputs.ts'
import type { ExplainedComparison, ExplainedDifference, ExplainedOutput } from './explanation.ts'
import { type Pair, pairOf, reversedPairOf } from './pair.ts'
import type { Observation, Task } from './task.ts'

const FIRST: CompareSpec = { output: undefined, kind: undefined, tolerance: {} }
/** Values of a row that are shown. */
const MOST_VALUES = 16
const LONGEST_TEXT = 200

/** @param isReversed the candidate was served, and live was asked in the shadow */
export function explainComparison(
  task: Task,
  candidate: string,
  observation: Observation,
  isReversed: boolean,
): ExplainedComparison {
  const pair = pairAgain(task, observation, isReversed)
  const dropped = pair?.dropped ?? null
  const comparison = pair?.comparison
  return {
    baseline: task.route.live,
    candidate,
    result: dropped !== null ? 'dropped' : (pair?.result ?? 'unparseable'),
    errorType: pair === undefined || pair.errorType === '' ? null : pair.errorType,
    detail: pair === undefined || pair.result === 'unparseable' ? whyUnparseable(task) : null,
    dropped,
    maxAbsDiff: comparison?.maxAbsDiff ?? null,
    maxRelDiff: finiteOr(comparison?.maxRelDiff),
    outputs: comparison?.outputs.map((output, index) => differenceOf(output, task.route.compare[index])) ?? [],
  }
}

/**
 * The first row of every output that is compared, of one answer; outputs that it does not have are left out.
 * @param served "the first output" is that of the answer that was served
 */
export function shownOutputs(
  outputs: Outputs,
  specs: readonly CompareSpec[],
  served: Outputs | undefined,
): ExplainedOutput[] {
  const first = served !== undefined && 'tensors' in served ? served.tensors[0]?.name : undefined
  return (specs.length > 0 ? specs : [FIRST]).flatMap(spec => {
    const value = outputOf(outputs, { ...spec, output: spec.output ?? first }) ?? outputOf(outputs, spec)
    return value === undefined ? [] : shownOutput(value)
  })
}

/** As it was compared when it happened; undefined: it could not be. */
function pairAgain(task: Task, observation: Observation, isReversed: boolean): Pair | undefined {
  try {
    return isReversed ? reversedPairOf(task, observation) : pairOf(task, observation)
  } catch {
    return undefined
  }
}

function whyUnparseable({ servedOk, served }: Task): string {
  return servedOk && served === undefined
    ? 'the answer that was served cannot be read'
    : 'the client asked for other outputs than those that are compared, or an answer cannot be read'
}

type Compared = NonNullable<Pair['comparison']>['outputs'][number]

function differenceOf(compared: Compared, spec: CompareSpec | undefined): ExplainedDifference {
  const { output, kind, result, reason, detail, rows, mismatchingRows, shownRow } = compared
  return {
    output,
    kind: kind ?? null,
    result,
    reason: reason ?? null,
    detail: detail ?? null,
    tolerance: spec?.tolerance ?? {},
    rows,
    mismatchingRows,
    row: shownRow,
    maxAbsDiff: compared.maxAbsDiff,
    maxRelDiff: finiteOr(compared.maxRelDiff),
    baselineValue: compared.baselineValue,
    candidateValue: compared.candidateValue,
  }
}

function shownOutput({ name, shape, family, rows, width, data }: OutputValue): ExplainedOutput {
  const values: (number | string)[] = []
  for (let at = 0; rows > 0 && at < Math.min(width, MOST_VALUES); at++) values.push(shownValue(data[at]!, family))
  return { output: name, shape, values, width }
}

/** Floats to seven digits, as a 32-bit one has. */
function shownValue(value: number | bigint | string, family: OutputValue['family']): number | string {
  if (typeof value === 'string') return value.length > LONGEST_TEXT ? `${value.slice(0, LONGEST_TEXT)}…` : value
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (!Number.isFinite(value)) return String(value)
  return family === 'float' ? Number(value.toPrecision(7)) : value
}

function finiteOr(value: number | null | undefined): number | null {
  return value !== undefined && value !== null && Number.isFinite(value) ? value : null
}
