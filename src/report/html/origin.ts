// Where the two versions come from, what judged them, and what a person has waived: tables of what is known.
import { about, duration, numeral, percentage } from '../../gate/wording.ts'
import type { Manifest } from '../../models/manifest.ts'
import type { Report, ReportSide } from '../status.ts'
import { html, type Markup } from './markup.ts'
import { countOr, moment } from './words.ts'

export function stepsSection({ periods }: Report): Markup | undefined {
  if (periods.length === 0) return undefined
  return html`<section class="whole"><h2>Steps so far</h2><div class="scroll"><table class="narrow">
<thead><tr><th>stage</th><th class="r">share of traffic</th><th>since</th><th class="r">requests</th></tr></thead>
<tbody>${periods.map(
    ({ stage, step, startedAt, requests }) =>
      html`<tr><td>${stage}</td><td class="r">${stage === 'shadow' ? '–' : `${numeral(step)} %`}</td><td>${moment(startedAt)}</td><td class="r">${countOr(requests)}</td></tr>`,
  )}</tbody></table></div></section>`
}

/** The settings in the words of routes.yaml. */
export function policySection({ policy, attempt, verdict }: Report): Markup {
  const rows = flat(policy, '')
  const again =
    attempt > 1
      ? ` These bytes are on attempt ${numeral(attempt)}: promotion takes more evidence each time, so that trying again buys nothing.`
      : ''
  const needed = verdict.metrics[0]?.logSafeNeeded
  const level =
    typeof needed === 'number' && Number.isFinite(needed)
      ? ` Promotion is judged at α = ${percentage(Math.exp(-needed))} here, an abort at 1 % over all metrics together.`
      : ''
  return html`<section><h2>The policy that judged</h2><p>Settings of routes.yaml, defaults included.${level}${again}</p>${
    rows.length === 0
      ? html`<p class="none">Not given.</p>`
      : html`<div class="panels thirds">${thirds(rows).map(
          half =>
            html`<table><tbody>${half.map(([name, value]) => html`<tr><th scope="row" class="name"><code>${name}</code></th><td class="setting">${value}</td></tr>`)}</tbody></table>`,
        )}</div>`
  }</section>`
}

export function waiverNote({ waiver, generatedAt }: Report): Markup | undefined {
  if (waiver === undefined || waiver === null) return undefined
  const until = Number.isFinite(waiver.until) ? moment(new Date(waiver.until).toISOString()) : 'its end'
  const state = waiver.expired
    ? `ended on ${until}: nothing is waived any more, and nothing is raised until it is renewed or taken out`
    : `waived until ${until}`
  const left = waiver.until - Date.parse(generatedAt)
  const rest = !waiver.expired && left > 0 ? ` (${duration(left)} left)` : ''
  return html`<p class="note"><b>Override.</b> ${waiver.metrics.join(', ')}: ${state}${rest}. Reason: ${waiver.reason}</p>`
}

/** Both versions side by side, row by row. */
export function provenanceSection({ baseline, candidate, verdict }: Report): Markup {
  const sides = [baseline, candidate].map(rowsOf)
  const names = [...new Set(sides.flatMap(rows => rows.map(([name]) => name)))]
  const cell = (rows: readonly Row[], name: string) => {
    const row = rows.find(([each]) => each === name)
    return html`<td class="wide">${row === undefined ? html`<span class="soft">–</span>` : isDigest(name) ? html`<span class="digest">${row[1]}</span>` : row[1]}</td>`
  }
  return html`<section><h2>Provenance</h2><div class="scroll"><table>
<thead><tr><th></th><th>baseline ${verdict.baseline}</th><th>candidate ${verdict.candidate}</th></tr></thead>
<tbody>${names.map(name => html`<tr><th scope="row">${name}</th>${sides.map(rows => cell(rows, name))}</tr>`)}</tbody></table></div></section>`
}

type Row = readonly [name: string, value: string]

function isDigest(name: string): boolean {
  return name === 'sha256' || name === 'data sha256' || name === 'identity digest'
}

function rowsOf({ digest, manifest, target, identityVerified }: ReportSide): Row[] {
  const served: Row[] = target === undefined || target === '' ? [] : [['served from', target]]
  if (manifest === undefined || manifest === null) {
    return [
      ...served,
      ['identity digest', digest],
      [
        'identity',
        identityVerified === false
          ? 'not verified: the digest is of its address or name alone, so a new build behind it would not be noticed'
          : 'as the model server declares it',
      ],
      ['manifest', 'none: only an embedded version has a model.yaml here'],
    ]
  }
  return [...served, ['sha256', digest], ...manifestRows(manifest)]
}

function manifestRows({ description, provenance, profile, metrics, signature }: Manifest): Row[] {
  const { dataset, code, frameworks } = provenance
  const known = (parts: readonly string[]) =>
    parts.filter(part => part !== 'not given' && part !== '').join(', ') || 'not given'
  const shapes = (tensors: Manifest['signature']['inputs']) =>
    tensors.map(({ name, datatype, shape }) => `${name} ${datatype}[${shape.join(',')}]`).join(', ')
  const scores = Object.entries(metrics?.overall ?? {}).map(([name, value]) => `${name} ${about(value)}`)
  return [
    ...(description === '' ? [] : [['about', description] as const]),
    ['data set', known([dataset.name, dataset.version])],
    ['data origin', known([dataset.origin])],
    ['data split', known([dataset.split])],
    ['data sha256', known([dataset.sha256])],
    ['code revision', known([code.revision])],
    ['command', known([code.command])],
    ['seed', String(code.seed)],
    ['frameworks', known(Object.entries(frameworks).map(([name, version]) => `${name} ${version}`))],
    ['outputs', shapes(signature.outputs)],
    ...(profile === undefined || profile === null
      ? []
      : [['trained on', `${numeral(profile.rows)} rows, ${numeral(profile.features.length)} features`] as const]),
    ...(metrics === undefined || metrics === null
      ? []
      : [['held out', `${scores.join(', ')} (${numeral(metrics.rows)} rows of ${metrics.dataset})`] as const]),
  ]
}

/** `gate.errors.ratio` → `1.5`, a row each. */
function flat(value: unknown, path: string): Row[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value) && value.every(each => typeof each !== 'object'))
    return value.length === 0 ? [] : [[path, value.join(', ')]]
  if (typeof value === 'object') {
    return Object.entries(value).flatMap(([name, inner]) => flat(inner, path === '' ? name : `${path}.${name}`))
  }
  return [[path, String(value)]]
}

function thirds<T>(rows: readonly T[]): (readonly T[])[] {
  const size = Math.ceil(rows.length / 3)
  return [0, 1, 2].map(index => rows.slice(index * size, (index + 1) * size)).filter(third => third.length > 0)
}
