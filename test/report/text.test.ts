import { describe, expect, it } from 'vitest'
import { escapeMarkdown, reportMarkdown } from '../../src/report/markdown.ts'
import { printable, table } from '../../src/report/table.ts'
import { reportText, verdictText } from '../../src/report/text.ts'
import { report, verdict } from './sample.ts'

const asJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T
const hostile = '\u001b[2J<script>|`x`\n# t @team https://evil.example \u202e'

describe('the text report', () => {
  it('begins with one sentence of verdict', () => {
    const first = reportText(report).split('\n')[0]!
    expect(first.startsWith(`${verdict.decision}: `)).toBe(true)
  })

  it('tells coverage, metrics, latency, worst segments and the provenance of both versions', () => {
    const text = reportText(report)
    for (const title of [
      'Coverage of the mirror',
      'Metrics',
      'Latency',
      'Worst segments',
      'Provenance of the baseline, 1.0.0',
      'Provenance of the candidate, 1.1.0',
    ])
      expect(text).toContain(title)
    expect(text).toMatch(/\+ dropped +5 +0\.5 % +ring_full 5/)
    expect(text).toMatch(/origin=JFK +120 +58\.3 %/)
  })

  it('is the same from the gateway’s JSON, where infinite figures are null', () => {
    expect(reportText(asJson(report))).toBe(reportText(report))
    expect(reportMarkdown(asJson(report))).toBe(reportMarkdown(report))
    expect(verdictText(asJson(verdict))).toBe(verdictText(verdict))
  })

  it('says how many more observations a metric needs', () => {
    const open = { ...verdict, metrics: [{ ...verdict.metrics[0]!, state: 'open' as const, needed: 1873 }] }
    expect(verdictText(open)).toContain('about 1,900 more')
  })

  it('has no colours unless it is asked for them', () => {
    expect(reportText(report)).not.toContain('\u001b')
    expect(reportText(report, { colour: true })).toContain('\u001b[')
  })

  it('lets nothing that a model says reach the terminal as a control sequence', () => {
    const text = reportText({
      ...report,
      verdict: { ...verdict, reason: hostile, missing: [hostile] },
      segments: [{ ...report.segments[0]!, segment: hostile }],
    })
    expect(text).not.toContain('\u001b')
    expect(text).not.toContain('\u202e')
    expect(text).toContain('\\u{1b}[2J')
  })

  it('says when the account does not add up', () => {
    const account = { ...report.account, eligible: report.account.eligible + 2 }
    expect(reportText({ ...report, account })).toContain('2 requests are missing from this account')
  })
})

describe('the Markdown report', () => {
  it('escapes what would be markup, a link, a mention or a cell border', () => {
    const text = escapeMarkdown(hostile)
    expect(text).toContain('\\<script\\>\\|\\`x\\`')
    expect(text).toContain('\\@team https\\://evil')
    expect(text).not.toContain('\n')
  })

  it('keeps the cells of a row apart whatever is in them', () => {
    const text = reportMarkdown({ ...report, segments: [{ ...report.segments[0]!, segment: 'a|b' }] })
    const row = text.split('\n').find(line => line.includes('a\\|b'))!
    expect(row.match(/(?<!\\)\|/g)).toHaveLength(7)
  })

  it('makes no heading, list or quote of a text that looks like one', () => {
    const missing = ['# x', '> y']
    const text = reportMarkdown({ ...report, verdict: { ...verdict, missing } })
    expect(text).toContain('- still needed: \\# x')
    expect(text).toContain('- still needed: \\> y')
  })
})

describe('a table', () => {
  it('aligns by characters and leaves no blanks at the end of a line', () => {
    expect(
      table(
        [
          ['ä', '1'],
          ['bbb', '22'],
          ['c', ''],
        ],
        { right: [1] },
      ),
    ).toBe('ä     1\nbbb  22\nc')
  })

  it('shows control and direction characters as escapes', () => {
    expect(printable('a\u0007\u202eb\u2066')).toBe('a\\u{7}\\u{202e}b\\u{2066}')
  })
})
