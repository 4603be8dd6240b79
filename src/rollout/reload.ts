// What happens when routes.yaml is read: at start, after an edit, after a restart. The lock decides, this records and applies.
import { type EntryReader, entryReader } from '../config/edit.ts'
import { type LoadedRoutes, parseRoutes } from '../config/load.ts'
import type { Route } from '../config/schema.ts'
import { messageOf } from '../errors.ts'
import { withRecordedLive } from './effective.ts'
import { type Held, type LockInput, type LockVerdict, type Resolution, resolve, sameState } from './lock.ts'
import type { EntryBody } from './log.ts'
import { overrideChanges, touchesOverride } from './override.ts'
import { inTurn, type RolloutPorts } from './ports.ts'
import { readRoute, record, recordLater, recordTogether } from './record.ts'
import type { RouteState } from './state.ts'

export interface Reloaded {
  readonly loaded: LoadedRoutes
  readonly resolutions: Readonly<Record<string, Resolution>>
}

/**
 * Holds a file against the state that served and applies what the lock allows. Entries go to the log first; where that
 * fails (disk full) nothing is raised, and what is safer still applies. Call `recover` before the first one.
 * @param wanted a function is asked when the turn has come, so that it can name what serves by then
 * @throws whatever `apply` rejects with; the state on record then is the one that was wanted, and the next reload repeats it.
 */
export function reload(
  ports: RolloutPorts,
  wanted: LoadedRoutes | (() => LoadedRoutes),
  options: { readonly who: string; readonly adopt?: boolean } = { who: 'routes.yaml' },
): Promise<Reloaded> {
  return inTurn(ports, async () => {
    const loaded = typeof wanted === 'function' ? wanted() : wanted
    const looked = await inParallel(Object.entries(loaded.config.routes), LOOKED_AT_ONCE, async ([name, asWritten]) => {
      const { state } = readRoute(ports, name)
      const { versions } = withRecordedLive(asWritten, state, ports.fileName, ports.env)
      return { name, asWritten, state, digests: await ports.digests(name, versions) }
    })
    // Nothing is waited for between the verdicts and the entries that rest on them.
    const entryAt = entryReader(loaded.text)
    const { routes: served } = ports.current().config
    const inputs = looked.map(({ name, asWritten, state, digests }): Wanted => {
      const isWish = state === null || asksForRaise(asWritten, served[name])
      const input: LockInput = {
        ...lockInput(ports, name, asWritten, state, entryAt, digests),
        fileHash: isWish ? loaded.hash : state.fileHash,
        now: ports.now(),
        ...(options.adopt ? { adopt: true } : {}),
      }
      return { name, input, resolution: resolve(input) }
    })
    const resolutions = recordedAll(ports, inputs, options.who, loaded.hash)
    const states = Object.fromEntries(Object.entries(resolutions).map(([name, { state }]) => [name, state]))
    const change = { loaded: { ...loaded, config: servedConfig(ports, loaded.config, states) }, resolutions }
    await ports.apply(change)
    return change
  })
}

/** Models are verified meanwhile, and servers asked: more at once would only be more under way. */
const LOOKED_AT_ONCE = 8

/** What `work` makes of each item, in their order, so many at once. */
async function inParallel<T, R>(items: readonly T[], most: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const entries = items.entries()
  const lane = async () => {
    for (const [index, item] of entries) results[index] = await work(item)
  }
  await Promise.all(Array.from({ length: most }, lane))
  return results
}

/**
 * Whether a save may raise a version of this route. In mode auto a wish that stands unchanged rises by itself when its time
 * has come, so a save about something else, or a restart, must not carry it past a pause or a closed window.
 */
function asksForRaise(route: Route, served: Route | undefined): boolean {
  if (route.rollout.mode !== 'auto' || route.live !== served?.live) return true
  return Object.entries(route.versions).some(([version, { weight }]) => weight !== served.versions[version]?.weight)
}

/** Puts a file that did not load on record. Never throws. */
export function recordReloadFailure(
  ports: Pick<RolloutPorts, 'store' | 'now' | 'current'>,
  error: unknown,
  hash: string | undefined,
): void {
  for (const name of Object.keys(ports.current().config.routes)) {
    recordLater(ports, name, {
      kind: 'reload-failed',
      phase: 'applied',
      who: 'routes.yaml',
      reason: messageOf(error),
      hashBefore: ports.current().hash,
      ...(hash === undefined ? {} : { hashAfter: hash }),
    })
  }
}

/** What the lock needs for a route, with the verdicts of this moment. */
export function lockInput(
  ports: Pick<RolloutPorts, 'verdictNow'>,
  name: string,
  route: Route,
  state: RouteState | null,
  entryAt: EntryReader,
  digests: Readonly<Record<string, string | undefined>>,
): Omit<LockInput, 'fileHash'> {
  const versions = Object.keys(route.versions)
  const verdicts: Record<string, LockVerdict | undefined> = {}
  for (const version of versions) {
    // Evidence on other bytes is no verdict on these.
    const known = state?.granted[version]?.digest === digests[version]
    if (state === null || version === state.live.version || !known) continue
    const verdict = ports.verdictNow(name, version, route)
    const isTouched = verdict?.decision === 'promote' && touchesOverride(state, route, version)
    verdicts[version] = isTouched ? { ...verdict, decision: 'hold', reason: OVERRIDE_TOUCHED } : verdict
  }
  return { route, state, digests, verdicts, entries: entriesOf(entryAt, name, route) }
}

const OVERRIDE_TOUCHED = 'its override changes with this save: the next save, or promote, is judged by the new one'

/** The YAML text of each of a route's versions. */
export function entriesOf(entryAt: EntryReader, name: string, route: Route): Record<string, string> {
  const entries = Object.keys(route.versions).map(version => [version, entryAt(name, version)] as const)
  return Object.fromEntries(entries.filter((pair): pair is readonly [string, string] => pair[1] !== undefined))
}

/** A file's configuration with every live that it has dropped put back from its record; `states`: newer than the log. */
export function servedConfig(
  ports: Pick<RolloutPorts, 'store' | 'now' | 'fileName' | 'env'>,
  config: LoadedRoutes['config'],
  states: Readonly<Record<string, RouteState>>,
): LoadedRoutes['config'] {
  const routes = Object.entries(config.routes).map(([name, route]) => {
    const state = states[name] ?? readRoute(ports, name).state
    return [name, withRecordedLive(route, state, ports.fileName, ports.env)] as const
  })
  return { ...config, routes: Object.fromEntries(routes) }
}

/** Parses a text as a routes file of this gateway. @throws BAD_CONFIGURATION. */
export function parseText(ports: Pick<RolloutPorts, 'fileName' | 'env'>, text: string): LoadedRoutes['config'] {
  return parseRoutes(text, ports.fileName, ports.env)
}

interface Wanted {
  readonly name: string
  readonly input: LockInput
  readonly resolution: Resolution
}

/** All at once, since a log that is durable waits for the disk; one by one where that fails, so that one route fails alone. */
function recordedAll(
  ports: RolloutPorts,
  wanted: readonly Wanted[],
  who: string,
  hash: string,
): Record<string, Resolution> {
  const news = wanted.filter(({ input, resolution }) => !sameState(input.state, resolution.state))
  try {
    if (news.length > 0)
      recordTogether(ports, () => {
        for (const { name, input, resolution } of news) record(ports, name, entryOf(input, resolution, who, hash))
      })
    return Object.fromEntries(wanted.map(({ name, resolution }) => [name, resolution]))
  } catch {
    return Object.fromEntries(wanted.map(each => [each.name, recorded(ports, each, who, hash)]))
  }
}

function recorded(ports: RolloutPorts, { name, input, resolution }: Wanted, who: string, hash: string): Resolution {
  if (sameState(input.state, resolution.state)) return resolution
  try {
    record(ports, name, entryOf(input, resolution, who, hash))
    return resolution
  } catch (error) {
    if (input.state === null) throw error
    // The gate fails closed: with the hash of last time the lock raises nobody.
    const safer = resolve({ ...input, adopt: false, fileHash: input.state.fileHash })
    if (!sameState(input.state, safer.state)) recordLater(ports, name, entryOf(input, safer, who, hash))
    return safer
  }
}

function entryOf({ state, adopt }: LockInput, resolution: Resolution, who: string, hash: string): EntryBody {
  const { liveChange, changes, held } = resolution
  const overrides = overrideChanges(state, resolution.state)
  const kind = adopt
    ? 'adopt'
    : state === null
      ? 'start'
      : changes.length > 0
        ? 'edit'
        : overrides.length > 0
          ? 'override'
          : held.length > 0
            ? 'held'
            : 'edit'
  return {
    kind,
    phase: 'applied',
    who,
    reason: describe(resolution, overrides),
    ...(liveChange === undefined ? {} : { version: liveChange.to, from: liveChange.from, to: liveChange.to }),
    ...(state === null ? {} : { hashBefore: state.fileHash }),
    hashAfter: hash,
    held: held.map(({ version, wanted, allowed, reason }: Held) => ({ version, wanted, allowed, reason })),
    state: resolution.state,
  }
}

function describe({ liveChange, changes, held }: Resolution, overrides: readonly string[]): string {
  const parts = [
    ...(liveChange === undefined ? [] : [`live ${liveChange.from} → ${liveChange.to} (${liveChange.how})`]),
    ...changes.map(({ version, from, to }) => `${version} ${from} → ${to} %`),
    ...overrides,
    ...held.map(({ version, wanted, allowed, reason }) => `${version} held at ${allowed} % of ${wanted} %: ${reason}`),
  ]
  return parts.join('; ') || 'no share changed'
}
