// Reads samples, a line of JSON each, into the tensors of a signature.
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { messageOf } from '../errors.ts'
import type { TensorSpec } from '../models/manifest.ts'
import { checkInputs } from '../protocols/checkTensors.ts'
import { isObject, member } from '../protocols/json.ts'
import { v2 } from '../protocols/openInference.ts'
import type { Tensor } from '../protocols/tensor.ts'
import { CommandFailure, EXIT } from './exit.ts'

/** The inputs of one line. */
export interface Sample {
  /** From 1. */
  readonly line: number
  readonly inputs: readonly Tensor[]
}

const LIMITS = { depth: 64, elements: 4_000_000 } as const

/**
 * The first `most` samples of a file: V2 requests, or objects of input name → value or array.
 * @throws CommandFailure 2, `rows.jsonl:3 input "hour" …`
 */
export async function readSamples(file: string, signature: readonly TensorSpec[], most: number): Promise<Sample[]> {
  const text = await readFile(file, 'utf8').catch(error => {
    const code = (error as NodeJS.ErrnoException).code ?? messageOf(error)
    throw new CommandFailure(EXIT.usage, `${file} cannot be read (${code})`)
  })
  const samples: Sample[] = []
  for (const [index, line] of text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .entries()) {
    if (line.trim() === '') continue
    if (samples.length === most) break
    try {
      samples.push({ line: index + 1, inputs: sampleInputs(line, signature) })
    } catch (error) {
      throw new CommandFailure(EXIT.usage, `${basename(file)}:${index + 1} ${messageOf(error)}`)
    }
  }
  if (samples.length === 0) throw new CommandFailure(EXIT.usage, `${basename(file)} holds no sample`)
  return samples
}

/** The tensors of one line, checked against the signature. @throws UnderstudyError, SyntaxError or Error that says what is wrong */
export function sampleInputs(line: string, signature: readonly TensorSpec[]): readonly Tensor[] {
  const json: unknown = JSON.parse(line)
  if (!isObject(json)) throw new Error('expected a JSON object')
  const inputs = isRequest(json) ? decode(line) : decode(JSON.stringify({ inputs: byName(json, signature) }))
  checkInputs(inputs, signature)
  return inputs
}

function decode(text: string): readonly Tensor[] {
  const bytes = new TextEncoder().encode(text)
  return v2.decodeRequest({ bytes, jsonBytes: undefined, contentType: '' }, LIMITS, undefined).inputs
}

/** A V2 request, and not a model that has an input of the name "inputs". */
function isRequest(json: object): boolean {
  const inputs = member(json, 'inputs')
  return (
    Array.isArray(inputs) &&
    inputs.length > 0 &&
    inputs.every(input => isObject(input) && member(input, 'name') !== undefined)
  )
}

function byName(json: object, signature: readonly TensorSpec[]): object[] {
  const known = signature.map(({ name }) => name)
  const unknown = Object.keys(json).find(name => !known.includes(name))
  if (unknown !== undefined)
    throw new Error(`unknown input ${JSON.stringify(unknown)}; the model takes ${known.join(', ')}`)
  return signature
    .filter(({ name }) => member(json, name) !== undefined)
    .map(({ name, datatype, shape }) => {
      const value = member(json, name)
      const data = Array.isArray(value) ? (value.flat(64) as unknown[]) : [value]
      return { name, datatype, shape: shapeOf(value, data.length, shape, name), data }
    })
}

/** The shape that a value has as an input of `spec`: its own nesting where that fits, else one row, else as many as it fills. */
function shapeOf(value: unknown, count: number, spec: readonly number[], name: string): number[] {
  const nested = nestingOf(value)
  const fits = (shape: readonly number[]) =>
    shape.length === spec.length && shape.every((size, axis) => spec[axis] === -1 || spec[axis] === size)
  for (const shape of [nested, [1, ...nested]]) if (fits(shape)) return shape
  const fixed = spec.reduce((product, size) => product * (size === -1 ? 1 : size), 1)
  // What is left over fills the first open dimension; the others are 1.
  const open = spec.indexOf(-1)
  const rest = count / fixed
  if (open >= 0 ? Number.isInteger(rest) && rest >= 1 : rest === 1)
    return spec.map((size, axis) => (size !== -1 ? size : axis === open ? rest : 1))
  throw new Error(`input ${JSON.stringify(name)} has ${count} values, which do not fill [${spec.join(', ')}]`)
}

function nestingOf(value: unknown): number[] {
  return Array.isArray(value) ? [value.length, ...nestingOf(value[0])] : []
}
