// What the versions did in the shadow since the last look, for the metrics.
import type { SnapshotVersion } from '../rollout/snapshot.ts'
import { DurationCounts, INFERENCE_BUCKETS_S } from '../telemetry/durations.ts'
import type { ShadowDelta } from './message.ts'

/** One version's answers in the shadow. */
export interface Tally {
  readonly route: string
  readonly version: string
  readonly outcomes: Map<string, number>
  readonly comparisons: Map<string, number>
  readonly inference: DurationCounts
  /** Pairs of this candidate that are queued or under way. */
  inFlight: number
}

export class Tallies {
  readonly #tallies = new Map<string, Tally>()
  // A version of a snapshot does not change: its name need not be put together, and looked for, with every pair.
  #known = new WeakMap<SnapshotVersion, Tally>()

  of(route: string, version: SnapshotVersion): Tally {
    let tally = this.#known.get(version)
    if (tally === undefined) {
      tally = this.#named(route, version.version)
      this.#known.set(version, tally)
    }
    return tally
  }

  #named(route: string, version: string): Tally {
    const key = `${route}/${version}`
    let tally = this.#tallies.get(key)
    if (tally === undefined) {
      const inference = new DurationCounts(INFERENCE_BUCKETS_S)
      tally = { route, version, outcomes: new Map(), comparisons: new Map(), inference, inFlight: 0 }
      this.#tallies.set(key, tally)
    }
    return tally
  }

  /** Of every version, which starts over. */
  takeDeltas(): ShadowDelta[] {
    return [...this.#tallies.values()].map(takeDelta)
  }

  /** Forgets the versions that are none of these, `route/version`, once nothing of theirs is under way. */
  keep(versions: ReadonlySet<string>): void {
    this.#known = new WeakMap()
    for (const [key, { inFlight }] of this.#tallies) if (!versions.has(key) && inFlight === 0) this.#tallies.delete(key)
  }
}

function takeDelta(tally: Tally): ShadowDelta {
  const { route, version, outcomes, comparisons, inFlight } = tally
  const inference = tally.inference.takeDelta()
  const delta = { route, version, outcomes: [...outcomes], comparisons: [...comparisons], inference, inFlight }
  outcomes.clear()
  comparisons.clear()
  return delta
}

/** Counts one more. */
export function bump(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}
