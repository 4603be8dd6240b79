import { describe, expect, it } from 'vitest'
import { proportionZ } from '../../bench/verdict/peers/fixedHorizon.ts'
import { rolledBackAt } from '../../bench/verdict/peers/flagger.ts'
import { linePlot } from '../../bench/verdict/plot.ts'
import type { Row, VerdictResults } from '../../bench/verdict/results.ts'
import { SCENARIOS } from '../../bench/verdict/scenarios/index.ts'
import { renderSummary } from '../../bench/verdict/summary.ts'
import { renderVerdict } from '../../bench/verdict/table.ts'
import { flaggerAt, kayentaAt, peekedAt, Series } from '../../bench/verdict/traffic.ts'

const scenario = (name: string) => SCENARIOS.find(known => known.name === name)!

function resultsOf(rows: readonly Row[]): VerdictResults {
  return {
    resultsVersion: 1,
    full: [],
    date: '2026-01-01T00:00:00.000Z',
    machine: { cpu: 'cpu', cores: 2, memoryGiB: 4, system: 'linux', loadBefore: 0, loadAfter: 0 },
    node: 'v26',
    commit: 'abc',
    isDirty: false,
    size: 'quick',
    seed: 1,
    workers: 1,
    seconds: 61,
    scenarios: [{ name: 'errors', title: 'Errors', about: 'About.', runs: 3, seconds: 1, rows }],
  }
}

describe('scenarios', () => {
  it('have names of their own, and cover every row of the targets', () => {
    const names = SCENARIOS.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    expect(names).toEqual(
      expect.arrayContaining(['identical', 'sticky', 'incidents', 'errors', 'disagreement', 'promotion', 'latency']),
    )
    expect(names).toEqual(expect.arrayContaining(['decline', 'segment', 'labels', 'merge']))
  })

  it.each([
    ['disagreement', 9],
    ['promotion', 17],
    ['decline', 3],
    ['labels', 1],
    ['merge', 0],
  ])('%s gives the same figures however its runs are split', (name, cell) => {
    const { measure, rows, cells } = scenario(name)
    const spread = (parts: unknown[]) =>
      Array.from({ length: cells }, (_, index) => (index === cell ? parts : [])) as never
    const rowsAt = (parts: unknown[]) =>
      JSON.stringify(rows(spread(parts)).filter(row => Object.values(row.figures).some(figure => figure.runs > 0)))
    const whole = rowsAt([measure(cell, 0, 4)])
    expect(rowsAt([measure(cell, 0, 1), measure(cell, 1, 4)])).toBe(whole)
    expect(rowsAt([measure(cell, 4, 8)])).not.toBe(name === 'merge' ? '' : whole)
  })
})

describe('peers on a stream', () => {
  /** Ten minutes of 500 requests an arm; errors of the candidate and the baseline a minute. */
  function series(candidate: number, baseline: number, minutes = 20): Series {
    const made = new Series(minutes * 1_000, 100)
    for (let point = 0; point < made.points; point++) {
      const part = (point + 1) / 10
      // Uneven minutes, so that no two values are tied.
      const wobble = 1 + 0.1 * Math.sin(point)
      made.mark(point, [50 * (point + 1), candidate * part * wobble], [50 * (point + 1), baseline * part])
    }
    return made
  }

  it('z of two proportions is the textbook one', () => {
    const z = proportionZ({ n: 1_000, sum: 100, squares: 100 }, { n: 1_000, sum: 130, squares: 130 })
    expect(z).toBeCloseTo(0.03 / Math.sqrt(0.115 * 0.885 * 0.002), 10)
    expect(proportionZ({ n: 0, sum: 0, squares: 0 }, { n: 10, sum: 1, squares: 1 })).toBe(0)
  })

  it('see a candidate that fails four times as often, and pass an equal one', () => {
    expect(peekedAt(series(20, 5), 10, 'errors')).toBe(2_000)
    expect(peekedAt(series(5, 5), 10, 'errors')).toBeUndefined()
    expect(kayentaAt(series(20, 5), 10, ['errors'])).toBe(10_000)
    expect(kayentaAt(series(5, 5), 10, ['errors'])).toBeUndefined()
  })

  it('Flagger rolls back at the fifth failed check of ten, and promotes after ten', () => {
    const minute = (errors: number) => ({ requests: 100, errors })
    expect(rolledBackAt([2, 0, 2, 2, 0, 2, 2].map(minute))).toBe(7)
    expect(rolledBackAt([1, 1, 1, 1, 1, 1, 1, 1, 1, 1].map(minute))).toBeUndefined()
    expect(rolledBackAt([...Array(10).fill(0), ...Array(10).fill(50)].map(minute))).toBeUndefined()
    expect(rolledBackAt([{ requests: 0, errors: 0 }])).toBeUndefined()
    expect(flaggerAt(series(200, 5))).toBe(5_000)
  })
})

describe('what is written', () => {
  const figure = { value: 1.1, low: 1, high: 1.2, runs: 100 }
  const row: Row = {
    scenario: 'errors',
    setting: 'ratio 2',
    method: 'Understudy',
    looks: 'each',
    figures: { overOptimum: figure },
  }

  it('shows a miss as a miss and what could not be measured as that', () => {
    const missed: Row = { ...row, target: { figure: 'overOptimum', kind: 'at most', limit: 1 }, verdict: 'missed' }
    const broken: Row = { ...row, figures: {}, verdict: 'not measured', note: 'it broke' }
    for (const text of [renderVerdict(resultsOf([missed, broken])), renderSummary(resultsOf([missed, broken]))]) {
      expect(text).toContain('missed')
      expect(text).toContain('not measured')
      expect(text).toContain('1.10 (1.00–1.20)')
      expect(text).not.toMatch(/NaN|undefined/)
    }
    expect(renderVerdict(resultsOf([broken]))).toContain('it broke')
  })

  it('draws a plot of finite numbers, with its text escaped', () => {
    const svg = linePlot({
      title: 'a < b & "c"',
      subtitle: ['one', 'two'],
      x: { label: 'x', scale: 'log', ticks: [1, 10] },
      y: { label: 'y', scale: 'log', ticks: [0.1, 1, 10] },
      lines: [
        {
          name: '<one>',
          points: [
            { x: 1, y: 0.5, low: 0, high: 2 },
            { x: 5, y: 3, low: 2, high: 4 },
          ],
        },
      ],
    })
    expect(svg).toContain('a &lt; b &amp; &quot;c&quot;')
    expect(svg).not.toMatch(/NaN|Infinity|undefined|<one>/)
    expect(svg.match(/<svg/g)).toHaveLength(1)
  })
})
