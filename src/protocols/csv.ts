// Reads CSV with a header line as columns of values, as pandas reads it. Knows no model, only the datatypes it is told.
// Format: RFC 4180, with LF and CR line ends too.
import { UnderstudyError } from '../errors.ts'
import { MOST_NAMES, tooManyNames } from './named.ts'
import type { Datatype } from './tensor.ts'
import { shorten } from './values.ts'

/**
 * Columns by name. A cell becomes an integer (BigInt), a number, a boolean or text, as its column's datatype asks or, where
 * that is undefined, as all cells of the column allow; an empty cell becomes null, and one that does not fit stays text.
 * Empty lines are skipped, and a column without a name is called `Unnamed: n`.
 * @throws BAD_REQUEST when it is not CSV or has no header, with the line where a row is too long or too short
 */
export function readCsv(
  bytes: Uint8Array,
  datatypeOf: (column: string) => Datatype | undefined,
): Map<string, (bigint | number | boolean | string | null)[]> {
  const [header, ...rows] = csvRows(csvText(bytes))
  if (header === undefined) throw badCsv('no columns to parse')
  if (header.length > MOST_NAMES) throw tooManyNames()
  const names = header.map((name, index) => (name === '' ? `Unnamed: ${index}` : name))
  const columns = new Map<string, string[]>(names.map(name => [name, []]))
  if (columns.size !== names.length) throw badCsv('two columns have the same name')
  const lists = [...columns.values()]
  rows.forEach((row, index) => {
    if (row.length !== names.length) {
      throw badCsv(`row ${index + 1} has ${row.length} cells, the header has ${names.length}`)
    }
    lists.forEach((list, column) => {
      list.push(row[column]!)
    })
  })
  return new Map(Array.from(columns, ([name, cells]) => [name, cellValues(cells, datatypeOf(name))]))
}

function csvText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw new UnderstudyError('BAD_REQUEST', 'the CSV is not valid UTF-8', { cause })
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true })

function csvRows(text: string): string[][] {
  const rows: string[][] = []
  let row: string[] = []
  let index = 0
  while (index < text.length) {
    const quoted = text[index] === '"'
    let cell: string
    if (quoted) {
      const end = closingQuote(text, index + 1)
      cell = text.slice(index + 1, end).replaceAll('""', '"')
      index = end + 1
    } else {
      const end = endOfCell(text, index)
      cell = text.slice(index, end)
      index = end
    }
    const next = text[index]
    if (next !== undefined && next !== ',' && next !== '\n' && next !== '\r') {
      throw badCsv(`a quoted cell of row ${rows.length} goes on after its quotes: ${shorten(cell)}`)
    }
    row.push(cell)
    index += next === '\r' && text[index + 1] === '\n' ? 2 : 1
    // A comma at the very end opens one more cell, which is empty.
    if (next === ',' && index < text.length) continue
    if (next === ',') row.push('')
    if (row.length > 1 || cell !== '' || quoted) rows.push(row)
    row = []
  }
  return rows
}

function closingQuote(text: string, from: number): number {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at + 2)) {
    if (text[at + 1] !== '"') return at
  }
  throw badCsv('a quoted cell does not end')
}

function endOfCell(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x2c || code === 0x0a || code === 0x0d) return at
  }
  return text.length
}

// Longer integers fit no datatype.
const INTEGER = /^[+-]?\d{1,40}$/
// No digit can be matched in two ways, or a long cell of digits would take its square in time.
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['True', true],
  ['TRUE', true],
  ['true', true],
  ['False', false],
  ['FALSE', false],
  ['false', false],
])

function cellValues(
  cells: readonly string[],
  datatype: Datatype | undefined,
): (bigint | number | boolean | string | null)[] {
  const read = datatype === undefined ? inferred(cells) : datatypeReader(datatype)
  return cells.map(cell => (cell === '' ? null : (read(cell) ?? cell)))
}

type CellReader = (cell: string) => bigint | number | boolean | undefined

const readInteger: CellReader = cell => (INTEGER.test(cell.trim()) ? BigInt(cell.trim()) : undefined)
const readNumber: CellReader = cell => (NUMBER.test(cell.trim()) ? Number(cell) : undefined)
const readBoolean: CellReader = cell => BOOLEANS.get(cell)
const readText: CellReader = () => undefined

function inferred(cells: readonly string[]): CellReader {
  const all = (read: CellReader) => cells.every(cell => cell === '' || read(cell) !== undefined)
  return [readInteger, readNumber, readBoolean].find(all) ?? readText
}

function datatypeReader(datatype: Datatype): CellReader {
  if (datatype === 'BYTES') return readText
  if (datatype === 'BOOL') return readBoolean
  return datatype.startsWith('FP') ? readNumber : readInteger
}

function badCsv(why: string): UnderstudyError {
  return new UnderstudyError('BAD_REQUEST', `Failed to parse input as CSV with a header line: ${why}`)
}
