// Writes the results as Markdown: for a terminal and for README. Pure.
import type { MemoryRun, MirrorAccount } from './hang.ts'
import type { Comparison, LoadResults, WindowFigures } from './results.ts'
import type { Spread } from './statistics.ts'

export function renderLoad(results: LoadResults): string {
  const { machine, method } = results
  const { commit } = results
  return `${table(
    [
      'system',
      'req/s at saturation',
      `p50 ms at ${method.ratePerSecond}/s`,
      'p99 ms',
      'serving thread µs/req',
      'all processes µs/req',
      'µs/req at saturation: serving thread',
      'all',
    ],
    results.systems.map(({ system, fixedRate, saturation }) => [
      system,
      cell(saturation?.perSecond, 0),
      cell(fixedRate.p50Ms, 2),
      cell(fixedRate.p99Ms, 2),
      cell(fixedRate.servingUs, 0),
      cell(fixedRate.treeUs, 0),
      cell(saturation?.servingUs, 0),
      cell(saturation?.treeUs, 0),
    ]),
  )}

${ratioTable(results.comparisons)}

${hungText(results)}

Medians of ${method.rounds} windows of ${method.windowSeconds} s at a fixed rate (${method.saturationSeconds} s at saturation) in random order,
the quarters in brackets; ratios of windows of the same round, interval by bootstrap. ${method.connections} connections (16 at saturation), Poisson
arrivals, latency from the moment a request was due. Both gateways of a pair ran at the same time and were loaded in turn. CPU is read
from each thread's \`schedstat\`; upstreams and generator are not in it, but share the processors, which bounds the saturated
figures. ${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node ${results.node}, commit ${commit}, ${results.date.slice(0, 10)}${
    results.quick ? ', quick run: too short to judge by' : ''
  }.
`
}

function hungText({ hung }: LoadResults): string {
  const { shadowOff, shadowHung } = hung.p99Ms
  return `${table(
    ['steady load', 'requests', 'failed', 'MiB before', 'most in the first half', 'most in the second half', 'after'],
    [memoryRow('HTTP, shadow off', hung.shadowOff), memoryRow('HTTP, shadow hung', hung.shadowHung)],
  )}

${accountTable([
  ['HTTP, shadow hung', hung.account],
  ['embedded, shadow on', hung.shadowOnEmbedded],
  ['HTTP, shadow on', hung.shadowOnHttp],
])}

Live p99 in turns of a quarter of a second: ${cell(shadowOff, 2)} ms without a shadow, ${cell(shadowHung, 2)} ms with a hung one, ${
    hung.failures
  } failed.`
}

function memoryRow(name: string, run: MemoryRun): string[] {
  const mib = (value: number | undefined) => (value === undefined ? '–' : value.toFixed(0))
  return [
    name,
    String(run.requests),
    String(run.failures),
    mib(run.beforeMiB),
    mib(run.firstHalfMiB),
    mib(run.secondHalfMiB),
    mib(run.afterMiB),
  ]
}

export function accountTable(rows: readonly (readonly [name: string, account: MirrorAccount])[]): string {
  return table(
    ['mirrored requests', 'eligible', 'compared', 'failed', 'dropped', 'in flight', 'unaccounted'],
    rows.map(([name, account]) => accountRow(name, account)),
  )
}

function accountRow(name: string, account: MirrorAccount): string[] {
  const counts = (by: Readonly<Record<string, number>>) =>
    Object.entries(by)
      .filter(([, count]) => count > 0)
      .map(([reason, count]) => `${count} ${reason}`)
      .join(', ') || '0'
  return [
    name,
    String(account.eligible),
    String(account.compared),
    counts(account.failed),
    counts(account.dropped),
    String(account.inFlight),
    String(account.missing),
  ]
}

/** µs a request of each thread, of the systems of which that is known: where the time goes. */
export function threadTable(
  systems: readonly { readonly system: string; readonly threads?: Readonly<Record<string, number>> | undefined }[],
): string {
  const isTold = (threads: Readonly<Record<string, number>>) => Object.values(threads).some(us => us > 0)
  const known = systems.flatMap(({ system, threads }) =>
    threads !== undefined && isTold(threads) ? [{ system, threads }] : [],
  )
  if (known.length === 0) return ''
  const used = new Set(
    known.flatMap(({ threads }) => Object.keys(threads).filter(name => threads[name]!.toFixed(1) !== '0.0')),
  )
  return table(
    ['µs a request by thread', ...used],
    known.map(({ system, threads }) => [system, ...[...used].map(name => threads[name]?.toFixed(1) ?? '–')]),
  )
}

export function ratioTable(comparisons: readonly Omit<Comparison, 'over' | 'under'>[]): string {
  return table(
    ['ratio of paired windows', 'median', '95 % interval', 'target', ''],
    comparisons.map(({ question, ratio, target, verdict }) => [
      question,
      ratio.median.toFixed(3),
      `${ratio.low.toFixed(3)} to ${ratio.high.toFixed(3)}`,
      target === undefined ? '–' : `≤ ${target.toFixed(2)}`,
      verdict ?? '',
    ]),
  )
}

export function cell(spread: Spread | WindowFigures['servingUs'], digits: number): string {
  if (spread === undefined) return '–'
  return `${spread.median.toFixed(digits)} (${spread.low.toFixed(digits)}–${spread.high.toFixed(digits)})`
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
