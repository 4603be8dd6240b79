// Writes what is known of one request for a person in a terminal, 80 columns wide. Decides nothing.
import { about, numeral } from '../gate/wording.ts'
import type {
  ExplainedAssignment,
  ExplainedInput,
  ExplainedResponse,
  ExplainedVersion,
  Explanation,
} from '../shadow/explanation.ts'
import { comparisonText } from './comparisonText.ts'
import { type Cell, clipped, printable, type Style, styleFor, table, wrapped } from './table.ts'

const LABEL = 10

/** @param seen requests with this id that came by, with those that are not kept any more */
export function explainText(
  explanations: readonly Explanation[],
  seen: number,
  options: { readonly colour: boolean } = { colour: false },
): string {
  const style = styleFor(options.colour)
  const blocks = explanations.map(each => requestText(each, style).join('\n'))
  if (seen > 1) {
    const kept = explanations.length < seen ? `; the newest ${numeral(explanations.length)} are kept` : ''
    blocks.unshift(style.warn(`${numeral(seen)} requests had this id, the newest first${kept}`))
  }
  return `${blocks.join('\n\n')}\n`
}

function requestText(explanation: Explanation, style: Style): string[] {
  const { route, requestId, at, traceId, input, assignment, answered, label } = explanation
  const field = (name: string, text: string) => labelled(name, text, style)
  const lines = [
    `${style.bold(`request ${printable(requestId)}`)} of ${style.bold(printable(route))}`,
    ...field('at', `${at.replace('T', ' ').replace('Z', ' UTC')}${originText(explanation)}`),
    ...field('trace', `${printable(traceId)}, ${spansText(explanation)}`),
  ]
  if (input !== null) lines.push(...field('input', inputText(input)), ...field('sha256', input.sha256))
  else if (explanation.source === 'gateway')
    lines.push(...field('input', 'not recorded: empty, or larger than mirror.bodyBytes'))
  lines.push(...assignmentText(assignment, field))
  lines.push(...field('answered', answeredText(answered)))
  if (label !== null) lines.push(...field('label', label === 'joined' ? 'has come' : 'is waited for'))
  lines.push('', ...versionsText(explanation, style))
  for (const comparison of explanation.comparisons) lines.push('', ...comparisonText(comparison, style))
  return lines
}

function originText({ source, revision, protocol }: Explanation): string {
  const parts = [
    revision === null ? [] : [`revision ${revision}`],
    protocol === null ? [] : [`protocol ${printable(protocol)}`],
    source === 'spans' ? ['as recorded spans tell'] : [],
  ].flat()
  return parts.map(part => `, ${part}`).join('')
}

function spansText({ spans, source }: Explanation): string {
  if (spans === null) return source === 'spans' ? 'spans as recorded' : 'spans not kept'
  const many = spans.weight > 1 ? `, each for ${about(spans.weight)} requests` : ''
  return `spans kept (${spans.reason}${many})`
}

function inputText({ bytes, tensors }: ExplainedInput): string {
  const shapes =
    tensors === null
      ? 'no tensors that can be read'
      : tensors.map(({ name, datatype, shape }) => `${printable(name)} ${datatype} [${shape}]`).join(', ')
  return `${numeral(bytes)} bytes, ${shapes}`
}

type Field = (name: string, text: string) => string[]

function assignmentText({ version, reason, why, weights, sticky, held }: ExplainedAssignment, field: Field): string[] {
  const lines = field(
    'assigned',
    `to ${printable(version ?? 'nobody')}${reason === null ? '' : ` (${reason})`}: ${printable(why)}`,
  )
  if (weights !== null) {
    lines.push(
      ...field('', `shares: ${weights.map(each => `${printable(each.version)} ${about(each.weight)} %`).join(', ')}`),
    )
  }
  const draws = sticky?.draws ?? null
  if (draws !== null) {
    const shown = draws.map(each => `${printable(each.version)} ${about(each.draw)}`).join(', ')
    lines.push(...field('', `draws of its key, −ln(1−u)/weight, the least wins: ${shown}`))
  }
  for (const each of held ?? []) {
    const wish =
      each.key === 'live'
        ? `live: ${each.version}`
        : `${each.version} wants ${about(each.wanted)} %, has ${about(each.allowed)} %`
    lines.push(...field('held', printable(`${wish}: ${each.reason}`)))
  }
  return lines
}

function answeredText({ status, errorType, durationMs, bytes }: ExplainedResponse): string {
  const parts = [
    status === null ? [] : [`status ${status}`],
    errorType === null ? [] : [printable(errorType)],
    durationMs === null ? [] : [`in ${milliseconds(durationMs)} ms`],
    bytes === null ? [] : [`${numeral(bytes)} bytes`],
  ].flat()
  return parts.length === 0 ? 'not told' : parts.join(', ')
}

function versionsText({ versions, live }: Explanation, style: Style): string[] {
  const rows = versions.map((version): Cell[] => [
    printable(version.version),
    roleText(version, live),
    stateCell(version, style),
    version.latencyMs === null ? '' : milliseconds(version.latencyMs),
    version.queueMs === null ? '' : milliseconds(version.queueMs),
    version.batched === true ? 'in a batch' : '',
  ])
  const head = ['version', 'role', 'outcome', 'ms', 'waited', '']
  const lines = table(rows, { head, right: [3, 4], indent: '  ', style }).split('\n')
  for (const { version, detail } of versions)
    if (detail !== null) lines.push(...wrapped(`${printable(version)}: ${printable(detail)}`, '  '))
  const answers = answerRows(versions)
  if (answers.length > 0) {
    const [title, ...shown] = table(answers, { head: ['output', 'version', 'first row'], indent: '  ', style }).split(
      '\n',
    )
    lines.push('', title!, ...shown.map(clipped))
  }
  return lines
}

function roleText({ role, version, state }: ExplainedVersion, live: string | null): string {
  if (role !== 'shadow' || version !== live) return role
  return state === 'not_asked' ? 'live' : 'live, in the shadow'
}

function stateCell({ state, reason }: ExplainedVersion, style: Style): Cell {
  if (state === 'answered') return state
  const text = state === 'failed' ? printable(reason ?? state) : `not asked: ${printable(reason ?? '')}`
  return { text, paint: state === 'failed' ? style.bad : style.warn }
}

/** By output, so that the versions' answers stand below each other. */
function answerRows(versions: readonly ExplainedVersion[]): string[][] {
  const rows: string[][] = []
  const names = new Set(versions.flatMap(({ outputs }) => outputs?.map(({ output }) => output) ?? []))
  for (const name of names) {
    let first = true
    for (const { version, outputs } of versions) {
      const shown = outputs?.find(({ output }) => output === name)
      if (shown === undefined) continue
      const more = shown.width > shown.values.length ? `, … (${numeral(shown.width)} values)` : ''
      const values = shown.values
        .map(value => (typeof value === 'string' ? printable(value) : String(value)))
        .join(', ')
      rows.push([first ? printable(name) : '', printable(version), `${values}${more}`])
      first = false
    }
  }
  return rows
}

function milliseconds(ms: number): string {
  return ms < 100 ? ms.toFixed(2) : numeral(Math.round(ms))
}

function labelled(name: string, text: string, style: Style): string[] {
  const lines = wrapped(text, ' '.repeat(LABEL + 2))
  return [`  ${style.dim(name.padEnd(LABEL))}${lines[0]!.trimStart()}`, ...lines.slice(1)]
}
