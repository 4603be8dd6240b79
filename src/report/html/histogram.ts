// Draws counts in bins: how far two answers lie apart, and what that cost. Counts and edges come in, SVG goes out.
import { about, numeral, percentage } from '../../gate/wording.ts'
import type { Charts } from '../charts.ts'
import type { Report } from '../status.ts'
import { html, type Markup } from './markup.ts'
import { linearAxis, logAxis } from './scale.ts'
import { type Area, at, columnsOf, place, svg, WIDTH } from './svg.ts'
import { figureOr, isFigure, signed, typeset } from './words.ts'

const AREA: Area = { left: 8, top: 26, width: WIDTH - 16, height: 132 }
const HEIGHT = 192
/** Room at the left for answers that are equal, which a logarithmic axis has no place for. */
const ZERO = 44
const BARS = 36

/** |candidate − baseline| on a logarithmic axis, what is equal apart, with the tolerance where it is one number. */
export function differencePlot(
  bins: Report['comparison']['differenceBins'],
  tolerance: number | undefined,
): Markup | undefined {
  const known = bins.filter(([edge, count]) => isFigure(edge) && count > 0)
  const total = known.reduce((sum, [, count]) => sum + count, 0)
  if (total === 0) return undefined
  const equal = known.filter(([edge]) => edge <= 0).reduce((sum, [, count]) => sum + count, 0)
  const others = known.filter(([edge]) => edge > 0)
  const area: Area = { ...AREA, left: AREA.left + ZERO, width: AREA.width - ZERO }
  const within = isFigure(tolerance) && tolerance > 0 ? tolerance : undefined
  const edges = [lowEnd(others), ...others.slice(-1).map(([edge]) => edge), within].filter(isFigure)
  const axis = logAxis(Math.min(...edges), Math.max(...edges))
  const counts = new Array<number>(BARS).fill(0)
  for (const [edge, count] of others)
    counts[Math.min(Math.max(Math.floor(axis.place(edge) * BARS), 0), BARS - 1)]! += count
  const most = Math.max(equal, ...counts, 1)
  const description =
    `${percentage(equal / total)} of ${numeral(total)} pairs are equal` +
    (others.length === 0 ? '.' : `; the others differ by up to ${about(Math.max(...others.map(([edge]) => edge)))}.`)
  return svg('difference', HEIGHT, 'Histogram of |candidate − baseline|', description, [
    ...bars(area, counts, most, index =>
      within !== undefined && (index + 0.5) / BARS > axis.place(within) ? 'bar-c' : 'bar-b',
    ),
    zeroBar(equal, most, total),
    ...(others.length === 0 ? [] : columnsOf(area, axis)),
    ...(within === undefined ? [] : [mark(area, axis.place(within), `tolerance ${about(within)}`, 'limit')]),
  ])
}

/** The few smallest share the first bar: decades of next to nothing would leave the rest no room. */
function lowEnd(bins: readonly (readonly [edge: number, count: number])[]): number | undefined {
  const total = bins.reduce((sum, [, count]) => sum + count, 0)
  let seen = 0
  for (const [edge, count] of bins) {
    seen += count
    if (seen >= total * 0.005) return edge
  }
  return undefined
}

function zeroBar(equal: number, most: number, total: number): Markup {
  const height = place((equal / most) * AREA.height)
  const bottom = AREA.top + AREA.height
  const share = equal === 0 ? '' : percentage(equal / total)
  return html`<rect class="bar-b" x="${AREA.left}" y="${bottom - height}" width="${ZERO - 16}" height="${height}"/><line class="axis" x1="${AREA.left}" x2="${AREA.left + ZERO - 16}" y1="${bottom}" y2="${bottom}"/><text class="tick" x="${AREA.left + (ZERO - 16) / 2}" y="${bottom + 16}" text-anchor="middle">equal</text>${share !== '' && html`<text class="tick" x="${AREA.left}" y="${bottom - height - 5}">${share}</text>`}`
}

/** Loss of the candidate less that of the baseline, 0 in the middle: left is better, right is worse. */
export function lossPlot(loss: NonNullable<Charts['loss']>, mean: number | null | undefined): Markup {
  const { counts, from, to, zero } = loss
  const axis = linearAxis(from, to, 4)
  const most = Math.max(...counts, 1)
  const total = counts.reduce((sum, count) => sum + count, 0) + zero
  const better = counts.slice(0, counts.length / 2).reduce((sum, count) => sum + count, 0)
  const worse = total - zero - better
  const share = (amount: number) => (total === 0 ? '–' : percentage(amount / total))
  const description = `Of ${numeral(total)} labelled requests the candidate did better on ${share(better)}, equally on ${share(zero)}, worse on ${share(worse)}; the mean difference is ${signed(mean)}.`
  return svg('loss', HEIGHT, 'Histogram of the loss difference', description, [
    ...bars(AREA, counts, most, index => (index < counts.length / 2 ? 'bar-good' : 'bar-bad')),
    ...columnsOf(AREA, axis, value => typeset(about(value))),
    html`<text class="mark good" x="${AREA.left}" y="12">better on ${share(better)}</text>`,
    html`<text class="mark bad" x="${AREA.left + AREA.width}" y="12" text-anchor="end">worse on ${share(worse)}</text>`,
    ...(zero > 0
      ? [
          html`<text class="tick" x="${AREA.left + AREA.width / 2}" y="12" text-anchor="middle">equal ${share(zero)}</text>`,
        ]
      : []),
    ...(isFigure(mean) ? [meanMark(axis.place(mean))] : []),
  ])
}

function meanMark(share: number): Markup {
  const [x, bottom] = at(AREA, share, 0)
  return html`<line class="mean" x1="${x}" x2="${x}" y1="${AREA.top - 6}" y2="${bottom}"/>`
}

/** The table behind {@link lossPlot}; the first and the last bin hold what is beyond them too. */
export function lossTable({ counts, from, to, zero }: NonNullable<Charts['loss']>): Markup {
  const width = (to - from) / counts.length
  const last = counts.length - 1
  const rows = counts
    .map(
      (count, index) =>
        [
          index === 0 ? 'less' : figureOr(from + index * width),
          index === last ? 'more' : figureOr(from + (index + 1) * width),
          count,
        ] as const,
    )
    .filter(([, , count]) => count > 0)
  return html`<details><summary>The figures behind this plot</summary><div class="scroll"><table>
<thead><tr><th class="r">from</th><th class="r">to</th><th class="r">labels</th></tr></thead>
<tbody><tr><td class="r">0</td><td class="r">0</td><td class="r">${numeral(zero)}</td></tr>${rows.map(([low, high, count]) => html`<tr><td class="r">${low}</td><td class="r">${high}</td><td class="r">${numeral(count)}</td></tr>`)}</tbody></table></div></details>`
}

/** The table behind {@link differencePlot}, by decade and half decade. */
export function differenceTable(bins: Report['comparison']['differenceBins']): Markup {
  const groups = new Map<number, number>()
  for (const [edge, count] of bins) {
    if (!isFigure(edge)) continue
    const upper = edge <= 0 ? 0 : 10 ** (Math.ceil(Math.log10(edge) * 2 - 1e-9) / 2)
    groups.set(upper, (groups.get(upper) ?? 0) + count)
  }
  const rows = [...groups].sort((a, b) => a[0] - b[0])
  return html`<details><summary>The figures behind this plot</summary><div class="scroll"><table>
<thead><tr><th class="r">difference up to</th><th class="r">pairs</th></tr></thead>
<tbody>${rows.map(([upper, count]) => html`<tr><td class="r">${about(upper)}</td><td class="r">${numeral(count)}</td></tr>`)}</tbody></table></div></details>`
}

function bars(area: Area, counts: readonly number[], most: number, nameOf: (index: number) => string): Markup[] {
  const step = area.width / counts.length
  return counts.flatMap((count, index) => {
    if (count <= 0) return []
    // A single observation among a thousand million is still to be seen.
    const height = place(Math.max((count / most) * area.height, 0.75))
    return [
      html`<rect class="${nameOf(index)}" x="${place(area.left + index * step + 0.5)}" y="${place(area.top + area.height - height)}" width="${place(step - 1)}" height="${height}"/>`,
    ]
  })
}

function mark(area: Area, share: number, text: string, name: string): Markup {
  const [x, bottom] = at(area, share, 0)
  const isRight = share > 0.6
  return html`<line class="${name}" x1="${x}" x2="${x}" y1="${area.top - 8}" y2="${bottom}"/><text class="mark bad halo" x="${place(x + (isRight ? -5 : 5))}" y="${area.top - 2}" text-anchor="${isRight ? 'end' : 'start'}">${text}</text>`
}
