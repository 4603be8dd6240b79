// The JSON form of what a verdict was made from, in the words of routes.yaml: written for GET …/evidence, read by `judge`.
import { z } from 'zod'
import { faultsOf } from '../config/problems.ts'
import { COMPARE_KINDS, METRICS, Route } from '../config/schema.ts'
import { UnderstudyError } from '../errors.ts'
import type { Evidence, Policy } from '../gate/evidence.ts'
import type { ComparedOutput } from '../rollout/snapshot.ts'
import { isKnownSlot, nearestSlot } from './knownSlots.ts'

/** Changes when a field of the file is removed or changes its meaning. */
export const EVIDENCE_VERSION = 1

const sha256 = z.string().min(1).max(256)
const Side = z.strictObject({ version: z.string().min(1).max(256), digest: sha256 })
const Counter = z.int().min(0)

const Period = z.strictObject({
  key: z.string().default(''),
  stage: z.enum(['shadow', 'canary']),
  step: z.number().min(0).max(100).default(0),
  share: z.number().min(0).max(1).default(0),
  counters: z.record(z.string().min(1).max(512), Counter),
  segments: z.array(z.string().max(512)).optional(),
  startedAt: z.string().optional(),
})

const Waiver = z.strictObject({
  metrics: z.array(z.enum(METRICS)),
  reason: z.string(),
  until: z.number().min(0).max(8.64e15),
  expired: z.boolean(),
})

const EvidenceFile = z.strictObject({
  route: z.string().min(1).max(128),
  baseline: Side,
  candidate: Side,
  attempt: z.int().min(1).default(1),
  candidates: z.int().min(1).default(1),
  periods: z.array(Period),
  stepElapsedMs: z.number().min(0),
  mirrored: z.strictObject({ eligible: Counter, dropped: Counter }),
  waiver: Waiver.optional(),
})

/** How answers were compared while the counters were counted: what a question about the tolerance needs. */
const Compared = z.array(
  z.strictObject({
    output: z.string().optional(),
    kind: z.enum(COMPARE_KINDS).optional(),
    tolerance: z.strictObject({
      absolute: z.number().min(0).optional(),
      relative: z.number().min(0).optional(),
      threshold: z.number().optional(),
      top: z.int().min(1).optional(),
    }),
  }),
)

/** What a policy file may hold: these keys of a route. */
export const PolicyFile = Route.pick({ expect: true, labels: true, gate: true })

/** What GET …/evidence gives and `judge` reads: the counters, the policy and how answers were compared. */
export function evidenceFile(evidence: Evidence, policy: Policy, compare: readonly ComparedOutput[]) {
  return {
    evidenceVersion: EVIDENCE_VERSION,
    evidence: evidenceJson(evidence),
    policy: policyJson(policy),
    compare,
  }
}

/** Evidence as plain JSON: counters are objects. */
export function evidenceJson(evidence: Evidence): object {
  return {
    ...evidence,
    periods: evidence.periods.map(period => ({ ...period, counters: Object.fromEntries(period.counters) })),
  }
}

/** A policy in the words of routes.yaml, so that it can be edited and judged again: durations are texts. */
export function policyJson({ expect, labels, gate }: Policy): object {
  const { latency, exposure, blocks, ...rest } = gate
  return {
    expect,
    ...(labels !== undefined && { labels: { ...labels, within: inMs(labels.within) } }),
    gate: {
      ...rest,
      latency: { ...latency, slack: inMs(latency.slack) },
      exposure: { ...exposure, for: inMs(exposure.for), atMost: inMs(exposure.atMost) },
      ...(blocks !== undefined && { blocks: inMs(blocks) }),
    },
  }
}

const DURATIONS = [
  ['labels', 'within'],
  ['gate', 'latency', 'slack'],
  ['gate', 'exposure', 'for'],
  ['gate', 'exposure', 'atMost'],
  ['gate', 'blocks'],
] as const

/** A parsed policy, whose durations are milliseconds, as {@link policyJson} writes it; everything else stays as it is. */
export function policyInWords(policy: unknown): unknown {
  const copy: unknown = structuredClone(policy)
  for (const path of DURATIONS) {
    let at = copy
    for (const key of path.slice(0, -1)) at = isMap(at) ? at[key] : undefined
    const last = path.at(-1)!
    if (isMap(at) && typeof at[last] === 'number') at[last] = inMs(at[last])
  }
  return copy
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The evidence of a file: the whole of it, or its part `evidence`.
 * @throws BAD_REQUEST that names every wrong field; whether the counters can be true is for the judge
 */
export function readEvidence(json: unknown): Evidence {
  const part = isMap(json) && 'evidence' in json ? json.evidence : json
  const version = isMap(json) ? json.evidenceVersion : undefined
  if (version !== undefined && version !== EVIDENCE_VERSION)
    throw new UnderstudyError(
      'BAD_REQUEST',
      `evidenceVersion: expected ${EVIDENCE_VERSION}, got ${JSON.stringify(version)}: it was written by another understudy`,
    )
  refuse(EvidenceFile, part)
  const { periods, waiver, ...rest } = EvidenceFile.parse(part)
  const unknown = new Set(periods.flatMap(({ counters }) => Object.keys(counters).filter(slot => !isKnownSlot(slot))))
  if (unknown.size > 0) {
    const lines = [...unknown].slice(0, MOST_LISTED).map(slot => {
      const near = nearestSlot(slot)
      return `counters: unknown counter \`${slot}\`${near === undefined ? '' : `, did you mean \`${near}\`?`}`
    })
    throw new UnderstudyError('BAD_REQUEST', lines.join('\n'))
  }
  return {
    ...rest,
    ...(waiver !== undefined && { waiver }),
    periods: periods.map(({ startedAt: _, counters, segments, ...period }) => ({
      ...period,
      ...(segments !== undefined && { segments }),
      counters: new Map(Object.entries(counters)),
    })),
  }
}

const MOST_LISTED = 10

/** How answers were compared; undefined: the file does not say. @throws BAD_REQUEST */
export function readCompared(json: unknown): readonly ComparedOutput[] | undefined {
  if (!isMap(json) || !('evidence' in json) || json.compare === undefined) return undefined
  refuse(Compared, json.compare)
  return Compared.parse(json.compare).map(({ output, kind, tolerance }) => ({ output, kind, tolerance }))
}

function refuse(schema: z.ZodType, value: unknown): void {
  const faults = faultsOf(schema, value)
  if (faults.length === 0) return
  const lines = faults.map(({ path, message }) => `${path.length > 0 ? `${path.join('.')}: ` : ''}${message}`)
  throw new UnderstudyError('BAD_REQUEST', lines.join('\n'))
}

/** A duration as routes.yaml writes it; the file's own words are not known any more. */
function inMs(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const
  const unit = units.find(([, length]) => ms >= length && ms % length === 0)
  return unit === undefined ? `${ms}ms` : `${ms / unit[1]}${unit[0]}`
}
