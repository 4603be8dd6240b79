// Draws which answer of the candidate came with which of the baseline: deciles of a score, or classes.
import { numeral, percentage } from '../../gate/wording.ts'
import { html, type Markup } from './markup.ts'
import { place, svg, WIDTH } from './svg.ts'

export interface Matrix {
  readonly id: string
  readonly title: string
  /** What a row and a column is: "decile", "class". */
  readonly what: string
  readonly names: readonly string[]
  /** Row: the baseline's; column: the candidate's. */
  readonly counts: readonly (readonly number[])[]
}

const LEFT = 62
const TOP = 24
const NAME_LENGTH = 8

/** A cell is shaded by its share of its row; the diagonal is where both versions agree. */
export function matrixPlot({ id, title, what, names, counts }: Matrix): Markup {
  const size = names.length
  const cell = Math.min(56, (WIDTH - LEFT - 4) / size)
  const total = counts.reduce((sum, row) => sum + sumOf(row), 0)
  const same = counts.reduce((sum, row, index) => sum + (row[index] ?? 0), 0)
  const height = Math.ceil(TOP + size * cell + 26)
  const description =
    total === 0
      ? 'No pair of answers yet.'
      : `Of ${numeral(total)} pairs ${percentage(same / total)} fall into the same ${what} for both versions.`
  const middle = TOP + (size * cell) / 2
  return svg(id, height, title, description, [
    html`<text class="tick" x="${LEFT}" y="12">candidate’s ${what} →</text>`,
    html`<text class="tick" x="12" y="${place(middle)}" text-anchor="middle" transform="rotate(-90 12 ${place(middle)})">← baseline’s ${what}</text>`,
    ...counts.flatMap((row, index) => rowOf(row, index, cell)),
    ...names.map(
      (name, index) =>
        html`<text class="tick" x="${LEFT - 6}" y="${place(TOP + (index + 0.5) * cell + 3.5)}" text-anchor="end"><title>${name}</title>${short(name)}</text>`,
    ),
    ...(cell >= 20 || names.every(name => name.length <= 2)
      ? names.map(
          (name, index) =>
            html`<text class="tick" x="${place(LEFT + (index + 0.5) * cell)}" y="${place(TOP + size * cell + 14)}" text-anchor="middle"><title>${name}</title>${[...name].slice(0, Math.max(1, Math.floor(cell / 7))).join('')}</text>`,
        )
      : []),
  ])
}

function rowOf(row: readonly number[], index: number, cell: number): Markup[] {
  const total = sumOf(row)
  const y = place(TOP + index * cell)
  return row.map((count, column) => {
    const share = total === 0 ? 0 : count / total
    const x = place(LEFT + column * cell)
    // A share of 1 % is one answer in a hundred that changed sides: shading by the root lets it be seen.
    const shade = count === 0 ? 0 : Math.max(0.05, Math.sqrt(share) * 0.5)
    const name = index === column ? 'same' : 'other'
    const text =
      share >= 0.005 &&
      cell >= 18 &&
      html`<text class="cell" x="${place(x + cell / 2)}" y="${place(y + cell / 2 + 3.5)}" text-anchor="middle">${Math.round(share * 100)}</text>`
    return html`<rect class="frame" x="${x}" y="${y}" width="${place(cell - 1.5)}" height="${place(cell - 1.5)}"/><rect class="${name}" fill-opacity="${place(shade)}" x="${x}" y="${y}" width="${place(cell - 1.5)}" height="${place(cell - 1.5)}"/>${text}`
  })
}

export function matrixTable({ what, names, counts }: Matrix): Markup {
  return html`<details><summary>The figures behind this plot</summary><div class="scroll"><table>
<thead><tr><th>baseline’s ${what}</th>${names.map(name => html`<th class="r">${name}</th>`)}</tr></thead>
<tbody>${counts.map((row, index) => html`<tr><th scope="row">${names[index]}</th>${row.map(count => html`<td class="r">${numeral(count)}</td>`)}</tr>`)}</tbody></table></div></details>`
}

function short(name: string): string {
  const letters = [...name]
  return letters.length <= NAME_LENGTH ? name : `${letters.slice(0, NAME_LENGTH - 1).join('')}…`
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
