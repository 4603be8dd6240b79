// What each function of the hot path costs, as a multiple of one JSON.parse of a 1 KB request on the same machine.
// `node bench/micro/hot.ts [--check] [--out FILE]`; `--check` fails where one costs twice what bench/results/hot.json says.
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { machineLoad } from '../load/procfs.ts'
import { runFacts } from '../load/saturation.ts'
import { spreadOf } from '../load/statistics.ts'
import { HOT_FUNCTIONS, type HotFunction, REQUEST_TEXT } from './hotFunctions.ts'
import { type HotResults, regressions, renderHot } from './hotTable.ts'

const { values: given } = parseArgs({
  options: { check: { type: 'boolean', default: false }, out: { type: 'string' } },
})
const ROUNDS = 60
/** Long enough for a clock, short enough for both sides to meet the same of the machine. */
const BURST_MS = 0.5
/** What is over the limit is measured again: a machine that does something else is no regression. */
const ATTEMPTS = 4

const reference: HotFunction = { name: 'JSON.parse', call: () => JSON.parse(REQUEST_TEXT) }
let sink: unknown

const loadBefore = machineLoad()
const recorded = new URL('../results/hot.json', import.meta.url)
let results = measured(HOT_FUNCTIONS)
if (given.check) {
  const known = JSON.parse(readFileSync(recorded, 'utf8')) as HotResults
  let worse = regressions(results, known)
  for (let attempt = 1; attempt < ATTEMPTS && worse.length > 0; attempt++) {
    const again = new Set(worse.map(({ name }) => name))
    const repeated = measured(HOT_FUNCTIONS.filter(({ name }) => again.has(name)))
    results = {
      ...results,
      functions: [...repeated.functions, ...results.functions.filter(({ name }) => !again.has(name))],
    }
    worse = regressions(results, known)
  }
  for (const { name, now, before } of worse)
    console.error(`${name}: ${now.toFixed(3)} × JSON.parse of 1 KB, and ${before.toFixed(3)} when it was recorded`)
  console.log(`${HOT_FUNCTIONS.length - worse.length} of ${HOT_FUNCTIONS.length} hot functions cost what they did`)
  process.exitCode = worse.length > 0 ? 1 : 0
} else console.log(renderHot(results))
if (given.out !== undefined) writeFileSync(given.out, `${JSON.stringify(results, undefined, 2)}\n`)
if (sink === undefined) throw new Error('nothing was called')

function measured(functions: readonly HotFunction[]): HotResults {
  const calls = new Map([reference, ...functions].map(each => [each.name, callsFor(each)]))
  return {
    ...runFacts(loadBefore, false),
    rounds: ROUNDS,
    functions: functions.map(each => {
      const ratios: number[] = []
      for (let round = 0; round < ROUNDS; round++) {
        const first = burst(reference, calls.get(reference.name)!)
        const own = burst(each, calls.get(each.name)!)
        const last = burst(reference, calls.get(reference.name)!)
        ratios.push((2 * own) / (first + last))
      }
      return { name: each.name, timesParse: spreadOf(ratios) }
    }),
  }
}

/** How many calls make a burst; warms it up. */
function callsFor(each: HotFunction): number {
  burst(each, 20_000)
  return Math.max(1, Math.round(BURST_MS / burst(each, 2_000)))
}

/** Time of one call, ms. */
function burst({ call }: HotFunction, calls: number): number {
  const from = performance.now()
  for (let index = 0; index < calls; index++) sink = call()
  return (performance.now() - from) / calls
}
