// The JSON form of what a verdict was made from, in the words of routes.yaml: written for GET …/evidence, read by `judge`.
import { z } from 'zod'
import { faultsOf } from '../config/problems.ts'
import { Route } from '../config/schema.ts'
import { UnderstudyError } from '../errors.ts'
import type { Evidence, Policy } from '../gate/evidence.ts'

const sha256 = z.string().min(1).max(256)
const Side = z.strictObject({ version: z.string().min(1).max(256), digest: sha256 })
const Counter = z.int().min(0)

const Period = z.strictObject({
  key: z.string().default(''),
  stage: z.enum(['shadow', 'canary']),
  step: z.number().min(0).max(100).default(0),
  share: z.number().min(0).max(1).default(0),
  counters: z.record(z.string().min(1).max(512), Counter),
  startedAt: z.string().optional(),
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
})

/** What a policy file may hold: these keys of a route. */
export const PolicyFile = Route.pick({ expect: true, labels: true, gate: true })

/** Evidence as plain JSON: counters are objects. */
export function evidenceJson(evidence: Evidence): object {
  return {
    ...evidence,
    periods: evidence.periods.map(period => ({ ...period, counters: Object.fromEntries(period.counters) })),
  }
}

/** A policy in the words of routes.yaml, so that it can be edited and judged again: durations are texts. */
export function policyJson({ expect, labels, gate }: Policy): object {
  const { latency, exposure, ...rest } = gate
  return {
    expect,
    ...(labels !== undefined && { labels: { ...labels, within: inMs(labels.within) } }),
    gate: {
      ...rest,
      latency: { ...latency, slack: inMs(latency.slack) },
      exposure: { ...exposure, for: inMs(exposure.for), atMost: inMs(exposure.atMost) },
    },
  }
}

const DURATIONS = [
  ['labels', 'within'],
  ['gate', 'latency', 'slack'],
  ['gate', 'exposure', 'for'],
  ['gate', 'exposure', 'atMost'],
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

/** @throws BAD_REQUEST that names every wrong field; whether the counters can be true is for the judge */
export function readEvidence(json: unknown): Evidence {
  const faults = faultsOf(EvidenceFile, json)
  if (faults.length > 0) {
    const lines = faults.map(({ path, message }) => `${path.length > 0 ? `${path.join('.')}: ` : ''}${message}`)
    throw new UnderstudyError('BAD_REQUEST', lines.join('\n'))
  }
  const { periods, ...rest } = EvidenceFile.parse(json)
  return {
    ...rest,
    periods: periods.map(({ startedAt: _, counters, ...period }) => ({
      ...period,
      counters: new Map(Object.entries(counters)),
    })),
  }
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
