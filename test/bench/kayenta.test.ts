import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type ClassifierSettings,
  classify,
  decisionOf,
  JUDGE_SETTINGS,
  mannWhitney,
  normalQuantile,
  score,
} from '../../bench/verdict/peers/kayenta.ts'
import cases from './kayentaCases.json' with { type: 'json' }

/** What its suite passes: a tenth, at 95 %. */
const SUITE: ClassifierSettings = { ...JUDGE_SETTINGS, tolerance: 0.1, confidence: 0.95, direction: 'either' }
const data = (name: string) => cases[name as 'around10']

describe("Kayenta's judge, on its own examples", () => {
  it.each(cases.classified)('calls $experiment against $control $as when asked for $direction', example => {
    const settings = { ...SUITE, direction: example.direction as ClassifierSettings['direction'] }
    expect(classify(data(example.control), data(example.experiment), settings)).toBe(example.as)
  })

  it('gives the interval and the estimate of its Mann-Whitney suite', () => {
    const { low, high, estimate } = mannWhitney([10, 20, 30, 40], [1, 2, 3, 4], 0.95)
    expect(low).toBeCloseTo(6, 6)
    expect(high).toBeCloseTo(39, 6)
    expect(estimate).toBeCloseTo(22.5, 6)
  })

  it('gives the interval of its older suite, which took the sides the other way round', () => {
    const { low, high, estimate } = mannWhitney([1, 2, 3], [2, 3, 4], 0.95)
    expect(estimate).toBeCloseTo(-1, 6)
    expect(low).toBeCloseTo(-3, 6)
    expect(high).toBeCloseTo(1, 6)
  })

  it('passes tied, reordered and nearly identical populations', () => {
    expect(classify([1, 1], [1, 1, 1], SUITE)).toBe('Pass')
    expect(classify([5, 4, 3, 2, 1], [1, 2, 3, 4, 5], SUITE)).toBe('Pass')
    expect(classify([1, 1, 1, 1, 1], [0, 1, 1, 1, 1], SUITE)).toBe('Pass')
  })

  it('has no data where a side is empty, and passes it where NaN stand for zeros', () => {
    expect(classify([1, 2, 3, 4, 5], [], SUITE)).toBe('Nodata')
    expect(classify([1, 2, 3, 4, 5], [Number.NaN], SUITE)).toBe('Nodata')
    expect(classify([1, 2, 3], [], { ...SUITE, nanStrategy: 'replace' })).toBe('Pass')
  })

  it('scores the share of metrics that pass, and fails below 75', () => {
    expect(score(['Pass'])).toBe(100)
    expect(score(['High'])).toBe(0)
    expect(score(['Pass', 'High'])).toBe(50)
    expect(score(['Pass', 'High', 'Low'])).toBeCloseTo(33.33, 2)
    expect(score(['Nodata'])).toBe(0)
    expect([100, 80, 50].map(decisionOf)).toEqual(['pass', 'marginal', 'fail'])
  })
})

describe("the short way through Kayenta's classification", () => {
  it('decides as its definition does, from the whole interval', () => {
    const series = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 5, maxLength: 40 })
    fc.assert(
      fc.property(series, series, fc.integer({ min: -6, max: 6 }), (x, y, shift) => {
        const experiment = x.map(value => value + shift)
        fc.pre(new Set([...experiment, ...y]).size > 2)
        const settings: ClassifierSettings = { ...JUDGE_SETTINGS, direction: 'either' }
        const { low, high, estimate } = mannWhitney(experiment, y, settings.confidence)
        const bound = settings.tolerance * Math.abs(estimate)
        const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
        const ratio = mean(y) === 0 ? 1 : mean(experiment) / mean(y)
        const same = JSON.stringify(experiment.toSorted()) === JSON.stringify(y.toSorted())
        const expected = same
          ? 'Pass'
          : low > bound && ratio >= 1
            ? 'High'
            : high < -bound && ratio <= 1
              ? 'Low'
              : 'Pass'
        expect(classify(y, experiment, settings)).toBe(expected)
      }),
      { numRuns: 300, seed: 5 },
    )
  })

  it('knows the quantiles of the normal distribution', () => {
    expect(normalQuantile(0.975)).toBeCloseTo(1.959963984540054, 10)
    expect(normalQuantile(0.99)).toBeCloseTo(2.3263478740408408, 10)
    expect(normalQuantile(0.5)).toBeCloseTo(0, 12)
  })
})
