// Proves the gate on the shipped models: real gateways, real rows, the shipped routes.yaml. Writes bench/results/models.json.
//
//   node bench/models/run.ts [--seeds 5] [--only digits] [--rate 2500] [--minutes 10]
//
// Differs from the shipped routes.yaml in three settings, kept in the results: no least time of a step, `mode: auto`, and raises
// one second apart. Each run is one model under one seed: both candidates begin in the shadow.
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { quantile } from '../load/statistics.ts'
import { BETTER, CASES, type ModelCase, WORSE } from './cases.ts'
import { openGateway } from './gateway.ts'
import type { ModelResults, ModelRun } from './results.ts'
import { readRows } from './rows.ts'
import { Traffic } from './traffic.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5' },
    only: { type: 'string' },
    rate: { type: 'string', default: '2500' },
    minutes: { type: 'string', default: '10' },
  },
})
const FIRST_RATE = 300
const MOST_AT_FIRST = 12_000
const seeds = Array.from({ length: Number(values.seeds) }, (_, index) => index + 1)
const say = (line: string) => process.stderr.write(`${line}\n`)

const models: ModelResults['models'][number][] = []
for (const of of CASES) {
  if (values.only !== undefined && values.only !== of.name) continue
  const runs: ModelRun[] = []
  for (const seed of seeds) {
    const run = await play(of, seed)
    runs.push(run)
    const raised = Object.entries(run.raisedAt).map(([step, at]) => `${step} % at ${at}`)
    say(
      `${of.name}, seed ${seed}: ${WORSE} ${run.abortedAt === undefined ? 'not aborted' : `aborted at request ${run.abortedAt}`} (${run.guilty.join(', ')}); ${BETTER} ${raised.join(', ') || 'not raised'}; ${run.requests} requests`,
    )
  }
  models.push({ name: of.name, fault: of.fault, runs })
}
const results: ModelResults = {
  machine: { cpu: cpus()[0]?.model ?? '', cores: availableParallelism(), node: process.version },
  settings: 'shipped routes.yaml with gate.exposure.for 0s, rollout.mode auto, rollout.every 1s',
  models,
}
const folder = new URL('../results/', import.meta.url)
mkdirSync(folder, { recursive: true })
if (values.only === undefined)
  writeFileSync(new URL('models.json', folder), `${JSON.stringify(results, undefined, 2)}\n`)
for (const { name, runs } of models) {
  const aborts = runs.flatMap(({ abortedAt }) => abortedAt ?? [])
  say(
    `${name}: aborted in ${aborts.length} of ${runs.length}${aborts.length > 0 ? `, median ${quantile(aborts, 0.5)} requests` : ''}`,
  )
}

async function play(of: ModelCase, seed: number): Promise<ModelRun> {
  const rows = await readRows(of, new URL(`../../models/${of.name}/traffic.csv`, import.meta.url))
  const gateway = await openGateway(of.name)
  const traffic = new Traffic({ url: gateway.predictions, route: of.name, rows, seed })
  try {
    // Slow at first: the gate looks once a second, and a look in 300 requests is a finer figure than one in thousands.
    traffic.perSecond = FIRST_RATE
    traffic.start()
    const end = performance.now() + Number(values.minutes) * 60_000
    let guilty: readonly string[] = []
    let told = performance.now()
    for (;;) {
      await new Promise(resolve => setTimeout(resolve, 250))
      const route = await gateway.route()
      const worse = route.candidates.find(({ version }) => version === WORSE)
      if (guilty.length === 0 && worse?.verdict.decision === 'abort')
        guilty = worse.verdict.guilty.map(({ metric, segment }) =>
          segment === undefined ? metric : `${metric}@${segment}`,
        )
      const latched = route.versions.find(({ version }) => version === WORSE)?.latched !== undefined
      if (latched || traffic.answered > MOST_AT_FIRST) traffic.perSecond = Number(values.rate)
      if ((latched && route.live === BETTER) || performance.now() > end) break
      if (performance.now() - told > 20_000) {
        told = performance.now()
        const better = route.candidates.find(({ version }) => version === BETTER)
        say(
          `  ${traffic.answered} requests: ${WORSE} ${worse?.verdict.reason ?? 'gone'}\n    ${BETTER} ${better?.verdict.reason ?? 'gone'}`,
        )
      }
    }
    const history = await gateway.history()
    const abort = history.find(({ kind, phase }) => kind === 'abort' && phase === 'applied')
    const raises = history
      .filter(({ kind, phase }) => kind === 'promote' && phase === 'applied')
      .toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at))
    return {
      seed,
      abortedAt: abort === undefined ? undefined : traffic.answeredUntil(Date.parse(abort.at)),
      reason: abort?.reason,
      guilty,
      raisedAt: Object.fromEntries(
        raises.map((raise, index) => [
          gateway.steps[index] ?? `raise ${index + 1}`,
          traffic.answeredUntil(Date.parse(raise.at)),
        ]),
      ),
      answeredByWorse: traffic.answeredBy[WORSE] ?? 0,
      failed: traffic.failed,
      requests: traffic.answered,
    }
  } finally {
    await traffic.stop()
    await gateway.stop()
  }
}
