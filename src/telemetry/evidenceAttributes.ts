// What our spans say of evidence, as attributes: everything that is counted of a request. Read back by readTold.ts.
import type { Attributes } from '@opentelemetry/api'
import type { EvidenceTerms } from '../evidence/told.ts'
import { SPAN } from './attributeNames.ts'
import type { FinishedComparison, FinishedRequest } from './finished.ts'

/** Between evidence keys; a route's name has no spaces. */
export const BETWEEN_KEYS = ' '
/** Between segments: `sanitised` leaves no semicolon in one. */
export const BETWEEN_SEGMENTS = ';'
/** What `late` says of p50, p95 and p99, a sign each. */
export const SIGNS = { plus: '+', minus: '-', zero: '0' } as const

/** Of a SERVER span. What is empty or no is left out. */
export function setRequestEvidence(attributes: Attributes, { evidence, kept }: FinishedRequest): void {
  if (evidence === undefined) return
  const { count, epoch, originMs, ratio } = evidence
  setPlace(attributes, epoch, originMs, ratio)
  attributes[SPAN.role] = count.arm === 'b' ? 'live' : 'canary'
  attributes[SPAN.sampleWeight] = kept.weight
  attributes[SPAN.sampleReason] = kept.reason
  setKeys(attributes, SPAN.arms, count.arms)
  setKeys(attributes, SPAN.cohorts, count.cohorts)
  setKeys(attributes, SPAN.mirrored, count.mirrored)
  setKeys(attributes, SPAN.notSampled, count.notSampled)
  if (count.failed) attributes[SPAN.armFailed] = true
  if (count.latencyMs !== undefined) attributes[SPAN.armLatencyMs] = count.latencyMs
  if (count.label !== undefined) attributes[SPAN.armLabel] = count.label
}

/** Of a `compare` span. */
export function setPairEvidence(
  attributes: Attributes,
  request: FinishedRequest,
  { evidence }: FinishedComparison,
): void {
  if (evidence === undefined || request.evidence === undefined) return
  const { count, key, stage, share, number, again, predictions, scores } = evidence
  const { epoch, originMs, ratio } = request.evidence
  setPlace(attributes, epoch, originMs, ratio)
  attributes[SPAN.evidenceKey] = key
  attributes[SPAN.evidenceStage] = stage
  attributes[SPAN.evidenceShare] = share
  if (number !== undefined) attributes[SPAN.compareNumber] = number
  if (count.dropped !== undefined) attributes[SPAN.dropReason] = count.dropped
  if (count.errors !== undefined) attributes[SPAN.errors] = whoFailed(count.errors)
  if (count.unstable) attributes[SPAN.unstable] = true
  if (count.segments.length > 0) attributes[SPAN.segments] = count.segments.join(BETWEEN_SEGMENTS)
  if (count.differences.length > 0) {
    attributes[SPAN.rows] = count.differences.length
    attributes[SPAN.differences] = binsText(count.differences)
  }
  for (const slot of count.answers) {
    const [family, rest] = [slot.slice(0, slot.indexOf('.')), slot.slice(slot.indexOf('.') + 1)]
    if (family === 'mean') attributes[SPAN.meanBin] = Number(rest)
    else attributes[family === 'score' ? SPAN.deciles : SPAN.classes] = rest
  }
  if (count.latency !== undefined) attributes[SPAN.isTimed] = true
  if (count.late.length > 0) attributes[SPAN.late] = count.late.map(signOf).join('')
  if (count.sampled) attributes[SPAN.againSampled] = true
  if (again !== undefined) attributes[SPAN.again] = again ? 'differs' : 'same'
  if (predictions !== undefined) {
    attributes[SPAN.baselinePrediction] = JSON.stringify(predictions[0])
    attributes[SPAN.candidatePrediction] = JSON.stringify(predictions[1])
  }
  if (scores !== undefined) {
    attributes[SPAN.baselineScore] = scores[0]
    attributes[SPAN.candidateScore] = scores[1]
  }
}

/** Of an `evidence` span: what a key stands for. */
export function termsAttributes(terms: EvidenceTerms): Attributes {
  const { baseline, candidate } = terms
  return {
    [SPAN.route]: terms.route,
    [SPAN.evidenceKey]: terms.key,
    [SPAN.evidenceStage]: terms.stage,
    [SPAN.evidenceStep]: terms.step,
    [SPAN.evidenceShare]: terms.share,
    [SPAN.evidenceAttempt]: terms.attempt,
    [SPAN.evidenceCandidates]: terms.candidates,
    [SPAN.evidenceStartedMs]: terms.startedAt,
    ...(terms.holdback && { [SPAN.evidenceHoldback]: true }),
    [SPAN.compareDigest]: terms.compareDigest,
    [SPAN.baselineVersion]: baseline.version,
    [SPAN.baselineDigest]: baseline.digest,
    [SPAN.candidateVersion]: candidate.version,
    [SPAN.candidateDigest]: candidate.digest,
  }
}

function setPlace(attributes: Attributes, epoch: number, originMs: number, ratio: number): void {
  attributes[SPAN.epoch] = epoch
  attributes[SPAN.epochOriginMs] = originMs
  attributes[SPAN.sampleRatio] = ratio
}

function setKeys(attributes: Attributes, name: string, keys: readonly string[]): void {
  if (keys.length > 0) attributes[name] = keys.join(BETWEEN_KEYS)
}

function whoFailed({ baseline, candidate }: { readonly baseline: boolean; readonly candidate: boolean }): string {
  if (baseline) return candidate ? 'both' : 'baseline'
  return candidate ? 'candidate' : 'none'
}

/** `pair.late.p95.plus` → `+`. */
function signOf(slot: string): string {
  const sign = slot.slice(slot.lastIndexOf('.') + 1)
  return SIGNS[sign as keyof typeof SIGNS] ?? SIGNS.zero
}

/** `0*12 801 805*2`: a request of many rows has few different bins. */
function binsText(bins: readonly number[]): string {
  if (bins.length === 1) return String(bins[0])
  const rows = new Map<number, number>()
  for (const bin of bins) rows.set(bin, (rows.get(bin) ?? 0) + 1)
  return [...rows].map(([bin, n]) => (n === 1 ? String(bin) : `${bin}*${n}`)).join(' ')
}
