// Reads what the first row of an answer says, as one number and as one label. Knows nothing of the other side.
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

export interface FirstRow {
  /**
   * A number's value (of several a row their average), the second of two probabilities and the greatest of more, or the
   * score behind a threshold. Undefined where the output has no such thing, or where it is not finite.
   */
  readonly score: number | undefined
  /** The label, or the class with the greatest probability; undefined where the output has none. */
  readonly label: string | undefined
  /** Whether a difference of scores means something: the greatest of many probabilities is of no one class. */
  readonly isMeasured: boolean
}

/** The first row of the output that `spec` names; undefined when there is no such output or no row. */
export function firstRowOf(outputs: Outputs, spec: CompareSpec): FirstRow | undefined {
  const value = outputOf(outputs, spec)
  if (value === undefined || value.rows === 0) return undefined
  const kind = kindOf(value, spec)
  const hasThreshold = spec.tolerance.threshold !== undefined && value.family === 'float' && value.width <= 2
  const isMeasured = kind === 'number' || hasThreshold || (kind === 'probabilities' && value.width <= 2)
  const classes = kind === 'label' || (kind === 'probabilities' && (value.width > 1 || hasThreshold))
  const label = classes ? labelOf(value, 0, spec.tolerance) : undefined
  const score = isMeasured || kind === 'probabilities' ? scoreOf(value, kind === 'number') : undefined
  return {
    score: score !== undefined && Number.isFinite(score) ? score : undefined,
    label: label === undefined ? undefined : String(label),
    isMeasured,
  }
}

function scoreOf(value: OutputValue, isNumber: boolean): number {
  const { width } = value
  if (width === 1) return numeric(value, 0)
  if (isNumber) {
    let sum = 0
    for (let at = 0; at < width; at++) sum += numeric(value, at)
    return sum / width
  }
  return width === 2 ? numeric(value, 1) : numeric(value, argmax(value, 0))
}
