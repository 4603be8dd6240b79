// Which plots the results make. Knows no SVG.
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

function delay(rows: readonly Row[]): string | undefined {
  const shown = rows.filter(({ scenario, at }) => scenario === 'errors' && at?.share === 0.5)
  return shown.length === 0
    ? undefined
    : linePlot({
        title: 'Mean requests to the abort, over the optimum',
        subtitle: 'baseline errors 1 %, w = .5; the tests at 5 % also abort a good candidate (next plot)',
        x: {
          label: 'error rate of the candidate over that of the baseline',
          scale: 'log',
          ticks: [1.25, 1.5, 2, 3, 5, 10],
        },
        y: { label: 'delay / (ln 100 / KL)', scale: 'log', ticks: [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100] },
        rule: { y: 1.25, label: 'target 1.25' },
        lines: linesOf(
          shown,
          ({ method, looks }) => (method.startsWith('Understudy') ? method : `${method}, ${looks} looks`),
          'ratio',
          row => row.figures.overOptimum,
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
        subtitle: 'A/A, 100,000 requests, 1 % errors in both arms; bars are 95 % bounds',
        x: { label: 'looks', scale: 'log', ticks: [10, 100, 1_000, 10_000, 100_000] },
        y: { label: 'false aborts, %', scale: 'linear', ticks: [0, 10, 20, 30, 40, 50, 60] },
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
  const shown = rows.filter(
    ({ scenario, at, figures }) => scenario === 'segment' && at !== undefined && figures.delay !== undefined,
  )
  if (shown.length === 0) return undefined
  return linePlot({
    title: 'A regression in one of 50 segments',
    subtitle: '2 % of the traffic fails at 5 % where all else fails at 1 %; of runs that found it',
    x: { label: '', scale: 'linear', ticks: [] },
    y: {
      label: 'mean requests to the abort, thousands',
      scale: 'log',
      ticks: [10, 20, 50, 100, 200, 500, 1_000, 2_000],
    },
    lines: shown.map(({ method, looks, figures: { delay: found, miss } }, index) => ({
      name: `${method}${looks.startsWith('each') ? '' : `, ${looks} looks`}${miss !== undefined && miss.value >= 0.005 ? ` (missed ${Math.round(100 * miss.value)} %)` : ''}`,
      points: [{ x: index, y: found!.value / 1_000, low: found!.low / 1_000, high: found!.high / 1_000 }],
    })),
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
