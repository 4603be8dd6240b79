// Which requests live scores a second time: a sample, and all of them once it has contradicted itself. Asks nobody.
import type { SnapshotRoute } from '../rollout/snapshot.ts'
import { sampled } from '../routing/assign.ts'
import { liveOf, type Task } from './task.ts'

export class Noise {
  /** Live versions that have contradicted themselves, with what of their answers is compared. */
  readonly #noisy = new Set<string>()

  /** Live has contradicted itself on this route. */
  seen(route: SnapshotRoute): void {
    this.#noisy.add(keyOf(route))
  }

  /**
   * Whether live scores this request again, for `compare.again`. The choice rests on the past alone, so what is run twice is
   * like what is not.
   */
  isRunTwice({ route, record, servedOk }: Task): boolean {
    if (route.again <= 0 || !(servedOk || record.paired)) return false
    const percent = route.isNoisy || this.#noisy.has(keyOf(route)) ? 100 : route.again
    return sampled(route.salts.mirror, `again\0${record.serverSpanId}`, percent)
  }

  /** Forgets all but these routes. */
  keep(routes: readonly SnapshotRoute[]): void {
    const keys = new Set(routes.map(keyOf))
    for (const key of this.#noisy) if (!keys.has(key)) this.#noisy.delete(key)
  }
}

function keyOf(route: SnapshotRoute): string {
  return JSON.stringify([route.name, liveOf(route)?.digest, route.compare])
}
