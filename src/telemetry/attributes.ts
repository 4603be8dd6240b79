// The attributes of our spans: their names, which the report reads back too, and their values. Units stand in the names.
import type { Attributes } from '@opentelemetry/api'
import {
  ATTR_CLIENT_ADDRESS,
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_NETWORK_PROTOCOL_VERSION,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_URL_FULL,
  ATTR_URL_PATH,
  ATTR_URL_SCHEME,
  ATTR_USER_AGENT_ORIGINAL,
} from '@opentelemetry/semantic-conventions'
import { FEATURE_FLAG, SPAN } from './attributeNames.ts'
import { setPairEvidence, setRequestEvidence } from './evidenceAttributes.ts'
import type { FinishedComparison, FinishedInference, FinishedRequest } from './finished.ts'

export { FEATURE_FLAG, SPAN } from './attributeNames.ts'

/** Of a SERVER span, by the stable HTTP conventions. url.query is left out: it may hold what nobody wants to keep. */
export function serverAttributes(request: FinishedRequest): Attributes {
  const attributes: Attributes = {
    [ATTR_HTTP_REQUEST_METHOD]: request.method,
    [ATTR_HTTP_ROUTE]: request.httpRoute,
    [ATTR_URL_PATH]: request.path,
    [ATTR_URL_SCHEME]: 'http',
    [ATTR_NETWORK_PROTOCOL_VERSION]: '1.1',
    [SPAN.route]: request.route,
    [SPAN.requestId]: request.requestId,
    [SPAN.protocol]: request.protocol,
    [SPAN.revision]: request.revision,
  }
  if (request.status !== 0) attributes[ATTR_HTTP_RESPONSE_STATUS_CODE] = request.status
  if (request.serverAddress !== undefined) attributes[ATTR_SERVER_ADDRESS] = request.serverAddress
  if (request.serverPort !== undefined) attributes[ATTR_SERVER_PORT] = request.serverPort
  if (request.clientAddress !== undefined) attributes[ATTR_CLIENT_ADDRESS] = request.clientAddress
  if (request.userAgent !== undefined) attributes[ATTR_USER_AGENT_ORIGINAL] = request.userAgent
  if (request.errorType !== '') attributes[ATTR_ERROR_TYPE] = request.errorType
  else if (request.status >= 500) attributes[ATTR_ERROR_TYPE] = String(request.status)
  if (request.servedVersion !== undefined) {
    attributes[FEATURE_FLAG.key] = request.route
    attributes[FEATURE_FLAG.variant] = request.servedVersion
    attributes[FEATURE_FLAG.reason] = request.assigned
  }
  setRequestEvidence(attributes, request)
  return attributes
}

/** Of an `infer` span; CLIENT by the stable HTTP conventions. */
export function inferenceAttributes(route: string, inference: FinishedInference): Attributes {
  const { http } = inference
  const attributes: Attributes = {
    [SPAN.route]: route,
    [SPAN.role]: inference.role,
    [SPAN.modelName]: route,
    [SPAN.modelVersion]: inference.version,
    [SPAN.modelDigest]: inference.digest,
    [SPAN.runtime]: inference.runtime,
    [SPAN.queueMs]: inference.queueMs,
  }
  const error = errorOf(inference)
  if (error !== '') attributes[ATTR_ERROR_TYPE] = error
  if (http) {
    const { full, address, port } = calledAddress(http.url)
    attributes[ATTR_HTTP_REQUEST_METHOD] = 'POST'
    attributes[ATTR_URL_FULL] = full
    attributes[ATTR_SERVER_ADDRESS] = address
    attributes[ATTR_SERVER_PORT] = port
    if (http.status !== 0) attributes[ATTR_HTTP_RESPONSE_STATUS_CODE] = http.status
  }
  return attributes
}

/** The error of a version's work, or the empty string. For a client a 4xx is an error too. */
export function errorOf({ errorType, http }: FinishedInference): string {
  if (errorType !== '') return errorType
  return http && http.status >= 400 ? String(http.status) : ''
}

/** Of a `compare` span: both sides, and how many requests it stands for. */
export function comparisonAttributes(request: FinishedRequest, comparison: FinishedComparison): Attributes {
  const { baseline, candidate, kind, maxAbsDiff, maxRelDiff } = comparison
  const attributes: Attributes = {
    [SPAN.route]: request.route,
    [SPAN.requestId]: request.requestId,
    [SPAN.compareResult]: comparison.result,
    [SPAN.baselineVersion]: baseline.version,
    [SPAN.baselineDigest]: baseline.digest,
    [SPAN.candidateVersion]: candidate.version,
    [SPAN.candidateDigest]: candidate.digest,
    [SPAN.sampleWeight]: request.kept.weight,
    [SPAN.sampleReason]: request.kept.reason,
  }
  if (kind !== undefined) attributes[SPAN.compareKind] = kind
  // OTLP's JSON has no infinity: a difference relative to 0 is told by its absolute size alone.
  if (Number.isFinite(maxAbsDiff)) attributes[SPAN.maxAbsDiff] = maxAbsDiff!
  if (Number.isFinite(maxRelDiff)) attributes[SPAN.maxRelDiff] = maxRelDiff!
  setAnswer(attributes, baseline.answer, SPAN.baselineLabel, SPAN.baselineValue)
  setAnswer(attributes, candidate.answer, SPAN.candidateLabel, SPAN.candidateValue)
  if (baseline.latencyMs !== undefined) attributes[SPAN.baselineLatencyMs] = baseline.latencyMs
  if (candidate.latencyMs !== undefined) attributes[SPAN.candidateLatencyMs] = candidate.latencyMs
  setPairEvidence(attributes, request, comparison)
  return attributes
}

/** Text is a label, a number a value; `NaN` and the infinities, which OTLP's JSON cannot say, are told as labels. */
function setAnswer(
  attributes: Attributes,
  answer: string | number | null | undefined,
  label: string,
  value: string,
): void {
  if (answer === undefined || answer === null) return
  if (typeof answer === 'number' && Number.isFinite(answer)) attributes[value] = answer
  else attributes[label] = String(answer).slice(0, LONGEST_LABEL)
}

// A text model's answer may be a page: what stands on a span is for telling answers apart.
const LONGEST_LABEL = 200

interface Called {
  readonly full: string
  readonly address: string
  readonly port: number
}

// Addresses come from the configuration, so there are few; the bound is for those of old revisions.
const called = new Map<string, Called>()
const MOST_CALLED = 256

/** The parts of an address, without credentials and query. */
function calledAddress(url: string): Called {
  const known = called.get(url)
  if (known) return known
  if (called.size >= MOST_CALLED) called.clear()
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const address: Called = parsed
    ? {
        full: parsed.origin + parsed.pathname,
        address: parsed.hostname,
        port: parsed.port === '' ? (parsed.protocol === 'https:' ? 443 : 80) : Number(parsed.port),
      }
    : { full: '', address: '', port: 0 }
  called.set(url, address)
  return address
}
