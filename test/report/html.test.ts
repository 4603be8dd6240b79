import { hash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { chartsOf, distancesOf } from '../../src/report/charts.ts'
import { escapeHtml, html } from '../../src/report/html/markup.ts'
import { CONTENT_SECURITY_POLICY, reportHtml } from '../../src/report/html/page.ts'
import { linearAxis, logAxis } from '../../src/report/html/scale.ts'
import type { Report } from '../../src/report/status.ts'
import { empty, extreme, full, HOSTILE, hostile, plain, throughJson } from './html.sample.ts'

const all: readonly (readonly [string, Report])[] = [
  ['nothing counted', empty],
  ['a plain one', plain],
  ['everything', full],
  ['hostile texts', hostile],
  ['extreme figures', extreme],
]

describe.each(all.flatMap(([name, of]) => [[name, of] as const, [`${name}, through JSON`, throughJson(of)] as const]))(
  'the page of %s',
  (_name, of) => {
    const page = reportHtml(of)

    it('has no figure that is none', () => {
      expect(page.match(/.{0,60}\b(NaN|Infinity|undefined|null)\b(?! or infinity).{0,60}/)?.[0]).toBeUndefined()
    })

    it('is well formed: every element that is opened is closed, in order', () => {
      const open: string[] = []
      for (const [, closes, name = '', rest = ''] of page.matchAll(/<(\/?)([a-zA-Z][\w-]*)((?:"[^"]*"|[^">])*)>/g)) {
        if (['meta', 'br'].includes(name) || rest.endsWith('/')) continue
        if (closes === '') open.push(name)
        else expect(open.pop()).toBe(name)
      }
      expect(open).toEqual([])
    })

    it('asks nobody for anything: no script, no address, no event, no inline style', () => {
      expect(page).not.toMatch(/<(script|img|link|iframe|object|embed|base|form)\b/i)
      expect(page).not.toMatch(/<[^>]*\s(style|on\w+|src|href|srcset|data)=/i)
      expect(page).not.toMatch(/@import|url\((?!#)/)
    })

    it('gives every plot a name and a description of its own', () => {
      const plots = page.match(/<svg [^>]*role="img"[^>]*>/g) ?? []
      for (const plot of plots) expect(plot).toMatch(/aria-labelledby="[\w-]+-t [\w-]+-d"/)
      const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)
      expect(new Set(ids).size).toBe(ids.length)
      expect(page.match(/<desc /g) ?? []).toHaveLength(plots.length)
    })
  },
)

test('the page says first what was decided, about what, and what is missing', () => {
  const page = reportHtml({
    ...full,
    verdict: { ...full.verdict, decision: 'continue', reason: '1.1.0 still needs: labels', missing: ['labels'] },
  })
  const text = page.slice(page.indexOf('<h1>'), page.indexOf('<main>')).replace(/<[^>]+>/g, ' ')
  expect(text).toMatch(/continue\./)
  for (const part of [
    'Still needed: labels',
    '1.1.0',
    '1.0.0',
    'flight-delay',
    full.verdict.evidenceDigest.slice(0, 16),
  ])
    expect(text).toContain(part)
})

test('what is open says what it needs and how long that takes, at the top and beside its plot', () => {
  const [row] = full.verdict.metrics
  const metrics = [{ ...row!, state: 'open' as const, needed: 1_800, unit: 'labels' }]
  const wait = {
    what: 'labels',
    row: 0,
    n: 400,
    needed: 1_800,
    unit: 'labels',
    perSecond: 3,
    rateOf: 'minute' as const,
  }
  const waits = [{ ...wait, secondsToVerdict: 600 }]
  const dominates = { what: 'labels', secondsToVerdict: 600, setting: 'labels.margin', value: 0.002 }
  const verdict = { ...full.verdict, missing: ['labels: more'], metrics }
  const timed = { waits, secondsToVerdict: 600, secondsToHold: 86_400, dominates }
  const page = reportHtml({ ...full, verdict, timeToVerdict: timed })
  expect(page).toContain('<li>Waiting for labels: about 1,800 labels more, about 10 minutes at 3/s</li>')
  expect(page).toContain('<code>labels.margin</code> (0.002) decides that')
  expect(page).toContain('>about 1,800 more labels, about 10 minutes at 3/s<')
  expect(reportHtml({ ...full, verdict })).toContain('<li>Still needed: labels: more</li>')
})

test('every section stands on the page of a full report', () => {
  const page = reportHtml(full)
  const titles = [...page.matchAll(/<h2>([^<]+)<\/h2>/g)].map(([, title]) => title)
  expect(titles).toEqual([
    'Metrics on their way to a decision',
    'Worst segments',
    'Answers',
    'Latency',
    'Coverage',
    'Steps so far',
    'The policy that judged',
    'Provenance',
    'How to read this page',
  ])
  expect(page).toContain('identity') // of the HTTP version
  expect(page).toContain('not verified')
  expect(page).toContain('latency.p99: waived until 2026-02-01 00:00:00 UTC (31 days left). Reason: the new build')
  expect(page).toContain('These bytes are on attempt 3')
})

test('a text from a request is on the page, as text', () => {
  const page = reportHtml(hostile)
  expect(page).toContain(escapeHtml(HOSTILE))
  expect(page).not.toContain('<script')
  expect(page).not.toContain('\u202e')
})

test('the digest of the style is the one that the policy lets through', () => {
  const page = reportHtml(empty)
  const style = /<style>([\s\S]*?)<\/style>/.exec(page)![1]!
  expect(CONTENT_SECURITY_POLICY).toContain(`'sha256-${hash('sha256', style, 'base64')}'`)
  expect(page).toContain(`content="${CONTENT_SECURITY_POLICY}"`)
})

test('a report of an older gateway, without what is drawn, still makes a page', () => {
  const { charts: _charts, history: _history, policy: _policy, attempt: _attempt, ...older } = throughJson(full)
  const page = reportHtml(older as Report)
  expect(page).toContain('Coverage')
  expect(page).not.toMatch(/\b(NaN|undefined)\b(?! or infinity)/)
})

describe('markup', () => {
  it('escapes any text in such a way that it comes back as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), text => {
        const escaped = escapeHtml(text)
        expect(escaped).not.toMatch(/[<>"'`]/)
        expect(escaped).not.toMatch(/&(?!#\d+;)/)
      }),
    )
  })

  it('joins lists, leaves out nothing-values and keeps what is markup', () => {
    expect(html`<b>${'<'}${[html`<i>${1}</i>`, '&']}${undefined}${false}</b>`.text).toBe('<b>&#60;<i>1</i>&#38;</b>')
  })
})

describe('axes', () => {
  const any = fc.oneof(fc.double({ min: -1e300, max: 1e300 }), fc.double({ min: -1, max: 1 }), fc.constant(0))

  it('place whatever they are given, finite ends within 0 to 1', () => {
    fc.assert(
      fc.property(any, any, (a, b) => {
        const { place, ticks } = linearAxis(a, b)
        expect(ticks.length).toBeLessThan(50)
        for (const value of [a, b].filter(Number.isFinite)) {
          expect(place(value)).toBeGreaterThanOrEqual(-1e-9)
          expect(place(value)).toBeLessThanOrEqual(1 + 1e-9)
        }
        for (const tick of ticks) expect(place(tick)).toBeLessThanOrEqual(1 + 1e-6)
      }),
    )
  })

  it('name round values', () => {
    expect(linearAxis(0, 1).ticks).toEqual([0, 0.5, 1])
    expect(linearAxis(-0.013, 0.004).ticks).toEqual([-0.01, -0.005, 0])
    expect(linearAxis(0, 0).ticks).toContain(0)
    expect(logAxis(0.08, 12).ticks).toEqual([0.1, 1, 10])
    expect(logAxis(1, 1).ticks.length).toBeGreaterThan(0)
  })

  it('of logarithms name something wherever they begin and end', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -9, max: 9, noNaN: true }),
        fc.double({ min: 0, max: 12, noNaN: true }),
        (from, decades) => {
          const { place, ticks } = logAxis(10 ** from, 10 ** (from + decades))
          expect(ticks.length).toBeLessThan(12)
          expect(place(10 ** from)).toBeGreaterThanOrEqual(-1e-9)
          expect(place(10 ** (from + decades))).toBeLessThanOrEqual(1 + 1e-9)
        },
      ),
    )
  })
})

describe('distances of two distributions', () => {
  it('are those of a worked example', () => {
    const { psi, ks, js } = distancesOf([900, 100], [500, 500])
    expect(ks).toBeCloseTo(0.4, 12)
    // (0.5 − 0.9)·ln(0.5/0.9) + (0.5 − 0.1)·ln(0.5/0.1), to what half an observation a bin adds.
    expect(psi).toBeCloseTo(0.4 * Math.log(0.9 / 0.5) + 0.4 * Math.log(5), 2)
    // Entropy of the middle (0.7, 0.3) less the mean of both entropies, in bits.
    expect(js).toBeCloseTo(0.881291 - (0.468996 + 1) / 2, 5)
  })

  it('are 1 between scores of the first and of the last decile, and in between for half of a decile', () => {
    const decile = (at: number, amount = 1000) => Array.from({ length: 10 }, (_, index) => (index === at ? amount : 0))
    const apart = distancesOf(decile(0), decile(9))
    expect(apart.ks).toBeCloseTo(1, 12)
    expect(apart.js).toBeCloseTo(1, 12)
    expect(apart.psi).toBeGreaterThan(10)
    const half = distancesOf(decile(0), [500, 500, 0, 0, 0, 0, 0, 0, 0, 0])
    expect(half.ks).toBeCloseTo(0.5, 12)
    // ½·1·log2(1/0.75) + ½·0.5·log2(0.5/0.75) + ½·0.5·log2(0.5/0.25)
    expect(half.js).toBeCloseTo(0.3112781, 6)
  })

  it('are nothing between equal distributions, and at most 1 where they are bounded', () => {
    const counts = fc.array(fc.nat(1000), { minLength: 2, maxLength: 12 })
    fc.assert(
      fc.property(counts, counts, (a, b) => {
        const size = Math.min(a.length, b.length)
        const { psi, ks, js } = distancesOf(a.slice(0, size), b.slice(0, size))
        expect(psi).toBeGreaterThanOrEqual(0)
        expect(ks).toBeLessThanOrEqual(1)
        expect(js).toBeLessThanOrEqual(1)
        const same = distancesOf(a, a)
        for (const value of Object.values(same)) expect(value).toBeCloseTo(0, 9)
      }),
    )
  })

  it('are nothing where a side has no data', () => {
    expect(distancesOf([0, 0], [3, 1])).toEqual({ psi: 0, ks: 0, js: 0 })
    expect(distancesOf([], [])).toEqual({ psi: 0, ks: 0, js: 0 })
  })
})

describe('charts', () => {
  const of = (entries: [string, number][]) => chartsOf(new Map(entries), [], 'shadow', undefined)

  it('are absent without data', () => {
    expect(of([])).toEqual({
      loss: undefined,
      scores: undefined,
      classes: undefined,
      latency: { baseline: [], candidate: [], limitsMs: {} },
    })
  })

  it('keep sixteen classes, the least frequent as one, digits in their order', () => {
    const entries = Array.from({ length: 30 }, (_, name): [string, number] => [`class.${name}|${name}`, 100 - name])
    const { names, counts } = of(entries).classes!
    expect(names).toEqual([...Array.from({ length: 15 }, (_, name) => String(name)), 'all others'])
    expect(counts.at(-1)!.at(-1)).toBe(entries.slice(15).reduce((sum, [, count]) => sum + count, 0))
  })

  it('count every score and every loss once', () => {
    const { scores, loss } = of([
      ['score.0.9', 3],
      ['score.4.4', 2],
      ['score.4.4@origin=JFK', 99],
      ['loss.0', 5],
      ['loss.10', 2],
      ['loss.-700', 1],
    ])
    expect(scores!.counts.flat().reduce((sum, count) => sum + count, 0)).toBe(5)
    expect(scores!.counts[0]![9]).toBe(3)
    expect(loss!.zero).toBe(5)
    expect(loss!.counts.reduce((sum, count) => sum + count, 0)).toBe(3)
  })
})
