// What grows with use: routes, serving threads, evidence, reports, models.
// `node bench/growth/run.ts [--quick] [--starts N] [--rounds N] [--only requests,files,evidence,reports,models] [--out FILE]`
import { parseArgs } from 'node:util'
import { canPin, pinToFirst } from '../load/pinning.ts'
import { machineLoad } from '../load/procfs.ts'
import { runFacts } from '../load/saturation.ts'
import { GrowthBench } from './bench.ts'
import { evidenceGrowth } from './evidence.ts'
import { type GrowthResults, renderGrowth } from './growthTable.ts'
import { fileCosts } from './largeFile.ts'
import { MODELS, modelStarts, START_TARGET_SECONDS } from './models.ts'
import { reportGrowth } from './reports.ts'
import { CONNECTIONS, manyRoutes, requestCosts, windowSeconds } from './routes.ts'

const QUESTIONS = ['requests', 'files', 'evidence', 'reports', 'models']

const { values: given } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    starts: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string', default: QUESTIONS.join() },
    out: { type: 'string' },
  },
})
const { quick } = given
const starts = given.starts === undefined ? (quick ? 1 : 8) : Number(given.starts)
const rounds = given.rounds === undefined ? (quick ? 2 : 4) : Number(given.rounds)
const only = given.only.split(',')
const unknown = only.find(question => !QUESTIONS.includes(question))
if (unknown !== undefined) throw new Error(`--only: there is no question ${unknown}, only ${QUESTIONS.join(', ')}`)
const SEED = 20_130_105

const loadBefore = machineLoad()
const bench = new GrowthBench(quick, starts, rounds, SEED)
await bench.measured(measure, renderGrowth, given.out)

async function measure(): Promise<GrowthResults> {
  const asked = <Found>(question: string, measure: () => Promise<Found>) =>
    only.includes(question) ? measure() : Promise.resolve(undefined)
  // Unpinned: starts, reports and evidence use what processors there are, as they would anywhere.
  const models = await asked('models', async () => ({
    count: MODELS,
    targetSeconds: START_TARGET_SECONDS,
    starts: await modelStarts(bench, MODELS, quick ? 1 : 5),
  }))
  const evidence = await asked('evidence', () =>
    evidenceGrowth(bench, quick ? [1_000, 10_000] : [1_000, 100_000, 1_000_000], quick ? 1 : 3),
  )
  const reports = await asked('reports', () => reportGrowth(bench, quick ? 20 : 150, quick ? 1 : 10))
  // From here on: what is started inherits where it may run.
  pinToFirst()
  const files = await asked('files', async () => [
    await fileCosts(bench, 1, quick ? 1 : 3),
    await fileCosts(bench, manyRoutes(quick), quick ? 1 : 3),
  ])
  const requests = await asked('requests', () => requestCosts(bench))
  return {
    ...runFacts(loadBefore, quick),
    method: { starts, rounds, windowSeconds: windowSeconds(quick), connections: CONNECTIONS, pinned: canPin },
    requests,
    files,
    evidence,
    reports,
    models,
  }
}
