// Puts together what is told of one remembered request: everything is worked out anew from its bytes and answers. Pure.
import { hash } from 'node:crypto'
import type { DropReason } from '../evidence/accounting.ts'
import type { Outputs } from '../evidence/compare.ts'
import { OUTCOME, type RequestRecord } from '../record/format.ts'
import type { SnapshotRoute, SnapshotVersion } from '../rollout/snapshot.ts'
import { explainAssignment } from './explainAssignment.ts'
import { explainComparison, shownOutputs } from './explainComparison.ts'
import type { ExplainedInput, ExplainedVersion, Explanation } from './explanation.ts'
import { answeredOutputs } from './pair.ts'
import { type Observation, Task } from './task.ts'
import { whyDropped, whyNotAsked } from './whyNotAsked.ts'

/** One pair that was to be: what came of it. */
export interface Look {
  /** The candidate, whether it was served or shadowed. */
  readonly version: SnapshotVersion
  /** The candidate was served, and live was asked in the shadow. */
  readonly isReversed: boolean
  /** What the other version did, or why it was not asked. */
  readonly observation: Observation | DropReason | 'not_sampled'
}

/** Enough to work out everything else when it is asked for: keeping what was decoded would cost several times the bytes. */
export interface Remembered {
  readonly record: RequestRecord
  readonly route: SnapshotRoute
  readonly looks: readonly Look[]
  /** Why its spans were kept; undefined: they were not. */
  readonly kept: NonNullable<Explanation['spans']> | undefined
}

/** @param wallMs a moment of the monotonic clock as ms since the Unix epoch */
export function explain(
  { record, route, looks, kept }: Remembered,
  wallMs: (monotonicMs: number) => number,
): Explanation {
  const task = new Task(record, route)
  const isRecorded = hasBytes(record)
  return {
    source: 'gateway',
    route: route.name,
    requestId: record.requestId,
    revision: record.revision,
    protocol: record.protocol,
    at: new Date(wallMs(record.startMs)).toISOString(),
    traceId: record.traceId,
    spanId: record.serverSpanId,
    parentSpanId: record.parentSpanId,
    live: route.live,
    input: isRecorded ? inputOf(task) : null,
    assignment: explainAssignment(task),
    answered: {
      status: record.status,
      errorType: record.errorType === '' ? null : record.errorType,
      durationMs: record.durationMs,
      bytes: isRecorded ? record.answer.length : null,
      sha256: isRecorded ? hash('sha256', record.answer, 'hex') : null,
    },
    versions: versionsOf(task, looks),
    comparisons: inOrder(route, looks).flatMap(look =>
      typeof look.observation === 'string'
        ? []
        : explainComparison(task, look.version.version, look.observation, look.isReversed),
    ),
    spans: kept === undefined ? null : { reason: kept.reason, weight: kept.weight },
    label: null,
  }
}

/** Looks end in any order. */
function inOrder({ versions }: SnapshotRoute, looks: readonly Look[]): readonly Look[] {
  return looks.toSorted((a, b) => versions.indexOf(a.version) - versions.indexOf(b.version))
}

/** Bodies that are too large to be mirrored are left out of a record, both of them. */
function hasBytes({ request, answer }: RequestRecord): boolean {
  return request.length + answer.length > 0
}

function inputOf({ record, request }: Task): ExplainedInput {
  return {
    bytes: record.request.length,
    sha256: hash('sha256', record.request, 'hex'),
    tensors: request?.inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })) ?? null,
  }
}

function versionsOf(task: Task, looks: readonly Look[]): ExplainedVersion[] {
  const { record, route } = task
  const served = route.versions[record.version]!
  const others = route.versions.filter(version => version !== served)
  return [
    servedVersion(task, served),
    ...others.flatMap(version => {
      const look = looks.find(each => (each.isReversed ? version.version === route.live : version === each.version))
      if (look !== undefined) return askedVersion(task, version, look)
      const missed = whyNotAsked(task, version)
      return missed === undefined ? [] : notAsked(version, missed.reason, missed.detail)
    }),
  ]
}

function servedVersion(task: Task, { version, digest }: SnapshotVersion): ExplainedVersion {
  const { record, route, servedOk } = task
  const outputs = servedOk ? outputsOf(task, task.served) : null
  return {
    version,
    digest,
    role: version === route.live ? 'live' : 'canary',
    state: servedOk ? 'answered' : 'failed',
    reason: servedOk ? null : record.errorType,
    detail: detailOf(task, outputs),
    latencyMs: record.inferMs,
    queueMs: record.queueMs,
    batched: false,
    outputs,
  }
}

function detailOf({ record, servedOk }: Task, outputs: ExplainedVersion['outputs']): string | null {
  if (servedOk) {
    if (outputs !== null) return null
    if (record.withheld === undefined) return 'its answer cannot be read'
    return record.withheld === 'too_large'
      ? 'its answer was too large to be recorded'
      : 'it answered before all of the request had come, and neither was recorded'
  }
  return record.outcome === OUTCOME.clientError ? 'it refused the request' : null
}

function askedVersion(task: Task, version: SnapshotVersion, { observation }: Look): ExplainedVersion {
  if (typeof observation === 'string') return notAsked(version, observation, whyDropped(observation, version))
  const { outcome, batched } = observation
  const outputs = outcome.ok
    ? outputsOf(
        task,
        attempt(() => answeredOutputs(task, outcome)),
      )
    : null
  return {
    version: version.version,
    digest: version.digest,
    role: 'shadow',
    state: outcome.ok ? 'answered' : 'failed',
    reason: outcome.ok ? null : outcome.code,
    detail: outcome.ok ? (outputs === null ? 'its answer cannot be read' : null) : outcome.message,
    latencyMs: outcome.inferMs,
    queueMs: outcome.queueMs,
    batched,
    outputs,
  }
}

function notAsked({ version, digest }: SnapshotVersion, reason: string, detail: string): ExplainedVersion {
  const nothing = { latencyMs: null, queueMs: null, batched: null, outputs: null }
  return { version, digest, role: 'shadow', state: 'not_asked', reason, detail, ...nothing }
}

function outputsOf({ route, served }: Task, outputs: Outputs | undefined): ExplainedVersion['outputs'] {
  if (outputs === undefined) return null
  const shown = shownOutputs(outputs, route.compare, served)
  return shown.length === 0 ? null : shown
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
