// Which plots the results make. Knows no SVG.
import { divided } from './delays.ts'
import { type Line, linePlot } from './plot.ts'
import type { Row, VerdictResults } from './results.ts'

/** Name and SVG of each plot that the results have rows for. */
export function plots(results: VerdictResults): (readonly [name: string, svg: string])[] {
  const rows = results.scenarios.flatMap(scenario => scenario.rows)
  return [
    ['delay', delay(rows)],
    ['false-abort', falseAbort(rows)],
    ['segment', segment(rows)],
  ].filter((plot): plot is [string, string] => plot[1] !== undefined)
}

/** Methods beside each other, over one optimum: that of a test at α = 1 % that knows both rates. */
const COMPARED: readonly (readonly [method: string, looks: string, name: string])[] = [
  ['Understudy, whole verdict', 'each request', 'Understudy, whole verdict, each request'],
  ['z test at 5 %', '10', 'z test at 5 %, 10 looks'],
  ['z test at 5 %', '1,000', 'z test at 5 %, 1,000 looks'],
  ['Kayenta', '10', 'Kayenta, 10 looks'],
  ['Kayenta', '100', 'Kayenta, 100 looks'],
  ['Flagger, limit 99 %', '10', 'Flagger, limit 99 %'],
  ['Flagger, limit 98 %', '10', 'Flagger, limit 98 %'],
]

function delay(rows: readonly Row[]): string | undefined {
  const all = rows.filter(({ scenario, at }) => scenario === 'errors' && at?.share === 0.5)
  const optima = new Map(
    all.filter(({ method }) => method === 'Understudy, errors alone').map(({ at, optimum }) => [at?.ratio, optimum]),
  )
  const nameOf = (row: Row) => COMPARED.find(([method, looks]) => method === row.method && looks === row.looks)?.[2]
  const shown = all.filter(row => nameOf(row) !== undefined && (row.figures.miss?.value ?? 0) <= 0.5)
  return shown.length === 0
    ? undefined
    : linePlot({
        title: 'Mean requests to the abort of a candidate that fails more often',
        subtitle: [
          'Baseline 1 %, w = .5; means over the runs that stopped it, left out where most did not.',
          'How often each method stops a good candidate as well: the other plot.',
        ],
        x: {
          label: 'error rate of the candidate over that of the baseline',
          scale: 'log',
          ticks: [1.25, 1.5, 2, 3, 5, 10],
        },
        y: {
          label: 'requests / (ln 100 / KL)',
          scale: 'log',
          ticks: [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100],
        },
        rule: { y: 1, label: 'best at α = 1 %' },
        lines: linesOf(
          shown,
          row => nameOf(row)!,
          'ratio',
          ({ figures, at }) => {
            const optimum = optima.get(at?.ratio)
            return figures.delay && optimum !== undefined ? divided(figures.delay, optimum) : undefined
          },
        ),
      })
}

function falseAbort(rows: readonly Row[]): string | undefined {
  const shown = rows.filter(
    ({ scenario, setting, at }) => scenario === 'identical' && setting === 'iid' && at?.looks !== undefined,
  )
  return shown.length === 0
    ? undefined
    : linePlot({
        title: 'Good candidates that are aborted',
        subtitle: ['A/A, 100,000 requests, 1 % errors in both arms; bars are 95 % bounds.'],
        x: { label: 'looks', scale: 'log', ticks: [10, 100, 1_000, 10_000, 100_000] },
        y: { label: 'false aborts, %', scale: 'linear', ticks: [0, 10, 20, 30, 40, 50, 60, 80, 100] },
        rule: { y: 1, label: 'target 1 %' },
        lines: linesOf(
          shown,
          ({ method }) => method,
          'looks',
          ({ figures: { falseBlock } }) =>
            falseBlock && { value: 100 * falseBlock.value, low: 100 * falseBlock.low, high: 100 * falseBlock.high },
        ),
      })
}

function segment(rows: readonly Row[]): string | undefined {
  const all = rows.filter(({ scenario, at }) => scenario === 'segment' && at !== undefined)
  const shown = all.filter(({ figures }) => figures.delay !== undefined)
  if (shown.length === 0) return undefined
  const nameOf = ({ method, looks }: Row) => `${method}${looks.startsWith('each') ? '' : `, ${looks} looks`}`
  const never = all.filter(row => !shown.includes(row)).map(nameOf)
  return linePlot({
    title: 'A regression in one of 50 segments: 2 % of the traffic, 1 → 5 %',
    subtitle: [
      'Means over the runs that found it.',
      ...(never.length > 0 ? [`Never found by: ${never.join('; ')}.`] : []),
    ],
    x: { label: '', scale: 'linear', ticks: [] },
    y: {
      label: 'mean requests to the abort, thousands',
      scale: 'log',
      ticks: [10, 20, 50, 100, 200, 500, 1_000, 2_000],
    },
    lines: shown.map((row, index) => {
      const { delay: found, miss } = row.figures
      const missed = miss !== undefined && miss.value >= 0.005 ? ` (${Math.round(100 * miss.value)} % missed)` : ''
      const point = { x: index, y: found!.value / 1_000, low: found!.low / 1_000, high: found!.high / 1_000 }
      return { name: nameOf(row) + missed, points: [point] }
    }),
  })
}

function linesOf(
  rows: readonly Row[],
  nameOf: (row: Row) => string,
  key: string,
  figureOf: (row: Row) => { value: number; low: number; high: number } | undefined,
): Line[] {
  const lines = new Map<string, { x: number; y: number; low: number; high: number }[]>()
  for (const row of rows) {
    const figure = figureOf(row)
    const x = row.at?.[key]
    if (figure === undefined || x === undefined || !Number.isFinite(figure.value)) continue
    const points = lines.get(nameOf(row)) ?? []
    points.push({ x, y: figure.value, low: figure.low, high: figure.high })
    lines.set(nameOf(row), points)
  }
  return [...lines].map(([name, points]) => ({ name, points: points.sort((a, b) => a.x - b.x) }))
}
