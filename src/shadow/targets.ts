// Keeps open what the shadow thread may ask: the candidates of the present snapshot, live for pairs and second runs.
import { messageOf } from '../errors.ts'
import type { Snapshot, SnapshotRoute, SnapshotVersion } from '../rollout/snapshot.ts'
import type { ScoringProcess } from '../scoring/pool.ts'
import { openCandidate } from './candidate.ts'
import { Mirror } from './mirror.ts'

/**
 * What a version is asked for. Each has a queue of its own: second runs that come too fast must not push out pairs, whose
 * drops hold back a verdict.
 */
export type Purpose = 'shadow' | 'paired' | 'again'

/** A snapshot is kept this long after it was replaced, for records that still name it. */
export const SNAPSHOT_KEPT_MS = 60_000

export class Targets {
  readonly #process: ScoringProcess
  readonly #mirrors = new Map<string, Mirror>()
  readonly #closing = new Map<string, NodeJS.Timeout>()
  readonly #keys = new WeakMap<SnapshotVersion, Map<Purpose, string>>()

  constructor(process: ScoringProcess) {
    this.#process = process
  }

  /** Opens what a snapshot needs, and closes later what it does not. Returns what could not be opened. */
  async apply(snapshot: Snapshot): Promise<{ version: string; message: string }[]> {
    const broken: { version: string; message: string }[] = []
    const wanted = new Set<string>()
    const asked = snapshot.routes.flatMap(askedOf)
    // A thread that died may have left its word in this very snapshot, and nobody may ever be there to take it back.
    for (const { version } of asked)
      if (version.stalled !== undefined) Atomics.store(new Int32Array(version.stalled), 0, 0)
    for (const { route, version, purpose } of asked) {
      const key = keyOf(route, version, purpose)
      wanted.add(key)
      if (!this.#mirrors.has(key)) {
        try {
          const candidate = await openCandidate(route, version, this.#process)
          this.#mirrors.set(key, new Mirror(candidate, version.shadow, snapshot.mirror.queue))
        } catch (error) {
          broken.push({ version: `${route.name}/${version.version}`, message: messageOf(error) })
        }
      }
      // A mirror outlives revisions, and each has a word of its own.
      if (purpose === 'shadow') this.#mirrors.get(key)?.tell(version.stalled)
    }
    this.#closeUnwanted(wanted)
    return broken
  }

  /** Undefined: it is not ready. */
  of(route: SnapshotRoute, version: SnapshotVersion, purpose: Purpose): Mirror | undefined {
    // A version of a snapshot does not change, and a key costs as much as counting a pair.
    let keys = this.#keys.get(version)
    if (keys === undefined) {
      keys = new Map()
      this.#keys.set(version, keys)
    }
    let key = keys.get(purpose)
    if (key === undefined) {
      key = keyOf(route, version, purpose)
      keys.set(purpose, key)
    }
    return this.#mirrors.get(key)
  }

  pump(): void {
    for (const mirror of this.#mirrors.values()) mirror.pump()
  }

  async close(): Promise<void> {
    for (const timer of this.#closing.values()) clearTimeout(timer)
    await Promise.all([...this.#mirrors.values()].map(mirror => mirror.close()))
  }

  /**
   * Closes targets that the present snapshot does not name, after as long as records of older ones may come: serving
   * threads go on with the old revision until they have the new one.
   */
  #closeUnwanted(wanted: ReadonlySet<string>): void {
    for (const key of wanted) {
      clearTimeout(this.#closing.get(key))
      this.#closing.delete(key)
    }
    for (const [key, mirror] of this.#mirrors) {
      if (wanted.has(key) || this.#closing.has(key)) continue
      const timer = setTimeout(() => {
        this.#closing.delete(key)
        this.#mirrors.delete(key)
        // Its queue is still worth sending: the evidence of those requests would be lost otherwise.
        mirror.close().catch(() => {})
      }, SNAPSHOT_KEPT_MS)
      this.#closing.set(key, timer)
    }
  }
}

interface Asked {
  readonly route: SnapshotRoute
  readonly version: SnapshotVersion
  readonly purpose: Purpose
}

/** Whom the requests of a route may be sent to, and what for. */
function askedOf(route: SnapshotRoute): Asked[] {
  if (route.spans !== undefined) return []
  const ready = route.versions.filter(version => version.broken === undefined)
  const candidates = ready.filter(version => version.version !== route.live && version.evidenceKey !== undefined)
  const shadows = candidates.filter(version => version.shadow.percent > 0)
  const asked: Asked[] = shadows.map(version => ({ route, version, purpose: 'shadow' }))
  const live = ready.find(version => version.version === route.live)
  if (live === undefined) return asked
  const isPaired = route.paired > 0 && candidates.some(version => version.weight > 0)
  if (isPaired) asked.push({ route, version: live, purpose: 'paired' })
  if (route.again > 0 && (isPaired || shadows.length > 0)) asked.push({ route, version: live, purpose: 'again' })
  return asked
}

function keyOf(route: SnapshotRoute, version: SnapshotVersion, purpose: Purpose): string {
  return JSON.stringify([
    purpose,
    route.name,
    version.version,
    version.digest,
    version.target,
    version.shadow,
    route.limits.body,
  ])
}
