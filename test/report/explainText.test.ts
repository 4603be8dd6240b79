import { describe, expect, it } from 'vitest'
import { explainText } from '../../src/report/explainText.ts'
import { explanation } from './explained.ts'

const lengthsOf = (text: string) => text.split('\n').map(line => [...line].length)

describe('one request as text', () => {
  const text = explainText([explanation], 1)

  it('says how it was assigned, what each version did and how the answers differ', () => {
    expect(text).toContain(`request order-17 of flight-delay
  at        2026-01-01 00:00:01.250 UTC, revision 3, protocol v2
  trace     0af7651916cd43dd8448eb211c80319c, spans kept (mismatch)
  input     412 bytes, features FP32 [1,30]
  sha256    ${'9f'.repeat(32)}
  assigned  to 1.0.0 (split): by weight, with the key in body /user: requests
            with this key go together
            shares: 1.0.0 99 %, 1.1.0 1 %, 2.0.0 0 %
            draws of its key, −ln(1−u)/weight, the least wins: 1.0.0 0.00123,
            1.1.0 0.45
  held      1.1.0 wants 5 %, has 1 %: versions without evidence may take 1 %
            together
  answered  status 200, in 1.93 ms, 212 bytes
  label     is waited for

  version  role    outcome                  ms  waited
  1.0.0    live    answered               0.31    0.00
  1.1.0    shadow  answered               0.42    1.20  in a batch
  2.0.0    shadow  not asked: queue_full
  2.0.0: its queue was full (mirror.queue)
`)
    expect(text).toContain('label: mismatch as label; another label; on time → late')
  })

  it('fits 80 columns, and lets no answer move the cursor', () => {
    expect(Math.max(...lengthsOf(text))).toBeLessThanOrEqual(80)
    expect(text).not.toContain('\u001b')
    expect(text).toContain('late\\u{1b}[31m')
    const values = Array.from({ length: 16 }, () => 'a long label')
    const wide = explanation.versions.map(version => ({
      ...version,
      outputs: [{ output: 'labels', shape: [1, 64], values, width: 64 }],
    }))
    const lines = explainText([{ ...explanation, versions: wide }], 1)
    expect(Math.max(...lengthsOf(lines))).toBe(80)
    expect(lines).toContain('…')
  })

  it('is coloured for a terminal that has colours, and says the same', () => {
    const coloured = explainText([explanation], 1, { colour: true })
    expect(coloured).toContain('\u001b[31mmismatch\u001b[39m')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(coloured.replace(/\u001b\[\d+m/g, '')).toBe(text)
  })

  it('says how many requests had the id, and how many of them are kept', () => {
    const twice = [explanation, { ...explanation, at: '2025-12-31T00:00:00.000Z' }]
    expect(explainText(twice, 2)).toMatch(/^2 requests had this id, the newest first\n\nrequest order-17/)
    expect(explainText(twice, 30)).toMatch(/^30 requests had this id, the newest first; the newest 2 are kept\n/)
  })

  it('leaves out what is not known, as of recorded spans', () => {
    const bare = explainText(
      [
        {
          ...explanation,
          source: 'spans',
          revision: null,
          protocol: null,
          input: null,
          assignment: { version: null, reason: null, why: 'not told', weights: null, sticky: null, held: null },
          answered: { status: null, errorType: null, durationMs: null, bytes: null, sha256: null },
          versions: [],
          comparisons: [],
          spans: null,
          label: null,
        },
      ],
      1,
    )
    expect(bare).toContain('as recorded spans tell')
    expect(bare).toContain('assigned  to nobody: not told')
    expect(bare).not.toMatch(/null|undefined|NaN|input|label/)
  })
})
