// Makes a candidate's evidence, verdict and report from the spans of a gateway, without one. The gate is the gateway's own.
import { readFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { loadRoutes } from '../config/load.ts'
import type { Route } from '../config/schema.ts'
import { comparedOutputs } from '../control/snapshot.ts'
import { messageOf } from '../errors.ts'
import { parseLabels } from '../evidence/labels.ts'
import type { Label } from '../evidence/loss.ts'
import { judge } from '../gate/verdict.ts'
import type { Manifest } from '../models/manifest.ts'
import { readModelFolder } from '../models/source.ts'
import { evidenceFile } from '../report/evidenceFile.ts'
import { Recount } from '../report/recount.ts'
import { buildReport } from '../report/report.ts'
import type { Report } from '../report/status.ts'
import { candidatesIn, type TracedEvidence, tracedEvidence, tracesReport } from '../report/tracesEvidence.ts'
import { bindOverrides, waiverOf } from '../rollout/override.ts'
import { compareDigest } from '../rollout/periods.ts'
import { readTold } from '../telemetry/readTold.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { readSpanFiles } from './spanFiles.ts'
import type { Terminal } from './terminal.ts'

export interface TracesQuestion {
  readonly route: string
  /** Undefined: the only one. */
  readonly candidate: string | undefined
  /** Files of spans. */
  readonly traces: readonly string[]
  /** Files of labels. */
  readonly labels?: readonly string[]
  /** The routes file whose policy judges. */
  readonly routes: string
}

/** The report, and the evidence in the form that `judge` reads. @throws CommandFailure 2 that says what does not fit */
export async function reportFromTraces(
  question: TracesQuestion,
  terminal: Terminal,
): Promise<{ readonly report: Report; readonly evidence: unknown }> {
  const { config } = loadRoutes(question.routes, terminal.env)
  const route = Object.hasOwn(config.routes, question.route) ? config.routes[question.route] : undefined
  const file = basename(question.routes)
  if (route === undefined) {
    const known = Object.keys(config.routes).join(', ')
    throw usage(`${file} has no route ${question.route}, only ${known}: --routes names another file`)
  }
  const recount = await recountOf(question, route, terminal)
  const candidate = candidateOf(recount, question)
  const now = Date.now()
  const traced = tracedEvidence(recount, candidate, digest =>
    waiverOf({ overrides: bindOverrides(route.versions, { [candidate]: digest }, null) }, candidate, digest, now),
  )
  if (traced === undefined) throw usage(noEvidence(question.route))
  if (traced.compareDigest !== compareDigest(route))
    throw usage(
      `${file} compares ${question.route} by other settings than these spans do (compare, labels, expect, gate.latency, gate.difference or gate.blocks was changed since): name the file of that time with --routes`,
    )
  const { evidence } = traced
  const verdict = judge(evidence, route)
  const models = resolve(dirname(question.routes), config.models)
  const started = new Map(traced.periods.map(({ key, startedAt }) => [key, new Date(startedAt).toISOString()]))
  const report = buildReport({
    evidence: {
      ...evidence,
      periods: evidence.periods.map(period => ({ ...period, startedAt: started.get(period.key)! })),
    },
    verdict,
    manifests: await manifestsOf(traced, route, models, terminal),
    generatedAt: new Date(now).toISOString(),
    policy: route,
  })
  const traces = tracesReport(recount, traced, {
    hasLabels: question.labels !== undefined,
    wantsLabels: route.labels !== undefined,
    ofArms: route.labels?.affectedByAnswer === true,
  })
  return { report: { ...report, traces }, evidence: evidenceFile(evidence, route, comparedOutputs(route)) }
}

async function recountOf({ route: name, traces, labels }: TracesQuestion, route: Route, terminal: Terminal) {
  const spec = route.labels && {
    loss: route.labels.loss,
    clip: route.labels.clip,
    threshold: comparedOutputs(route)[0]?.tolerance.threshold,
  }
  if (labels !== undefined && spec === undefined) throw usage(`route ${name} takes no labels (it has no \`labels\`)`)
  const byId = labels === undefined ? undefined : labelsIn(labels, name)
  const recount = new Recount({
    route: name,
    limits: route.gate.latency,
    blocksMs: route.gate.blocks,
    ...(byId !== undefined && spec !== undefined && !route.labels?.affectedByAnswer && { labels: { byId, spec } }),
  })
  const routes = new Set<string>()
  let isMute = false
  const { spans, unreadable } = await readSpanFiles(traces, terminal, span => {
    const told = readTold(span)
    if (told === 'foreign') return
    if (typeof told === 'object') {
      if (routes.size < MOST_ROUTES) routes.add(told.route)
      recount.take(told)
    } else isMute = true
  })
  recount.end()
  if (unreadable > 0) terminal.err(`lines left out that are no JSON: ${unreadable}\n`)
  if (routes.has(name)) return recount
  const files = traces.map(file => basename(file)).join(', ')
  if (spans === 0) throw usage(`${files}: no spans (expected OTLP in JSON, one export a line)`)
  if (routes.size > 0) throw usage(`${files}: no spans of route ${name}, only of ${[...routes].sort().join(', ')}`)
  throw usage(
    isMute
      ? `${files}: the spans say nothing of evidence; they were written by an earlier release`
      : `${files}: ${spans} spans, and none of Understudy`,
  )
}

const MOST_ROUTES = 1_000

function candidateOf(recount: Recount, { candidate, route }: TracesQuestion): string {
  const known = candidatesIn(recount)
  if (known.length === 0) throw usage(noEvidence(route))
  if (candidate === undefined) {
    if (known.length === 1) return known[0]!
    throw usage(`route ${route} has several candidates in these spans: name one of ${known.join(', ')}`)
  }
  if (!known.includes(candidate))
    throw usage(`${candidate} is no candidate of route ${route} in these spans, only ${known.join(', ')}`)
  return candidate
}

function noEvidence(route: string): string {
  return `the spans of route ${route} describe no candidate`
}

/** The first label of a request counts, as in the gateway. */
function labelsIn(files: readonly string[], route: string): Map<string, Label> {
  const byId = new Map<string, Label>()
  for (const file of files) {
    let text: string
    try {
      text = readFileSync(file, 'utf8')
    } catch (error) {
      throw usage(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? messageOf(error)})`)
    }
    for (const [index, line] of text.split('\n').entries()) {
      if (line.trim() === '') continue
      try {
        for (const entry of parseLabels(Buffer.from(line))) {
          const isOfRoute = entry.route === undefined || entry.route === route
          if (isOfRoute && !byId.has(entry.request_id)) byId.set(entry.request_id, entry.label)
        }
      } catch (error) {
        throw usage(`${basename(file)}:${index + 1}: ${messageOf(error)}`)
      }
    }
  }
  return byId
}

/** Manifests of embedded versions, where the folder holds the bytes that the spans are of. */
async function manifestsOf(
  { evidence }: TracedEvidence,
  route: Route,
  models: string,
  terminal: Terminal,
): Promise<{ baseline: Manifest | undefined; candidate: Manifest | undefined }> {
  const manifestOf = async ({ version, digest }: { readonly version: string; readonly digest: string }) => {
    const folder = route.versions[version]?.onnx
    if (folder === undefined) return undefined
    try {
      const { manifest, sha256 } = await readModelFolder(models, folder)
      if (sha256 === digest) return manifest
      terminal.err(
        `version ${version} of ${evidence.route} in ${basename(models)}/ has other bytes than the spans are of (${sha256.slice(0, 12)}, not ${digest.slice(0, 12)}): its manifest is left out\n`,
      )
    } catch (error) {
      terminal.err(`${messageOf(error)}: its manifest is left out\n`)
    }
    return undefined
  }
  return { baseline: await manifestOf(evidence.baseline), candidate: await manifestOf(evidence.candidate) }
}

function usage(message: string): CommandFailure {
  return new CommandFailure(EXIT.usage, message)
}
