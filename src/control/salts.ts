// Secret salts of each route, made once and kept with the state: a client must not be able to work out its version.
import { randomBytes } from 'node:crypto'
import type { SnapshotRoute } from '../rollout/snapshot.ts'
import type { StateStore } from '../state/store.ts'

export class Salts {
  readonly #store: Pick<StateStore, 'value' | 'commit'>
  /** In memory too: a store that cannot be read must not keep a rollback from being applied. */
  readonly #known = new Map<string, SnapshotRoute['salts']>()

  constructor(store: Pick<StateStore, 'value' | 'commit'>) {
    this.#store = store
  }

  /**
   * The salts of a route: for assignment, for the mirror's sample and for counting units; independent of each other.
   * @throws STATE_FAILED only at the first sight of a route
   */
  of(route: string): SnapshotRoute['salts'] {
    let salts = this.#known.get(route)
    if (salts === undefined) {
      salts = this.#read(route)
      this.#known.set(route, salts)
    }
    return salts
  }

  #read(route: string): SnapshotRoute['salts'] {
    const key = `salts/${route}`
    const kept = this.#store.value(key)
    if (kept !== undefined) return JSON.parse(kept) as SnapshotRoute['salts']
    const salt = () => randomBytes(16).toString('hex')
    const salts = { split: salt(), mirror: salt(), count: salt() }
    this.#store.commit({ values: [{ key, value: JSON.stringify(salts) }] })
    return salts
  }
}
