// Draws lines with error bars as one self-contained SVG. Pure.
import { type Axis, at, colourOf, escaped, marker, page, scaleOf } from '../svg.ts'

export interface Line {
  readonly name: string
  readonly points: readonly { readonly x: number; readonly y: number; readonly low: number; readonly high: number }[]
}

export interface LinePlot {
  readonly title: string
  /** Lines under the title. */
  readonly subtitle: readonly string[]
  readonly x: Axis
  readonly y: Axis
  /** A horizontal mark. */
  readonly rule?: { readonly y: number; readonly label: string }
  readonly lines: readonly Line[]
}

const WIDTH = 720
const FIRST_LINE = 44
const LINE = 17
const LEFT = 64
const PLOT_WIDTH = 632
const PLOT_HEIGHT = 300
const LEGEND_ROW = 20

export function linePlot({ title, subtitle, x, y, rule, lines }: LinePlot): string {
  const top = FIRST_LINE + 20 + LINE * Math.max(0, subtitle.length - 1)
  const bottom = top + PLOT_HEIGHT
  const xs = [...x.ticks, ...lines.flatMap(({ points }) => points.map(point => point.x))]
  const isCategories = x.ticks.length === 0
  const xAt = isCategories
    ? scaleOf({ scale: 'linear' }, Math.min(...xs) - 0.5, Math.max(...xs) + 0.5, LEFT, LEFT + PLOT_WIDTH)
    : scaleOf(x, Math.min(...xs), Math.max(...xs), LEFT + 16, LEFT + PLOT_WIDTH - 16)
  const values = lines.flatMap(({ points }) => points.flatMap(({ low, high, y: value }) => [low, high, value]))
  const shown = [...values, ...(rule ? [rule.y] : [])].filter(value => y.scale === 'linear' || value > 0)
  const [least, most] = [Math.min(...shown), Math.max(...shown)]
  const below = y.ticks.findLast(tick => tick <= least) ?? least
  const above = y.ticks.find(tick => tick >= most) ?? most
  const yAt = scaleOf(y, below, above, bottom, top)
  const ticks = y.ticks.filter(tick => tick >= below && tick <= above)
  const legendTop = bottom + (x.label === '' ? 30 : 58)
  const height = legendTop + Math.ceil(lines.length / 2) * LEGEND_ROW + 8
  const parts = [
    `<text class="title" x="${LEFT}" y="24">${escaped(title)}</text>`,
    ...subtitle.map(
      (line, index) => `<text class="soft" x="${LEFT}" y="${FIRST_LINE + LINE * index}">${escaped(line)}</text>`,
    ),
    ...ticks.map(
      tick =>
        `<line class="grid" x1="${LEFT}" x2="${LEFT + PLOT_WIDTH}" y1="${at(yAt(tick))}" y2="${at(yAt(tick))}"/><text class="soft" text-anchor="end" x="${LEFT - 8}" y="${at(yAt(tick) + 4)}">${tick.toLocaleString('en')}</text>`,
    ),
    ...x.ticks.map(
      tick =>
        `<text class="soft" text-anchor="middle" x="${at(xAt(tick))}" y="${bottom + 18}">${tick.toLocaleString('en')}</text>`,
    ),
    `<text class="soft" text-anchor="middle" x="${LEFT + PLOT_WIDTH / 2}" y="${bottom + 40}">${escaped(x.label)}</text>`,
    `<text class="soft" text-anchor="middle" transform="translate(16 ${top + PLOT_HEIGHT / 2}) rotate(-90)">${escaped(y.label)}</text>`,
    ...(rule
      ? [
          `<line class="rule" x1="${LEFT}" x2="${LEFT + PLOT_WIDTH}" y1="${at(yAt(rule.y))}" y2="${at(yAt(rule.y))}"/><text class="soft" text-anchor="end" x="${LEFT + PLOT_WIDTH}" y="${at(yAt(rule.y) - 5)}">${escaped(rule.label)}</text>`,
        ]
      : []),
    ...lines.map((line, index) => drawn(line, index, xAt, value => yAt(Math.max(below, value)))),
    ...lines.map(({ name }, index) => {
      const left = LEFT + (index % 2) * (PLOT_WIDTH / 2)
      const row = legendTop + Math.floor(index / 2) * LEGEND_ROW
      return `${marker(index, left + 8, row)}<text x="${left + 22}" y="${row + 4}">${escaped(name)}</text>`
    }),
  ]
  return page(title, WIDTH, height, parts)
}

function drawn({ points }: Line, index: number, xAt: (x: number) => number, yAt: (y: number) => number): string {
  const colour = colourOf(index)
  const path = points.map(({ x, y }) => `${at(xAt(x))},${at(yAt(y))}`).join(' ')
  const bars = points.map(
    ({ x, low, high }) =>
      `<line stroke="${colour}" x1="${at(xAt(x))}" x2="${at(xAt(x))}" y1="${at(yAt(low))}" y2="${at(yAt(high))}"/>`,
  )
  const marks = points.map(({ x, y }) => marker(index, xAt(x), yAt(y)))
  const line = points.length > 1 ? `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${path}"/>` : ''
  return [line, ...bars, ...marks].join('')
}
