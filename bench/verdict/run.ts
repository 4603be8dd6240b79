// The benchmark of decisions: scenarios of known truth, Understudy beside the methods people use, on the same streams.
// `node bench/verdict/run.ts [--quick | --medium] [--full NAME …] [--only NAME …] [--workers N] [--json] [--out FILE]`
//
// Ends with 1 only where the benchmark itself is wrong (the gate and its model disagree, a scenario broke): a target that
// is missed is a result, and is shown.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { plots } from './plots.ts'
import { runTasks, type Task, type TaskResult } from './pool.ts'
import type { ScenarioResults, VerdictResults } from './results.ts'
import { type Scenario, SEED, type Size } from './scenario.ts'
import { SCENARIOS } from './scenarios/index.ts'
import { renderVerdict } from './table.ts'

/** Parts a cell is split into: small enough for progress and an even end, large enough to set up streams rarely. */
const PARTS = { quick: 1, medium: 4, full: 10 } as const

const { values: given } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    medium: { type: 'boolean', default: false },
    /** Scenarios at full size in a smaller run. */
    full: { type: 'string', multiple: true },
    only: { type: 'string', multiple: true },
    workers: { type: 'string' },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
})
const size: Size = given.quick ? 'quick' : given.medium ? 'medium' : 'full'
const workers = Number(given.workers ?? Math.min(2, availableParallelism()))
const names = new Set(SCENARIOS.map(({ name }) => name))
const sizeOf = (name: string): Size => (given.full?.includes(name) ? 'full' : size)
const unknown = [...(given.only ?? []), ...(given.full ?? [])].find(name => !names.has(name))
if (unknown !== undefined || !Number.isInteger(workers) || workers < 1) {
  process.stderr.write(`${unknown ?? `--workers ${given.workers}`} is none of: ${[...names].join(', ')}\n`)
  process.exit(2)
}
const chosen = SCENARIOS.filter(({ name }) => given.only === undefined || given.only.includes(name))
process.exitCode = await main()

async function main(): Promise<number> {
  const started = performance.now()
  const loadBefore = loadavg()[0]!
  const tasks = chosen.flatMap(tasksOf)
  const total = tasks.length
  let finished = 0
  const results = await runTasks(tasks, workers, ({ scenario, cell, from, to }, { seconds, failure }) => {
    finished++
    const note = failure === undefined ? `${seconds.toFixed(1)} s` : `FAILED: ${failure}`
    process.stderr.write(`${finished}/${total} ${scenario} ${cell}, runs ${from} to ${to - 1}: ${note}\n`)
  })
  const failures: string[] = []
  const scenarios = chosen.map(scenario => resultsOf(scenario, tasks, results, failures))
  const report: VerdictResults = {
    resultsVersion: 1,
    date: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      system: `${platform()} ${release()}`,
      loadBefore,
      loadAfter: loadavg()[0]!,
    },
    node: process.version,
    ...revision(),
    size,
    full: given.full ?? [],
    seed: SEED,
    workers,
    seconds: (performance.now() - started) / 1000,
    scenarios,
  }
  // A part of the scenarios, or a quick run, is no result to keep by default.
  const isWhole = given.only === undefined && size !== 'quick'
  const out = given.out ?? (isWhole ? fileURLToPath(new URL('../results/verdict.json', import.meta.url)) : undefined)
  if (out !== undefined) {
    mkdirSync(dirname(out), { recursive: true })
    writeFileSync(out, `${JSON.stringify(report, rounded, 1)}\n`)
    writeFileSync(out.replace(/\.json$/, '.md'), `# Decision quality, measured\n\n${renderVerdict(report)}`)
    for (const [name, svg] of plots(report)) writeFileSync(`${dirname(out)}/verdict-${name}.svg`, svg)
  }
  process.stdout.write(given.json ? `${JSON.stringify(report)}\n` : renderVerdict(report))
  for (const failure of failures) process.stderr.write(`wrong: ${failure}\n`)
  return failures.length === 0 ? 0 : 1
}

/** Figures to six digits: more says nothing, and every run would change every line. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value
}

function tasksOf({ name, cells, runs }: Scenario): Task[] {
  return Array.from({ length: cells }, (_, cell) => {
    const all = runs(cell, sizeOf(name))
    const each = Math.max(1, Math.ceil(all / PARTS[sizeOf(name)]))
    return Array.from({ length: Math.ceil(all / each) }, (_, part) => ({
      scenario: name,
      cell,
      from: part * each,
      to: Math.min(all, (part + 1) * each),
    }))
  }).flat()
}

/** Rows of a scenario; one that broke has a row that says so, and no figures. */
function resultsOf(
  scenario: Scenario,
  tasks: readonly Task[],
  results: readonly TaskResult[],
  failures: string[],
): ScenarioResults {
  const { name, title, about, cells } = scenario
  const mine = tasks.flatMap((task, index) => (task.scenario === name ? [{ task, result: results[index]! }] : []))
  const runs = mine.reduce((sum, { task }) => sum + task.to - task.from, 0)
  const seconds = mine.reduce((sum, { result }) => sum + result.seconds, 0)
  const broken = mine.find(({ result }) => result.failure !== undefined)
  if (broken !== undefined) {
    const note = broken.result.failure!
    failures.push(`${name}, cell ${broken.task.cell}: ${note}`)
    const row = {
      scenario: name,
      setting: 'all',
      method: '–',
      looks: '–',
      figures: {},
      verdict: 'not measured',
      note,
    } as const
    return { name, title, about, runs, seconds, rows: [row] }
  }
  const parts = Array.from({ length: cells }, (_, cell) =>
    mine.filter(({ task }) => task.cell === cell).map(({ result }) => result.part),
  )
  return { name, title, about, runs, seconds, rows: scenario.rows(parts) }
}

function revision(): { readonly commit: string; readonly isDirty: boolean } {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim()
  try {
    return { commit: git('rev-parse', '--short=12', 'HEAD'), isDirty: git('status', '--porcelain', '--', 'src') !== '' }
  } catch {
    return { commit: 'unknown', isDirty: true }
  }
}
