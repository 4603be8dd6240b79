// The value of "predictions" or "outputs" ↔ tensors, as TensorFlow Serving and MLflow both write it.
import { UnderstudyError } from '../errors.ts'
import type { InferResponse, WireBody } from './codec.ts'
import { readNumbers } from './digits.ts'
import { isObject, member } from './json.ts'
import { columnsOf } from './named.ts'
import { readTensor, rowTexts, tensorText, type Writing } from './nested.ts'
import type { Tensor } from './tensor.ts'
import { base64Text, type Reading } from './values.ts'

/** Name of an output that the protocol leaves unnamed, so that it can be compared and configured by a name. */
export const UNNAMED_OUTPUT = 'predictions'

/** JSON has no NaN and no infinity, so answers hold null for them. */
export const ANSWER: Omit<Writing, 'base64'> = { nan: 'null', infinity: 'null' }

/**
 * The tensors of an answer whose predictions stand under the first of `keys` that it has: a value or nested list is one
 * tensor, a list of objects or an object of lists is one for each name.
 * @throws BAD_JSON, BAD_REQUEST, BAD_TENSOR when it is no such answer
 */
export function decodePredictions(
  body: WireBody,
  keys: readonly string[],
  limits: { readonly depth: number; readonly elements: number },
  base64: boolean,
): InferResponse {
  let key: string | undefined
  const outputs = readNumbers(body.bytes, limits.depth, true, (json, digits) => {
    key = isObject(json) ? keys.find(each => member(json, each) !== undefined) : undefined
    const found = key === undefined ? undefined : member(json as object, key)
    if (found === undefined || found === null) {
      throw new UnderstudyError('BAD_REQUEST', `the answer has no ${keys.map(each => `"${each}"`).join(' or ')}`)
    }
    return readPredictions(found, { elements: limits.elements, digits, base64, answer: true })
  })
  return { modelName: '', modelVersion: undefined, id: undefined, outputs, ...(key !== undefined && { member: key }) }
}

function readPredictions(value: unknown, reading: Reading): Tensor[] {
  const columns = namedColumns(value, reading)
  if (columns === undefined) return [readTensor(value, UNNAMED_OUTPUT, undefined, reading, 'output')]
  return Array.from(columns, ([name, column]) => readTensor(column, name, undefined, reading, 'output'))
}

function namedColumns(value: unknown, reading: Reading): ReadonlyMap<string, unknown> | undefined {
  const isNamed = (each: unknown) => isObject(each) && !(reading.base64 && base64Text(each) !== undefined)
  if (Array.isArray(value)) return isNamed(value[0]) ? columnsOf(value, UNNAMED_OUTPUT) : undefined
  return isObject(value) && isNamed(value) ? new Map(Object.entries(value)) : undefined
}

/** A list of objects, one a row; undefined where the tensors do not have one number of rows. */
export function recordsText(tensors: readonly Tensor[], writing: Writing): string | undefined {
  const rows = tensors[0]?.shape[0]
  if (rows === undefined || tensors.some(tensor => tensor.shape[0] !== rows)) return undefined
  const columns = tensors.map(tensor => ({ key: JSON.stringify(tensor.name), texts: rowTexts(tensor, writing) }))
  const records: string[] = []
  for (let row = 0; row < rows; row++) {
    records.push(`{${columns.map(({ key, texts }) => `${key}:${texts[row]}`).join(',')}}`)
  }
  return `[${records.join(',')}]`
}

/** An object with each tensor under its name. */
export function objectText(tensors: readonly Tensor[], writing: Writing): string {
  return `{${tensors.map(tensor => `${JSON.stringify(tensor.name)}:${tensorText(tensor, writing)}`).join(',')}}`
}
