// Lays text out in columns and colours it. Knows nothing of what the cells say.

/** What marks text on a terminal; `plainStyle` marks nothing. */
export interface Style {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
  readonly warn: (text: string) => string
}

const COLUMNS = 80

const same = (text: string) => text
export const plainStyle: Style = { bold: same, dim: same, good: same, bad: same, warn: same }

const sgr = (on: number, off: number) => (text: string) => (text === '' ? '' : `\u001b[${on}m${text}\u001b[${off}m`)
const colourStyle: Style = {
  bold: sgr(1, 22),
  dim: sgr(2, 22),
  good: sgr(32, 39),
  bad: sgr(31, 39),
  warn: sgr(33, 39),
}

export function styleFor(colour: boolean): Style {
  return colour ? colourStyle : plainStyle
}

/** A cell: its text, and how it looks once it has been padded. */
export type Cell = string | { readonly text: string; readonly paint: (text: string) => string }

export interface TableOptions {
  readonly head?: readonly string[]
  /** Columns whose cells end at one edge (figures), by index. */
  readonly right?: readonly number[]
  readonly indent?: string
  readonly style?: Style
}

/** Rows in aligned columns, two spaces apart, without blanks at the ends of lines. */
export function table(rows: readonly (readonly Cell[])[], options: TableOptions = {}): string {
  const { head, right = [], indent = '', style = plainStyle } = options
  const all: (readonly Cell[])[] =
    head === undefined ? [...rows] : [head.map(text => ({ text, paint: style.dim })), ...rows]
  const widths: number[] = []
  for (const row of all) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, width(textOf(cell)))
  }
  return all
    .map(row => {
      const last = row.findLastIndex(cell => textOf(cell) !== '')
      const cells = row.slice(0, last + 1).map((cell, column) => {
        const text = textOf(cell)
        const gap = ' '.repeat((widths[column] ?? 0) - width(text))
        const paint = typeof cell === 'string' ? same : cell.paint
        if (right.includes(column)) return gap + paint(text)
        return paint(text) + (column === last ? '' : gap)
      })
      return (indent + cells.join('  ')).trimEnd()
    })
    .join('\n')
}

/** Lines of 80 columns at most, broken at blanks; a word that is longer than a line stays whole. Text without colours only. */
export function wrapped(text: string, indent: string): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`
    if (line !== '' && indent.length + [...longer].length > COLUMNS) {
      lines.push(indent + line)
      line = word
    } else line = longer
  }
  return [...lines, indent + line]
}

/** One line of 80 columns at most. Text without colours only. */
export function clipped(line: string): string {
  const characters = [...line]
  return characters.length > COLUMNS ? `${characters.slice(0, COLUMNS - 1).join('')}…` : line
}

/**
 * Text that came from a model, a label or a configuration, safe for a terminal: control and direction characters, which
 * could move the cursor or turn text round, are shown as \u{…}.
 */
export function printable(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    character => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  )
}

function textOf(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell.text
}

function width(text: string): number {
  return [...text].length
}
