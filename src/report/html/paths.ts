// Draws how one metric came to where it stands: its confidence sequence against its limit, and the evidence under it.
import type { MetricVerdict } from '../../gate/evidence.ts'
import { about, duration, numeral } from '../../gate/wording.ts'
import type { HistoryPoint } from '../charts.ts'
import { html, type Markup } from './markup.ts'
import { type Axis, linearAxis } from './scale.ts'
import { type Area, at, clipped, place, polyline, rowsOf, svg, WIDTH } from './svg.ts'
import { isFigure, lasting, typeset, valueText } from './words.ts'

const AREA: Area = { left: 54, top: 14, width: WIDTH - 62, height: 128 }
const EVIDENCE: Area = { left: 54, top: 174, width: WIDTH - 62, height: 48 }
const HEIGHT = 248

interface Point {
  readonly at: number
  readonly step: number
  readonly n: number | null
  readonly estimate: number | null
  readonly low: number | null
  readonly high: number | null
  readonly limit: number | null
  readonly logHarm: number | null
  readonly logSafe: number | null
}

/**
 * The plot of one metric. Each change of the candidate's share breaks the lines: safe evidence restarts there.
 * @param id unique on the page; @param history points in time order, the last is the present
 */
export function pathPlot(id: string, row: MetricVerdict, history: readonly HistoryPoint[]): Markup {
  const points = sinceFirst(history.map(pointOf))
  if (points.length === 0) return html`<p class="none">No observation yet: nothing to draw.</p>`
  const [start, end] = [points[0]!.at, points.at(-1)!.at]
  const x = (time: number) => (end > start ? (time - start) / (end - start) : 0.5)
  const stretches = stretchesOf(points)
  const decides = evidenceKinds(row).length > 0
  const plot: Plot = {
    area: decides ? AREA : { ...AREA, height: EVIDENCE.top + EVIDENCE.height - AREA.top },
    axis: linearAxis(...rangeOf(row, points), 4),
    x,
  }
  return svg(id, HEIGHT, `${row.metric}: ${row.what}, over time`, describe(row, points), [
    ...rowsOf(plot.area, plot.axis, tick => valueText(row, tick)),
    clipped(`clip-${id}`, plot.area, [
      ...stretches.flatMap(stretch => stretchMarks(stretch, plot)),
      ...limitLine(stretches, plot),
    ]),
    ...stretches.flatMap(stretch => lastDot(stretch, plot)),
    ...(isFigure(row.limit) ? [limitText(row, row.limit, plot)] : []),
    ...stepMarks(stretches, x),
    ...(decides ? evidenceMarks(row, stretches, x) : []),
    ...timeMarks(start, end),
  ])
}

/** Where a plot's values and times stand. */
interface Plot {
  readonly area: Area
  readonly axis: Axis
  readonly x: (time: number) => number
}

/** Without what came before the first observation. */
function sinceFirst(points: readonly Point[]): readonly Point[] {
  const first = points.findIndex(({ estimate }) => isFigure(estimate))
  return first < 0 ? [] : points.slice(first)
}

/** The same as a table: about thirty points, the last among them. */
export function pathTable(row: MetricVerdict, history: readonly HistoryPoint[]): Markup | undefined {
  const points = history.map(pointOf)
  if (points.length < 2) return undefined
  const every = Math.ceil(points.length / TABLE_ROWS)
  const shown = points.filter((_, index) => (points.length - 1 - index) % every === 0)
  const start = points[0]!.at
  return html`<details><summary>The figures behind this plot</summary><div class="scroll"><table>
<thead><tr><th class="r">after</th><th class="r">${row.unit ?? 'observations'}</th><th class="r">estimate</th><th class="r">from</th><th class="r">to</th><th class="r">limit</th><th class="r">ln e, worse</th><th class="r">ln e, safe</th></tr></thead>
<tbody>${shown.map(
    point =>
      html`<tr><td class="r">${lasting(point.at - start)}</td><td class="r">${isFigure(point.n) ? numeral(point.n) : '–'}</td>${[point.estimate, point.low, point.high, point.limit].map(value => html`<td class="r">${valueText(row, value)}</td>`)}${[point.logHarm, point.logSafe].map(value => html`<td class="r">${isFigure(value) ? typeset(about(value)) : '–'}</td>`)}</tr>`,
  )}</tbody></table></div></details>`
}

const TABLE_ROWS = 30

function pointOf([time, step, n, estimate, low, high, limit, logHarm, logSafe]: HistoryPoint): Point {
  return { at: time, step, n, estimate, low, high, limit, logHarm, logSafe }
}

/** Runs of points at one share of traffic. */
function stretchesOf(points: readonly Point[]): Point[][] {
  const stretches: Point[][] = []
  for (const point of points) {
    const last = stretches.at(-1)
    if (last !== undefined && last[0]!.step === point.step) last.push(point)
    else stretches.push([point])
  }
  return stretches
}

/**
 * The values that the axis spans: the present, the limit, and what most of the time lay within. A confidence sequence
 * begins as wide as the world; shown whole, it would leave its end a line.
 */
function rangeOf(row: MetricVerdict, points: readonly Point[]): [number, number] {
  const lows = points.map(point => point.low ?? point.estimate).filter(isFigure)
  const highs = points.map(point => point.high ?? point.estimate).filter(isFigure)
  const limits = points.map(point => point.limit).filter(isFigure)
  const ordered = (values: number[]) => values.sort((a, b) => a - b)
  const at = (values: number[], p: number) => values[Math.round(p * (values.length - 1))]
  const last = points.at(-1)!
  const values = [
    at(ordered(lows), 0.15),
    at(ordered(highs), 0.85),
    at(ordered(limits), 0.85),
    last.estimate,
    last.low,
    last.high,
    row.limit,
    row.metric === 'split' ? row.limit : 0,
  ].filter(isFigure)
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const room = (high - low) * 0.06
  // A share or a latency has no room below nothing.
  return [low === 0 ? 0 : low - room, high + room]
}

function stretchMarks(stretch: readonly Point[], { area, axis, x }: Plot): Markup[] {
  const to = (point: Point, value: number) => at(area, x(point.at), axis.place(value))
  const banded = stretch.filter(point => isFigure(point.low) && isFigure(point.high))
  const line = stretch.filter(({ estimate }) => isFigure(estimate))
  const lastBand = banded.at(-1)
  const marks: (Markup | undefined)[] = [
    banded.length > 1
      ? html`<polygon class="band" points="${[
          ...banded.map(point => to(point, point.high!)),
          ...banded.toReversed().map(point => to(point, point.low!)),
        ]
          .map(pair => pair.join(','))
          .join(' ')}"/>`
      : lastBand === undefined
        ? undefined
        : bar(to(lastBand, lastBand.low!), to(lastBand, lastBand.high!)),
    polyline(
      line.map(point => to(point, point.estimate!)),
      'candidate',
    ),
  ]
  return marks.filter(mark => mark !== undefined)
}

function bar([x, low]: readonly [number, number], [, high]: readonly [number, number]): Markup {
  return html`<line class="whisker" x1="${x}" x2="${x}" y1="${low}" y2="${high}"/>`
}

/** Where the estimate stood last; nothing where that lies beyond the axis. */
function lastDot(stretch: readonly Point[], { area, axis, x }: Plot): Markup[] {
  const last = stretch.findLast(({ estimate }) => isFigure(estimate))
  if (last === undefined) return []
  const y = axis.place(last.estimate!)
  if (y < 0 || y > 1) return []
  const [cx, cy] = at(area, x(last.at), y)
  return [html`<circle class="dot" cx="${cx}" cy="${cy}" r="3.25"/>`]
}

/** A limit may move: that of a latency follows the baseline. */
function limitLine(stretches: readonly Point[][], { area, axis, x }: Plot): Markup[] {
  return stretches.flatMap(stretch => {
    const known = stretch.filter(({ limit }) => isFigure(limit))
    const line = polyline(
      known.map(point => at(area, x(point.at), axis.place(point.limit!))),
      'limit',
    )
    const only = known[0]
    if (line !== undefined) return [line]
    if (only === undefined) return []
    const [, y] = at(area, 0, axis.place(only.limit!))
    return [html`<line class="limit" x1="${area.left}" x2="${area.left + area.width}" y1="${y}" y2="${y}"/>`]
  })
}

function limitText(row: MetricVerdict, limit: number, { area, axis }: Plot): Markup {
  const [, y] = at(area, 0, axis.place(limit))
  const word = row.metric === 'split' ? 'due' : 'limit'
  const isOver = isFigure(row.estimate) && row.estimate > limit
  const above = (isOver && y < area.top + area.height - 14) || y < area.top + 14 ? y + 13 : y - 5
  return html`<text class="mark bad halo" x="${AREA.left + AREA.width - 2}" y="${above}" text-anchor="end">${word} ${valueText(row, limit)}</text>`
}

/** Where the candidate's share changed, and to what. */
function stepMarks(stretches: readonly Point[][], x: (time: number) => number): Markup[] {
  if (stretches.length < 2) return []
  let freeFrom = Number.NEGATIVE_INFINITY
  return stretches.map((stretch, index) => {
    const { at: time, step } = stretch[0]!
    const [left] = at(AREA, x(time), 0)
    const isFree = left >= freeFrom && left < AREA.left + AREA.width - 24
    if (isFree) freeFrom = left + 46
    const line =
      index > 0 &&
      html`<line class="step" x1="${left}" x2="${left}" y1="${AREA.top}" y2="${EVIDENCE.top + EVIDENCE.height}"/>`
    const text =
      isFree &&
      html`<text class="tick" x="${left + (index > 0 ? 4 : 0)}" y="${AREA.top - 4}">${step === 0 ? 'shadow' : `${numeral(step)} %`}</text>`
    return html`${line}${text}`
  })
}

/** ln e-values as shares of what is needed: at the upper line the metric is decided. */
function evidenceMarks(row: MetricVerdict, stretches: readonly Point[][], x: (time: number) => number): Markup[] {
  const [, top] = at(EVIDENCE, 0, ENOUGH)
  const bottom = EVIDENCE.top + EVIDENCE.height
  const lines = evidenceKinds(row).flatMap(({ name, key, needed }) =>
    stretches.flatMap(stretch => {
      const shown = stretch
        .filter(point => isFigure(point[key]))
        .map(point => at(EVIDENCE, x(point.at), Math.min(Math.max((point[key]! / needed) * ENOUGH, 0), 1)))
      const line = polyline(shown, name)
      // A line along nothing would only cover the axis.
      if (!stretch.some(point => isFigure(point[key]) && point[key] > 0)) return []
      if (line !== undefined) return [line]
      return shown.map(([cx, cy]) => html`<circle class="${name}" cx="${cx}" cy="${cy}" r="2.5"/>`)
    }),
  )
  return [
    html`<text class="tick" x="${EVIDENCE.left - 6}" y="${place(top + 3.5)}" text-anchor="end">enough</text>`,
    html`<text class="tick" x="${EVIDENCE.left - 6}" y="${bottom + 3.5}" text-anchor="end">none</text>`,
    html`<line class="enough" x1="${EVIDENCE.left}" x2="${EVIDENCE.left + EVIDENCE.width}" y1="${top}" y2="${top}"/>`,
    html`<line class="axis" x1="${EVIDENCE.left}" x2="${EVIDENCE.left + EVIDENCE.width}" y1="${bottom}" y2="${bottom}"/>`,
    ...lines,
  ]
}

/** The evidence that this metric can gather: for harm where it can abort, for safety where it can withhold. */
function evidenceKinds(row: MetricVerdict) {
  return (
    [
      { name: 'harm', key: 'logHarm', needed: row.logHarmNeeded },
      { name: 'safety', key: 'logSafe', needed: isFigure(row.logSafe) ? row.logSafeNeeded : null },
    ] as const
  ).flatMap(({ name, key, needed }) => (isFigure(needed) && needed > 0 ? [{ name, key, needed }] : []))
}

/** Where "enough" stands in the lower plot: what goes beyond it has a little room. */
const ENOUGH = 0.8

function timeMarks(start: number, end: number): Markup[] {
  const y = EVIDENCE.top + EVIDENCE.height + 17
  if (end <= start)
    return [html`<text class="tick" x="${AREA.left + AREA.width / 2}" y="${y}" text-anchor="middle">now</text>`]
  return [
    html`<text class="tick" x="${AREA.left}" y="${y}">${duration(end - start)} ago</text>`,
    html`<text class="tick" x="${AREA.left + AREA.width}" y="${y}" text-anchor="end">now</text>`,
  ]
}

function describe(row: MetricVerdict, points: readonly Point[]): string {
  const last = points.at(-1)!
  const interval =
    isFigure(last.low) && isFigure(last.high)
      ? `, its 95 % confidence sequence ${valueText(row, last.low)} to ${valueText(row, last.high)}`
      : ''
  const limit = isFigure(row.limit) ? `; the limit is ${valueText(row, row.limit)}` : ''
  return `After ${numeral(row.n)} ${row.unit ?? 'observations'} the estimate is ${valueText(row, last.estimate)}${interval}${limit}.`
}
