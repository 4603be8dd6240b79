// Writes a report as one HTML file that needs nothing else: no script, no request. Every text is escaped. Decides nothing.
import { hash } from 'node:crypto'
import { duration, numeral } from '../../gate/wording.ts'
import { sentenceOf, subjectOf } from '../content.ts'
import type { Report } from '../status.ts'
import { dominatesText, neededText, waitText } from '../waitText.ts'
import { html, Markup } from './markup.ts'
import { policySection, provenanceSection, stepsSection, waiverNote } from './origin.ts'
import { answersSection, coverageSection, latencySection, metricsSection, segmentsSection } from './sections.ts'
import { STYLE } from './style.ts'
import { tracesSection } from './traces.ts'
import { moment, typeset } from './words.ts'

/** What the page may load: its own style, known by its digest, and nothing else. For a header and for the page itself. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${hash('sha256', STYLE, 'base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')

/**
 * One self-contained page, readable without scripts, in light and dark, on screen and on paper. The report may have been
 * through JSON, which turns infinities and NaN into null.
 */
export function reportHtml(given: Report): string {
  const report = complete(given)
  const { verdict } = report
  const subject = subjectOf(report)
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${new Markup(CONTENT_SECURITY_POLICY)}">
<meta name="referrer" content="no-referrer">
<title>${verdict.decision}: ${subject}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<header>${top(report)}</header>
<main>
${metricsSection(report)}
${segmentsSection(report)}
${answersSection(report)}
${latencySection(report)}
${coverageSection(report)}
${stepsSection(report)}
${tracesSection(report)}
${policySection(report)}
${provenanceSection(report)}
</main>
${reading()}
</body>
</html>
`
  return page.text
}

/** A gateway of an earlier release leaves out what is drawn. */
function complete(report: Report): Report {
  const { charts, history, attempt }: Partial<Report> = report
  const nothing = { loss: undefined, scores: undefined, classes: undefined }
  return {
    ...report,
    charts: charts ?? { ...nothing, latency: { baseline: [], candidate: [], limitsMs: {} } },
    history: history ?? [],
    attempt: attempt ?? 1,
  }
}

/** The verdict in one sentence, what is missing and until when, and what the page is about. */
function top(report: Report): Markup {
  const { route, verdict, generatedAt, baseline, candidate } = report
  const { exposure, stage, step } = verdict
  const unit = stage === 'canary' ? 'candidate requests' : 'comparisons'
  const needs = needsOf(report)
  const facts: (readonly [name: string, value: string, note: string])[] = [
    ['Route', route, ''],
    ['Candidate', candidate.version, candidate.digest.slice(0, 12)],
    ['Baseline', baseline.version, `${baseline.digest.slice(0, 12)}, live`],
    ['Stage', stage, stage === 'canary' ? `${numeral(step)} % of live traffic` : 'gets copies, answers nobody'],
    ['This step, requests', numeral(exposure.requests), `${unit}; at least ${numeral(exposure.requestsNeeded)}`],
    ['This step, time', duration(exposure.elapsedMs), `at least ${duration(exposure.neededMs)}`],
    ['Made', moment(generatedAt), ''],
    ['Evidence', verdict.evidenceDigest.slice(0, 16) || 'none', 'sha256 of counters and policy'],
  ]
  return html`<p class="eyebrow"><b>${route}</b> · ${candidate.version} against live ${baseline.version}</p>
<h1><span class="word ${verdict.decision}">${verdict.decision}.</span> ${sentence(report)}</h1>
${needs.length > 0 && html`<ul class="needs">${needs.map(need => html`<li>${withCode(need)}</li>`)}</ul>`}
${waiverNote(report)}
<dl class="facts">${facts.map(([name, value, note]) => html`<div><dt>${name}</dt><dd>${value}${note !== '' && html`<small>${note}</small>`}</dd></div>`)}</dl>`
}

function sentence({ verdict }: Report): string {
  const said = typeset(sentenceOf(verdict)).trim()
  const text = said.slice(0, 1).toUpperCase() + said.slice(1)
  return /[.!?]$/.test(text) ? text : `${text}.`
}

/** Settings stand between backticks. */
function withCode(text: string): Markup[] {
  const sentence = typeset(text.slice(0, 1).toUpperCase() + text.slice(1))
  const parts = sentence.split('`')
  // One without its partner is a backtick.
  if (parts.length % 2 === 0) return [html`${sentence}`]
  return parts.map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : html`${part}`))
}

/** What the verdict waits for and how long that takes; without a gateway that measured it, what is missing. */
function needsOf({ verdict, timeToVerdict }: Report): string[] {
  if (timeToVerdict === undefined || timeToVerdict === null || timeToVerdict.waits.length === 0)
    return verdict.missing.map(phrase => `still needed: ${phrase}`)
  const waits = timeToVerdict.waits.map(wait => {
    const time = wait.what === 'time' ? '' : waitText(wait)
    return `waiting for ${wait.what}: ${neededText(wait)}${wait.needed === null ? '' : ' more'}${time === '' ? '' : `, ${time}`}`
  })
  return [...waits, ...dominatesText(timeToVerdict)]
}

function reading(): Markup {
  return html`<footer><h2>How to read this page</h2>
<p>The gate looks after every request, and its tests are made for that: an e-value measures evidence so that under a true hypothesis it ever exceeds 1/α with probability α at most, however often one looks and whenever one stops. The band is a confidence sequence: with 95 % probability it holds the truth at all times at once, so it may be read at any moment, unlike an ordinary interval. A candidate is aborted when the evidence for harm over all metrics together reaches 1/α with α = 1 %; it may be promoted when every required metric has been shown no worse than its limit and the step has seen enough traffic. Missing data never promotes.</p>
<p>PSI, KS and JS are shown because people ask for them; they decide nothing. Latencies and differences are kept in bins about 2 % wide. Times are UTC.</p></footer>`
}
