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
  const { machine } = results
  const rows = results.scenarios.flatMap(scenario => scenario.rows)
  const judged = rows.filter(row => row.verdict !== undefined)
  const count = (verdict: Row['verdict']) => judged.filter(row => row.verdict === verdict).length
  return `${results.scenarios.map(scenarioText).join('\n\n')}

${judged.length} targets: ${count('met')} met, ${count('missed')} missed, ${count('unresolved')} unresolved (the interval holds the limit), ${count('not measured')} not measured. Brackets
are 95 % bounds: exact (Clopper-Pearson) for rates, bootstrap for the others. ${results.scenarios.reduce((sum, { runs }) => sum + runs, 0).toLocaleString('en')} runs in ${Math.round(results.seconds / 60)} minutes on ${
    results.workers
  } threads, seed ${results.seed}. ${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node ${results.node}, commit ${results.commit}${
    results.isDirty ? ' with changes' : ''
  }, ${results.date.slice(0, 10)}${results.size === 'full' ? '' : `, ${results.size} run: fewer runs than the targets are set for`}.
`
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

function cell(name: FigureName, figure: Figure | undefined): string {
  if (figure === undefined || Number.isNaN(figure.value)) return '–'
  const text = RATES.includes(name)
    ? percent
    : RATIOS.includes(name)
      ? (value: number) => value.toFixed(2)
      : (value: number) => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en'))
  if (name === 'delayP95' || name === 'overOptimumP95') return text(figure.value)
  return `${text(figure.value)} (${text(figure.low)}–${text(figure.high)})`
}

function percent(rate: number): string {
  const value = 100 * rate
  return `${value === 0 || value >= 10 ? value.toFixed(0) : value.toFixed(value < 1 ? 2 : 1)} %`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
