// Held-out rows of the shipped models as V2 requests, and answers as numbers; knows no server.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MODELS, manifestOf } from '../e2e/gateway.ts'

export interface V2Tensor {
  readonly name: string
  readonly shape: readonly number[]
  readonly datatype: string
  readonly data: readonly (number | string)[]
}

export interface V2Request {
  readonly id?: string
  readonly inputs: readonly V2Tensor[]
  readonly outputs?: readonly { readonly name: string }[]
}

interface Columns {
  readonly names: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** The rows of a model's traffic.csv. */
export function traffic(model: string): Columns {
  const [names, ...rows] = readFileSync(join(MODELS, model, 'traffic.csv'), 'utf8')
    .trim()
    .split('\n')
    .map(line => line.split(','))
  return { names: names!, rows }
}

/** Rows `from` to `to` as one request with the names of the ONNX export; a matrix or one tensor a column. */
export function v2Request(model: string, { names, rows }: Columns, from: number, to: number): V2Request {
  const some = rows.slice(from, to)
  const { inputs } = manifestOf(model, '1.0.0').signature
  return {
    inputs: inputs.map(({ name, datatype, shape }) => {
      const width = shape[1]!
      const first = width === 1 ? names.indexOf(name) : names.indexOf(`${name}[0]`)
      const cells = some.flatMap(row => row.slice(first, first + width))
      const data = datatype === 'BYTES' ? cells : cells.map(cell => Math.fround(Number(cell)))
      return { name, datatype, shape: [some.length, width], data }
    }),
  }
}

/** An output's numbers, flat. */
export function outputOf(answer: unknown, name: string): readonly number[] {
  const { outputs } = answer as { outputs: readonly { name: string; data: unknown }[] }
  const found = outputs.find(output => output.name === name)
  if (found === undefined) throw new Error(`no output ${name} in ${JSON.stringify(answer).slice(0, 200)}`)
  return [found.data].flat(Number.POSITIVE_INFINITY) as number[]
}

/** Largest absolute difference; infinite where there are not as many numbers. */
export function farthest(left: readonly number[], right: readonly number[]): number {
  if (left.length !== right.length || left.length === 0) return Number.POSITIVE_INFINITY
  return left.reduce((most, value, index) => Math.max(most, Math.abs(value - right[index]!)), 0)
}
