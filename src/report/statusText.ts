// Writes a gateway's status for a person in a terminal. Decides nothing.
import type { Verdict } from '../gate/evidence.ts'
import { about, duration, numeral } from '../gate/wording.ts'
import { figure, sentenceOf } from './content.ts'
import type { CandidateStatus, RouteStatus, Status, VersionStatus } from './status.ts'
import { type Cell, printable, type Style, styleFor, table } from './table.ts'
import { nameOf } from './timeToVerdict.ts'
import { dominatesText, neededText, waitText } from './waitText.ts'

export interface TextOptions {
  readonly colour: boolean
}

/** Compact tables, a route each: versions with their shares, what is held and why, the verdict on each candidate. */
export function statusText(status: Status, options: TextOptions = { colour: false }): string {
  const style = styleFor(options.colour)
  const { configuration, store } = status
  const lines = [
    `${status.ready ? style.good('ready') : style.bad('not ready')}, up ${duration(status.uptimeMs)}, ` +
      `${numeral(status.servingThreads)} serving ${status.servingThreads === 1 ? 'thread' : 'threads'} on ${printable(status.listen)}, ` +
      `revision ${status.revision} of ${printable(configuration.file)}`,
  ]
  if (configuration.error !== undefined && configuration.error !== null) {
    lines.push(style.bad('the last edit was refused; the last good configuration serves on:'))
    for (const line of configuration.error.split('\n')) lines.push(`  ${printable(line)}`)
  }
  if (!store.ok) lines.push(style.bad(`state is not being kept${store.message ? `: ${printable(store.message)}` : ''}`))
  for (const route of status.routes) lines.push('', ...routeText(route, style))
  return `${lines.join('\n')}\n`
}

function routeText(route: RouteStatus, style: Style): string[] {
  const mirror = route.mirror === 'on' ? '' : style.warn(', mirroring is off')
  const lines = [`${style.bold(printable(route.name))}  live ${printable(route.live)}${mirror}`]
  lines.push(
    table(
      route.versions.map(version => versionRow(version, style)),
      {
        head: ['version', 'role', 'weight', 'wanted', 'shadow', 'digest', 'target'],
        right: [2, 3, 4],
        indent: '  ',
        style,
      },
    ),
  )
  for (const version of route.versions) lines.push(...versionNotes(version, style))
  for (const held of route.held) {
    const wish =
      held.key === 'live'
        ? `live: ${held.version}`
        : `${held.version} wants ${share(held.wanted)}, has ${share(held.allowed)}`
    // The latch stands a line above, with its own reason.
    const latched = route.versions.find(({ version }) => version === held.version)?.latched
    const reason = latched ? 'until it is cleared' : held.reason
    lines.push(`  ${style.warn('held')}  ${printable(`${wish}: ${reason}`)}`)
    // A reason often ends with what is missing; saying it twice helps nobody.
    const further = held.missing.filter(phrase => !held.reason.includes(phrase))
    if (further.length > 0) lines.push(`        missing: ${printable(further.join('; '))}`)
  }
  lines.push(...automaticText(route, style))
  lines.push(...watchText(route, style))
  for (const notice of route.notices) lines.push(`  ${style.warn('note')}  ${printable(notice)}`)
  for (const candidate of route.candidates) lines.push(...candidateText(candidate, style))
  const { labels } = route
  if (labels !== undefined && labels !== null)
    lines.push(
      `  labels: ${numeral(labels.joined)} joined, ${numeral(labels.waiting)} waiting for their prediction, ` +
        `${numeral(labels.unmatched)} unmatched${labels.late > 0 ? `, ${numeral(labels.late)} too late` : ''}; ` +
        `predictions without a label in time: ${numeral(labels.expired)}`,
    )
  if (labels?.arms)
    lines.push(
      `  live answers that are counted once their label had its time: ${numeral(labels.arms.waiting)} wait` +
        `${labels.arms.nextDueAt === null ? '' : `, the oldest until ${printable(labels.arms.nextDueAt)}`}` +
        `${labels.arms.cut > 0 ? `; ${numeral(labels.arms.cut)} left out` : ''}`,
    )
  return lines
}

/** What the route raises by itself, and what that waits for. */
function automaticText({ automatic, candidates }: RouteStatus, style: Style): string[] {
  if (automatic === undefined || automatic === null) return []
  const { mode, paused, waitingFor, nextAt } = automatic
  if (paused !== undefined && paused !== null) {
    const { who, reason, at } = paused
    return [
      `  ${style.warn('paused')}  by ${printable(who)} since ${printable(at)}: ${printable(reason)} (\`resume\` goes on)`,
    ]
  }
  if (mode === 'manual') return []
  // The verdict's own reason stands below, with its figures; the one in here is of a moment before.
  const judged = candidates.find(({ version }) => waitingFor?.startsWith(`${version}: `))
  const behind = /; \S+ is ready and comes after it$/.exec(waitingFor ?? '')?.[0] ?? ''
  const why = judged === undefined ? waitingFor : `${verdictOn(judged)}${behind}`
  const until = nextAt === undefined || nextAt === null ? '' : `, ${printable(nextAt)}`
  return [`  automatic  ${why ? `the next raise waits: ${printable(why)}${until}` : 'raises by itself'}`]
}

function verdictOn({ version, verdict: { decision } }: CandidateStatus): string {
  return decision === 'continue' ? `no verdict on ${version} yet` : `the verdict on ${version} is ${decision}`
}

/** What watches live after its promotion. An alarm is among the notices, in words. */
function watchText({ live, holdback, decline }: RouteStatus, style: Style): string[] {
  const lines: string[] = []
  if (holdback !== undefined)
    lines.push(`  holdback  ${printable(holdback.version)} keeps ${share(holdback.weight)} until ${holdback.until}`)
  if (decline !== undefined && decline.alarm === undefined && decline.reference !== 'counting') {
    const against = holdback === undefined ? 'what it failed at its promotion' : 'the holdback'
    const far = `evidence ${about(Math.exp(decline.log ?? Number.NEGATIVE_INFINITY))} of ${about(Math.exp(decline.logNeeded))}`
    lines.push(style.dim(`  no decline of ${printable(live)} against ${against} (${far})`))
  }
  return lines
}

function versionRow(version: VersionStatus, style: Style): Cell[] {
  const differs = Math.abs(version.weight - version.wanted) > 1e-6
  return [
    printable(version.version),
    version.role,
    share(version.weight),
    differs ? { text: share(version.wanted), paint: style.warn } : share(version.wanted),
    version.shadowPercent > 0 ? share(version.shadowPercent) : '–',
    (version.digest ?? 'unknown').replace(/^sha256:/, '').slice(0, 12),
    printable(version.target),
  ]
}

function versionNotes(version: VersionStatus, style: Style): string[] {
  const name = printable(version.version)
  const notes: string[] = []
  if (version.broken !== undefined && version.broken !== null)
    notes.push(`  ${style.bad('broken')}  ${name}: ${printable(version.broken)}`)
  if (version.latched !== undefined && version.latched !== null)
    notes.push(
      `  ${style.bad('latched')}  ${name}: ${printable(version.latched.kind)}, ${printable(version.latched.reason)} (\`clear\` lifts it)`,
    )
  if (!version.identityVerified) notes.push(`  ${style.warn('note')}  ${name}: identity not verified`)
  return notes
}

function candidateText(candidate: CandidateStatus, style: Style): string[] {
  const { verdict, perSecond, timeToVerdict } = candidate
  const rate = [
    perSecond.comparisons > 0 ? `${about(perSecond.comparisons)} comparisons/s` : '',
    perSecond.labels > 0 ? `${about(perSecond.labels)} labels/s` : '',
  ].filter(text => text !== '')
  const waits = timeToVerdict ?? undefined
  // What the table says of a metric is not said again.
  const inTable = waits === undefined ? [] : verdict.metrics.map(nameOf).concat('exposure', 'time')
  const missing = verdict.missing.filter(phrase => !inTable.some(name => phrase.startsWith(`${name}:`)))
  return [
    `  ${paintDecision(verdict.decision, style)}  ${printable(sentenceOf(verdict))}`,
    ...metricLines(candidate, style),
    ...needs(missing),
    ...(waits === undefined ? [] : dominatesText(waits).map(line => `        ${printable(line)}`)),
    ...(rate.length === 0 ? [] : [style.dim(`        ${rate.join(', ')}`)]),
  ]
}

/** Segments that are listed; the report has them all. */
const GUILTY_SEGMENTS = 3

/** What decides: metrics that must be shown safe, are guilty or waived, and what the step itself still lacks. */
function metricLines({ verdict, timeToVerdict }: CandidateStatus, style: Style): string[] {
  const waits = timeToVerdict?.waits ?? []
  const segments = verdict.metrics
    .filter(({ segment, state }) => segment !== undefined && state === 'guilty')
    .slice(0, GUILTY_SEGMENTS)
  const shown = verdict.metrics
    .map((row, index) => ({ row, wait: waits.find(wait => wait.row === index) }))
    .filter(({ row }) => (row.segment === undefined ? row.state !== 'watched' : segments.includes(row)))
  if (shown.length === 0) return []
  const paints = { guilty: style.bad, safe: style.good, open: style.warn, waived: style.dim, watched: style.dim }
  const rows = shown.map(({ row, wait }): Cell[] => [
    printable(row.segment === undefined ? nameOf(row) : `${nameOf(row)} at ${row.segment}`),
    { text: row.state, paint: paints[row.state] },
    figure(row, row.estimate),
    row.interval === undefined ? '' : `${figure(row, row.interval[0])} to ${figure(row, row.interval[1])}`,
    figure(row, row.limit),
    wait === undefined ? '' : neededText(wait),
    wait === undefined ? '' : waitText(wait),
  ])
  const { exposure } = verdict
  for (const wait of waits) {
    if (wait.row !== undefined) continue
    const isTime = wait.what === 'time'
    rows.push([
      wait.what,
      { text: 'open', paint: paints.open },
      isTime ? duration(exposure.elapsedMs) : numeral(exposure.requests),
      '',
      isTime ? duration(exposure.neededMs) : numeral(exposure.requestsNeeded),
      neededText(wait),
      waitText(wait),
    ])
  }
  const head = ['metric', 'state', 'estimate', '95 % sequence', 'limit', 'needs', 'takes']
  return [table(rows, { head, right: [2, 4], indent: '        ', style })]
}

/** The report has them all. */
const NEEDS_LISTED = 3

function needs(missing: readonly string[]): string[] {
  const rest = missing.length - NEEDS_LISTED
  const lines = missing.slice(0, NEEDS_LISTED).map(phrase => `        needs ${printable(phrase)}`)
  return rest > 0 ? [...lines, `        and ${rest} more (\`report\` lists them)`] : lines
}

/** The decision as a word, coloured by what it asks of a person. */
export function paintDecision(decision: Verdict['decision'], style: Style): string {
  if (decision === 'promote') return style.good(decision)
  return decision === 'abort' || decision === 'invalid' ? style.bad(decision) : style.warn(decision)
}

/** A share of traffic: 5 → "5 %". */
export function share(percent: number): string {
  return `${about(percent)} %`
}
