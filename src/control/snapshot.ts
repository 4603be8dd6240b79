// Puts a configuration revision together for the threads, from what the file says, the lock decided and the models are. Pure.
import type { Route, RoutesFile, Version } from '../config/schema.ts'
import { outputsOf } from '../config/traced.ts'
import { differenceScale } from '../evidence/scale.ts'
import type { Resolution } from '../rollout/lock.ts'
import type { PeriodRecord } from '../rollout/periods.ts'
import type { Change } from '../rollout/ports.ts'
import type {
  ComparedOutput,
  Snapshot,
  SnapshotPeriod,
  SnapshotRoute,
  SnapshotVersion,
  TracedSpans,
  UpstreamTarget,
} from '../rollout/snapshot.ts'
import { SPAN } from '../telemetry/attributes.ts'
import type { KnownVersion } from './models.ts'

/** What serves now. */
export interface Standing {
  readonly change: Change
  readonly snapshot: Snapshot
  readonly loadedAt: number
}

export interface RouteParts {
  readonly name: string
  readonly route: Route
  readonly resolution: Resolution
  readonly known: (version: string) => KnownVersion | undefined
  /** Open evidence key by candidate. */
  readonly keys: ReadonlyMap<string, string>
  /** The period of a candidate's open evidence key. */
  readonly periodOf: (version: string) => PeriodRecord | undefined
  /** Segments that an evidence key has slots for. */
  readonly segmentsOf: (key: string) => readonly string[]
  /** Classes that it has slots for. */
  readonly classesOf: (key: string) => readonly string[]
  /** Whether live has been seen to contradict itself. */
  readonly isNoisy: () => boolean
  readonly salts: SnapshotRoute['salts']
  readonly seenUnits: SharedArrayBuffer | undefined
  readonly mirrored: boolean
}

export function buildSnapshot(revision: number, config: RoutesFile, routes: readonly RouteParts[]): Snapshot {
  return {
    revision,
    name: config.name,
    routes: routes.map(parts => snapshotRoute(parts, config.mirror.bodyBytes)),
    mirror: config.mirror,
    traces: config.traces,
  }
}

/** A version of which nothing is known yet. */
const NOWHERE: UpstreamTarget = {
  kind: 'url',
  urls: [],
  protocol: 'v2',
  model: '',
  hasPath: false,
  connectMs: 0,
  firstByteMs: 0,
}

function snapshotRoute(parts: RouteParts, mirroredBytes: number): SnapshotRoute {
  const { name, route, resolution, known, keys, periodOf, segmentsOf, classesOf, isNoisy, salts, seenUnits, mirrored } =
    parts
  const live = route.versions[resolution.live]
  const compare = comparedOutputs(route)
  return {
    name,
    live: resolution.live,
    paths: [route.path ?? []].flat(),
    versions: Object.entries(route.versions).map(([version, entry]): SnapshotVersion => {
      const facts = known(version)
      const evidenceKey = keys.get(version)
      return {
        version,
        digest: facts?.digest ?? '',
        target: facts?.target ?? NOWHERE,
        rename: entry.rename,
        answers: entry.answers,
        broken: facts === undefined ? 'not known' : facts.broken,
        weight: resolution.weights[version] ?? 0,
        shadow: entry.shadow,
        stalled: stalledOf(entry.shadow),
        deadlineMs: entry.deadline,
        evidenceKey,
        ...(evidenceKey !== undefined && { period: periodOfKey(periodOf(version)) }),
        segments: evidenceKey === undefined ? [] : segmentsOf(evidenceKey),
        classes: evidenceKey === undefined ? [] : classesOf(evidenceKey),
      }
    }),
    sticky: route.sticky,
    force: route.force,
    compare,
    segments: route.compare.segments,
    latency: route.gate.latency,
    labels: labelsOf(route),
    paired: live !== undefined && isAllowed(live, live.mirrorable) ? route.gate.paired : 0,
    again: live !== undefined && isAllowed(live, live.repeatable) ? route.compare.again : 0,
    isNoisy: isNoisy(),
    differenceScale: differenceScale(route.gate, compare[0]?.tolerance ?? {}),
    blocksMs: route.gate.blocks,
    limits: { ...route.limits, mirrored: route.limits.mirrored ?? mirroredBytes },
    salts,
    mirrored,
    spans: spansOf(route),
    seenUnits,
  }
}

/**
 * Of what `shadow.max` leaves out a serving thread knows nothing: all of it would count as dropped, and so much would hold
 * a verdict back for long after the version is there again.
 */
function stalledOf({ percent, max }: Version['shadow']): SharedArrayBuffer | undefined {
  return percent > 0 && max === undefined ? new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT) : undefined
}

function spansOf({ spans }: Route): TracedSpans | undefined {
  if (spans === undefined) return undefined
  const { name, model, version, error, request, digest, within } = spans
  return {
    name,
    model: model ?? (name === undefined ? SPAN.modelName : undefined),
    version,
    outputs: outputsOf(spans),
    error,
    request,
    digest,
    withinMs: within,
  }
}

function periodOfKey(period: PeriodRecord | undefined): SnapshotPeriod | undefined {
  if (period === undefined) return undefined
  const { attempt, stage, step, share, startedAt, compareDigest, holdback } = period
  return { attempt, stage, step, share, startedAt, compareDigest, holdback: holdback === true }
}

/** A model in our own process has no side effects; of an HTTP server a person must have said so. */
function isAllowed({ onnx }: Version, said: boolean | undefined): boolean {
  return said ?? onnx !== undefined
}

function labelsOf({ labels }: Route): SnapshotRoute['labels'] {
  if (labels === undefined) return undefined
  const { loss, clip, affectedByAnswer } = labels
  return { loss, clip, affectedByAnswer }
}

/** The outputs that a route compares, each with its own tolerance. */
export function comparedOutputs({ compare }: Route): ComparedOutput[] {
  if (!Array.isArray(compare.output)) {
    return [{ output: compare.output, kind: compare.kind, tolerance: compare.tolerance }]
  }
  return compare.output.map(({ output, kind, tolerance }) => ({ output, kind, tolerance }))
}
