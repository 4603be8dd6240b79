// Raises by itself what is due in routes with `mode: auto`, and says what the others wait for. Which one is due, rollout/automatic decides.
import { messageOf } from '../errors.ts'
import type { Verdict } from '../gate/evidence.ts'
import type { AutomaticStatus } from '../report/status.ts'
import { decideAutomatic, type Wait, waitOfRoute } from '../rollout/automatic.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Standing } from './snapshot.ts'

/** A raise that is due. */
export interface Raise {
  readonly route: string
  readonly version: string
  /** Percent that it has. */
  readonly from: number
  /** The verdict's own words. */
  readonly reason: string
}

export interface AutomaticParts {
  /** The same action as a person's promote. Rejects when it cannot be applied; what it was decided on is checked again inside. */
  readonly raise: (raise: Raise) => Promise<void>
  /** Why routes.yaml cannot be written; undefined when it can. */
  readonly unwritable: () => string | undefined
  /** Undefined until the first configuration serves. */
  readonly standing: () => Standing | undefined
  readonly log: Pick<Logger, 'info' | 'warn'>
  /** ms since the Unix epoch. */
  readonly now: () => number
}

/** After a raise that failed: 1 s, 2 s, 4 s … */
const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 300_000

interface Failure {
  readonly what: string
  readonly count: number
  readonly retryAt: number
  readonly why: string
}

export class Automatic {
  readonly #parts: AutomaticParts
  readonly #raising = new Set<string>()
  readonly #waits = new Map<string, Wait>()
  readonly #failures = new Map<string, Failure>()

  constructor(parts: AutomaticParts) {
    this.#parts = parts
  }

  /** All candidates of a route were judged just now. Never waits; at most one raise of a route is under way. */
  judged(name: string, verdicts: ReadonlyMap<string, Verdict>): void {
    const standing = this.#parts.standing()
    const route = standing?.change.loaded.config.routes[name]
    const state = standing?.change.resolutions[name]?.state
    if (route === undefined || state === undefined || this.#raising.has(name)) return
    const nowMs = this.#parts.now()
    if (route.rollout.mode !== 'auto') {
      this.#failures.delete(name)
      this.#waitFor(name, undefined)
      return
    }
    // Looked for only now: every route is judged every second, and a search for each of thousands costs the second.
    const known = standing?.snapshot.routes.find(each => each.name === name)
    if (known === undefined) return
    const digests = Object.fromEntries(
      known.versions.map(({ version, digest, broken }) => [version, broken === undefined ? digest : undefined]),
    )
    const decision = decideAutomatic({ route, state, digests, verdicts: Object.fromEntries(verdicts), nowMs })
    if ('wait' in decision) {
      this.#waitFor(name, decision.wait)
      return
    }
    const { version, from } = decision.raise
    const what = `${version} at ${from} %`
    const failure = this.#failures.get(name)
    if (failure?.what === what && nowMs < failure.retryAt) return
    const unwritable = this.#parts.unwritable()
    if (unwritable !== undefined) {
      this.#failed(name, what, unwritable)
      return
    }
    this.#waitFor(name, undefined)
    this.#raising.add(name)
    // Not awaited: judging goes on, and the action queues behind others. What fails is tried again by a later judgement.
    this.#parts
      .raise({ route: name, version, from, reason: verdicts.get(version)?.reason ?? '' })
      .then(() => {
        this.#failures.delete(name)
        this.#parts.log.info({ route: name, version }, `raised by itself from ${from} %`)
      })
      .catch(error => this.#failed(name, what, messageOf(error)))
      .finally(() => this.#raising.delete(name))
  }

  /** What a route does by itself, for its status. */
  status(name: string): AutomaticStatus | undefined {
    const standing = this.#parts.standing()
    const route = standing?.change.loaded.config.routes[name]
    const state = standing?.change.resolutions[name]?.state
    if (route === undefined || state === undefined) return undefined
    const { paused } = state
    const wait = paused === undefined ? this.#waits.get(name) : waitOfRoute(route, state, this.#parts.now())
    return {
      mode: route.rollout.mode,
      ...(paused === undefined ? {} : { paused: { ...paused, at: new Date(paused.at).toISOString() } }),
      ...(route.rollout.mode === 'manual' || wait === undefined ? {} : { waitingFor: wait.reason }),
      ...(wait?.until === undefined ? {} : { nextAt: new Date(wait.until).toISOString() }),
    }
  }

  /** Forgets routes that are not served any more. */
  keep(routes: ReadonlySet<string>): void {
    for (const name of this.#waits.keys()) if (!routes.has(name)) this.#waits.delete(name)
    for (const name of this.#failures.keys()) if (!routes.has(name)) this.#failures.delete(name)
  }

  #waitFor(name: string, wait: Wait | undefined): void {
    if (wait === undefined) this.#waits.delete(name)
    else this.#waits.set(name, wait)
  }

  /** Later and later, so that a file that cannot be written fills neither the log nor the record. */
  #failed(name: string, what: string, why: string): void {
    const before = this.#failures.get(name)
    const count = before?.what === what ? before.count + 1 : 1
    const retryAt = this.#parts.now() + Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(count - 1, 20))
    this.#failures.set(name, { what, count, retryAt, why })
    this.#waitFor(name, { reason: `${what} is ready and could not be raised: ${why}`, until: retryAt })
    if (before?.what !== what || before.why !== why)
      this.#parts.log.warn({ route: name }, `${what} could not be raised by itself, it is tried again: ${why}`)
  }
}
