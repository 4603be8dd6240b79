// What the rollout needs from outside, and the one queue that keeps its writes apart.
import type { LoadedRoutes } from '../config/load.ts'
import type { Version } from '../config/schema.ts'
import type { Policy, Verdict } from '../gate/evidence.ts'
import type { StateStore } from '../state/store.ts'
import type { Resolution } from './lock.ts'

/** A configuration to serve. Routes without a resolution keep the one they have. */
export interface Change {
  readonly loaded: LoadedRoutes
  readonly resolutions: Readonly<Record<string, Resolution>>
}

export interface RolloutPorts {
  readonly store: Pick<StateStore, 'append' | 'log' | 'together'>
  /** Name of routes.yaml: shown in messages; `${file:…}` is read relative to its folder. */
  readonly fileName: string
  readonly env?: Readonly<Record<string, string | undefined>>
  /** The text of routes.yaml on disk. Throws where it cannot be read. */
  readFile(): string
  /** Replaces routes.yaml (`writeAtomically`). Throws where it cannot be written. */
  writeFile(text: string): void
  /** The configuration that serves now: the last good one, which is not always what is on disk. */
  current(): LoadedRoutes
  /**
   * Loads and verifies these versions where that is still to be done, and says their digests; undefined: broken or not
   * known. Must settle within a deadline of its own. A reload asks for several routes at once.
   */
  digests(
    route: string,
    versions: Readonly<Record<string, Version>>,
  ): Promise<Readonly<Record<string, string | undefined>>>
  /**
   * The verdict on the evidence of this very moment; undefined: none. With `next`, the policy of a save, the worse one of
   * the policy that serves and of that: a save neither loosens the gate for itself nor escapes its own tightening. Never throws.
   */
  verdictNow(route: string, version: string, next?: Policy): Verdict | undefined
  /**
   * Serves a change: all threads have it when this resolves, and then `current()` gives it. Rejects when one has not
   * acknowledged in time. Must settle within a deadline of its own, since every later rollout action waits for it.
   */
  apply(change: Change): Promise<void>
  /** ms since the Unix epoch. */
  now(): number
}

const queues = new WeakMap<object, Promise<unknown>>()

/**
 * Runs one action at a time per gateway: all of them change the same file and fold the same log. No bound and no drop
 * policy: actions are a person's or the gate's, a handful an hour.
 */
export function inTurn<T>(ports: Pick<RolloutPorts, 'store'>, action: () => Promise<T>): Promise<T> {
  const before = queues.get(ports.store) ?? Promise.resolve()
  const mine = before.then(action, action)
  queues.set(
    ports.store,
    mine.catch(() => {}),
  )
  return mine
}
