// Writes a report as Markdown (GitHub's dialect), fit for a pull request. Every text in it is escaped. Decides nothing.
import { type Section, sectionsOf, sentenceOf, subjectOf, type Table, verdictLines } from './content.ts'
import type { Report } from './status.ts'
import { printable } from './table.ts'

export function reportMarkdown(report: Report): string {
  const { verdict } = report
  return [
    `# ${escapeMarkdown(subjectOf(report))}`,
    `**${verdict.decision}**: ${escapeMarkdown(sentenceOf(verdict))}`,
    list(verdictLines(verdict)),
    ...sectionsOf(report).map(sectionMarkdown),
    `Report of ${escapeMarkdown(report.generatedAt)}, evidence ${escapeMarkdown(verdict.evidenceDigest)}.`,
    '',
  ]
    .join('\n\n')
    .replace(/\n+$/, '\n')
}

/**
 * Text that means itself inside a line of Markdown, in a table cell too: no emphasis, links, HTML, entities or mentions.
 * Control characters are shown as \u{…}.
 */
export function escapeMarkdown(text: string): string {
  return (
    printable(text)
      .replace(/[\\`*_[\]<>|~&#@!$]/g, '\\$&')
      // GitHub links bare addresses, whoever wrote them.
      .replace(/\b(https?|ftp|mailto):/gi, '$1\\:')
      .replace(/\bwww\./gi, 'www\\.')
  )
}

/** The same at the start of a block, where `1.` and `-` would begin a list and `=` a heading. */
function escapeBlock(text: string): string {
  return escapeMarkdown(text)
    .trimStart()
    .replace(/^[-+=]/, '\\$&')
    .replace(/^(\d+)([.)])/, '$1\\$2')
}

function sectionMarkdown({ title, lines, table }: Section): string {
  return [
    `## ${escapeMarkdown(title)}`,
    ...(lines.length === 0 ? [] : [list(lines)]),
    ...(table === undefined ? [] : [tableMarkdown(table)]),
  ].join('\n\n')
}

function tableMarkdown({ head, rows, right }: Table): string {
  const columns = Math.max(head.length, ...rows.map(row => row.length))
  const row = (cells: readonly string[]) =>
    `| ${Array.from({ length: columns }, (_, column) => escapeMarkdown(cells[column] ?? '')).join(' | ')} |`
  const rule = Array.from({ length: columns }, (_, column) => (right.includes(column) ? '--:' : '---'))
  return [row(head), `| ${rule.join(' | ')} |`, ...rows.map(row)].join('\n')
}

function list(lines: readonly string[]): string {
  return lines.map(line => `- ${escapeBlock(line)}`).join('\n')
}
