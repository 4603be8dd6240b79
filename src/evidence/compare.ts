// Decides whether two answers to one request agree. Knows nothing of traffic, counters or who was right.
import type { CompareKind } from '../config/schema.ts'
import {
  argmax,
  type CompareSpec,
  kindOf,
  labelOf,
  numeric,
  type Outputs,
  type OutputValue,
  outputOf,
} from './outputs.ts'
import { shortNumber } from './shortNumber.ts'

export type { CompareSpec, Outputs } from './outputs.ts'

export type MismatchReason = 'missing' | 'type' | 'shape' | 'nonFinite' | 'value'

export interface OutputComparison {
  /** Tensor name or JSON pointer. */
  readonly output: string
  readonly kind: CompareKind | undefined
  readonly result: 'match' | 'mismatch'
  /** The candidate gave a NaN or an infinity that the baseline did not give at that place. */
  readonly unstable: boolean
  /** Why it is a mismatch: `value` is beyond tolerance, the others make the values incomparable. */
  readonly reason?: MismatchReason
  /** A sentence for `reason`, such as "shape [1,3] against [1,2]" (candidate against baseline). */
  readonly detail?: string
  readonly rows: number
  readonly mismatchingRows: number
  /** Largest |candidate − baseline| over places where both are finite; null without numbers. */
  readonly maxAbsDiff: number | null
  /** Largest |candidate − baseline| / |baseline|; Infinity where the baseline is 0 and the candidate is not. */
  readonly maxRelDiff: number | null
  /** Probabilities: rows whose greatest entries agree. */
  readonly argmaxAgreement?: number
  /** For display, of the first row that differs, else of the first row: label, number, or for vectors the leading index. */
  readonly baselineValue: number | string | null
  readonly candidateValue: number | string | null
  /** The row that these values are of, from 0; null where there is none to compare. */
  readonly shownRow: number | null
  /** Largest |candidate − baseline| of each row, for the histogram `diff.<bin>`; rows without numbers are left out. */
  readonly differences: readonly number[]
}

/** One comparison of one request: a mismatch when any output or any row mismatches. */
export interface Comparison {
  readonly result: 'match' | 'mismatch'
  readonly unstable: boolean
  readonly reason?: MismatchReason
  readonly detail?: string
  readonly rows: number
  readonly mismatchingRows: number
  readonly maxAbsDiff: number | null
  readonly maxRelDiff: number | null
  readonly baselineValue: number | string | null
  readonly candidateValue: number | string | null
  readonly differences: readonly number[]
  readonly outputs: readonly OutputComparison[]
}

/**
 * Compares every output that `specs` names (none: the first output, exactly). Rows are the first dimension.
 *
 * - `number`: |candidate − baseline| ≤ absolute + relative·|baseline| at every place, as numpy.isclose; exact by default.
 * - `label`: equal values, or equal labels by `threshold` or by the greatest entry of a row.
 * - `probabilities`: |Δp| ≤ absolute at every place.
 * - `ranking`: the `top` leading indices (all by default) are the same in the same order, equal scores in order of index;
 *   a swap of entries whose baseline scores differ by at most `absolute` is none. Lists of text or integers are
 *   rankings themselves.
 *
 * NaN equals NaN and an infinity the same infinity; any other non-finite value is a mismatch in every kind.
 */
export function compareOutputs(baseline: Outputs, candidate: Outputs, specs: readonly CompareSpec[]): Comparison {
  const list = specs.length > 0 ? specs : EXACTLY_THE_FIRST
  const outputs = list.map(spec => compareOutput(baseline, candidate, spec))
  const [only] = outputs
  return outputs.length === 1 ? alone(only!, outputs) : together(outputs)
}

const EXACTLY_THE_FIRST: readonly CompareSpec[] = [{ output: undefined, kind: undefined, tolerance: {} }]

/** Nearly every route compares one output, and nearly every comparison is a match: spreading costs more than comparing. */
function alone(only: OutputComparison, outputs: readonly OutputComparison[]): Comparison {
  const comparison: Comparison = {
    result: only.result,
    unstable: only.unstable,
    rows: only.rows,
    mismatchingRows: only.mismatchingRows,
    maxAbsDiff: only.maxAbsDiff,
    maxRelDiff: only.maxRelDiff,
    baselineValue: only.baselineValue,
    candidateValue: only.candidateValue,
    differences: only.differences,
    outputs,
  }
  return only.reason === undefined ? comparison : { ...comparison, ...said(only) }
}

function together(outputs: readonly OutputComparison[]): Comparison {
  const shown = outputs.find(output => output.result === 'mismatch') ?? outputs[0]!
  return {
    ...alone(shown, outputs),
    result: outputs.every(output => output.result === 'match') ? 'match' : 'mismatch',
    unstable: outputs.some(output => output.unstable),
    rows: Math.max(...outputs.map(output => output.rows)),
    mismatchingRows: Math.max(...outputs.map(output => output.mismatchingRows)),
    maxAbsDiff: greatest(outputs.map(output => output.maxAbsDiff)),
    maxRelDiff: greatest(outputs.map(output => output.maxRelDiff)),
    differences: outputs.flatMap(output => output.differences),
  }
}

function said({ reason, detail }: OutputComparison): Pick<OutputComparison, 'reason' | 'detail'> | undefined {
  if (reason === undefined) return undefined
  return detail === undefined ? { reason } : { reason, detail }
}

function compareOutput(baseline: Outputs, candidate: Outputs, spec: CompareSpec): OutputComparison {
  const b = outputOf(baseline, spec)
  // "The first output" is the baseline's: a candidate that orders its outputs differently is compared by name.
  const c = outputOf(candidate, { output: spec.output ?? b?.name, kind: spec.kind })
  const name = spec.output ?? b?.name ?? c?.name ?? ''
  if (b === undefined || c === undefined) {
    if (b === undefined && c === undefined) return apart(name, b, c, 'missing', `neither side has output ${name}`)
    return apart(name, b, c, 'missing', `the ${b === undefined ? 'baseline' : 'candidate'} has no output ${name}`)
  }
  // A JSON null carries no type; it decodes as a NaN number and is compared as one below.
  if (b.family !== c.family) return apart(name, b, c, 'type', `${c.family} against ${b.family}`)
  if (b.shape.length !== c.shape.length || b.shape.some((dimension, axis) => dimension !== c.shape[axis]))
    return apart(name, b, c, 'shape', `shape [${c.shape}] against [${b.shape}]`)
  return compareRows(name, b, c, spec)
}

function compareRows(name: string, b: OutputValue, c: OutputValue, spec: CompareSpec): OutputComparison {
  const kind = kindOf(b, spec)
  const { absolute = 0, relative: share = 0 } = spec.tolerance
  const differences: number[] = []
  let maxAbsDiff: number | null = null
  let maxRelDiff: number | null = null
  let mismatchingRows = 0
  let firstBad = -1
  let reason: MismatchReason | undefined
  let unstable = false
  let agreeing = 0
  for (let row = 0; row < b.rows; row += 1) {
    let largest = -1
    let within = true
    let finite = true
    for (let at = row * b.width; at < (row + 1) * b.width && b.family !== 'text'; at += 1) {
      const x = numeric(b, at)
      const y = numeric(c, at)
      if (!Number.isFinite(x) || !Number.isFinite(y)) {
        if (Object.is(x, y)) continue
        finite = false
        if (!Number.isFinite(y)) unstable = true
        continue
      }
      const difference = distance(b, c, at, x, y)
      largest = Math.max(largest, difference)
      const relative = difference === 0 ? 0 : difference / Math.abs(x)
      maxRelDiff = Math.max(maxRelDiff ?? 0, relative)
      if (difference > absolute + (kind === 'probabilities' ? 0 : share * Math.abs(x))) within = false
    }
    if (largest >= 0) {
      differences.push(largest)
      maxAbsDiff = Math.max(maxAbsDiff ?? 0, largest)
    }
    if (kind === 'probabilities' && argmax(b, row) === argmax(c, row)) agreeing += 1
    if (kind === 'label') within = labelOf(b, row, spec.tolerance) === labelOf(c, row, spec.tolerance)
    else if (kind === 'ranking') within = sameRanking(b, c, row, spec)
    if (finite && within) continue
    mismatchingRows += 1
    if (firstBad < 0) {
      firstBad = row
      reason = finite ? 'value' : 'nonFinite'
    }
  }
  const row = Math.max(firstBad, 0)
  const compared: OutputComparison = {
    output: name,
    kind,
    result: mismatchingRows === 0 ? 'match' : 'mismatch',
    unstable,
    rows: b.rows,
    mismatchingRows,
    maxAbsDiff,
    maxRelDiff,
    baselineValue: shown(b, row, kind, spec),
    candidateValue: shown(c, row, kind, spec),
    shownRow: b.rows === 0 ? null : row,
    differences,
  }
  const agreed = kind === 'probabilities' ? { ...compared, argmaxAgreement: agreeing } : compared
  return reason === undefined ? agreed : { ...agreed, reason, detail: detail(reason, unstable, kind, maxAbsDiff) }
}

/** |candidate − baseline|; 64-bit integers are subtracted before they are rounded. */
function distance(b: OutputValue, c: OutputValue, at: number, x: number, y: number): number {
  const exactB = b.data[at]
  const exactC = c.data[at]
  if (typeof exactB === 'bigint' && typeof exactC === 'bigint') return Math.abs(Number(exactC - exactB))
  return Math.abs(y - x)
}

function sameRanking(b: OutputValue, c: OutputValue, row: number, spec: CompareSpec): boolean {
  const top = Math.min(spec.tolerance.top ?? b.width, b.width)
  const first = row * b.width
  if (b.family !== 'float') {
    for (let index = 0; index < top; index += 1) if (b.data[first + index] !== c.data[first + index]) return false
    return true
  }
  const orderB = order(b, row)
  const orderC = order(c, row)
  for (let place = 0; place < top; place += 1) {
    const [ours, theirs] = [orderB[place]!, orderC[place]!]
    if (ours === theirs) continue
    const gap = Math.abs(numeric(b, first + ours) - numeric(b, first + theirs))
    if (!(gap <= (spec.tolerance.absolute ?? 0))) return false
  }
  return true
}

/** Indices of a row by falling score, NaN last, equal scores by index. */
function order(value: OutputValue, row: number): number[] {
  const score = (index: number) => {
    const x = numeric(value, row * value.width + index)
    return Number.isNaN(x) ? Number.NEGATIVE_INFINITY : x
  }
  return Array.from({ length: value.width }, (_, index) => index).sort((p, q) =>
    score(p) === score(q) ? p - q : score(q) > score(p) ? 1 : -1,
  )
}

function apart(
  output: string,
  b: OutputValue | undefined,
  c: OutputValue | undefined,
  reason: MismatchReason,
  detail: string,
): OutputComparison {
  const rows = Math.max(b?.rows ?? 1, c?.rows ?? 1)
  return {
    output,
    kind: undefined,
    result: 'mismatch',
    unstable: hasNonFinite(c) && !hasNonFinite(b),
    reason,
    detail,
    rows,
    mismatchingRows: rows,
    maxAbsDiff: null,
    maxRelDiff: null,
    baselineValue: null,
    candidateValue: null,
    shownRow: null,
    differences: [],
  }
}

function hasNonFinite(value: OutputValue | undefined): boolean {
  if (value === undefined || value.family !== 'float') return false
  for (let at = 0; at < value.data.length; at += 1) if (!Number.isFinite(numeric(value, at))) return true
  return false
}

function detail(reason: MismatchReason, unstable: boolean, kind: CompareKind, maxAbsDiff: number | null): string {
  if (reason === 'nonFinite') return `NaN or infinity from the ${unstable ? 'candidate' : 'baseline'} only`
  if (kind === 'label') return 'another label'
  if (kind === 'ranking') return 'another order'
  return `differs by up to ${shortNumber(maxAbsDiff ?? 0)}`
}

function shown(value: OutputValue, row: number, kind: CompareKind, spec: CompareSpec): number | string | null {
  if (value.rows === 0) return null
  if (kind === 'label') return plain(labelOf(value, row, spec.tolerance))
  if (value.width === 1) return plain(value.data[row])
  if (kind === 'ranking' && value.family !== 'float') return plain(value.data[row * value.width])
  // Of two classes the probability of the second says all; of more, which one leads.
  if (kind === 'probabilities' && value.width === 2) return plain(value.data[row * 2 + 1])
  if (kind === 'number') return plain(value.data[row * value.width])
  const index = argmax(value, row)
  return index < 0 ? null : index
}

function plain(value: number | bigint | string | undefined): number | string | null {
  if (value === undefined) return null
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (typeof value === 'string') return value.length > 64 ? `${value.slice(0, 63)}…` : value
  return Number.isFinite(value)
    ? shortNumber(value)
    : Number.isNaN(value)
      ? 'NaN'
      : value > 0
        ? 'Infinity'
        : '-Infinity'
}

function greatest(values: readonly (number | null)[]): number | null {
  return values.reduce((most, value) => (value === null ? most : most === null ? value : Math.max(most, value)), null)
}
