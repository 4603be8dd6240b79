// What a prediction cost, once its label is known, and how much more the candidate's cost than the baseline's.
// Knows nothing of requests, bins or tests.
import type { Loss } from '../config/schema.ts'
import { type CompareSpec, labelOf, numeric, type Outputs, outputOf } from './outputs.ts'

/**
 * What is kept of an answer until its label arrives: a number (score, class or p of the positive class), a text label,
 * a vector of class probabilities, or null when there was no usable one. Survives JSON.
 */
export type Prediction = number | string | readonly number[] | null

/** A true outcome: a number (value or class index), a class name, or true/false for class 1/0. */
export type Label = number | string | boolean

export interface LossSpec {
  readonly loss: Loss
  /** absolute, squared and logloss: the difference that counts as ±1. */
  readonly clip: number
  /** zero-one: the score at or above which a number means class 1; 0.5 for scores in [0, 1] by default. */
  readonly threshold?: number | undefined
}

/** One prediction a row, raw: thresholds and argmax are the loss's business. [] when the output is missing. */
export function predictionsOf(outputs: Outputs, spec: Pick<CompareSpec, 'output' | 'kind'>): Prediction[] {
  const value = outputOf(outputs, spec)
  if (value === undefined) return []
  return Array.from({ length: value.rows }, (_, row) => {
    const first = row * value.width
    if (value.family === 'text' || (value.width > 1 && value.family !== 'float')) {
      const label = labelOf(value, row, {})
      return label === undefined ? null : String(label)
    }
    if (value.width === 1) {
      const element = value.data[first]
      // A 64-bit id beyond 2^53 would be rounded; as text it is still told apart.
      if (typeof element === 'bigint' && !Number.isSafeInteger(Number(element))) return String(element)
      const x = numeric(value, first)
      return Number.isFinite(x) ? x : null
    }
    const vector = Array.from({ length: value.width }, (_, index) => numeric(value, first + index))
    return vector.length > 0 && vector.every(Number.isFinite) ? vector : null
  })
}

/** The prediction of a request of one row; null when the output is missing, unusable, or holds several rows. */
export function predictionOf(outputs: Outputs, spec: Pick<CompareSpec, 'output' | 'kind'>): Prediction {
  const predictions = predictionsOf(outputs, spec)
  return predictions.length === 1 ? predictions[0]! : null
}

/**
 * loss(candidate) − loss(baseline), in [−1, 1], to be counted in `loss.<bin>`; undefined when the label cannot be used
 * with this loss (so that a mistyped label never counts for or against anyone).
 *
 * zero-one and brier lie in [0, 1] by themselves; the others are differences divided by `clip` and clipped. A side
 * without a usable prediction has the greatest loss: 1, and for the unbounded losses the difference is ±1.
 */
export function lossDifference(
  baseline: Prediction,
  candidate: Prediction,
  label: Label,
  spec: LossSpec,
): number | undefined {
  if (typeof label === 'number' && !Number.isFinite(label)) return undefined
  const b = lossOf(baseline, label, spec)
  const c = lossOf(candidate, label, spec)
  // What neither side can be held against is the label's fault, unless both sides lack a prediction.
  if (b === undefined && c === undefined) {
    return isUsable(baseline) || isUsable(candidate) ? undefined : 0
  }
  if (spec.loss === 'zero-one' || spec.loss === 'brier') return (c ?? 1) - (b ?? 1)
  if (b === undefined) return -1
  if (c === undefined) return 1
  return Math.max(-1, Math.min(1, (c - b) / spec.clip))
}

/**
 * The loss of one prediction in [0, 1], to be counted in `arm.x.loss.<bin>`; undefined when no prediction could be held
 * against this label. The unbounded losses are clipped to `clip` and divided by it. A prediction that is missing, or of a form
 * that the label does not fit, has the greatest loss: whether a label counts depends on the label alone, since labels that
 * one arm's form made unusable would spare that arm.
 *
 * The difference of two such losses is `lossDifference` for zero-one and brier; for the others, where each side is clipped by
 * itself, it has that sign and is nowhere larger.
 */
export function boundedLoss(prediction: Prediction, label: Label, spec: LossSpec): number | undefined {
  if (!isUsableLabel(label, spec.loss)) return undefined
  const loss = lossOf(prediction, label, spec)
  if (loss === undefined) return 1
  return Math.min(1, spec.loss === 'zero-one' || spec.loss === 'brier' ? loss : loss / spec.clip)
}

function isUsableLabel(label: Label, loss: Loss): boolean {
  if (typeof label === 'number' && !Number.isFinite(label)) return false
  if (loss === 'zero-one') return true
  const truth = number(label)
  if (truth === undefined) return false
  // A class index: how many classes there are only a prediction knows.
  return loss === 'absolute' || loss === 'squared' || (Number.isInteger(truth) && truth >= 0)
}

/** The loss of one prediction; undefined when prediction and label do not fit this loss. Zero-one and brier in [0, 1]. */
export function lossOf(prediction: Prediction, label: Label, spec: LossSpec): number | undefined {
  if (!isUsable(prediction)) return undefined
  switch (spec.loss) {
    case 'zero-one':
      return zeroOne(prediction, label, spec.threshold)
    case 'brier':
      return brier(prediction, label)
    case 'logloss':
      return logLoss(prediction, label)
    case 'absolute':
    case 'squared': {
      const value = scalar(prediction)
      const truth = number(label)
      if (value === undefined || truth === undefined) return undefined
      // Finite even for absurd scores, so that two of them do not differ by Infinity − Infinity.
      const distance = Math.min(Math.abs(value - truth), 1e150)
      return spec.loss === 'absolute' ? distance : distance * distance
    }
  }
}

function isUsable(prediction: Prediction): prediction is number | string | readonly number[] {
  if (prediction === null) return false
  if (typeof prediction === 'number') return Number.isFinite(prediction)
  return typeof prediction === 'string' || (prediction.length > 0 && prediction.every(Number.isFinite))
}

function zeroOne(
  prediction: number | string | readonly number[],
  label: Label,
  threshold?: number,
): number | undefined {
  if (typeof prediction === 'string') {
    const truth = typeof label === 'boolean' ? [String(label), String(Number(label))] : [String(label)]
    return truth.includes(prediction) ? 0 : 1
  }
  const truth = number(label)
  if (truth === undefined) return undefined
  if (typeof prediction === 'number') {
    const isScore = threshold !== undefined || (prediction > 0 && prediction < 1)
    return (isScore ? Number(prediction >= (threshold ?? 0.5)) : prediction) === truth ? 0 : 1
  }
  const probability = scalar(prediction)
  if (probability !== undefined && threshold !== undefined) return Number(probability >= threshold) === truth ? 0 : 1
  if (prediction.length === 1) return Number(prediction[0]! >= 0.5) === truth ? 0 : 1
  return prediction.indexOf(Math.max(...prediction)) === truth ? 0 : 1
}

/** ½Σ(p_k − 1[y=k])², which for two classes is (p − y)²; clipped to 1 for vectors that are no distribution. */
function brier(prediction: number | string | readonly number[], label: Label): number | undefined {
  const vector = distribution(prediction)
  const truth = number(label)
  if (vector === undefined || truth === undefined || !(truth in vector)) return undefined
  let sum = 0
  for (const [index, p] of vector.entries()) sum += (p - (index === truth ? 1 : 0)) ** 2
  return Math.min(1, sum / 2)
}

/** −ln p(y); p is taken as at least 1e-15, so that one certain error is large and still finite. */
function logLoss(prediction: number | string | readonly number[], label: Label): number | undefined {
  const vector = distribution(prediction)
  const truth = number(label)
  if (vector === undefined || truth === undefined || !(truth in vector)) return undefined
  return -Math.log(Math.min(1, Math.max(1e-15, vector[truth]!)))
}

function distribution(prediction: number | string | readonly number[]): readonly number[] | undefined {
  if (typeof prediction === 'string') return undefined
  if (typeof prediction === 'number') return [1 - prediction, prediction]
  return prediction.length === 1 ? [1 - prediction[0]!, prediction[0]!] : prediction
}

/** A single value: the number, or of two classes the probability of the second. */
function scalar(prediction: number | string | readonly number[]): number | undefined {
  if (typeof prediction === 'number') return prediction
  if (typeof prediction === 'string') return number(prediction)
  return prediction.length <= 2 ? prediction.at(-1) : undefined
}

function number(label: Label): number | undefined {
  if (typeof label === 'boolean') return Number(label)
  if (typeof label === 'number') return label
  if (/^(true|false)$/.test(label)) return Number(label === 'true')
  const parsed = label.trim() === '' ? Number.NaN : Number(label)
  return Number.isFinite(parsed) ? parsed : undefined
}
