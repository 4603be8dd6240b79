// Writes a report or a verdict for a person in a terminal. Decides nothing.
import type { Verdict } from '../gate/evidence.ts'
import { metricsTable, type Section, sectionsOf, sentenceOf, subjectOf, type Table, verdictLines } from './content.ts'
import type { Report } from './status.ts'
import { paintDecision, type TextOptions } from './statusText.ts'
import { type Cell, printable, type Style, styleFor, table } from './table.ts'

/** One sentence of verdict, then coverage, metrics, answers, latency, segments and provenance. */
export function reportText(report: Report, { colour }: TextOptions = { colour: false }): string {
  const style = styleFor(colour)
  const parts = [
    headOf(report.verdict, report.route, style),
    ...sectionsOf(report).map(section => sectionText(section, style)),
    style.dim(
      `report of ${printable(report.generatedAt)}, evidence ${printable(report.verdict.evidenceDigest.slice(0, 16))}`,
    ),
  ]
  return `${parts.join('\n\n')}\n`
}

/** A verdict alone: the sentence, what is missing, and a row a metric. */
export function verdictText(verdict: Verdict, { colour }: TextOptions = { colour: false }): string {
  const style = styleFor(colour)
  const rows = verdict.metrics.length === 0 ? [] : ['', tableText(metricsTable(verdict.metrics), style)]
  return `${[headOf(verdict, verdict.route, style), ...rows].join('\n')}\n`
}

function headOf(verdict: Verdict, route: string, style: Style): string {
  return [
    `${style.bold(paintDecision(verdict.decision, style))}: ${printable(sentenceOf(verdict))}`,
    `  ${style.dim(printable(subjectOf({ route, verdict })))}`,
    ...verdictLines(verdict).map(line => `  ${printable(line)}`),
  ].join('\n')
}

function sectionText({ title, lines, table: cells }: Section, style: Style): string {
  return [
    style.bold(printable(title)),
    ...lines.map(line => `  ${printable(line)}`),
    ...(cells === undefined ? [] : [tableText(cells, style)]),
  ].join('\n')
}

function tableText({ head, rows, right }: Table, style: Style): string {
  const state = head.indexOf('state')
  return table(
    rows.map(row => row.map((text, column): Cell => (column === state ? painted(text, style) : printable(text)))),
    { ...(head.length > 0 && { head }), right, indent: '  ', style },
  )
}

function painted(state: string, style: Style): Cell {
  const paint = { guilty: style.bad, safe: style.good, open: style.warn }[state] ?? style.dim
  return { text: printable(state), paint }
}
