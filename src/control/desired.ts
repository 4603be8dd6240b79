// Brings what routes.yaml wants to the threads: applies changes, follows edits, and tells what is held. Decides no share.
import { dirname, resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { LoadedRoutes } from '../config/load.ts'
import type { RoutesFile } from '../config/schema.ts'
import { messageOf } from '../errors.ts'
import type { Held } from '../rollout/lock.ts'
import { appliedRoute } from '../rollout/periods.ts'
import { type Change, inTurn, type RolloutPorts } from '../rollout/ports.ts'
import { recordReloadFailure, reload } from '../rollout/reload.ts'
import type { StateStore } from '../state/store.ts'
import type { Logger } from '../telemetry/log.ts'
import type { EvidenceBook } from './evidence.ts'
import { type Identities, identityKey } from './identity.ts'
import type { Meters } from './meters.ts'
import type { ModelRegistry } from './models.ts'
import type { Notifier } from './notifier.ts'
import type { Salts } from './salts.ts'
import type { SeenUnits } from './seenUnits.ts'
import { buildSnapshot, type RouteParts, type Standing } from './snapshot.ts'
import type { Threads } from './threads.ts'
import type { Verdicts } from './verdicts.ts'

export interface DesiredParts {
  readonly routesFile: string
  /** The file as it was at the start. */
  readonly loaded: LoadedRoutes
  readonly store: Pick<StateStore, 'value'>
  readonly ports: RolloutPorts
  readonly threads: Threads
  readonly models: ModelRegistry
  readonly identities: Identities
  readonly book: EvidenceBook
  readonly verdicts: Verdicts
  readonly salts: Salts
  readonly seenUnits: SeenUnits
  readonly meters: Meters
  readonly notifier: Pick<Notifier, 'applied'>
  readonly log: Logger
  /** `known` tells the watch which content is in use. */
  readonly known: (hash: string) => void
  /** ms since the Unix epoch. */
  readonly now: () => number
}

const MIRROR_OFF = 'mirror/off'

/** Settings that an edit does not change, with how they are read. */
const READ_AT_START: Readonly<Record<string, (config: RoutesFile) => unknown>> = {
  listen: ({ listen }) => listen,
  admin: ({ admin }) => admin,
  'mirror.ring': ({ mirror }) => mirror.ring,
  'traces.file': ({ traces }) => traces.file,
}

export class Desired {
  readonly #parts: DesiredParts
  #loaded: LoadedRoutes
  /** An edit that is being held against what serves. */
  #loading: LoadedRoutes | undefined
  #standing: Standing | undefined
  #revision = 0
  #configurationError: string | undefined
  /** Contents of the file that were refused so far. */
  #refusals = 0
  /** Routes whose mirroring a person has switched off. */
  #mirrorOff: ReadonlySet<string>

  constructor(parts: DesiredParts) {
    this.#parts = parts
    this.#loaded = parts.loaded
    this.#mirrorOff = new Set(JSON.parse(parts.store.value(MIRROR_OFF) ?? '[]') as string[])
  }

  /** The configuration that serves: the last good one, which is not always what is on disk. */
  get loaded(): LoadedRoutes {
    return this.#loaded
  }

  /** Undefined until the first configuration serves. */
  get standing(): Standing | undefined {
    return this.#standing
  }

  /** The revision that every thread has. */
  get revision(): number {
    return this.#standing?.snapshot.revision ?? 0
  }

  /** Why the last edit was refused. */
  get configurationError(): string | undefined {
    return this.#configurationError
  }

  isMirrorOff(route: string): boolean {
    return this.#mirrorOff.has(route)
  }

  modelsFolder(): string {
    return resolve(dirname(this.#parts.routesFile), (this.#loading ?? this.#loaded).config.models)
  }

  /** Serves a change on every thread. Routes without a resolution keep the one they have. */
  async apply(change: Change): Promise<void> {
    const { models, salts, book, seenUnits, threads, meters, notifier, known: tellWatch, now } = this.#parts
    const resolutions = { ...this.#standing?.change.resolutions, ...change.resolutions }
    const followed = new Set<string>()
    const parts = Object.entries(change.loaded.config.routes).map(([name, route]): RouteParts => {
      const resolution = resolutions[name]!
      const known = (version: string) => models.known(name, version)
      const digests = Object.fromEntries(Object.keys(route.versions).map(version => [version, known(version)?.digest]))
      const own = salts.of(name)
      const applied = appliedRoute(name, route, resolution, digests, own.split)
      if (applied !== undefined) followed.add(name)
      return {
        name,
        route,
        resolution,
        known,
        keys: applied === undefined ? new Map() : book.follow(applied, route.gate.latency, now(), route.gate.blocks),
        periodOf: version => book.periods(name, version).at(-1),
        segmentsOf: key => book.segments(key),
        classesOf: key => book.classes(key),
        isNoisy: () => book.isNoisy(name),
        salts: own,
        seenUnits: route.sticky === undefined ? undefined : seenUnits.of(name),
        mirrored: !this.#mirrorOff.has(name),
      }
    })
    const snapshot = buildSnapshot(++this.#revision, change.loaded.config, parts)
    if (this.#standing === undefined) await threads.serve(snapshot)
    else await threads.apply(snapshot)
    this.#loaded = change.loaded
    this.#standing = { change: { loaded: change.loaded, resolutions }, snapshot, loadedAt: now() }
    tellWatch(change.loaded.hash)
    meters.applied(snapshot)
    notifier.applied(this.#standing.change)
    this.#forget(this.#standing, followed)
  }

  /** routes.yaml has new content that parses. Never rejects. */
  async edited(loaded: LoadedRoutes): Promise<void> {
    const { ports, meters, log } = this.#parts
    const refusals = this.#refusals
    try {
      const wanted = () => {
        this.#loading = loaded
        return loaded
      }
      const { resolutions } = await reload(ports, wanted, { who: 'routes.yaml' })
      // What was refused meanwhile is newer: the file as it stands is that, and not this.
      if (refusals === this.#refusals) this.#configurationError = undefined
      for (const [key, read] of Object.entries(READ_AT_START)) {
        if (!isDeepStrictEqual(read(this.#parts.loaded.config), read(loaded.config)))
          log.warn(`\`${key}\` is read at start only: restart to change it`)
      }
      const held = Object.values(resolutions).some(resolution => resolution.held.length > 0)
      meters.metrics.reload(held ? 'held' : 'applied')
      log.info({ revision: this.#revision, hash: loaded.hash.slice(0, 12) }, 'routes.yaml applied')
      this.tellHeld(resolutions)
    } catch (error) {
      this.refused(error, loaded.hash)
    } finally {
      if (this.#loading === loaded) this.#loading = undefined
    }
  }

  /** The file did not change, but what it names did. Never rejects. */
  async reread(why: string): Promise<void> {
    const { ports, log } = this.#parts
    log.warn(why)
    // What serves when the turn has come: an action before it may have changed it.
    await reload(ports, () => this.#loaded, { who: 'identity' }).catch(error => log.error(messageOf(error)))
  }

  /** The file has content that cannot be served: the last good one serves on. */
  refused(error: unknown, hash: string | undefined): void {
    const { meters, ports, log } = this.#parts
    this.#configurationError = messageOf(error)
    this.#refusals++
    meters.metrics.reload('refused')
    recordReloadFailure(ports, error, hash)
    log.error(`routes.yaml is refused, the last good one serves on: ${messageOf(error)}`)
  }

  tellHeld(resolutions: Change['resolutions']): void {
    const { log } = this.#parts
    for (const [route, { held, notices }] of Object.entries(resolutions)) {
      for (const each of held) log.warn({ route }, heldText(each))
      for (const notice of notices) log.warn({ route }, notice)
    }
  }

  /** Serves what stands with mirroring switched on or off. It outlives the process: a person has decided it. */
  setMirror(on: boolean, route: string | undefined): Promise<void> {
    const { ports, book } = this.#parts
    return inTurn(ports, async () => {
      const off = new Set(this.#mirrorOff)
      for (const name of route === undefined ? Object.keys(this.#loaded.config.routes) : [route]) {
        if (on) off.delete(name)
        else off.add(name)
      }
      this.#mirrorOff = off
      book.keepValue(MIRROR_OFF, JSON.stringify([...off].sort()))
      await this.apply(this.#standing!.change)
    })
  }

  /** Lets go of what no version that serves, or that a rollback may go back to, is named by. */
  #forget({ change, snapshot }: Standing, followed: ReadonlySet<string>): void {
    const { book, verdicts, models, identities, now } = this.#parts
    book.keep(followed, now())
    verdicts.keep(
      new Set(snapshot.routes.flatMap(({ name, versions }) => versions.map(({ version }) => `${name}/${version}`))),
    )
    const routes = Object.entries(change.loaded.config.routes)
    models.keep(
      new Map(
        routes.map(([name, { versions }]) => {
          const previous = change.resolutions[name]?.state.previous ?? []
          return [name, new Set([...Object.keys(versions), ...previous.map(({ version }) => version)])]
        }),
      ),
    )
    identities.keep(
      new Set(
        routes.flatMap(([name, { versions }]) => Object.keys(versions).map(version => identityKey(name, version))),
      ),
    )
  }
}

function heldText({ version, wanted, allowed, reason, missing }: Held): string {
  // A reason often ends with what is missing; saying it twice helps nobody.
  const further = missing.filter(phrase => !reason.includes(phrase))
  const lacks = further.length > 0 ? ` (needs ${further.join('; ')})` : ''
  return `held: ${version} stays at ${allowed} % of the ${wanted} % asked for: ${reason}${lacks}`
}
