// Writes the results as Markdown: for a terminal and for README. Pure.
import type { FigureName, Row, ScenarioResults, Target, VerdictResults } from './results.ts'
import type { Figure } from './statistics.ts'

const HEADS: Readonly<Record<FigureName, string>> = {
  falseBlock: 'false abort',
  falsePromotion: 'false promotion',
  falseInvalid: 'false invalid',
  miss: 'missed',
  delay: 'mean delay',
  delayP95: 'p95',
  overOptimum: '× optimum',
  overOptimumP95: 'p95 × optimum',
  badRequests: 'bad requests',
  sooner: 'times sooner',
  different: 'different',
}
const RATES: readonly FigureName[] = ['falseBlock', 'falsePromotion', 'falseInvalid', 'miss', 'different']
const RATIOS: readonly FigureName[] = ['overOptimum', 'overOptimumP95', 'sooner']

export function renderVerdict(results: VerdictResults): string {
  return `${results.scenarios.map(scenarioText).join('\n\n')}\n\n${footText(results)}\n`
}

/** How the targets stand in all, how it was measured, and on what. */
export function footText(results: VerdictResults): string {
  const { machine, scenarios, size } = results
  const rows = scenarios.flatMap(scenario => scenario.rows).filter(row => row.verdict !== undefined)
  const count = (verdict: Row['verdict']) => rows.filter(row => row.verdict === verdict).length
  const runs = scenarios.reduce((sum, scenario) => sum + scenario.runs, 0)
  const changed = results.isDirty ? ' with changes' : ''
  const short =
    size === 'full'
      ? ''
      : ` This was a ${size} run, with fewer runs than the targets are set for${results.full.length > 0 ? `, except ${results.full.join(', ')}` : ''}.`
  return `${rows.length} targets: ${count('met')} met, ${count('missed')} missed, ${count('unresolved')} unresolved (the interval holds the limit), ${count('not measured')} not measured.
Brackets are 95 % bounds, exact (Clopper-Pearson) for rates, by bootstrap for means. ${runs.toLocaleString('en')} runs in ${Math.ceil(results.seconds / 60)} minutes on
${results.workers} threads, seed ${results.seed}. ${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node ${results.node}, commit ${results.commit}${changed}, ${results.date.slice(0, 10)}.${short}`
}

function scenarioText({ title, about, rows }: ScenarioResults): string {
  const names = (Object.keys(HEADS) as FigureName[]).filter(name => rows.some(row => row.figures[name] !== undefined))
  const hasTarget = rows.some(row => row.verdict !== undefined)
  const notes = [...new Set(rows.flatMap(({ note, setting }) => (note === undefined ? [] : [`${setting}: ${note}.`])))]
  const head = ['', 'method', 'looks', ...names.map(name => HEADS[name]), ...(hasTarget ? ['target', ''] : [])]
  const lines = rows.map((row, index) => [
    row.setting === rows[index - 1]?.setting ? '' : row.setting,
    row.method,
    row.looks,
    ...names.map(name => cell(name, row.figures[name])),
    ...(hasTarget ? [targetText(row.target), row.verdict ?? ''] : []),
  ])
  return `**${title}.** ${about}\n\n${table(head, lines)}${notes.length > 0 ? `\n\n${notes.join(' ')}` : ''}`
}

function targetText(target: Target | undefined): string {
  if (target === undefined) return ''
  const { figure, kind, limit, bound } = target
  const sign = kind === 'at most' ? '≤' : '≥'
  const isRate = RATES.includes(figure)
  const text = isRate ? percent(limit) : RATIOS.includes(figure) ? `${limit} ×` : limit.toLocaleString('en')
  return `${sign} ${text}${bound === undefined ? '' : `, bound ${percent(bound)}`}`
}

export function cell(name: FigureName, figure: Figure | undefined): string {
  if (figure === undefined || Number.isNaN(figure.value)) return '–'
  const text = RATES.includes(name)
    ? percent
    : RATIOS.includes(name)
      ? (value: number) => value.toFixed(2)
      : (value: number) => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en'))
  if (name === 'delayP95' || name === 'overOptimumP95') return text(figure.value)
  return `${text(figure.value)} (${text(figure.low)}–${text(figure.high)})`
}

export function percent(rate: number): string {
  const value = 100 * rate
  return `${value === 0 || value >= 10 ? value.toFixed(0) : value.toFixed(value < 1 ? 2 : 1)} %`
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
