// The page's sections in words, tables and plots, from a report. Decides what is shown where, and nothing about versions.
import { droppedOf, failedOf } from '../../evidence/accounting.ts'
import type { MetricVerdict } from '../../gate/evidence.ts'
import { about, numeral, percentage } from '../../gate/wording.ts'
import type { Distances, MetricHistory } from '../charts.ts'
import { stillNeeded } from '../content.ts'
import type { LatencySummary, Report } from '../status.ts'
import { ecdfPlot } from './ecdf.ts'
import { differencePlot, differenceTable, lossPlot, lossTable } from './histogram.ts'
import { html, type Markup } from './markup.ts'
import { type Matrix, matrixPlot, matrixTable } from './matrix.ts'
import { pathPlot, pathTable } from './paths.ts'
import { place } from './svg.ts'
import { countOr, figureOr, isFigure, logText, signed, typeset, valueText } from './words.ts'

/** Every metric with a path, then the table of all rows, segments too. */
export function metricsSection(report: Report): Markup {
  const { verdict, history } = report
  const whole = verdict.metrics.filter(row => row.segment === undefined)
  const seen = whole.filter(({ n }) => n > 0)
  const lead =
    whole.length === 0
      ? html`<p>No metric could be judged.</p>`
      : html`<p>Each estimate with its 95 % confidence sequence (the band), against its limit. Below it the evidence: <span class="good">no worse than the limit</span>, <span class="bad">worse</span>. A metric is decided where a line reaches “enough”.</p>`
  return html`<section><h2>Metrics on their way to a decision</h2>${lead}
<div class="panels aligned">${seen.map((row, index) => metricFigure(`path-${index}`, row, history, report))}</div>
${whole.length > 0 && metricRows(report)}</section>`
}

function metricFigure(id: string, row: MetricVerdict, history: readonly MetricHistory[], report: Report): Markup {
  const points = history.find(({ metric, what }) => metric === row.metric && what === row.what)?.points ?? [
    [
      Date.parse(report.generatedAt) || 0,
      report.verdict.step,
      row.n,
      row.estimate,
      row.interval?.[0] ?? null,
      row.interval?.[1] ?? null,
      row.limit,
      row.logHarm,
      row.logSafe,
    ],
  ]
  const interval = row.interval
  return html`<figure><figcaption><h3>${row.metric}</h3><span class="state ${row.state}">${stateOf(row)}</span></figcaption>
<p>${typeset(row.what.replace(/, ms$/, ''))}, ${numeral(row.n)} ${row.unit ?? 'observations'}</p>
<div class="figures"><span><b>${valueText(row, row.estimate)}</b>${isFigure(row.baseline) && html` baseline ${valueText(row, row.baseline)}`}</span>${interval && html`<span>${valueText(row, interval[0])} to ${valueText(row, interval[1])}</span>`}${isFigure(row.limit) && html`<span>${row.metric === 'split' ? 'due' : 'limit'} ${valueText(row, row.limit)}</span>`}</div>
${pathPlot(id, row, points)}
<p>${evidenceText(row)}</p><p class="warn">${typeset(needText(row, report))}</p>
${pathTable(row, points)}</figure>`
}

const STATES = {
  guilty: 'guilty',
  safe: 'shown safe',
  open: 'not decided',
  watched: 'watched',
  waived: 'waived',
} as const

function stateOf({ state }: MetricVerdict): string {
  return STATES[state] ?? String(state)
}

/** The natural logarithms of the e-values beside what is needed of them. */
function evidenceText(row: MetricVerdict): string {
  const parts = [
    isFigure(row.logHarm) && isFigure(row.logHarmNeeded)
      ? `ln e for worse ${logText(row.logHarm)} of ${logText(row.logHarmNeeded)}`
      : 'cannot abort',
    isFigure(row.logSafe) && isFigure(row.logSafeNeeded)
      ? `for safe ${logText(row.logSafe)} of ${logText(row.logSafeNeeded)}`
      : 'withholds nothing',
  ]
  return parts.join(', ')
}

/** What a metric still needs, and how long that takes at the rate at which it comes. */
function needText(row: MetricVerdict, { verdict, timeToVerdict }: Report): string {
  const index = verdict.metrics.indexOf(row)
  return stillNeeded(
    row,
    timeToVerdict?.waits.find(wait => wait.row === index),
  )
}

/** The metrics with their guilty segments, and every row on demand. */
function metricRows({ verdict }: Report): Markup {
  const { metrics, guilty } = verdict
  const isGuilty = (row: MetricVerdict) =>
    row.state === 'guilty' || guilty.some(({ metric, segment }) => metric === row.metric && segment === row.segment)
  const told = metrics.filter(row => !isSegment(row) || isGuilty(row))
  const rest = metrics.length - told.length
  return html`${metricTable(told, isGuilty)}${
    rest > 0 &&
    html`<details><summary>All ${numeral(metrics.length)} rows of the verdict, segments too</summary>${metricTable(metrics, isGuilty)}</details>`
  }`
}

function metricTable(rows: readonly MetricVerdict[], isGuilty: (row: MetricVerdict) => boolean): Markup {
  return html`<div class="scroll"><table>
<thead><tr><th>metric</th><th>state</th><th class="r">n</th><th class="r">baseline</th><th class="r">estimate</th><th class="r">95 % from</th><th class="r">to</th><th class="r">limit</th><th class="r">ln e, worse</th><th class="r">ln e, safe</th></tr></thead>
<tbody>${rows.map(
    row =>
      html`<tr${isGuilty(row) && html` class="row-guilty"`}><th scope="row" class="name">${isSegment(row) ? html`<span class="under">${row.segment}</span>` : row.metric}</th><td class="${row.state}">${stateOf(row)}</td><td class="r">${countOr(row.n)}</td>${[row.baseline, row.estimate, row.interval?.[0], row.interval?.[1], row.limit].map(value => html`<td class="r">${valueText(row, value)}</td>`)}<td class="r">${ofNeeded(row.logHarm, row.logHarmNeeded)}</td><td class="r">${ofNeeded(row.logSafe, row.logSafeNeeded)}</td></tr>`,
  )}</tbody></table></div>`
}

function isSegment({ segment }: MetricVerdict): boolean {
  return segment !== undefined && segment !== null
}

function ofNeeded(value: number | null, needed: number | null): string {
  return isFigure(value) && isFigure(needed) ? `${logText(value)} of ${logText(needed)}` : '–'
}

/** What became of every request that could be mirrored. */
export function coverageSection({ account }: Report): Markup {
  const { eligible, notSampled, compared, inFlight, lost } = account
  const reasons = (by: Readonly<Record<string, number>>) =>
    Object.entries(by)
      .filter(([, amount]) => amount > 0)
      .map(([reason, amount]) => `${reason.replaceAll('_', ' ')} ${numeral(amount)}`)
      .join(', ')
  const parts = [
    ['compared', compared, 'bar-b', ''],
    ['not sampled', notSampled, 'bar-idle', notSampled > 0 ? 'left out on purpose: shadow percent and limit' : ''],
    ['dropped', droppedOf(account), 'bar-warn', reasons(account.dropped)],
    ['failed', failedOf(account), 'bar-bad', reasons(account.failed)],
    ['in flight', inFlight, 'bar-good', ''],
    ['lost', lost, 'bar-c', lost > 0 ? 'a thread died' : ''],
  ] as const
  const sum = parts.reduce((total, [, amount]) => total + amount, 0)
  const gap = eligible - sum
  return html`<section class="whole"><h2>Coverage</h2><p>${
    eligible === 0
      ? 'No request could be mirrored yet.'
      : `What became of ${numeral(eligible)} requests that could be mirrored.`
  }${gap !== 0 && ` ${numeral(Math.abs(gap))} ${gap > 0 ? 'are missing from' : 'are too many in'} this account.`}</p>
${eligible > 0 && coverageBar(parts, Math.max(sum, eligible))}
<div class="scroll"><table class="narrow"><thead><tr><th></th><th class="r">requests</th><th class="r">share</th><th>why</th></tr></thead>
<tbody>${parts.map(
    ([name, amount, colour, why]) =>
      html`<tr><th scope="row"><svg class="swatch" viewBox="0 0 10 10" aria-hidden="true"><rect class="${colour}" width="10" height="10" rx="2"/></svg>${name}</th><td class="r">${numeral(amount)}</td><td class="r">${eligible === 0 ? '–' : percentage(amount / eligible)}</td><td>${why}</td></tr>`,
  )}<tr><th scope="row">eligible</th><td class="r">${numeral(eligible)}</td><td class="r"></td><td></td></tr></tbody></table></div></section>`
}

function coverageBar(parts: readonly (readonly [string, number, string, string])[], total: number): Markup {
  let x = 0
  const pieces = parts.flatMap(([name, amount, colour]) => {
    if (amount <= 0) return []
    // What is there is to be seen, be it one of a thousand million.
    const width = Math.max((amount / total) * 1000, 2)
    const from = Math.min(x, 998)
    x += width
    return [
      html`<rect class="${colour}" x="${place(from)}" y="0" width="${place(Math.min(width, 1000 - from))}" height="20"><title>${name} ${numeral(amount)}</title></rect>`,
    ]
  })
  return html`<svg class="bar" viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-labelledby="coverage-t coverage-d"><title id="coverage-t">Coverage of the mirror</title><desc id="coverage-d">The shares of the table below, side by side.</desc>${pieces}</svg>`
}

/** How far the answers lie apart, what that cost, and where both versions' scores and classes fall. */
export function answersSection(report: Report): Markup {
  const { comparison, errors, labels, charts } = report
  const { compared, mismatches, unstable, difference } = comparison
  const sentences = [
    compared === 0
      ? 'No pair of answers was compared yet.'
      : `${numeral(compared)} pairs compared, ${numeral(mismatches)} differ by more than the tolerance (${percentage(mismatches / compared)}), ${numeral(unstable)} with a NaN or infinity of the candidate’s own.`,
    `Failed: candidate only ${numeral(errors.candidateOnly)}, baseline only ${numeral(errors.baselineOnly)}, both ${numeral(errors.both)}, neither ${numeral(errors.neither)}.`,
  ]
  const scores: Matrix | undefined = charts.scores && {
    id: 'scores',
    title: 'Scores of both versions by decile, percent of each row',
    what: 'decile',
    names: charts.scores.counts.map((_, index) => String(index + 1)),
    counts: charts.scores.counts,
  }
  const classes: Matrix | undefined = charts.classes && {
    id: 'classes',
    title: 'Classes of both versions, percent of each row',
    what: 'class',
    names: charts.classes.names,
    counts: charts.classes.counts,
  }
  const differences = differencePlot(comparison.differenceBins, toleranceOf(report.policy))
  return html`<section><h2>Answers</h2><p>${sentences.join(' ')}</p><div class="panels">
${differences && html`<figure><figcaption><h3>How far apart</h3></figcaption><p>|candidate − baseline| of each pair${difference && `: p50 ${about(difference.p50)}, p90 ${about(difference.p90)}, p99 ${about(difference.p99)}, at most ${about(difference.max)}`}</p>${differences}${differenceTable(comparison.differenceBins)}</figure>`}
${charts.loss && html`<figure><figcaption><h3>What it cost</h3></figcaption><p>Loss of the candidate less the baseline’s, ${numeral(labels?.n ?? 0)} labels; the line is the mean, ${signed(labels?.meanDifference)}; the bars at the ends hold what is beyond</p>${lossPlot(charts.loss, labels?.meanDifference)}${lossTable(charts.loss)}</figure>`}
${scores && matrixFigure('Scores', 'Deciles of the baseline’s own earlier scores; a cell is the percent of its row', scores, charts.scores!.distances, true)}
${classes && matrixFigure('Classes', 'What each version answered; a cell is the percent of its row', classes, charts.classes!.distances, false)}
</div></section>`
}

function matrixFigure(title: string, what: string, matrix: Matrix, distances: Distances, ordered: boolean): Markup {
  const figures = [
    `PSI ${about(distances.psi)}`,
    ...(ordered ? [`KS ${about(distances.ks)}`] : []),
    `JS ${about(distances.js)} bit`,
  ]
  return html`<figure><figcaption><h3>${title}</h3></figcaption><p>${what}</p>${matrixPlot(matrix)}<p>Distance of the two distributions: ${figures.join(', ')}. For display only: these decide nothing, since chance alone moves them.</p>${matrixTable(matrix)}</figure>`
}

/** The one absolute tolerance of the first compared output, where there is one. */
function toleranceOf(policy: unknown): number | undefined {
  const compare = (policy as { compare?: { output?: unknown; tolerance?: { absolute?: unknown } } } | undefined)
    ?.compare
  const first = Array.isArray(compare?.output) ? (compare.output[0] as typeof compare | undefined) : compare
  const absolute = first?.tolerance?.absolute
  return typeof absolute === 'number' ? absolute : undefined
}

export function latencySection(report: Report): Markup {
  const { latency, verdict, charts } = report
  const plot = ecdfPlot(report)
  const row = (name: string, { n, p50Ms, p95Ms, p99Ms }: LatencySummary) =>
    html`<tr><th scope="row" class="name">${name}</th><td class="r">${countOr(n)}</td>${[p50Ms, p95Ms, p99Ms].map(ms => html`<td class="r">${figureOr(ms)}</td>`)}</tr>`
  const limits = charts.latency.limitsMs
  const ratio = (of: (side: LatencySummary) => number | null) => {
    const [a, b] = [of(latency.candidate), of(latency.baseline)]
    return isFigure(a) && isFigure(b) && b > 0 ? about(a / b) : '–'
  }
  return html`<section class="whole"><h2>Latency</h2><p>${
    verdict.stage === 'shadow'
      ? 'Of pairs that were sent alone; time in a queue is left out. It can withhold a promotion, not abort.'
      : 'Of live answers, each version’s own.'
  }</p><div class="panels">
<figure><figcaption><h3>Share of answers within a time</h3></figcaption>${plot ?? html`<p class="none">No latency yet: nothing to draw.</p>`}</figure>
<div class="scroll rest"><table class="narrow"><thead><tr><th>ms</th><th class="r">n</th><th class="r">p50</th><th class="r">p95</th><th class="r">p99</th></tr></thead><tbody>
${row(`baseline ${verdict.baseline}`, latency.baseline)}${row(`candidate ${verdict.candidate}`, latency.candidate)}
<tr><th scope="row">ratio</th><td></td><td class="r">${ratio(side => side.p50Ms)}</td><td class="r">${ratio(side => side.p95Ms)}</td><td class="r">${ratio(side => side.p99Ms)}</td></tr>
<tr><th scope="row">limit</th><td></td>${[limits.p50, limits.p95, limits.p99].map(ms => html`<td class="r">${figureOr(ms)}</td>`)}</tr>
</tbody></table></div></div></section>`
}

/** The JSON has them all. */
const LISTED = 20

/** The worst first: those that the verdict names, then by suspicion. */
export function segmentsSection({ segments, verdict }: Report): Markup | undefined {
  if (segments.length === 0) return undefined
  const byLoss = segments.some(({ meanLossDifference }) => isFigure(meanLossDifference))
  const sizeOf = (row: Report['segments'][number]) =>
    byLoss ? (row.meanLossDifference ?? 0) : row.compared === 0 ? 0 : row.mismatches / row.compared
  const shown = segments.slice(0, LISTED)
  const most = Math.max(...shown.map(row => Math.abs(sizeOf(row))), 1e-12)
  const rest = segments.length - shown.length
  const isGuilty = (name: string) => verdict.guilty.some(({ segment }) => segment === name)
  return html`<section><h2>Worst segments</h2><p>Ordered by suspicion. A segment alone can abort, at its share of the error budget.${rest > 0 && ` The worst ${LISTED} of ${numeral(segments.length)}; the JSON report has them all.`}</p>
<div class="scroll"><table><thead><tr><th>segment</th><th class="r">loss above the baseline’s</th><th>${byLoss ? 'better | worse' : 'share that differs'}</th><th class="r">labels</th><th class="r">compared</th><th class="r">differ</th><th class="r">candidate errors</th></tr></thead>
<tbody>${shown.map(
    row =>
      html`<tr${isGuilty(row.segment) && html` class="row-guilty"`}><th scope="row" class="name">${row.segment}${isGuilty(row.segment) && html` <span class="bad">guilty</span>`}</th><td class="r">${signed(row.meanLossDifference)}</td><td>${spark(sizeOf(row) / most, byLoss)}</td><td class="r">${countOr(row.labels)}</td><td class="r">${countOr(row.compared)}</td><td class="r">${row.compared === 0 ? '–' : percentage(row.mismatches / row.compared)}</td><td class="r">${countOr(row.candidateErrors)}</td></tr>`,
  )}</tbody></table></div></section>`
}

/** A bar from the middle (a difference) or from the left (a share). @param share −1 to 1 */
function spark(share: number, isDifference: boolean): Markup {
  const cut = Math.min(Math.max(Number.isFinite(share) ? share : 0, -1), 1)
  const width = Math.abs(cut) * (isDifference ? 59 : 119)
  const x = isDifference ? (cut < 0 ? 60 - width : 60) : 0
  const colour = !isDifference ? 'bar-c' : cut > 0 ? 'bar-bad' : 'bar-good'
  return html`<svg class="spark" viewBox="0 0 120 12" aria-hidden="true">${isDifference && html`<line class="axis" x1="60" x2="60" y1="0" y2="12"/>`}<rect class="${colour}" x="${place(x)}" y="2" width="${place(width)}" height="8"/></svg>`
}
