// What a report says and in which order: sentences and cells. Knows nothing of terminals or Markdown.
import { droppedOf, failedOf } from '../evidence/accounting.ts'
import type { MetricVerdict } from '../gate/evidence.ts'
import { about, approximate, duration, numeral, percentage } from '../gate/wording.ts'
import type { Manifest } from '../models/manifest.ts'
import type { Section, Table } from './section.ts'
import type { LatencySummary, Report } from './status.ts'
import type { Wait } from './timeToVerdict.ts'
import { tracesSections } from './tracesSection.ts'
import { dominatesText, waitText } from './waitText.ts'

export type { Section, Table } from './section.ts'

/** The sections of a report after its verdict, in order. Texts are as they came: whoever lays them out escapes them. */
export function sectionsOf(report: Report): Section[] {
  return [
    coverage(report),
    metrics(report),
    ...terms(report),
    ...tracesSections(report),
    answers(report),
    latency(report),
    ...segments(report),
    ...periods(report),
    provenance('baseline', report.baseline),
    provenance('candidate', report.candidate),
  ]
}

/** `flight-delay: 1.1.0 against live 1.0.0, in the shadow`. */
export function subjectOf({ route, verdict }: Pick<Report, 'route' | 'verdict'>): string {
  const place = verdict.stage === 'shadow' ? 'in the shadow' : `with ${numeral(verdict.step)} % of live traffic`
  return `${route}: ${verdict.candidate} against ${verdict.baseline}, ${place}`
}

/** The verdict's sentence without the list of what is missing, which is told apart. */
export function sentenceOf({ reason, missing }: Pick<Report['verdict'], 'reason' | 'missing'>): string {
  const list = missing.join('; ')
  if (list === '' || !reason.endsWith(list)) return reason
  return reason.slice(0, -list.length).replace(/:( still needs)? $/, '')
}

/** What is missing, guilty and exposed, a line each. */
export function verdictLines(verdict: Report['verdict']): string[] {
  const { exposure, guilty, missing } = verdict
  const unit = verdict.stage === 'canary' ? 'candidate requests' : 'comparisons'
  return [
    ...(guilty.length === 0
      ? []
      : [
          `guilty: ${guilty.map(({ metric, segment }) => (segment === undefined ? metric : `${metric} at ${segment}`)).join(', ')}`,
        ]),
    ...missing.map(phrase => `still needed: ${phrase}`),
    `this step: ${numeral(exposure.requests)} ${unit} (at least ${numeral(exposure.requestsNeeded)}), ${duration(exposure.elapsedMs)} (at least ${duration(exposure.neededMs)})`,
  ]
}

/** The rows of a verdict, one metric or segment each; `time`: how long what is still needed takes. */
export function metricsTable(rows: readonly MetricVerdict[], time?: Report['timeToVerdict']): Table {
  return {
    head: [
      'metric',
      'what',
      'n',
      'baseline',
      'estimate',
      'limit',
      '95 % interval',
      'ln E harm',
      'ln E safe',
      'state',
      'still needed',
    ],
    rows: rows.map((row, index) => [
      row.segment === undefined ? row.metric : `${row.metric} at ${row.segment}`,
      row.what,
      numeral(row.n),
      figure(row, row.baseline),
      figure(row, row.estimate),
      figure(row, row.limit),
      row.interval === undefined ? '' : `${figure(row, row.interval[0])} to ${figure(row, row.interval[1])}`,
      evidenceOf(row.logHarm, row.logHarmNeeded),
      evidenceOf(row.logSafe, row.logSafeNeeded),
      row.state,
      stillNeeded(
        row,
        time?.waits.find(wait => wait.row === index),
      ),
    ]),
    right: [2, 3, 4, 5],
  }
}

/** The logarithm of an e-value and where it decides; nothing where the metric decides nothing so. JSON has null for infinities. */
function evidenceOf(log: number | null, needed: number | null): string {
  const isTest = log !== null && needed !== null && log !== Number.NEGATIVE_INFINITY && Number.isFinite(needed)
  return isTest ? `${about(log)} of ${about(needed)}` : ''
}

/** What an undecided metric still needs, and how long that takes where it is known; nothing for the others. */
export function stillNeeded({ state, needed, n, unit }: MetricVerdict, wait?: Wait): string {
  if (state !== 'open') return ''
  if (needed === null) return n === 0 ? 'no data yet' : 'not within the limit as it looks now'
  const time = wait === undefined ? '' : waitText(wait)
  return `about ${approximate(needed)} more ${unit}${time === '' ? '' : `, ${time}`}`
}

function coverage({ account }: Report): Section {
  const { eligible, notSampled, compared, inFlight, lost } = account
  const [dropped, failed] = [droppedOf(account), failedOf(account)]
  const gap = eligible - notSampled - dropped - failed - compared - inFlight - lost
  const of = (amount: number) => (eligible === 0 ? '' : percentage(amount / eligible))
  const reasons = (by: Readonly<Record<string, number>>) =>
    Object.entries(by)
      .filter(([, amount]) => amount > 0)
      .map(([reason, amount]) => `${reason} ${numeral(amount)}`)
      .join(', ')
  const row = (name: string, amount: number, why = '') => [name, numeral(amount), of(amount), why]
  return {
    title: 'Coverage of the mirror',
    lines:
      eligible === 0
        ? ['no request could be mirrored yet']
        : gap === 0
          ? []
          : [`${numeral(Math.abs(gap))} requests ${gap > 0 ? 'are missing from' : 'are too many in'} this account`],
    table: {
      head: ['', 'requests', 'share', 'why'],
      rows: [
        row('eligible', eligible),
        row('= not sampled', notSampled),
        row('+ dropped', dropped, reasons(account.dropped)),
        row('+ failed', failed, reasons(account.failed)),
        row('+ compared', compared),
        row('+ in flight', inFlight),
        row('+ lost', lost),
      ],
      right: [1, 2],
    },
  }
}

function metrics({ verdict: { metrics: rows }, timeToVerdict }: Report): Section {
  // JSON has null where there is none.
  const time = timeToVerdict ?? undefined
  return {
    title: 'Metrics',
    lines: rows.length === 0 ? ['none could be judged'] : time === undefined ? [] : dominatesText(time),
    table: rows.length === 0 ? undefined : metricsTable(rows, time),
  }
}

/** What is not as usual: metrics that a person has waived, and bytes that were tried before. */
function terms({ waiver, attempt }: Report): Section[] {
  const lines: string[] = []
  if (waiver) {
    const until = new Date(waiver.until).toISOString()
    const metrics = waiver.metrics.join(', ')
    lines.push(
      waiver.expired
        ? `the override of ${metrics} ended on ${until}: nothing is waived, and nothing is raised until it is renewed or taken out (${waiver.reason})`
        : `waived until ${until}: ${metrics} (${waiver.reason})`,
    )
  }
  if (attempt > 1)
    lines.push(`these bytes are on attempt ${attempt}: promotion is judged at α/${numeral(attempt * (attempt + 1))}`)
  return lines.length === 0 ? [] : [{ title: 'Terms', lines, table: undefined }]
}

function answers({ comparison, errors, labels }: Report): Section {
  const { compared, mismatches, unstable, difference } = comparison
  const share = compared === 0 ? '' : ` (${percentage(mismatches / compared)})`
  return {
    title: 'Answers',
    lines: [
      `${numeral(compared)} pairs of answers compared, ${numeral(mismatches)} differ${share}, ${numeral(unstable)} with a NaN or infinity of the candidate’s own`,
      ...(difference
        ? [
            `|difference|: p50 ${about(difference.p50)}, p90 ${about(difference.p90)}, p99 ${about(difference.p99)}, at most ${about(difference.max)}`,
          ]
        : []),
      `failed: candidate only ${numeral(errors.candidateOnly)}, baseline only ${numeral(errors.baselineOnly)}, both ${numeral(errors.both)}, neither ${numeral(errors.neither)}`,
      ...(labels
        ? [
            labels.meanDifference === null
              ? 'no labels yet'
              : `mean loss above the baseline’s: ${signed(labels.meanDifference)} over ${numeral(labels.n)} labels`,
          ]
        : []),
    ],
    table: undefined,
  }
}

function latency({ latency: { baseline, candidate }, verdict }: Report): Section {
  const row = (name: string, { n, p50Ms, p95Ms, p99Ms }: LatencySummary) => [
    name,
    numeral(n),
    ...[p50Ms, p95Ms, p99Ms].map(ms => (ms === null ? '–' : about(ms))),
  ]
  const ratio = (of: (side: LatencySummary) => number | null) => {
    const [a, b] = [of(candidate), of(baseline)]
    return a === null || b === null || b === 0 ? '–' : about(a / b)
  }
  return {
    title: verdict.stage === 'shadow' ? 'Latency of pairs sent alone, ms' : 'Latency of live answers, ms',
    lines: [],
    table: {
      head: ['', 'n', 'p50', 'p95', 'p99'],
      rows: [
        row(`baseline ${verdict.baseline}`, baseline),
        row(`candidate ${verdict.candidate}`, candidate),
        ['ratio', '', ratio(side => side.p50Ms), ratio(side => side.p95Ms), ratio(side => side.p99Ms)],
      ],
      right: [1, 2, 3, 4],
    },
  }
}

/** The worst ten; the JSON has them all. */
const LISTED = 10

function segments({ segments }: Report): Section[] {
  if (segments.length === 0) return []
  return [
    {
      title: 'Worst segments',
      lines: segments.length > LISTED ? [`${LISTED} of ${numeral(segments.length)}`] : [],
      table: {
        head: ['segment', 'compared', 'differ', 'candidate errors', 'labels', 'loss above the baseline’s'],
        rows: segments
          .slice(0, LISTED)
          .map(row => [
            row.segment,
            numeral(row.compared),
            row.compared === 0 ? '–' : percentage(row.mismatches / row.compared),
            numeral(row.candidateErrors),
            numeral(row.labels),
            row.meanLossDifference === null ? '–' : signed(row.meanLossDifference),
          ]),
        right: [1, 2, 3, 4, 5],
      },
    },
  ]
}

function periods({ periods }: Report): Section[] {
  if (periods.length === 0) return []
  return [
    {
      title: 'Steps so far',
      lines: [],
      table: {
        head: ['stage', 'share', 'since', 'requests'],
        rows: periods.map(({ stage, step, startedAt, requests }) => [
          stage,
          stage === 'shadow' ? '–' : `${numeral(step)} %`,
          startedAt,
          numeral(requests),
        ]),
        right: [1, 3],
      },
    },
  ]
}

function provenance(side: string, { version, digest, manifest }: Report['baseline']): Section {
  return {
    title: `Provenance of the ${side}, ${version}`,
    lines: manifest ? [] : ['not given: only an embedded version has a manifest'],
    table: { head: [], rows: [['digest', digest], ...(manifest ? manifestRows(manifest) : [])], right: [] },
  }
}

function manifestRows({
  description,
  provenance: { dataset, code, frameworks },
  profile,
  metrics,
}: Manifest): string[][] {
  const known = (parts: readonly string[]) =>
    parts.filter(part => part !== 'not given' && part !== '').join(', ') || 'not given'
  const versions = Object.entries(frameworks).map(([name, version]) => `${name} ${version}`)
  const scores = Object.entries(metrics?.overall ?? {}).map(([name, value]) => `${name} ${about(value)}`)
  return [
    ...(description === '' ? [] : [['about', description]]),
    ['data set', known([dataset.name, dataset.version, dataset.origin])],
    ['split', known([dataset.split])],
    ['code', known([code.revision, code.command])],
    ['seed', String(code.seed)],
    ['frameworks', known(versions)],
    ...(profile === undefined ? [] : [['trained on', `${numeral(profile.rows)} rows`]]),
    ...(metrics === undefined
      ? []
      : [['held out', `${scores.join(', ')} (${numeral(metrics.rows)} rows of ${metrics.dataset})`]]),
  ]
}

/** A metric's value in its own unit: losses and differences as they are, latencies in ms, everything else a share. */
export function figure({ metric }: Pick<MetricVerdict, 'metric'>, value: number | null | undefined): string {
  if (value === null || value === undefined) return '–'
  if (metric === 'labels' || metric === 'difference' || metric.startsWith('latency')) return about(value)
  return percentage(value)
}

function signed(value: number): string {
  return value > 0 ? `+${about(value)}` : about(value)
}
