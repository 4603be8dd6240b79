// Decides which requests of a route may share a run of live's session, so that nobody's latency evidence is touched.
import type { SnapshotRoute, SnapshotVersion } from '../rollout/snapshot.ts'

/**
 * `all`: live's times are compared with nobody's. `rest`: they are, so the first request of a turn of the event loop is
 * scored alone and timed, whichever arm it is in, and the others share and are not. A time in a shared run is no evidence:
 * it is that of other rows too, a slow run would count once for each of them, and a canary in its process never shares.
 * The first in line is so before it is assigned, so the odds that an event is the canary's stay those of the split.
 */
export type Sharing = 'none' | 'all' | 'rest'

/** What sharing is fair in a route once its live version can share. */
export function sharingOf({ live, seenUnits }: SnapshotRoute, versions: readonly SnapshotVersion[]): Sharing {
  const compared = versions.filter(
    ({ version, evidenceKey, weight, shadow }) =>
      version !== live && evidenceKey !== undefined && (weight > 0 || shadow.percent > 0),
  )
  if (compared.length === 0) return 'all'
  const arms = compared.filter(({ weight }) => weight > 0)
  if (arms.length === 0) return 'rest'
  // A unit is counted with its first request only, so each of these is needed. And what is passed on to a model server
  // takes its time somewhere else, and no place in line here.
  return seenUnits === undefined && arms.every(({ target }) => target.kind === 'onnx') ? 'rest' : 'none'
}

/** The first in line of each turn of the event loop. */
export class Turns {
  #isTaken = false

  /** Whether the caller is the first that asks in this turn. */
  first(): boolean {
    if (this.#isTaken) return false
    this.#isTaken = true
    // Runs where a session's run() would: what is read from the sockets until then goes along with it.
    setImmediate(() => {
      this.#isTaken = false
    })
    return true
  }
}
