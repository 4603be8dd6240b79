// Puts a configuration revision together for the threads, from what the file says, the lock decided and the models are. Pure.
import type { Route, RoutesFile } from '../config/schema.ts'
import type { Resolution } from '../rollout/lock.ts'
import type { Change } from '../rollout/ports.ts'
import type { ComparedOutput, Snapshot, SnapshotRoute, SnapshotVersion } from '../rollout/snapshot.ts'
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
  /** Segments that an evidence key has slots for. */
  readonly segmentsOf: (key: string) => readonly string[]
  readonly salts: SnapshotRoute['salts']
  readonly seenUnits: SharedArrayBuffer | undefined
  readonly mirrored: boolean
}

export function buildSnapshot(revision: number, config: RoutesFile, routes: readonly RouteParts[]): Snapshot {
  return { revision, routes: routes.map(snapshotRoute), mirror: config.mirror, traces: config.traces }
}

function snapshotRoute({
  name,
  route,
  resolution,
  known,
  keys,
  segmentsOf,
  salts,
  seenUnits,
  mirrored,
}: RouteParts): SnapshotRoute {
  return {
    name,
    live: resolution.live,
    versions: Object.entries(route.versions).map(([version, entry]): SnapshotVersion => {
      const facts = known(version)
      const evidenceKey = keys.get(version)
      return {
        version,
        digest: facts?.digest ?? '',
        target: facts?.target ?? { kind: 'url', urls: [], protocol: 'v2', model: name, connectMs: 0, firstByteMs: 0 },
        broken: facts === undefined ? 'not known' : facts.broken,
        weight: resolution.weights[version] ?? 0,
        shadow: entry.shadow,
        deadlineMs: entry.deadline,
        evidenceKey,
        segments: evidenceKey === undefined ? [] : segmentsOf(evidenceKey),
      }
    }),
    sticky: route.sticky,
    force: route.force,
    compare: comparedOutputs(route),
    segments: route.compare.segments,
    latency: route.gate.latency,
    labels: route.labels === undefined ? undefined : { loss: route.labels.loss, clip: route.labels.clip },
    limits: route.limits,
    salts,
    mirrored,
    seenUnits,
  }
}

/** The outputs that a route compares, each with its own tolerance. */
export function comparedOutputs({ compare }: Route): ComparedOutput[] {
  if (!Array.isArray(compare.output)) {
    return [{ output: compare.output, kind: compare.kind, tolerance: compare.tolerance }]
  }
  return compare.output.map(({ output, kind, tolerance }) => ({ output, kind, tolerance }))
}
