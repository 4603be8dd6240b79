// Copies the tables of bench/results into README.md, between `<!-- bench:NAME -->` and `<!-- end -->`.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type ProxiesResults, renderProxies } from './load/proxiesTable.ts'
import type { LoadResults } from './load/results.ts'
import { renderLoad } from './load/table.ts'
import { renderWire, type WireResults } from './load/wireTable.ts'
import { type DecodeResults, renderDecode } from './micro/decodeTable.ts'
import type { ModelResults } from './models/results.ts'
import { renderModels } from './models/table.ts'
import type { VerdictResults } from './verdict/results.ts'
import { renderSummary } from './verdict/summary.ts'

const README = new URL('../README.md', import.meta.url)
const RENDERERS: Readonly<Record<string, (results: never) => string>> = {
  load: renderLoad as (results: LoadResults) => string,
  models: renderModels as (results: ModelResults) => string,
  decode: renderDecode as (results: DecodeResults) => string,
  wire: renderWire as (results: WireResults) => string,
  proxies: renderProxies as (results: ProxiesResults) => string,
  verdict: renderSummary as (results: VerdictResults) => string,
}

if (existsSync(README)) {
  const before = readFileSync(README, 'utf8')
  const after = Object.entries(RENDERERS).reduce((text, [name, render]) => inserted(text, name, render), before)
  if (after !== before) writeFileSync(README, after)
  process.stdout.write(after === before ? 'README.md is as it should be\n' : 'README.md has the new tables\n')
} else process.stdout.write('there is no README.md\n')

/** The text with the tables of one benchmark; unchanged without its markers or its results. */
function inserted(text: string, name: string, render: (results: never) => string): string {
  const file = new URL(`./results/${name}.json`, import.meta.url)
  const start = `<!-- bench:${name} -->`
  const from = text.indexOf(start)
  const to = from < 0 ? -1 : text.indexOf('<!-- end -->', from)
  if (to < 0 || !existsSync(file)) return text
  const tables = render(JSON.parse(readFileSync(file, 'utf8')) as never)
  return `${text.slice(0, from + start.length)}\n${tables}${text.slice(to)}`
}
