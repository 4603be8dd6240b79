// Copies figures of bench/results into README.md, between `<!-- bench:NAME -->` and `<!-- end -->`, and the long tables
// into bench/results/NAME.md.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { renderGrowth } from './growth/growthTable.ts'
import { type Measured, renderJudged } from './judged.ts'
import { renderFaults } from './load/faultsTable.ts'
import { renderLayers } from './load/layersTable.ts'
import { renderPauses } from './load/pausesTable.ts'
import { renderProxies } from './load/proxiesTable.ts'
import { renderScoring } from './load/scoringTable.ts'
import { renderLoad } from './load/table.ts'
import { renderWire } from './load/wireTable.ts'
import { renderDecode } from './micro/decodeTable.ts'
import { renderHot } from './micro/hotTable.ts'
import { renderModels } from './models/table.ts'
import { renderSummary } from './verdict/summary.ts'

type Render = (results: never) => string

const README = new URL('../README.md', import.meta.url)
/** Short enough to stand in README. */
const SHORT: Readonly<Record<string, Render>> = { models: renderModels, verdict: renderSummary }
/** A file each; README has of them what has a target. */
const LONG: Readonly<Record<string, readonly [title: string, render: Render, plots?: readonly string[]]>> = {
  proxies: ['Beside other proxies', renderProxies, ['cpu', 'latency']],
  layers: ['Where the time goes', renderLayers],
  scoring: ['Embedded scoring', renderScoring],
  faults: ['Bad shadows', renderFaults],
  growth: ['Growth', renderGrowth],
  load: ['Beside bare servers', renderLoad],
  pauses: ['After a pause', renderPauses],
  wire: ['The wire', renderWire],
  decode: ['Reading and writing tensors', renderDecode],
  hot: ['Hot functions', renderHot],
}

const measured: Record<string, unknown> = {}
for (const [name, [title, render, plots = []]] of Object.entries(LONG)) {
  const results = resultsOf(name)
  if (results === undefined) continue
  measured[name] = results
  const images = plots.map(plot => `![${title}: ${plot}](${name}-${plot}.svg)\n\n`).join('')
  write(new URL(`./results/${name}.md`, import.meta.url), `# ${title}\n\n${images}${render(results as never)}`)
}
let text = readFileSync(README, 'utf8')
for (const [name, render] of Object.entries(SHORT)) {
  const results = resultsOf(name)
  if (results !== undefined) text = inserted(text, name, render(results as never))
}
write(README, inserted(text, 'judged', renderJudged(measured as Measured)))

function resultsOf(name: string): unknown {
  const file = new URL(`./results/${name}.json`, import.meta.url)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}

function write(file: URL, next: string): void {
  const isNew = !existsSync(file) || readFileSync(file, 'utf8') !== next
  if (!isNew) return
  writeFileSync(file, next)
  process.stdout.write(`${file.pathname.split('/').at(-1)} has the new figures\n`)
}

/** The text with one table; unchanged without its markers. */
function inserted(before: string, name: string, tables: string): string {
  const start = `<!-- bench:${name} -->`
  const from = before.indexOf(start)
  const to = from < 0 ? -1 : before.indexOf('<!-- end -->', from)
  return to < 0 ? before : `${before.slice(0, from + start.length)}\n${tables}${before.slice(to)}`
}
