// How long a report takes over a thousand, a million and a thousand million comparisons.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Counters } from '../../src/evidence/counters.ts'
import type { CounterDeltas } from '../../src/evidence/epochPost.ts'
import { seededRandom } from '../../src/load/schedule.ts'
import { RoutePeriods } from '../../src/rollout/periods.ts'
import { openSqliteStore } from '../../src/state/sqlite.ts'
import { judgeTarget, pairedRatio, type Spread, shuffled, spreadOf } from '../load/statistics.ts'
import type { GrowthBench } from './bench.ts'
import type { Judged } from './growthTable.ts'
import { seconds } from './largeFile.ts'
import { Observations } from './observations.ts'

export interface ReportTimes {
  readonly comparisons: number
  readonly counters: number
  /** By what was asked. */
  readonly ms: Readonly<Record<string, Spread>>
}

export interface ReportGrowth {
  readonly times: readonly ReportTimes[]
  readonly comparisons: readonly Judged[]
}

/** How many are drawn, and how often each is counted: a thousand, a million and a thousand million comparisons. */
const sizes = (quick: boolean) => {
  const draws = quick ? 20_000 : 1_000_000
  return [
    { draws: 1_000, amount: 1 },
    { draws, amount: 1_000_000 / draws },
    { draws, amount: 1_000_000_000 / draws },
  ]
}
const ASKED = {
  status: '/v1/status',
  'report, JSON': '/v1/routes/m/report',
  'report, HTML': '/v1/routes/m/report?format=html',
} as const
const COMMAND = 'the command `report`'
const AS_FAST = 1.05
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const ROUTES = `drain: { delay: 0s, deadline: 5s }
routes:
  m:
    live: 1.0.0
    versions:
      1.0.0: { url: "http://127.0.0.1:9", weight: 100 }
      1.1.0: { url: "http://127.0.0.1:10", shadow: 100, mirrorable: true }
    compare: { output: probability, tolerance: { absolute: 0.02 }, segments: [origin] }
    labels: { loss: brier }
`

export async function reportGrowth(bench: GrowthBench, rounds: number, commands: number): Promise<ReportGrowth> {
  const gateways = []
  for (const { draws, amount } of sizes(bench.quick)) {
    bench.tell(`reports: evidence of ${draws * amount} comparisons`)
    const home = bench.home()
    // The first start opens the periods that the evidence belongs to.
    await bench.end(await bench.gateway(ROUTES, { home }))
    const counters = gathered(draws, amount)
    commit(join(home, 'state'), counters)
    const { ready } = await bench.gateway(ROUTES, { home })
    const admin = `http://127.0.0.1:${ready.adminPort}`
    const times = new Map<string, number[]>([...Object.keys(ASKED), COMMAND].map(name => [name, []]))
    gateways.push({ comparisons: draws * amount, counters: counters.size, admin, times })
  }
  // A second of verdicts, and code that is warm.
  for (let round = -WARM_UP; round < rounds; round++) {
    for (const { admin, times } of shuffled(gateways, bench.random)) {
      for (const [name, path] of Object.entries(ASKED)) {
        const ms = 1_000 * (await seconds(() => whole(admin + path)))
        if (round >= 0) times.get(name)!.push(ms)
      }
    }
  }
  for (let round = 0; round < commands; round++) {
    for (const { admin, times } of shuffled(gateways, bench.random)) {
      const run = () => promisify(execFile)(process.execPath, [MAIN, 'report', 'm', '--admin', admin])
      times.get(COMMAND)!.push(1_000 * (await seconds(run)))
    }
  }
  const [small, middle, large] = gateways as [(typeof gateways)[0], (typeof gateways)[0], (typeof gateways)[0]]
  const ratio = (name: string, under: typeof small, target?: number): Judged => {
    const found = pairedRatio(large.times.get(name)!, under.times.get(name)!)
    const verdict = target === undefined || bench.quick ? undefined : judgeTarget(found, target)
    return { question: `${name}, ${spoken(large)} / ${spoken(under)} comparisons`, ratio: found, target, verdict }
  }
  const names = [...small.times.keys()]
  return {
    times: gateways.map(({ comparisons, counters, times }) => ({
      comparisons,
      counters,
      ms: Object.fromEntries([...times].map(([name, ms]) => [name, spreadOf(ms)])),
    })),
    comparisons: [...names.map(name => ratio(name, small, AS_FAST)), ...names.map(name => ratio(name, middle))],
  }
}

const WARM_UP = 30

function spoken({ comparisons }: { readonly comparisons: number }): string {
  return `10^${Math.round(Math.log10(comparisons))}`
}

/** Evidence of a shadow: `draws` different comparisons, each counted `amount` times. */
function gathered(draws: number, amount: number): Counters {
  const source = new Observations('lifelike', seededRandom(draws))
  const deltas: CounterDeltas = new Map([['k', new Map()]])
  for (let done = 0; done < draws; done++) {
    if (done % 10_000 === 0) source.begin(deltas.get('k')!)
    source.count(deltas, 'k', false, amount)
  }
  return deltas.get('k')!
}

/** Under the evidence key that a gateway opened on this state. */
function commit(state: string, counters: Counters): void {
  const store = openSqliteStore(state)
  try {
    const { periods } = RoutePeriods.parse(JSON.parse(store.value('periods/m')!))
    const { key } = periods.at(-1)!
    store.commit({ counters: [...counters].map(([slot, amount]) => ({ key, slot, amount })) })
  } finally {
    store.close()
  }
}

async function whole(url: string): Promise<void> {
  const answer = await fetch(url)
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${text.slice(0, 200)}`)
}
