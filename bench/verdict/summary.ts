// The tables for README: what each method does to a good candidate and to a bad one, and how the targets stand. Pure.
import type { FigureName, Row, ScenarioResults, VerdictResults } from './results.ts'
import type { Figure } from './statistics.ts'
import { cell, footText, percent, table } from './table.ts'

/** Columns of the first table; a method and how often it looked. */
const A_A: readonly (readonly [head: string, method: string, looks: string])[] = [
  ['Understudy, every request', 'Understudy', ''],
  ['without `gate.blocks`', 'Understudy, by request (without gate.blocks)', 'each request'],
  ['z test, 10 looks', 'z test at 5 %', '10'],
  ['100', 'z test at 5 %', '100'],
  ['1,000', 'z test at 5 %', '1,000'],
  ['Kayenta, 10 looks', 'Kayenta', '10'],
  ['100', 'Kayenta', '100'],
  ['Flagger, 99 %', 'Flagger, limit 99 %', '10'],
  ['98 %', 'Flagger, limit 98 %', '10'],
]
const DELAYS: readonly (readonly [head: string, method: string, looks: string])[] = [
  ['Understudy', 'Understudy, whole verdict', 'each request'],
  ['z test, 100 looks', 'z test at 5 %', '100'],
  ['Kayenta, 100 looks', 'Kayenta', '100'],
  ['Flagger, 99 %', 'Flagger, limit 99 %', '10'],
  ['98 %', 'Flagger, limit 98 %', '10'],
]

export function renderSummary(results: VerdictResults): string {
  const rowsOf = (name: string) => results.scenarios.find(scenario => scenario.name === name)?.rows ?? []
  return `A good candidate (both arms alike) that is aborted; Understudy in the mode that the traffic asks for (\`sticky\`, \`gate.blocks\`), and
beside it what incidents of an arm do to it without, as it is by default:

${falseAborts(['identical', 'sticky', 'incidents'].flatMap(rowsOf).filter(({ figures }) => figures.falseBlock !== undefined))}

A candidate that fails more often than the baseline's 1 %, w = .5: requests of both arms to the abort, and failures that it served
until then; in brackets the runs in which it was not stopped within four times the optimum or ten minutes. Each method errs on good
candidates as often as the table above says.

${delays(rowsOf('errors').filter(({ at }) => at?.share === 0.5))}

Understudy against its own targets; delays as multiples of the optimum ln(1/α)/KL:

${table(['', 'cells', 'met', 'missed', 'unresolved', 'best', 'worst', 'target'], results.scenarios.flatMap(targetRows))}

Every figure with its bounds: [bench/results/verdict.md](bench/results/verdict.md).
${footText(results)}
`
}

function falseAborts(rows: readonly Row[]): string {
  const settings = [...new Set(rows.map(({ setting }) => setting))]
  return table(
    ['', ...A_A.map(([head]) => head)],
    settings.map(setting => [
      setting,
      ...A_A.map(([, method, looks]) => {
        // Understudy's own first row of a setting is the mode that is meant for it.
        const row = rows.find(
          other =>
            other.setting === setting &&
            (looks === '' ? other.method.startsWith(method) : other.method === method && other.looks === looks),
        )
        return cell('falseBlock', row?.figures.falseBlock)
      }),
    ]),
  )
}

function delays(rows: readonly Row[]): string {
  const settings = [...new Set(rows.map(({ setting }) => setting))]
  return table(
    ['', ...DELAYS.map(([head]) => head)],
    settings.map(setting => [
      setting.replace(', w 0.5', ''),
      ...DELAYS.map(([, method, looks]) => {
        const figures = rows.find(
          row => row.setting === setting && row.method === method && row.looks === looks,
        )?.figures
        if (figures?.delay === undefined) return figures?.miss === undefined ? '–' : 'never'
        const { delay, badRequests, miss } = figures
        const missed = miss !== undefined && miss.value > 0 ? ` (${percent(miss.value)} not)` : ''
        return `${rounded(delay)}, ${rounded(badRequests)} failures${missed}`
      }),
    ]),
  )
}

function rounded(figure: Figure | undefined): string {
  return figure === undefined ? '–' : Math.round(figure.value).toLocaleString('en')
}

/** One line for each kind of target in a scenario. */
function targetRows({ title, rows }: ScenarioResults): string[][] {
  const kinds = new Map<string, Row[]>()
  for (const row of rows) {
    if (row.verdict === undefined) continue
    const key = row.target === undefined ? 'not measured' : `${row.method}|${row.target.figure}|${row.target.limit}`
    kinds.set(key, [...(kinds.get(key) ?? []), row])
  }
  return [...kinds.values()].map(kind => {
    const [first] = kind
    const target = first!.target
    const name = `${title}: ${first!.method.replace(/^Understudy,? ?/, '') || 'whole verdict'}`
    const about = target?.figure === 'falsePromotion' ? `${name}, false promotion` : name
    if (target === undefined) return [name, String(kind.length), '', '', '', 'not measured', '', '']
    const count = (verdict: Row['verdict']) => String(kind.filter(row => row.verdict === verdict).length)
    const sorted = kind.toSorted((a, b) => figureOf(a, target.figure) - figureOf(b, target.figure))
    const isLeast = target.kind === 'at least'
    const [best, worst] = isLeast ? [sorted.at(-1), sorted[0]] : [sorted[0], sorted.at(-1)]
    const text = (row: Row | undefined) =>
      row === undefined ? '–' : `${cell(target.figure, row.figures[target.figure])}, ${row.setting}`
    const limit = { value: target.limit, low: target.limit, high: target.limit, runs: 1 }
    return [
      about,
      String(kind.length),
      count('met'),
      count('missed'),
      count('unresolved'),
      kind.length > 1 ? text(best) : '',
      text(worst),
      `${isLeast ? '≥' : '≤'} ${cell(target.figure, limit).replace(/ \(.*/, '')}`,
    ]
  })
}

function figureOf(row: Row, figure: FigureName): number {
  return row.figures[figure]?.value ?? Number.POSITIVE_INFINITY
}
