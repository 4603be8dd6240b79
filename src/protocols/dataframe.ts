// Reads MLflow's JSON forms of a pandas DataFrame as columns of values. Knows no model.
// Format: mlflow/utils/proto_json_utils.py, dataframe_from_parsed_json.
import { UnderstudyError } from '../errors.ts'
import { isObject, member } from './json.ts'
import { columnsOf, MOST_NAMES, tooManyNames } from './named.ts'
import { shorten } from './values.ts'

/** Columns of a list of records, all with the same names. @throws BAD_REQUEST */
export function recordColumns(records: unknown): Map<string, unknown[]> {
  if (!Array.isArray(records)) {
    throw new UnderstudyError(
      'BAD_REQUEST',
      `Invalid input. Dataframe records format must be a list of records. Got ${isObject(records) ? 'dictionary' : 'another type'}.`,
    )
  }
  if (records.length > 0 && !isObject(records[0])) throw badFrame('records', 'a record is not an object')
  return columnsOf(records, 'dataframe_records')
}

/**
 * Columns of `{columns, index?, data}`, in their order. Without `columns` they are called by their positions, as pandas
 * does: "0", "1"; so are columns that are numbers. @throws BAD_REQUEST
 */
export function splitColumns(frame: unknown): Map<string, unknown[]> {
  if (!isObject(frame)) {
    const got = Array.isArray(frame) ? 'list' : 'another type'
    throw new UnderstudyError('BAD_REQUEST', `Invalid input. Dataframe split format must be a dictionary. Got ${got}.`)
  }
  const extra = Object.keys(frame).find(key => key !== 'columns' && key !== 'data' && key !== 'index')
  const data = member(frame, 'data')
  if (data === undefined || extra !== undefined) {
    throw new UnderstudyError(
      'BAD_REQUEST',
      "Invalid input. Dataframe split format must have 'data' field and optionally 'columns' and 'index' fields." +
        (extra === undefined ? '' : ` Got '${shorten(extra)}'.`),
    )
  }
  if (!Array.isArray(data) || !data.every(row => Array.isArray(row))) {
    throw badFrame('split', '"data" must be a list of rows, each a list')
  }
  const index = member(frame, 'index')
  if (Array.isArray(index) && index.length !== data.length) {
    throw badFrame('split', `"index" has ${index.length} entries, "data" has ${data.length} rows`)
  }
  const names = columnNames(member(frame, 'columns'), data[0])
  if (names.length > MOST_NAMES) throw tooManyNames()
  const columns = new Map<string, unknown[]>(names.map(name => [name, []]))
  if (columns.size !== names.length) throw badFrame('split', 'two columns have the same name')
  const lists = [...columns.values()]
  data.forEach((row: readonly unknown[], at) => {
    if (row.length !== lists.length) {
      throw badFrame('split', `${lists.length} columns passed, row ${at} has ${row.length}`)
    }
    lists.forEach((list, column) => {
      list.push(row[column])
    })
  })
  return columns
}

function columnNames(columns: unknown, firstRow: readonly unknown[] | undefined): string[] {
  if (columns === undefined || columns === null) return (firstRow ?? []).map((_, index) => String(index))
  if (!Array.isArray(columns)) throw badFrame('split', '"columns" must be a list')
  return columns.map(name => {
    if (typeof name === 'string') return name
    if (typeof name === 'bigint' || Number.isInteger(name)) return String(name)
    throw badFrame('split', 'a name in "columns" is not a string')
  })
}

function badFrame(form: 'split' | 'records', why: string): UnderstudyError {
  return new UnderstudyError(
    'BAD_REQUEST',
    `Invalid input. Provided dataframe_${form} field is not a valid dataframe representation in '${form}' format. Error: '${why}'`,
  )
}
