// Writes the results on the shipped models as Markdown, for README. Pure.
import { quantile } from '../load/statistics.ts'
import { BETTER, LIVE, WORSE } from './cases.ts'
import type { ModelResults } from './results.ts'

export function renderModels({ machine, settings, models }: ModelResults): string {
  const steps = [...new Set(models.flatMap(({ runs }) => runs.flatMap(({ raisedAt }) => Object.keys(raisedAt))))].sort(
    (a, b) => Number(a) - Number(b),
  )
  const head = [
    'model',
    `${WORSE} aborted`,
    'after requests',
    'by',
    'its answers to live requests',
    ...steps.map(step => `${BETTER} to ${step} % after`),
  ]
  const rows = models.map(({ name, runs }) => {
    const aborts = runs.flatMap(({ abortedAt }) => abortedAt ?? [])
    const named = [...new Set(runs.flatMap(({ guilty }) => guilty))].sort()
    return [
      name,
      `${aborts.length} of ${runs.length}`,
      spread(aborts),
      named.map(each => each.replace('@', ', ')).join('; ') || '–',
      String(runs.reduce((sum, { answeredByWorse }) => sum + answeredByWorse, 0)),
      ...steps.map(step => {
        const raises = runs.flatMap(({ raisedAt }) => raisedAt[step] ?? [])
        return raises.length === runs.length ? spread(raises) : `${spread(raises)} (${raises.length} of ${runs.length})`
      }),
    ]
  })
  const lines = [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`)
  return `${lines.join('\n')}

Requests to a route whose live version is ${LIVE}: the median of its runs, the least and the most in brackets. Real gateways, held-out rows drawn
with replacement under a seed, each followed by its truth; ${settings}. ${machine.cpu.replace(/ \d+-Core Processor/, '')},
${machine.cores} cores, Node ${machine.node}.
`
}

function spread(values: readonly number[]): string {
  if (values.length === 0) return '–'
  const figure = (value: number) => Math.round(value).toLocaleString('en')
  return `${figure(quantile(values, 0.5))} (${figure(Math.min(...values))}–${figure(Math.max(...values))})`
}
