// All benchmarks of the data plane, one after another: `npm run bench [-- --quick]`, then the tables go into README.
// Others than those here have commands of their own: `bench:verdict` and `bench:models` measure the gate and not speed.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { NOT_MEASURED } from './notMeasured.ts'

const { values: given } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
const BENCHMARKS = [
  ['load/proxies.ts', 'proxies', 'split and mirror beside other proxies'],
  ['load/layers.ts', 'layers', 'where the time of a split and mirrored request goes, by perf'],
  ['load/scoring.ts', 'scoring', 'embedded scoring beside model servers'],
  ['load/faults.ts', 'faults', 'shadows that hang, are down, slow, endless or deaf'],
  ['growth/run.ts', 'growth', 'many routes, threads, models and comparisons'],
  ['load/pauses.ts', 'pauses', 'what requests cost after a quiet time'],
  ['load/run.ts', 'load', 'the gateway beside bare servers'],
  ['load/wire.ts', 'wire', 'bodies that pass untouched, and spans'],
] as const

// A quick run is for seeing that everything works: what it finds is thrown away.
const folder = given.quick ? mkdtempSync(join(tmpdir(), 'understudy-bench-')) : undefined
const failed: string[] = []
const notMeasured: string[] = []
for (const [script, name, what] of BENCHMARKS) {
  process.stderr.write(`\n== ${name}: ${what}\n`)
  const out = folder === undefined ? [] : ['--quick', '--out', join(folder, `${name}.json`)]
  const file = fileURLToPath(new URL(script, import.meta.url))
  const { status } = spawnSync(process.execPath, [file, ...out], { stdio: 'inherit' })
  if (status === NOT_MEASURED) notMeasured.push(name)
  else if (status !== 0) failed.push(name)
}
if (folder === undefined)
  spawnSync(process.execPath, [fileURLToPath(new URL('readme.ts', import.meta.url))], { stdio: 'inherit' })
else rmSync(folder, { recursive: true, force: true })
if (notMeasured.length > 0) process.stderr.write(`not measured: ${notMeasured.join(', ')}\n`)
if (failed.length > 0) {
  process.stderr.write(`failed: ${failed.join(', ')}\n`)
  process.exitCode = 1
}
