// Where the figures of a report are from, when it was made from spans.
import type { Report } from '../status.ts'
import { tracesSections } from '../tracesSection.ts'
import { html, type Markup } from './markup.ts'
import { typeset } from './words.ts'

/** Undefined: a gateway made it. */
export function tracesSection(report: Report): Markup | undefined {
  const [section] = tracesSections(report)
  if (section === undefined) return undefined
  const { title, lines, table } = section
  const place = (column: number) => (table?.right.includes(column) ? 'r' : '')
  return html`<section class="whole"><h2>${title}</h2><ul>${lines.map(line => html`<li>${typeset(line)}</li>`)}</ul>${
    table !== undefined &&
    html`<div class="scroll"><table class="narrow">
<thead><tr>${table.head.map((name, column) => html`<th class="${place(column)}">${name}</th>`)}</tr></thead>
<tbody>${table.rows.map(row => html`<tr>${row.map((cell, column) => html`<td class="${place(column)}">${cell}</td>`)}</tr>`)}</tbody></table></div>`
  }</section>`
}
