// Actions that write the log and routes.yaml: promote and set-weight, which are two writes and must survive a crash
// between them. What may be raised is lock.ts's decision; rollback, abort and clear are in rollback.ts.
import { diffText, editRoute, entryReader, entryText } from '../config/edit.ts'
import { hashBytes } from '../config/load.ts'
import type { Route } from '../config/schema.ts'
import { messageOf, UnderstudyError } from '../errors.ts'
import type { Verdict } from '../gate/evidence.ts'
import { type Automatic, checkAutomatic } from './automatic.ts'
import { changesFor, type Target } from './changes.ts'
import { withRecordedLive } from './effective.ts'
import { holdbackLimit } from './holdback.ts'
import { type Resolution, resolve } from './lock.ts'
import type { EntryBody, LogEntry } from './log.ts'
import { inTurn, type RolloutPorts } from './ports.ts'
import { readRoute, record, recordLater } from './record.ts'
import { lockInput, parseText, servedConfig } from './reload.ts'
import { grantedWeights, type RouteState, tidy } from './state.ts'

/** Who asks for what. */
export interface ActionRequest {
  readonly route: string
  readonly who: string
  readonly reason: string
  /** Idempotency key: a second request with it does nothing and gives the first one's entry. */
  readonly key?: string
  /** Sequence of the newest log entry that the caller has seen; another one in between is a CONFLICT. */
  readonly base?: number
  readonly dryRun?: boolean
}

export interface ActionResult {
  /**
   * `patch`: nothing is applied, since the file may not or cannot be written; `diff` is the patch, and the caller answers
   * CONFLICT. `repeated`: the same request was carried out before.
   */
  readonly outcome: 'applied' | 'dry-run' | 'patch' | 'repeated'
  /** Text of routes.yaml before and after. */
  readonly before: string
  readonly after: string
  readonly diff: string
  /** Entries that this action wrote (of a dry run: none; repeated: the one it wrote then). */
  readonly entries: readonly LogEntry[]
  /** What went wrong beside it: the file or the log could not be written. */
  readonly problems: readonly string[]
  readonly resolution: Resolution | undefined
}

/**
 * Raises a version to the next of `rollout.steps`; from the last step below 100 it becomes live with 100 and the others
 * have 0, but for `rollout.holdback` percent that the old live keeps. The verdict is asked for anew inside, so a stale one cannot promote.
 *
 * Weights that a person wrote for other versions stay in the file where they leave room; live's makes up the sum.
 * `automatic`: a pause, a closed window or a raise that came before it is a CONFLICT.
 * @throws CONFLICT when the gate does not license it, the file was edited meanwhile, or another action came first;
 * UNKNOWN_MODEL, UNKNOWN_VERSION, BAD_CONFIGURATION, STATE_FAILED, and what `apply` rejects with.
 */
export function promote(
  ports: RolloutPorts,
  request: ActionRequest & { readonly version: string; readonly automatic?: Automatic },
): Promise<ActionResult> {
  return raise(ports, request, 'promote', route => {
    const { share, steps, holdback } = route
    const next = steps.find(step => step > share) ?? 100
    return next >= 100 ? { live: request.version, weight: tidy(100 - holdback), holdback } : { weight: next }
  })
}

/**
 * Gives a version this share, the rest to live. Lowering is always allowed; a raise needs the same licence as a hand edit.
 * @throws as `promote`; BAD_REQUEST for live itself, whose share is what the others leave.
 */
export function setWeight(
  ports: RolloutPorts,
  request: ActionRequest & { readonly version: string; readonly weight: number },
): Promise<ActionResult> {
  if (!(request.weight >= 0 && request.weight < 100))
    return Promise.reject(
      new UnderstudyError('BAD_REQUEST', 'expected a weight from 0 to below 100; promote makes a version live'),
    )
  return raise(ports, request, 'set-weight', () => ({ weight: tidy(request.weight) }))
}

/**
 * Ends what a crash left between two writes, by the hash of the file: the new one → the promotion happened; the old one →
 * it did not; any other → somebody has edited since, so it is not believed and the file is held against the last state.
 * A rollback or abort that was begun always counts. Call it at start, before the first `reload`. Returns the entries written.
 */
export function recover(
  ports: Pick<RolloutPorts, 'store' | 'now'>,
  routes: readonly string[],
  currentFileHash: string,
): LogEntry[] {
  return routes.flatMap(route => {
    const { dangling } = readRoute(ports, route)
    if (dangling === undefined) return []
    const isSafer = dangling.kind === 'rollback' || dangling.kind === 'abort'
    const happened = isSafer || (dangling.hashAfter === currentFileHash && dangling.hashAfter !== dangling.hashBefore)
    const { sequence, base, at, state, ...body } = dangling
    const ended: EntryBody = {
      ...body,
      phase: happened ? 'applied' : 'abandoned',
      intent: sequence,
      reason: `${body.reason} (resolved at restart)`,
      // With the hash of the file that is there, reading it is no occasion to raise anybody.
      ...(happened && state !== undefined ? { state: { ...state, fileHash: currentFileHash } } : {}),
    }
    return [record(ports, route, ended)]
  })
}

interface Standing {
  readonly share: number
  readonly steps: readonly number[]
  /** Percent that the present live would keep. */
  readonly holdback: number
}

/** `live` and what the old one keeps, where live changes. */
function raise(
  ports: RolloutPorts,
  request: ActionRequest & { readonly version: string; readonly automatic?: Automatic },
  kind: 'promote' | 'set-weight',
  target: (standing: Standing) => Target,
): Promise<ActionResult> {
  return inTurn(ports, async () => {
    const repeated = alreadyDone(ports, request, kind)
    if (repeated !== undefined) return repeated
    const begun = begin(ports, request)
    const { loaded, route, state } = begun
    const { version } = request
    if (!(version in route.versions))
      throw new UnderstudyError('UNKNOWN_VERSION', `route ${request.route} has no version ${version}`)
    if (version === state.live.version)
      throw new UnderstudyError(kind === 'promote' ? 'CONFLICT' : 'BAD_REQUEST', `${version} is live already`)
    const onDisk = readHash(ports)
    if (onDisk !== loaded.hash)
      throw new UnderstudyError(
        'CONFLICT',
        `${ports.fileName} was edited and is not loaded yet: try again, or mend it first`,
      )

    const digests = await ports.digests(request.route, route.versions)
    // From here to the intent nothing is awaited, so the verdict is of the very moment that goes on record.
    const verdict =
      state.granted[version]?.digest === digests[version] ? ports.verdictNow(request.route, version) : undefined
    const share = grantedWeights(state)[version] ?? 0
    if (request.automatic !== undefined) checkAutomatic(request.automatic, share, route, state, ports.now())
    const wanted = target({ share, steps: route.rollout.steps, holdback: keptByLive(begun, request.route, digests) })
    if (kind === 'promote') checkLicence(version, verdict)
    const changes = changesFor(loaded.text, request.route, route, state, version, wanted)
    const after = editRoute(loaded.text, request.route, changes)
    const hashAfter = hashBytes(after)
    const config = parseText(ports, after)
    const asWritten = config.routes[request.route]!
    const input = lockInput(ports, request.route, asWritten, state, entryReader(after), digests)
    const resolution = resolve({
      ...input,
      verdicts: { ...input.verdicts, [version]: verdict },
      fileHash: hashAfter,
      now: ports.now(),
      promoting: version,
    })
    checkReached(resolution, version, wanted)
    const result = { before: loaded.text, after, diff: diffText(loaded.text, after), problems: [], resolution }
    if (request.dryRun) return { ...result, outcome: 'dry-run', entries: [] }
    if (route.rollout.write === 'patch') return { ...result, outcome: 'patch', entries: [] }

    const body = {
      ...bodyOf(request, kind),
      version,
      from: wanted.live === undefined ? `${share} %` : state.live.version,
      to: wanted.live ?? `${wanted.weight} %`,
      ...(verdict === undefined ? {} : { evidenceDigest: verdict.evidenceDigest }),
      hashBefore: loaded.hash,
      hashAfter,
      state: resolution.state,
    }
    const intent = record(ports, request.route, { ...body, phase: 'intent' })
    const { state: _, ...stateless } = body
    const abandon = (why: string) =>
      recordLater(ports, request.route, {
        ...stateless,
        phase: 'abandoned',
        intent: intent.sequence,
        reason: `${body.reason} (${why})`,
      })

    if (readHash(ports) !== loaded.hash) {
      abandon('the file was edited meanwhile')
      throw new UnderstudyError('CONFLICT', `${ports.fileName} was edited meanwhile`)
    }
    try {
      if (after !== loaded.text) ports.writeFile(after)
    } catch (error) {
      abandon('the file cannot be written')
      const problem = `${ports.fileName} cannot be written: ${(error as NodeJS.ErrnoException).code ?? messageOf(error)}`
      return { ...result, outcome: 'patch', entries: [intent], problems: [problem] }
    }
    const served = servedConfig(ports, config, { [request.route]: resolution.state })
    const change = {
      loaded: { config: served, text: after, hash: hashAfter },
      resolutions: { [request.route]: resolution },
    }
    try {
      await ports.apply(change)
    } catch (error) {
      await takeBack(ports, request.route, begun, hashAfter, digests)
      abandon('it could not be applied')
      throw error
    }
    const applied = recordLater(ports, request.route, { ...body, phase: 'applied', intent: intent.sequence })
    const problems = applied === undefined ? ['the rollout log could not be written; the intent is on record'] : []
    return { ...result, outcome: 'applied', entries: applied === undefined ? [intent] : [intent, applied], problems }
  })
}

export interface Begun {
  readonly loaded: ReturnType<RolloutPorts['current']>
  /** The route of the file that serves, live included where the file has dropped it. */
  readonly route: Route
  readonly state: RouteState
}

/** Reads what an action starts from, after ending what an earlier one left. @throws UNKNOWN_MODEL, CONFLICT. */
export function begin(ports: RolloutPorts, request: ActionRequest): Begun {
  const loaded = ports.current()
  recover(ports, [request.route], readHash(ports) ?? loaded.hash)
  const { state, head } = readRoute(ports, request.route)
  const asWritten = parseText(ports, loaded.text).routes[request.route]
  if (asWritten === undefined || state === null)
    throw new UnderstudyError('UNKNOWN_MODEL', `there is no route ${request.route}`)
  if (request.base !== undefined && request.base !== head)
    throw new UnderstudyError(
      'CONFLICT',
      `route ${request.route} was changed meanwhile (entry ${head}, based on ${request.base})`,
    )
  return { loaded, route: withRecordedLive(asWritten, state, ports.fileName, ports.env), state }
}

/** The result of an earlier request with the same idempotency key. @throws CONFLICT when that was another action. */
export function alreadyDone(
  ports: RolloutPorts,
  request: ActionRequest,
  kind: EntryBody['kind'],
): ActionResult | undefined {
  if (request.key === undefined) return undefined
  const entry = readRoute(ports, request.route).entries.find(
    ({ key, phase }) => key === request.key && phase === 'applied',
  )
  if (entry === undefined) return undefined
  if (entry.kind !== kind) throw new UnderstudyError('CONFLICT', `this idempotency key was used for ${entry.kind}`)
  const { text } = ports.current()
  return {
    outcome: 'repeated',
    before: text,
    after: text,
    diff: '',
    entries: [entry],
    problems: [],
    resolution: undefined,
  }
}

export function bodyOf(
  request: ActionRequest,
  kind: EntryBody['kind'],
): Pick<EntryBody, 'kind' | 'who' | 'reason' | 'key'> {
  const { who, reason, key } = request
  return { kind, who, reason, ...(key === undefined ? {} : { key }) }
}

/** sha256 of the file on disk; undefined: it cannot be read. */
export function readHash(ports: Pick<RolloutPorts, 'readFile'>): string | undefined {
  try {
    return hashBytes(ports.readFile())
  } catch {
    return undefined
  }
}

/** Percent that live keeps when another version takes its place; 0 where it would not get it. */
function keptByLive(
  { loaded, route, state }: Begun,
  name: string,
  digests: Readonly<Record<string, string | undefined>>,
): number {
  const { version } = state.live
  const digest = digests[version]
  const isStopped = digest === undefined || state.latches[digest] !== undefined
  if (isStopped || entryText(loaded.text, name, version) === undefined) return 0
  return holdbackLimit(route, state.live, version, digest)
}

function checkLicence(version: string, verdict: Verdict | undefined): void {
  if (verdict?.decision === 'promote') return
  const why = verdict === undefined ? 'there is no evidence for it yet' : `${verdict.decision}: ${verdict.reason}`
  throw new UnderstudyError('CONFLICT', `the gate does not promote ${version} (${why})`)
}

function checkReached(resolution: Resolution, version: string, wanted: Target): void {
  const reached = resolution.weights[version] ?? 0
  const isLive = wanted.live === undefined || resolution.live === wanted.live
  if (isLive && Math.abs(reached - wanted.weight) < 1e-6) return
  const held = resolution.held.find(one => one.version === version)
  throw new UnderstudyError('CONFLICT', `${version} is held at ${reached} %: ${held?.reason ?? 'the gate lock'}`)
}

/** After a failed apply: the file as it was, if nobody has touched it since, and the old configuration on all threads. */
async function takeBack(
  ports: RolloutPorts,
  name: string,
  { loaded, route, state }: Begun,
  hashAfter: string,
  digests: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  try {
    if (readHash(ports) === hashAfter) ports.writeFile(loaded.text)
  } catch {
    // The lock holds the promoted file against the old state, so traffic does not follow it.
  }
  const resolution = resolve({ route, state, digests, verdicts: {}, fileHash: state.fileHash })
  await ports.apply({ loaded, resolutions: { [name]: resolution } }).catch(() => {})
}
