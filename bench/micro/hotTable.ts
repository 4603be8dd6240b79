// The form of bench/results/hot.json, what counts as a regression, and the table for README. Pure.
import type { RunFacts } from '../load/saturation.ts'
import type { Spread } from '../load/statistics.ts'
import { table } from '../load/table.ts'

export interface HotResults extends RunFacts {
  readonly rounds: number
  /** Time of one call over that of one JSON.parse of a 1 KB request. */
  readonly functions: readonly { readonly name: string; readonly timesParse: Spread }[]
}

/** Machines differ in what a parse costs them beside other code; twice as much is no such difference. */
const MOST_TIMES = 2
/** What is too quick to be told apart from the loop around it. */
const LEAST = 0.02

/**
 * The functions that cost much more than they did. One that was not recorded is none. By the lower quarters: what allocates a
 * lot is at times collected for in half of its bursts, and code that became slower is slower in all of them.
 */
export function regressions(now: HotResults, then: HotResults): { name: string; now: number; before: number }[] {
  const known = new Map(then.functions.map(({ name, timesParse }) => [name, timesParse.low]))
  return now.functions.flatMap(({ name, timesParse: { low } }) => {
    const before = known.get(name)
    return before === undefined || low <= MOST_TIMES * Math.max(LEAST, before) ? [] : [{ name, now: low, before }]
  })
}

export function renderHot({ functions, rounds, machine, ...results }: HotResults): string {
  return `${table(
    ['function', '× JSON.parse of a 1 KB request'],
    functions.map(({ name, timesParse: { median, low, high } }) => [
      name,
      `${median.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`,
    ]),
  )}

Medians of ${rounds} bursts, each between two of JSON.parse, quarters in brackets. ${machine.cpu}, Node ${results.node}, commit ${results.commit}, ${results.date.slice(0, 10)}.
`
}
