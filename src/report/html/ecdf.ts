// Draws how long answers took, both versions side by side, with room for the tail. Counts come in, SVG goes out.
import { about, numeral } from '../../gate/wording.ts'
import type { Charts } from '../charts.ts'
import type { LatencySummary, Report } from '../status.ts'
import { html, type Markup } from './markup.ts'
import { type Axis, logAxis } from './scale.ts'
import { type Area, at, clipped, columnsOf, polyline, svg, WIDTH } from './svg.ts'
import { isFigure } from './words.ts'

const AREA: Area = { left: 44, top: 24, width: WIDTH - 60, height: 190 }
const HEIGHT = 248
const LINES = [
  ['p50', 0.5],
  ['p95', 0.95],
  ['p99', 0.99],
] as const
const TICKS = [['p10', 0.1], ...LINES, ['p99.9', 0.999]] as const
/** The axis of shares is log10(p/(1 − p)), between these: the tail has as much room as the middle. */
const [LOWEST, HIGHEST] = [logit(0.03), logit(0.9993)]

type Bins = Charts['latency']['baseline']

/** Share of answers that took at most so long; undefined without any. */
export function ecdfPlot({ charts, latency, baseline, candidate }: Report): Markup | undefined {
  const sides = [
    ['baseline', charts.latency.baseline],
    ['candidate', charts.latency.candidate],
  ] as const
  const edges = sides.flatMap(([, bins]) => bins.map(([edge]) => edge)).filter(isFigure)
  if (edges.length === 0) return undefined
  const limits = LINES.map(([name]) => charts.latency.limitsMs[name]).filter(isFigure)
  const axis = logAxis(Math.min(...edges, ...limits), Math.max(...edges, ...limits))
  const said = (name: string, { n, p50Ms, p99Ms }: LatencySummary) =>
    n === 0 ? `${name}: no answer` : `${name}: p50 ${orDash(p50Ms)} ms, p99 ${orDash(p99Ms)} ms over ${numeral(n)}`
  const description = `${said(`baseline ${baseline.version}`, latency.baseline)}; ${said(`candidate ${candidate.version}`, latency.candidate)}.`
  return svg('ecdf', HEIGHT, 'Share of answers within a time', description, [
    ...TICKS.map(([name, p]) => {
      const [, y] = at(AREA, 0, height(p))
      return html`<line class="grid" x1="${AREA.left}" x2="${AREA.left + AREA.width}" y1="${y}" y2="${y}"/><text class="tick" x="${AREA.left - 6}" y="${y + 3.5}" text-anchor="end">${name}</text>`
    }),
    ...columnsOf(AREA, axis, ms => about(ms)),
    html`<text class="tick" x="${AREA.left + AREA.width}" y="${HEIGHT - 4}" text-anchor="end">ms</text>`,
    clipped('clip-ecdf', AREA, [
      ...sides.flatMap(([side, bins]) => [polyline(curve(bins, axis), side)].filter(line => line !== undefined)),
    ]),
    ...LINES.flatMap(([name, p]) => {
      const limit = charts.latency.limitsMs[name]
      if (!isFigure(limit)) return []
      const [x, y] = at(AREA, axis.place(limit), height(p))
      return [html`<line class="limit solid" x1="${x}" x2="${x}" y1="${y - 7}" y2="${y + 7}"/>`]
    }),
    legend(limits.length > 0),
  ])
}

function legend(hasLimits: boolean): Markup {
  return html`<g class="legend"><line class="baseline" x1="${AREA.left}" x2="${AREA.left + 16}" y1="9" y2="9"/><text class="mark" x="${AREA.left + 21}" y="12.5">baseline</text><line class="candidate" x1="${AREA.left + 84}" x2="${AREA.left + 100}" y1="9" y2="9"/><text class="mark" x="${AREA.left + 105}" y="12.5">candidate</text>${hasLimits && html`<line class="limit solid" x1="${AREA.left + 178}" x2="${AREA.left + 178}" y1="3" y2="15"/><text class="mark" x="${AREA.left + 184}" y="12.5">limit</text>`}</g>`
}

/** Steps: a bin's answers are within its upper edge. The open last bin has no place on the axis. */
function curve(bins: Bins, axis: Axis): [number, number][] {
  const total = bins.reduce((sum, [, count]) => sum + count, 0)
  const points: [number, number][] = []
  let seen = 0
  for (const [edge, count] of bins) {
    if (!isFigure(edge)) break
    const x = axis.place(edge)
    points.push(at(AREA, x, height(seen / total)))
    seen += count
    points.push(at(AREA, x, height(seen / total)))
  }
  return points
}

function height(p: number): number {
  return (logit(Math.min(Math.max(p, 1e-9), 1 - 1e-9)) - LOWEST) / (HIGHEST - LOWEST)
}

function logit(p: number): number {
  return Math.log10(p / (1 - p))
}

function orDash(value: number | null): string {
  return isFigure(value) ? about(value) : '–'
}
