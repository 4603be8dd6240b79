// Tells of a request what its spans tell, in the form of the gateway's own memory. Knows no file and asks nobody.
import { COMPARE_KINDS } from '../config/schema.ts'
import type {
  ExplainedAssignment,
  ExplainedComparison,
  ExplainedDifference,
  ExplainedVersion,
  Explanation,
} from '../shadow/explanation.ts'
import { FEATURE_FLAG, SPAN } from '../telemetry/attributes.ts'
import type { ReadSpan, SpanValue } from '../telemetry/readSpans.ts'

// OpenTelemetry's stable HTTP conventions.
const STATUS = 'http.response.status_code'
const ERROR_TYPE = 'error.type'
const RESULTS = [
  'match',
  'mismatch',
  'baseline_error',
  'candidate_error',
  'timeout',
  'dropped',
  'unparseable',
] as const satisfies readonly ExplainedComparison['result'][]
const ROLES = ['live', 'canary', 'shadow'] as const satisfies readonly ExplainedVersion['role'][]
const KEEP_REASONS = ['head', 'mismatch', 'error', 'slow'] as const

/** Which request a span belongs to: its trace, and the SERVER span of it that all others are children of. */
export interface RequestPlace {
  readonly traceId: string
  readonly serverSpanId: string
}

/** The place of a span that names its request; undefined: it names another one or none. */
export function placeOf(span: ReadSpan, requestId: string, route: string | undefined): RequestPlace | undefined {
  const { attributes, traceId, spanId, parentSpanId } = span
  if (attributes[SPAN.requestId] !== requestId) return undefined
  if (route !== undefined && attributes[SPAN.route] !== route) return undefined
  const serverSpanId = attributes[SPAN.compareResult] === undefined ? spanId : parentSpanId
  return serverSpanId === '' ? undefined : { traceId, serverSpanId }
}

/** Whether a span is of that request: its SERVER span, or a child of it. */
export function isAt({ traceId, serverSpanId }: RequestPlace, span: ReadSpan): boolean {
  return span.traceId === traceId && (span.spanId === serverSpanId || span.parentSpanId === serverSpanId)
}

/** @param spans those of one request, at least one, in any order; the SERVER span may be missing */
export function explainSpans(requestId: string, place: RequestPlace, spans: readonly ReadSpan[]): Explanation {
  const server = spans.find(({ spanId }) => spanId === place.serverSpanId)
  const children = spans.filter(span => span !== server)
  const compares = children.filter(({ attributes }) => attributes[SPAN.compareResult] !== undefined)
  const versions = children.flatMap(versionOf).toSorted(servedFirst)
  const reason = KEEP_REASONS.find(known => compares.some(span => span.attributes[SPAN.sampleReason] === known))
  const startMs = server?.startMs ?? Math.min(...spans.map(span => span.startMs))
  const status = number(server, STATUS)
  return {
    source: 'spans',
    route: text(server ?? spans[0], SPAN.route) ?? '',
    requestId,
    revision: number(server, SPAN.revision),
    protocol: text(server, SPAN.protocol),
    at: new Date(startMs).toISOString(),
    traceId: place.traceId,
    spanId: place.serverSpanId,
    parentSpanId: server?.parentSpanId ?? '',
    live: versions.find(({ role }) => role === 'live')?.version ?? text(compares[0], SPAN.baselineVersion),
    input: null,
    assignment: assignmentOf(server, versions),
    answered: {
      status,
      errorType: text(server, ERROR_TYPE),
      durationMs: server === undefined ? null : server.endMs - server.startMs,
      bytes: null,
      sha256: null,
    },
    versions,
    comparisons: compares.flatMap(comparisonOf).toSorted((a, b) => byText(a.candidate, b.candidate)),
    spans: reason === undefined ? null : { reason, weight: number(compares[0], SPAN.sampleWeight) ?? 1 },
    label: null,
  }
}

/** Spans end in any order. */
function servedFirst(a: ExplainedVersion, b: ExplainedVersion): number {
  return ROLES.indexOf(a.role) - ROLES.indexOf(b.role) || byText(a.version, b.version)
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

const WHY: Readonly<Record<NonNullable<ExplainedAssignment['reason']>, string>> = {
  split: 'by weight',
  targeting_match: 'the client named the version',
  static: 'no other version had a share',
}

function assignmentOf(server: ReadSpan | undefined, versions: readonly ExplainedVersion[]): ExplainedAssignment {
  const said = text(server, FEATURE_FLAG.reason)
  const reason = said === 'split' || said === 'targeting_match' || said === 'static' ? said : null
  const served = versions.find(({ role }) => role !== 'shadow')?.version
  return {
    version: text(server, FEATURE_FLAG.variant) ?? served ?? null,
    reason,
    why: reason === null ? 'not told' : WHY[reason],
    weights: null,
    sticky: null,
    held: null,
  }
}

/** Of an `infer` span. */
function versionOf(span: ReadSpan): ExplainedVersion[] {
  const version = text(span, SPAN.modelVersion)
  const role = ROLES.find(known => known === span.attributes[SPAN.role])
  if (version === null || role === undefined) return []
  const error = text(span, ERROR_TYPE) ?? (span.isError ? 'error' : null)
  return [
    {
      version,
      digest: text(span, SPAN.modelDigest) ?? '',
      role,
      state: error === null ? 'answered' : 'failed',
      reason: error,
      detail: null,
      latencyMs: span.endMs - span.startMs,
      queueMs: number(span, SPAN.queueMs),
      batched: null,
      outputs: null,
    },
  ]
}

function comparisonOf(span: ReadSpan): ExplainedComparison[] {
  const result = RESULTS.find(known => known === span.attributes[SPAN.compareResult])
  if (result === undefined) return []
  const maxAbsDiff = number(span, SPAN.maxAbsDiff)
  const maxRelDiff = number(span, SPAN.maxRelDiff)
  return [
    {
      baseline: text(span, SPAN.baselineVersion) ?? '',
      candidate: text(span, SPAN.candidateVersion) ?? '',
      result,
      errorType: null,
      detail: null,
      dropped: null,
      maxAbsDiff,
      maxRelDiff,
      outputs: result === 'match' || result === 'mismatch' ? [differenceOf(span, result, maxAbsDiff, maxRelDiff)] : [],
    },
  ]
}

function differenceOf(
  span: ReadSpan,
  result: 'match' | 'mismatch',
  maxAbsDiff: number | null,
  maxRelDiff: number | null,
): ExplainedDifference {
  const kind = text(span, SPAN.compareKind)
  const nothing = {
    output: null,
    reason: null,
    detail: null,
    tolerance: null,
    rows: null,
    mismatchingRows: null,
    row: null,
  }
  return {
    ...nothing,
    kind: COMPARE_KINDS.find(known => known === kind) ?? null,
    result,
    maxAbsDiff,
    maxRelDiff,
    baselineValue: answer(span, SPAN.baselineValue, SPAN.baselineLabel),
    candidateValue: answer(span, SPAN.candidateValue, SPAN.candidateLabel),
  }
}

function answer(span: ReadSpan, value: string, label: string): number | string | null {
  return number(span, value) ?? text(span, label)
}

function text(span: ReadSpan | undefined, name: string): string | null {
  const value: SpanValue | undefined = span?.attributes[name]
  return typeof value === 'string' ? value : null
}

function number(span: ReadSpan | undefined, name: string): number | null {
  const value: SpanValue | undefined = span?.attributes[name]
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}
