// Holds the answers of two servers against each other: the same work was done where they agree. Pure.

interface Tensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly data: readonly number[]
}

export interface V2Answer {
  readonly model_version?: string
  readonly outputs: readonly Tensor[]
}

/**
 * The largest difference between two numbers in the same place.
 * @throws Error where names, types, shapes, lengths or labels differ
 */
export function largestDifference(answer: V2Answer, reference: V2Answer): number {
  const formOf = ({ outputs }: V2Answer) =>
    JSON.stringify(outputs.map(({ name, datatype, shape, data }) => [name, datatype, shape, data.length]))
  if (formOf(answer) !== formOf(reference)) {
    throw new Error(`the answers differ in form: ${formOf(answer)} and ${formOf(reference)}`)
  }
  let largest = 0
  for (const [index, { name, datatype, data }] of answer.outputs.entries()) {
    for (const [place, value] of data.entries()) {
      const difference = Math.abs(value - reference.outputs[index]!.data[place]!)
      if (Number.isNaN(difference) || (datatype === 'INT64' && difference !== 0)) {
        throw new Error(`the answers differ: ${value} in "${name}", ${reference.outputs[index]!.data[place]} elsewhere`)
      }
      largest = Math.max(largest, difference)
    }
  }
  return largest
}
