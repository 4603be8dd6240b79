// Draws figures of named systems as dots with bars, a row each, as one self-contained SVG. Pure.
import { type Axis, at, colourOf, escaped, marker, page, scaleOf } from './svg.ts'

export interface Dot {
  readonly value: number
  /** The bar around it; the same as the value: none. */
  readonly low: number
  readonly high: number
}

export interface DotPlot {
  readonly title: string
  /** Lines under the title. */
  readonly subtitle: readonly string[]
  readonly x: Axis
  /** What the dots of a row are, in their order. */
  readonly series: readonly string[]
  readonly groups: readonly {
    readonly name: string
    readonly rows: readonly { readonly name: string; readonly dots: readonly (Dot | undefined)[] }[]
  }[]
}

const WIDTH = 720
const RIGHT = 24
const FIRST_LINE = 44
const LINE = 17
const HEADING = 26
const DOT_ROW = 13
const ROW_GAP = 8
/** Of a letter, about: names must not reach into the plot. */
const LETTER = 6.6

export function dotPlot({ title, subtitle, x, series, groups }: DotPlot): string {
  const names = groups.flatMap(({ rows }) => rows.map(({ name }) => name))
  const left = 24 + Math.max(...names.map(name => name.length)) * LETTER
  const dots = groups.flatMap(({ rows }) => rows.flatMap(row => row.dots.filter(dot => dot !== undefined)))
  const all = dots
    .flatMap(({ value, low, high }) => [value, low, high])
    .filter(value => x.scale === 'linear' || value > 0)
  const [least, most] = [Math.min(...all), Math.max(...all)]
  const from = x.ticks.findLast(tick => tick <= least) ?? least
  const to = x.ticks.find(tick => tick >= most) ?? most
  const xAt = scaleOf(x, from, to, left, WIDTH - RIGHT)
  const top = FIRST_LINE + LINE * subtitle.length + 22
  const parts: string[] = []
  let y = top
  for (const { name, rows } of groups) {
    parts.push(`<text class="soft" x="16" y="${y + 16}">${escaped(name)}</text>`)
    y += HEADING
    for (const row of rows) {
      const height = series.length * DOT_ROW + ROW_GAP
      parts.push(
        `<text text-anchor="end" x="${at(left - 12)}" y="${at(y + height / 2 + 4)}">${escaped(row.name)}</text>`,
      )
      row.dots.forEach((dot, index) => {
        if (dot !== undefined)
          parts.push(drawn(dot, index, y + ROW_GAP / 2 + (index + 0.5) * DOT_ROW, value => xAt(Math.max(from, value))))
      })
      y += height
    }
  }
  const ticks = x.ticks
    .filter(tick => tick >= from && tick <= to)
    .map(
      tick =>
        `<line class="grid" x1="${at(xAt(tick))}" x2="${at(xAt(tick))}" y1="${top}" y2="${y}"/><text class="soft" text-anchor="middle" x="${at(xAt(tick))}" y="${y + 18}">${tick.toLocaleString('en')}</text>`,
    )
  let legendLeft = left
  const legend = series.map((name, index) => {
    const entry = `${marker(index, legendLeft + 5, top - 12)}<text x="${at(legendLeft + 16)}" y="${top - 8}">${escaped(name)}</text>`
    legendLeft += 40 + name.length * LETTER
    return entry
  })
  return page(title, WIDTH, y + 54, [
    `<text class="title" x="16" y="24">${escaped(title)}</text>`,
    ...subtitle.map(
      (line, index) => `<text class="soft" x="16" y="${FIRST_LINE + LINE * index}">${escaped(line)}</text>`,
    ),
    ...ticks,
    ...parts,
    ...legend,
    `<text class="soft" text-anchor="middle" x="${at((left + WIDTH - RIGHT) / 2)}" y="${y + 40}">${escaped(x.label)}</text>`,
  ])
}

function drawn({ value, low, high }: Dot, index: number, y: number, xAt: (value: number) => number): string {
  const bar = `<line stroke="${colourOf(index)}" stroke-width="1.5" x1="${at(xAt(low))}" x2="${at(xAt(high))}" y1="${at(y)}" y2="${at(y)}"/>`
  return `${low === high ? '' : bar}${marker(index, xAt(value), y)}`
}
