// Reads back from our spans what they say of evidence: the inverse of evidenceAttributes.ts. Counts nothing.
import { DROP_REASONS, FAIL_REASONS } from '../evidence/accounting.ts'
import { QUANTILE_NAMES } from '../evidence/latency.ts'
import type { Prediction } from '../evidence/loss.ts'
import type { PairCount, PairResult } from '../evidence/pairCount.ts'
import type { Told, ToldPlace } from '../evidence/told.ts'
import { WITHHELD } from '../record/format.ts'
import { SPAN } from './attributeNames.ts'
import { BETWEEN_KEYS, BETWEEN_SEGMENTS, SIGNS } from './evidenceAttributes.ts'
import { keepsHead } from './keep.ts'
import type { ReadSpan, SpanValue } from './readSpans.ts'

/** `foreign`: it names no route, so it is not of Understudy. `other`: of it, but without evidence or with a part of it only. */
export type Reading = Told | 'foreign' | 'other'

const SERVER = 2
const LABELS = ['kept', ...WITHHELD] as const

/** What a span says of evidence. */
export function readTold(span: ReadSpan): Reading {
  const { attributes } = span
  const route = textOf(attributes[SPAN.route])
  if (route === undefined) return 'foreign'
  if (attributes[SPAN.epoch] === undefined) return span.name.startsWith('evidence ') ? termsOf(span, route) : 'other'
  const place = placeOf(span)
  if (place === undefined) return 'other'
  if (attributes[SPAN.compareResult] !== undefined) return pairOf(span, route, place)
  if (span.kind !== SERVER) return 'other'
  const label = attributes[SPAN.armLabel]
  return {
    kind: 'request',
    route,
    id: `${span.traceId}/${span.spanId}`,
    startMs: span.startMs,
    endMs: span.endMs,
    ...place,
    count: {
      arm: attributes[SPAN.role] === 'canary' ? 'c' : 'b',
      arms: keysOf(attributes[SPAN.arms]),
      failed: attributes[SPAN.armFailed] === true,
      latencyMs: numberOf(attributes[SPAN.armLatencyMs]),
      cohorts: keysOf(attributes[SPAN.cohorts]),
      label: LABELS.find(each => each === label),
      mirrored: keysOf(attributes[SPAN.mirrored]),
      notSampled: keysOf(attributes[SPAN.notSampled]),
    },
  }
}

function pairOf(span: ReadSpan, route: string, place: ToldPlace): Reading {
  const { attributes } = span
  const key = textOf(attributes[SPAN.evidenceKey])
  const result = RESULTS.find(each => each === attributes[SPAN.compareResult])
  const dropped = DROP_REASONS.find(each => each === attributes[SPAN.dropReason])
  if (key === undefined || result === undefined || (result === 'dropped') !== (dropped !== undefined)) return 'other'
  const differences = differencesOf(textOf(attributes[SPAN.differences]) ?? String(attributes[SPAN.differences] ?? ''))
  const timed = [numberOf(attributes[SPAN.baselineLatencyMs]), numberOf(attributes[SPAN.candidateLatencyMs])] as const
  const isTimed = attributes[SPAN.isTimed] === true && timed[0] !== undefined && timed[1] !== undefined
  const count: PairCount = {
    result,
    dropped,
    errors: ERRORS[String(attributes[SPAN.errors])],
    unstable: attributes[SPAN.unstable] === true,
    differences,
    answers: answersOf(attributes),
    segments: (textOf(attributes[SPAN.segments]) ?? '').split(BETWEEN_SEGMENTS).filter(Boolean),
    latency: isTimed ? [timed[0], timed[1]] : undefined,
    late: lateOf(attributes[SPAN.late]),
    sampled: attributes[SPAN.againSampled] === true,
  }
  const again = attributes[SPAN.again]
  return {
    kind: 'pair',
    route,
    id: `${span.traceId}/${span.parentSpanId}`,
    requestId: String(attributes[SPAN.requestId] ?? ''),
    key,
    number: numberOf(attributes[SPAN.compareNumber]),
    ...place,
    count,
    again: again === undefined ? undefined : again === 'differs',
    predictions: predictionsOf(attributes),
    isCut: differences.length !== (numberOf(attributes[SPAN.rows]) ?? 0),
  }
}

function termsOf({ attributes, startMs }: ReadSpan, route: string): Reading {
  const text = (name: string) => textOf(attributes[name])
  const key = text(SPAN.evidenceKey)
  const stage = attributes[SPAN.evidenceStage]
  const sides = [SPAN.baselineVersion, SPAN.baselineDigest, SPAN.candidateVersion, SPAN.candidateDigest].map(text)
  const figures = [
    SPAN.evidenceAttempt,
    SPAN.evidenceCandidates,
    SPAN.evidenceStep,
    SPAN.evidenceShare,
    SPAN.evidenceStartedMs,
  ].map(name => numberOf(attributes[name]))
  if (key === undefined || (stage !== 'shadow' && stage !== 'canary')) return 'other'
  if (sides.includes(undefined) || figures.includes(undefined)) return 'other'
  const [baseline, baselineDigest, candidate, candidateDigest] = sides as string[]
  const [attempt, candidates, step, share, startedAt] = figures as number[]
  return {
    kind: 'terms',
    route,
    atMs: startMs,
    terms: {
      route,
      key,
      baseline: { version: baseline!, digest: baselineDigest! },
      candidate: { version: candidate!, digest: candidateDigest! },
      attempt: attempt!,
      candidates: candidates!,
      stage,
      step: step!,
      share: share!,
      startedAt: startedAt!,
      compareDigest: text(SPAN.compareDigest) ?? '',
      holdback: attributes[SPAN.evidenceHoldback] === true,
    },
  }
}

function placeOf({ attributes, traceId, instance }: ReadSpan): ToldPlace | undefined {
  const [epoch, originMs, ratio, weight] = [SPAN.epoch, SPAN.epochOriginMs, SPAN.sampleRatio, SPAN.sampleWeight].map(
    name => numberOf(attributes[name]),
  )
  if (epoch === undefined || originMs === undefined || ratio === undefined || weight === undefined) return undefined
  return { process: `${instance}/${originMs}`, epoch, originMs, ratio, weight, isHead: keepsHead(traceId, ratio) }
}

const RESULTS: readonly PairResult[] = ['match', 'mismatch', 'dropped', ...FAIL_REASONS]
const ERRORS: Readonly<Record<string, PairCount['errors']>> = {
  none: { baseline: false, candidate: false },
  baseline: { baseline: true, candidate: false },
  candidate: { baseline: false, candidate: true },
  both: { baseline: true, candidate: true },
}

function answersOf(attributes: ReadSpan['attributes']): string[] {
  const slots: string[] = []
  const mean = numberOf(attributes[SPAN.meanBin])
  if (mean !== undefined) slots.push(`mean.${mean}`)
  const deciles = textOf(attributes[SPAN.deciles])
  if (deciles !== undefined) slots.push(`score.${deciles}`)
  const classes = textOf(attributes[SPAN.classes])
  if (classes !== undefined) slots.push(`class.${classes}`)
  return slots
}

function lateOf(value: SpanValue | undefined): string[] {
  const signs = textOf(value)
  if (signs?.length !== QUANTILE_NAMES.length) return []
  return QUANTILE_NAMES.flatMap((name, at) => {
    const sign = Object.entries(SIGNS).find(([, text]) => text === signs[at])
    return sign === undefined ? [] : [`pair.late.${name}.${sign[0]}`]
  })
}

/** A text that says more rows than any request has is no text of ours. */
const MOST_ROWS = 10_000_000

function differencesOf(text: string): number[] {
  const bins: number[] = []
  for (const part of text.split(' ')) {
    const [, bin, times] = /^(\d{1,5})(?:\*(\d{1,8}))?$/.exec(part) ?? []
    const rows = Number(times ?? 1)
    if (bin === undefined || bins.length + rows > MOST_ROWS) continue
    for (let row = 0; row < rows; row++) bins.push(Number(bin))
  }
  return bins
}

function predictionsOf(attributes: ReadSpan['attributes']): readonly [Prediction, Prediction] | undefined {
  const [baseline, candidate] = [SPAN.baselinePrediction, SPAN.candidatePrediction].map(name => attributes[name])
  if (baseline === undefined || candidate === undefined) return undefined
  try {
    return [JSON.parse(String(baseline)) as Prediction, JSON.parse(String(candidate)) as Prediction]
  } catch {
    return undefined
  }
}

function keysOf(value: SpanValue | undefined): string[] {
  return (textOf(value) ?? '').split(BETWEEN_KEYS).filter(Boolean)
}

function textOf(value: SpanValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function numberOf(value: SpanValue | undefined): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}
