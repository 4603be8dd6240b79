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
    expect(verdictText(open)).toContain(`about 1,900 more ${open.metrics[0]!.unit}`)
  })

  it('explains each metric: estimate, sequence, evidence of both tests and where it decides, and how long it still takes', () => {
    const row = { ...verdict.metrics[0]!, state: 'open' as const, needed: 1873, unit: 'labels' }
    const judged = { ...row, logHarm: 1.5, logHarmNeeded: 6.21, logSafe: 2.25, logSafeNeeded: 3.69 }
    const wait = {
      what: 'labels',
      row: 0,
      n: 400,
      needed: 1873,
      unit: 'labels',
      perSecond: 3.2,
      rateOf: 'minute' as const,
    }
    const waits = [{ ...wait, secondsToVerdict: 585, setting: 'labels.margin' }]
    const dominates = { what: 'labels', secondsToVerdict: 585, setting: 'labels.margin', value: 0.002 }
    const timeToVerdict = { waits, secondsToVerdict: 585, secondsToHold: 1e6, dominates }
    const waiting = { ...report, verdict: { ...verdict, metrics: [judged] }, timeToVerdict }
    for (const text of [reportText(waiting), reportMarkdown(waiting).replaceAll('\\', '')]) {
      expect(text).toContain('1.5 of 6.21')
      expect(text).toContain('2.25 of 3.69')
      expect(text).toContain('about 1,900 more labels, about 9.8 minutes at 3.2/s')
      expect(text).toContain(
        'the verdict waits for labels: about 9.8 minutes at this rate; `labels.margin` (0.002) decides that',
      )
    }
  })

  it('shows no evidence of a test that a metric does not have', () => {
    const row = {
      ...verdict.metrics[0]!,
      logHarm: 1,
      logHarmNeeded: Number.POSITIVE_INFINITY,
      logSafe: Number.NEGATIVE_INFINITY,
    }
    const text = verdictText({ ...verdict, metrics: [row] })
    expect(text).not.toMatch(/ of \d|Infinity/)
  })

  it('says what a person has waived and until when, what that was when it is over, and a second attempt', () => {
    const waiver = {
      metrics: ['latency.p99' as const],
      reason: 'cold cache',
      until: Date.UTC(2026, 0, 2),
      expired: false,
    }
    const text = reportText({ ...report, waiver, attempt: 3 })
    expect(text).toContain('waived until 2026-01-02T00:00:00.000Z: latency.p99 (cold cache)')
    expect(text).toContain('attempt 3: promotion is judged at α/12')
    expect(reportText({ ...report, waiver: { ...waiver, expired: true } })).toContain(
      'ended on 2026-01-02T00:00:00.000Z',
    )
    expect(reportText(report)).not.toContain('Terms')
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
