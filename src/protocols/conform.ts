// Gives the outputs of an answer that tells neither names nor datatypes those of a known signature. Decides nothing else.
import { fitShape } from './nested.ts'
import { UNNAMED_OUTPUT } from './predictions.ts'
import { type Datatype, numberAt, type Tensor, type TensorData, type TensorShape } from './tensor.ts'
import { type Reading, readValues } from './values.ts'

/**
 * V1 and MLflow answer with plain numbers, and with no name for a single output, so that an answer of theirs and one of a
 * V2 server or an embedded model have neither names nor families of datatypes in common. With a signature to compare under
 * (one that a server declares, or the route's other version): a single unnamed output takes the name of the only output
 * whose shape it has; an output takes the datatype declared under its name where every value is one of that datatype, and
 * [n] for [n,1] and the other way round. What does not fit stays as it is.
 */
export function conformOutputs(outputs: readonly Tensor[], signature: readonly TensorShape[]): readonly Tensor[] {
  return outputs.map(output => {
    const unnamed = outputs.length === 1 && output.name === UNNAMED_OUTPUT
    const candidates = signature.filter(
      spec => (unnamed || spec.name === output.name) && fitShape(output.shape, spec.shape) !== undefined,
    )
    const spec = candidates.find(({ name }) => name === output.name) ?? candidates[0]
    if (spec === undefined || (candidates.length > 1 && spec.name !== output.name)) return output
    const data = convert(output, spec.datatype)
    if (data === undefined) return { ...output, name: spec.name }
    const shape = fitShape(output.shape, spec.shape) ?? output.shape
    return { ...output, name: spec.name, datatype: spec.datatype, shape, data }
  })
}

const READING: Reading = {
  elements: Number.POSITIVE_INFINITY,
  digits: { exact: true, rounded: false, guessed: false },
  base64: false,
  answer: true,
}

/** The numbers as `to`; undefined where they are no numbers or one of them is no value of it. */
function convert({ datatype, data }: Tensor, to: Datatype): TensorData | undefined {
  if (datatype === to) return data
  if (!isNumeric(datatype) || !isNumeric(to)) return undefined
  let converted: TensorData
  try {
    converted = readValues(Array.from<unknown>(data), to, READING, () => '')
  } catch {
    return undefined
  }
  const isLost = (_: unknown, at: number) => {
    const [before, after] = [numberAt(data, at), numberAt(converted, at)]
    return Number.isFinite(before) && (!Number.isFinite(after) || (before !== 0 && after === 0))
  }
  return Array.from<unknown>(data).some(isLost) ? undefined : converted
}

function isNumeric(datatype: Datatype): boolean {
  return datatype !== 'BYTES' && datatype !== 'BOOL'
}

/**
 * Outputs in the datatypes that another answer has under their names: names and shapes are what they are. For answers of
 * which one came over a protocol without datatypes, so that a label 1 is the same as 1.0.
 */
export function typedLike(outputs: readonly Tensor[], like: readonly Tensor[]): readonly Tensor[] {
  const specs = outputs.flatMap(({ name, shape }) => {
    const other = like.find(each => each.name === name)
    return other === undefined ? [] : [{ name, shape, datatype: other.datatype }]
  })
  // One that has no name keeps none: `conformOutputs` would give it that of the only one it could be.
  return outputs.map(output =>
    specs.some(({ name }) => name === output.name) ? conformOutputs([output], specs)[0]! : output,
  )
}

/** Whether an answer gives its only output no name. */
export function isUnnamed(outputs: readonly Tensor[]): boolean {
  return outputs.length === 1 && outputs[0]!.name === UNNAMED_OUTPUT
}

/** A single output without a name under this one. */
export function namedAs(outputs: readonly Tensor[], name: string): readonly Tensor[] {
  return isUnnamed(outputs) ? [{ ...outputs[0]!, name }] : outputs
}
