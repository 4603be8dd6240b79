import { describe, expect, it } from 'vitest'
import { HOT_FUNCTIONS } from '../../bench/micro/hotFunctions.ts'
import { type HotResults, regressions, renderHot } from '../../bench/micro/hotTable.ts'

const spread = (median: number) => ({ median, low: median, high: median, windows: 3 })
const of = (ratios: Readonly<Record<string, number>>): HotResults => ({
  resultsVersion: 1,
  date: '2026-01-01T00:00:00.000Z',
  machine: { cpu: 'a', cores: 1, system: 'b', loadBefore: 0, loadAfter: 0 },
  node: 'v26',
  commit: 'c',
  quick: false,
  rounds: 3,
  functions: Object.entries(ratios).map(([name, ratio]) => ({ name, timesParse: spread(ratio) })),
})

describe('a hot function', () => {
  it('has become slower when it costs more than twice what it did', () => {
    expect(regressions(of({ a: 1.9, b: 2.1 }), of({ a: 1, b: 1 }))).toEqual([{ name: 'b', now: 2.1, before: 1 }])
  })

  it('has not when half of its bursts met a collection, and has when the quickest of them are slower', () => {
    const then = of({ a: 1 })
    const noisy = (low: number): HotResults => ({
      ...then,
      functions: [{ name: 'a', timesParse: { median: 3, low, high: 5, windows: 3 } }],
    })
    expect(regressions(noisy(1.1), then)).toEqual([])
    expect(regressions(noisy(2.5), then)).toEqual([{ name: 'a', now: 2.5, before: 1 }])
  })

  it('has not when it is too quick to be told apart, or new', () => {
    expect(regressions(of({ a: 0.03, b: 5 }), of({ a: 0.001 }))).toEqual([])
  })

  it.each(HOT_FUNCTIONS.map(each => [each.name, each] as const))('does its work: %s', (_, { call }) => {
    expect(call()).toBeDefined()
  })

  it('stands in the table with its spread', () => {
    expect(renderHot(of({ 'request id': 0.25 }))).toContain('| request id | 0.250 (0.250–0.250) |')
  })
})
