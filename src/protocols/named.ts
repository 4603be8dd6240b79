// Decides which input of a model each named or unnamed value of a request is. Knows neither protocol nor values.
import { UnderstudyError } from '../errors.ts'
import type { Signature } from './codec.ts'
import { isObject } from './json.ts'
import { readTensor } from './nested.ts'
import type { Tensor, TensorShape } from './tensor.ts'
import { type Reading, readValues, shorten } from './values.ts'

/** Name of an input that neither the request nor a signature names. */
export const UNNAMED_INPUT = 'input-0'

/** More names than any model has columns; each costs the thread microseconds, and a body of commas holds a million. */
export const MOST_NAMES = 32_768

/** How names are taken. */
export interface Naming {
  readonly model: Signature | undefined
  readonly reading: Reading
  /** Names that the model does not have: TensorFlow Serving refuses them, MLflow ignores them. */
  readonly extras: 'refused' | 'ignored'
  /** Columns of a data frame: ordered, and [n,1] where no signature says otherwise. */
  readonly frame: boolean
}

/** The tensor of a request that names none. @throws BAD_REQUEST when the model has several inputs, listing them; BAD_TENSOR */
export function unnamedTensor(value: unknown, { model, reading }: Naming): Tensor {
  if (model === undefined) return readTensor(value, UNNAMED_INPUT, undefined, reading, 'input')
  const [spec, ...others] = model.inputs
  if (spec === undefined || others.length > 0) {
    throw new UnderstudyError(
      'BAD_REQUEST',
      `values need names, because the model takes ${listed(namesOf(model.inputs))}`,
    )
  }
  return readTensor(value, spec.name, spec, reading, 'input')
}

/**
 * The tensors of columns by name: a value or list of rows each. With a signature they come in its order; where the model
 * has one matrix and the columns are its features, they make up the matrix.
 * @throws BAD_REQUEST, which names what is missing or unknown; BAD_TENSOR
 */
export function namedTensors(columns: ReadonlyMap<string, unknown>, naming: Naming): Tensor[] {
  const { model, reading, frame } = naming
  const what = frame ? 'column' : 'input'
  if (columns.size > MOST_NAMES) throw tooManyNames()
  if (model === undefined) {
    if (columns.size === 0) throw new UnderstudyError('BAD_REQUEST', 'the request has no inputs')
    return Array.from(columns, ([name, value]) => {
      const tensor = readTensor(value, name, undefined, reading, what)
      return frame && tensor.shape.length === 1 ? { ...tensor, shape: [tensor.shape[0]!, 1] } : tensor
    })
  }
  const [spec] = model.inputs
  if (spec !== undefined && model.inputs.length === 1 && spec.shape.length === 2 && !columns.has(spec.name)) {
    const order = matrixColumns(columns, spec, model.features, naming)
    if (order !== undefined) return [matrixOf(columns, order, spec, reading)]
  }
  expectNames(columns, namesOf(model.inputs), naming.extras)
  return model.inputs.map(each => readTensor(columns.get(each.name), each.name, each, reading, what))
}

/** Names of the columns of the matrix in their order; undefined: these are no columns of a matrix. */
function matrixColumns(
  columns: ReadonlyMap<string, unknown>,
  spec: TensorShape,
  features: readonly string[] | undefined,
  naming: Naming,
): readonly string[] | undefined {
  const width = spec.shape[1]!
  const known = features !== undefined && (width === -1 || width === features.length) ? features : undefined
  // `pixels[3]` is where a profile knew of no name: a position.
  const positions = known === undefined || known.every((name, index) => name === `${spec.name}[${index}]`)
  if (known === undefined || (positions && !known.some(name => columns.has(name)))) {
    // A data frame is ordered, and so its columns are a matrix already; MLflow does the same for tensor signatures.
    return naming.frame && (width === -1 || width === columns.size) ? [...columns.keys()] : undefined
  }
  expectNames(columns, known, naming.extras)
  return known
}

function expectNames(columns: ReadonlyMap<string, unknown>, names: readonly string[], extras: Naming['extras']): void {
  const expected = new Set(names)
  const unknown = [...columns.keys()].filter(name => !expected.has(name))
  const missing = names.filter(name => !columns.has(name))
  if (missing.length > 0) {
    const noted = unknown.length > 0 ? `. Note that there were extra inputs: ${listed(unknown)}` : ''
    throw new UnderstudyError('BAD_REQUEST', `Model is missing inputs ${listed(missing)}${noted}`)
  }
  if (unknown.length > 0 && extras === 'refused') {
    throw new UnderstudyError('BAD_REQUEST', `unknown input ${listed(unknown)}; the model takes ${listed(names)}`)
  }
}

function matrixOf(
  columns: ReadonlyMap<string, unknown>,
  order: readonly string[],
  spec: TensorShape,
  reading: Reading,
): Tensor {
  const lists = order.map(name => {
    const column = columns.get(name)
    if (!Array.isArray(column)) {
      throw new UnderstudyError('BAD_TENSOR', `column "${shorten(name)}" must be a list of values`)
    }
    return column as readonly unknown[]
  })
  const rows = lists[0]?.length ?? 0
  if (rows * order.length > reading.elements) {
    throw new UnderstudyError('BAD_TENSOR', `input "${shorten(spec.name)}" has more than ${reading.elements} elements`)
  }
  const odd = lists.findIndex(list => list.length !== rows)
  if (odd >= 0) {
    throw new UnderstudyError(
      'BAD_TENSOR',
      `column "${shorten(order[odd]!)}" has ${lists[odd]!.length} rows, column "${shorten(order[0]!)}" has ${rows}`,
    )
  }
  const flat: unknown[] = []
  for (let row = 0; row < rows; row++) {
    for (const list of lists) {
      const cell = list[row]
      flat.push(Array.isArray(cell) && cell.length === 1 ? cell[0] : cell)
    }
  }
  const label = (index: number) => `column "${shorten(order[index % order.length]!)}"`
  return {
    name: spec.name,
    datatype: spec.datatype,
    shape: [rows, order.length],
    data: readValues(flat, spec.datatype, reading, label),
  }
}

/**
 * The columns of a list of row objects, all with the names of the first.
 * @param where what the list is called in errors, such as `instances`
 * @throws BAD_REQUEST, which names the row and the name
 */
export function columnsOf(rows: readonly unknown[], where: string): Map<string, unknown[]> {
  const columns = new Map<string, unknown[]>()
  const first = rows[0]
  const given = isObject(first) ? Object.keys(first) : []
  if (given.length > MOST_NAMES) throw tooManyNames()
  for (const name of given) columns.set(name, [])
  rows.forEach((row, index) => {
    if (!isObject(row)) {
      throw new UnderstudyError('BAD_REQUEST', `${where}[${index}] is not an object, as ${where}[0] is`)
    }
    for (const [name, column] of columns) {
      if (!Object.hasOwn(row, name)) {
        throw new UnderstudyError('BAD_REQUEST', `${where}[${index}] has no "${shorten(name)}", as ${where}[0] has`)
      }
      column.push(row[name])
    }
    const names = Object.keys(row)
    if (names.length === columns.size) return
    const extra = names.find(name => !columns.has(name)) ?? ''
    throw new UnderstudyError('BAD_REQUEST', `${where}[${index}] has "${shorten(extra)}", which ${where}[0] has not`)
  })
  return columns
}

export function tooManyNames(): UnderstudyError {
  return new UnderstudyError('BAD_REQUEST', `more than ${MOST_NAMES} names`)
}

function namesOf(specs: readonly TensorShape[]): string[] {
  return specs.map(spec => spec.name)
}

/** Names as MLflow lists them: ['a', 'b']; at most 20 of them. */
function listed(names: readonly string[]): string {
  const shown = names.slice(0, 20).map(name => `'${shorten(name)}'`)
  return `[${shown.join(', ')}${names.length > 20 ? `, … (${names.length} in all)` : ''}]`
}
