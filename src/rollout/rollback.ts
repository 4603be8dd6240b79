// Actions that make things safer at once, rollback and abort, and the one that lifts their latch, clear. Traffic comes
// first here: neither a file nor a log that cannot be written keeps a bad version serving.
import { diffText, entryReader, entryText, type RouteChanges, sameEntry } from '../config/edit.ts'
import { hashBytes } from '../config/load.ts'
import type { Route } from '../config/schema.ts'
import { UnderstudyError } from '../errors.ts'
import { holdbackOf } from './holdback.ts'
import { type Resolution, resolve } from './lock.ts'
import type { EntryBody, LogEntry } from './log.ts'
import { inTurn, type RolloutPorts } from './ports.ts'
import { type ActionRequest, type ActionResult, alreadyDone, type Begun, begin, bodyOf, readHash } from './promote.ts'
import { recordLater } from './record.ts'
import { entriesOf, parseText, servedConfig } from './reload.ts'
import { afterwards, writeFile } from './rewrite.ts'
import { type Latch, type RouteState, tidy } from './state.ts'

/**
 * Takes live off at once and puts the recorded previous live back with 100, its whole entry included; the others have 0.
 * With `version` (not live), or where there is no previous live but another version has traffic, those lose theirs. What
 * is rolled back is latched by its digest. Traffic first, then the file; a file that cannot be written is in `problems`.
 * @throws CONFLICT when there is nothing to go back to or its bytes are not the recorded ones; UNKNOWN_MODEL,
 * UNKNOWN_VERSION, and what `apply` rejects with.
 */
export function rollback(
  ports: RolloutPorts,
  request: ActionRequest & { readonly version?: string },
): Promise<ActionResult> {
  return inTurn(ports, async () => {
    const repeated = alreadyDone(ports, request, 'rollback')
    if (repeated !== undefined) return repeated
    const begun = begin(ports, request)
    if (request.version !== undefined && isHoldback(begun, request.version)) throw holdbackStays(request.version)
    const off = rolledBack(begun, request)
    if (off.length > 0) {
      const changes = withoutTraffic(begun, request.route, off)
      return safer(ports, request, 'rollback', begun, {
        latched: off.map(one => ({ version: one, digest: begun.state.granted[one]?.digest })),
        changes,
        version: off.join(', '),
        from: '',
        to: '0 %',
      })
    }

    const { live, previous } = begun.state
    const target = previous.at(-1)
    if (target === undefined)
      throw new UnderstudyError('CONFLICT', `route ${request.route} has no previous live on record`)
    const now = entryText(begun.loaded.text, request.route, target.version)
    const isGone = target.entry !== undefined && (now === undefined || !sameEntry(now, target.entry))
    if (now === undefined && target.entry === undefined)
      throw new UnderstudyError('CONFLICT', `the entry of ${target.version} is neither in the file nor on record`)
    const weights = Object.fromEntries(Object.keys(weightsOf(begun)).map(version => [version, 0]))
    const changes: RouteChanges = {
      live: target.version,
      weights: { ...weights, [target.version]: 100 },
      ...(isGone ? { entries: { [target.version]: target.entry! } } : {}),
    }
    // The same bytes under two names: a latch would stop the version that is gone back to.
    const latched = live.digest === target.digest ? [] : [{ version: live.version, digest: live.digest }]
    return safer(ports, request, 'rollback', begun, {
      latched,
      changes,
      version: live.version,
      from: live.version,
      to: target.version,
    })
  })
}

/**
 * Gives a version weight 0 and latches its digest; a shadow stays mirrored. The file stays as it is: the latch holds
 * whatever it says. A second abort of the same bytes writes nothing. `digest`: the bytes that the evidence was about, where
 * the version may have other ones by now.
 * @throws CONFLICT for live (roll it back), UNKNOWN_MODEL, UNKNOWN_VERSION, and what `apply` rejects with.
 */
export function abort(
  ports: RolloutPorts,
  request: ActionRequest & { readonly version: string; readonly digest?: string; readonly evidenceDigest?: string },
): Promise<ActionResult> {
  return inTurn(ports, async () => {
    const repeated = alreadyDone(ports, request, 'abort')
    if (repeated !== undefined) return repeated
    const begun = begin(ports, request)
    const { version, evidenceDigest } = request
    if (version === begun.state.live.version) throw new UnderstudyError('CONFLICT', `${version} is live: roll it back`)
    if (!(version in begun.route.versions)) throw unknownVersion(request.route, version)
    if (isHoldback(begun, version)) throw holdbackStays(version)
    const digest = request.digest ?? begun.state.granted[version]?.digest
    const { text } = begun.loaded
    if (digest === undefined)
      throw new UnderstudyError('CONFLICT', `${version} has never loaded, so there is nothing to abort`)
    if (begun.state.latches[digest] !== undefined) {
      // On record is not yet on every thread: the first one may have been late.
      const resolution = await resolved(ports, request.route, begun, begun.state, text, begun.state.fileHash)
      const again = { loaded: begun.loaded, resolutions: { [request.route]: resolution } }
      if (request.dryRun !== true) await ports.apply(again)
      return { outcome: 'repeated', before: text, after: text, diff: '', entries: [], problems: [], resolution }
    }
    return safer(ports, request, 'abort', begun, {
      latched: [{ version, digest }],
      changes: undefined,
      version,
      from: '',
      to: '0 %',
      evidenceDigest,
    })
  })
}

/**
 * Lifts the latches of a version, on record. It gives nothing back: the version starts again from 0, and its evidence
 * anew, judged more strictly (`clears` is part of the evidence key).
 * @throws BAD_REQUEST without a reason, CONFLICT when nothing is latched, UNKNOWN_MODEL.
 */
export function clear(
  ports: RolloutPorts,
  request: ActionRequest & { readonly version: string },
): Promise<ActionResult> {
  return inTurn(ports, async () => {
    if (request.reason.trim() === '') throw new UnderstudyError('BAD_REQUEST', 'expected a reason: it goes on record')
    const repeated = alreadyDone(ports, request, 'clear')
    if (repeated !== undefined) return repeated
    const begun = begin(ports, request)
    const { state, loaded } = begun
    const own = state.granted[request.version]?.digest
    const lifted = Object.entries(state.latches).filter(
      ([digest, latch]) => latch.version === request.version || digest === own,
    )
    if (lifted.length === 0) throw new UnderstudyError('CONFLICT', `${request.version} has no latch to clear`)
    const gone = new Set(lifted.map(([digest]) => digest))
    const cleared: RouteState = {
      ...state,
      latches: Object.fromEntries(Object.entries(state.latches).filter(([digest]) => !gone.has(digest))),
      clears: {
        ...state.clears,
        ...Object.fromEntries([...gone].map(digest => [digest, (state.clears[digest] ?? 0) + 1])),
      },
    }
    const resolution = await resolved(ports, request.route, begun, cleared, loaded.text, state.fileHash)
    const result = { before: loaded.text, after: loaded.text, diff: '', problems: [], resolution }
    if (request.dryRun) return { ...result, outcome: 'dry-run', entries: [] }
    // On record first: a latch that came back after a restart would be a surprise, one that was never lifted is not.
    const body: EntryBody = {
      ...bodyOf(request, 'clear'),
      phase: 'applied',
      version: request.version,
      state: resolution.state,
    }
    const entry = recordLater(ports, request.route, body)
    await ports.apply({ loaded, resolutions: { [request.route]: resolution } })
    return {
      ...result,
      outcome: 'applied',
      entries: entry === undefined ? [] : [entry],
      problems: entry === undefined ? [LOG_FAILED] : [],
    }
  })
}

/** Whether it has traffic as the previous live: a latch on it would leave nothing to go back to. */
function isHoldback({ route, state }: Begun, version: string): boolean {
  const { granted } = state
  const weights = { [version]: granted[version]?.weight ?? 0 }
  return holdbackOf(route, state, weights, { [version]: granted[version]?.digest })?.version === version
}

function holdbackStays(version: string): UnderstudyError {
  return new UnderstudyError(
    'CONFLICT',
    `${version} is the holdback, which a rollback goes back to: give it weight 0 instead`,
  )
}

export const LOG_FAILED = 'the rollout log could not be written; it is written as soon as it can be'

interface Latched {
  readonly version: string
  readonly digest: string | undefined
}

interface Safer {
  readonly latched: readonly Latched[]
  /** Undefined: the file stays as it is. */
  readonly changes: RouteChanges | undefined
  readonly version: string
  readonly from: string
  readonly to: string
  readonly evidenceDigest?: string | undefined
}

/** Intent (if the log lets us) → traffic → file (if it lets us) → applied. */
async function safer(
  ports: RolloutPorts,
  request: ActionRequest,
  kind: 'rollback' | 'abort',
  begun: Begun,
  { latched, changes, version, from, to, evidenceDigest }: Safer,
): Promise<ActionResult> {
  const { loaded, state } = begun
  const { after, config, problem: uneditable } = afterwards(ports, request.route, begun, changes)
  const hashAfter = hashBytes(after)
  const withLatches = { ...state, latches: { ...state.latches, ...latchesOf(request, kind, ports.now(), latched) } }
  // The hash of last time: making things safer is no occasion to raise anybody else.
  const wanted = config.routes[request.route]!
  const resolution = await resolvedAs(ports, request.route, begun, withLatches, wanted, after, state.fileHash)
  if (changes?.live !== undefined && resolution.live !== changes.live)
    throw new UnderstudyError(
      'CONFLICT',
      resolution.held.find(one => one.key === 'live')?.reason ?? `${changes.live} cannot serve`,
    )

  const result = { before: loaded.text, after, diff: diffText(loaded.text, after), resolution }
  if (request.dryRun) return { ...result, outcome: 'dry-run', entries: [], problems: [] }
  const onDisk = readHash(ports)
  const entry = changes?.entries === undefined ? undefined : Object.values(changes.entries)[0]
  const body = {
    ...bodyOf(request, kind),
    version,
    from:
      from ||
      `${latched.map(one => resolution.changes.find(change => change.version === one.version)?.from ?? 0).join(', ')} %`,
    to,
    ...(evidenceDigest === undefined ? {} : { evidenceDigest }),
    ...(entry === undefined ? {} : { entry }),
    ...(onDisk === undefined ? {} : { hashBefore: onDisk }),
    hashAfter,
    state: { ...resolution.state, fileHash: hashAfter },
  }
  const intent = recordLater(ports, request.route, { ...body, phase: 'intent' })
  const served = servedConfig(ports, config, { [request.route]: resolution.state })
  const change = {
    loaded: { config: served, text: after, hash: hashAfter },
    resolutions: { [request.route]: resolution },
  }
  // A thread that is late has it on its way, and the next change repeats it: it counts, on record and in the file, or the
  // next save would give the traffic back.
  const late = await ports.apply(change).then(
    () => undefined,
    (error: unknown) => ({ error }),
  )
  const { hash, problem } =
    changes === undefined || uneditable !== undefined
      ? { hash: onDisk, problem: uneditable }
      : writeFile(ports, request.route, begun, changes, after)
  const applied = recordLater(ports, request.route, {
    ...body,
    phase: 'applied',
    ...(intent === undefined ? {} : { intent: intent.sequence }),
    hashAfter: hash ?? hashAfter,
    state: { ...resolution.state, fileHash: hash ?? state.fileHash },
  })
  if (late !== undefined) throw late.error
  const entries = [intent, applied].filter((one): one is LogEntry => one !== undefined)
  const problems = [...(problem === undefined ? [] : [problem]), ...(applied === undefined ? [LOG_FAILED] : [])]
  return { ...result, outcome: 'applied', entries, problems }
}

/** How the lock takes a state that makes things safer. No verdicts, so that nothing is raised by it. */
export async function resolved(
  ports: RolloutPorts,
  name: string,
  begun: Begun,
  state: RouteState,
  text: string,
  fileHash: string,
): Promise<Resolution> {
  return resolvedAs(ports, name, begun, state, parseText(ports, text).routes[name]!, text, fileHash)
}

async function resolvedAs(
  ports: RolloutPorts,
  name: string,
  { route }: Begun,
  state: RouteState,
  asWritten: Route,
  text: string,
  fileHash: string,
): Promise<Resolution> {
  const versions = { ...route.versions, ...asWritten.versions }
  const known = await ports.digests(name, versions)
  // No verdicts: nothing is raised here, and a rollback must work while the evidence cannot be read.
  return resolve({
    route: asWritten,
    state,
    digests: known,
    verdicts: {},
    entries: entriesOf(entryReader(text), name, asWritten),
    fileHash,
  })
}

function latchesOf(
  { reason }: ActionRequest,
  kind: Latch['kind'],
  at: number,
  latched: readonly Latched[],
): Record<string, Latch> {
  return Object.fromEntries(
    latched.flatMap(({ version, digest }) => (digest === undefined ? [] : [[digest, { version, kind, reason, at }]])),
  )
}

/** The versions beside live that lose their traffic; none: live itself is rolled back. */
function rolledBack(
  { route, state }: Begun,
  { route: name, version }: { readonly route: string; readonly version?: string },
): string[] {
  if (version !== undefined && version !== state.live.version) {
    if (!(version in route.versions)) throw unknownVersion(name, version)
    return [version]
  }
  if (version !== undefined || state.previous.length > 0) return []
  return Object.keys(route.versions).filter(other => (state.granted[other]?.weight ?? 0) > 0)
}

function weightsOf({ route }: Begun): Record<string, number> {
  return Object.fromEntries(Object.entries(route.versions).map(([version, { weight }]) => [version, weight]))
}

/** The file's weights with these versions at 0 and the rest for the live that serves, which the file then names. */
function withoutTraffic(begun: Begun, name: string, off: readonly string[]): RouteChanges {
  const { loaded, state } = begun
  const live = state.live.version
  const others = Object.entries(weightsOf(begun)).filter(([version]) => version !== live)
  const weights = Object.fromEntries(others.map(([version, weight]) => [version, off.includes(version) ? 0 : weight]))
  const taken = Object.values(weights).reduce((sum, weight) => sum + weight, 0)
  const isGone = entryText(loaded.text, name, live) === undefined && state.live.entry !== undefined
  return {
    live,
    weights: { ...weights, [live]: tidy(100 - taken) },
    ...(isGone ? { entries: { [live]: state.live.entry! } } : {}),
  }
}

function unknownVersion(route: string, version: string): UnderstudyError {
  return new UnderstudyError('UNKNOWN_VERSION', `route ${route} has no version ${version}`)
}
