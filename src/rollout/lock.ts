// The gate lock: decides which share each version may have, from the file, the state that served and the verdicts.
// It knows nothing of files, logs, clocks or how a verdict was reached.
import type { Route } from '../config/schema.ts'
import type { Verdict } from '../gate/evidence.ts'
import { holdbackLimit } from './holdback.ts'
import { bindOverrides, overrideNotices } from './override.ts'
import { type Grant, grantedWeights, PREVIOUS_KEPT, type Promoted, type RouteState, tidy } from './state.ts'

/** What the lock reads of a verdict. It must be about the version's present digest against the present live. */
export type LockVerdict = Pick<Verdict, 'decision' | 'stage' | 'step'> & Partial<Pick<Verdict, 'missing' | 'reason'>>

export interface LockInput {
  /** The route as the file has it. */
  readonly route: Route
  /** sha256 of the file. The same hash as last time is a restart or a re-read: nothing is raised then. */
  readonly fileHash: string
  /** Digest per version of `versionsToLoad`; undefined: broken or not known, so it takes no traffic. */
  readonly digests: Readonly<Record<string, string | undefined>>
  /** Null at the first start. */
  readonly state: RouteState | null
  readonly verdicts: Readonly<Record<string, LockVerdict | undefined>>
  /** YAML text of each version's entry, kept for a later rollback. */
  readonly entries?: Readonly<Record<string, string>>
  /** Accept the file's live and weights as they are; latches still hold. */
  readonly adopt?: boolean
  /** A `promote` or `set-weight` is under way for this version: only it may be raised. */
  readonly promoting?: string
  /** ms since the Unix epoch, put down as the time of a raise; without it the last one's stays. */
  readonly now?: number
}

/** A wish of the file that does not apply. */
export interface Held {
  readonly version: string
  /** `live`: the file names it live and it is not. */
  readonly key: 'weight' | 'live'
  readonly wanted: number
  readonly allowed: number
  readonly reason: string
  /** What its verdict still lacks, a phrase each. */
  readonly missing: readonly string[]
}

export interface Resolution {
  readonly live: string
  /** Percent per version, live included; at least 0, sum 100. A live that the file has dropped is in here too. */
  readonly weights: Readonly<Record<string, number>>
  readonly held: readonly Held[]
  /** Shares that differ from the ones that served before. */
  readonly changes: readonly { readonly version: string; readonly from: number; readonly to: number }[]
  readonly liveChange:
    | { readonly from: string; readonly to: string; readonly how: 'back' | 'promoted' | 'adopted' }
    | undefined
  /** Things that a person must know though nothing is held. */
  readonly notices: readonly string[]
  readonly state: RouteState
}

/**
 * The shares that apply. Where ROUTES.md leaves room, the conservative reading is taken:
 * - A licence is a verdict *promote* whose stage and step are the version's present ones. It raises once, up to the next
 *   of `rollout.steps` (or to less, if the file wants less). A share that was lowered must be earned again.
 * - Without one, a version may have what it has. One without any verdict (or at the first start) is cut to what
 *   `gate.unproven` has left, in the order of the file; one with a verdict other than promote is raised only if its whole
 *   wish fits into that. After an abort or an invalid verdict nothing is raised.
 * - Only live has 100: another version that wants it is held below, until the file names it live.
 * - Live changes by a verdict *promote* at the last step below 100 (in the shadow stage, where 100 is the only step), by
 *   going back to the newest previous live with the same digest, or by `adopt`. Going back does not make the version that
 *   was left reachable again. While live changes nobody else is raised, and the others' licences, which were against the
 *   old live, are void: `unproven` bounds them. The old live keeps what the file leaves it.
 * - If a held change of live also drops the old live from the file, that version goes on from its recorded entry.
 * - Live with other bytes under its old name keeps its traffic, since nobody has a licence to take it; that is noticed
 *   until it is adopted or replaced. Live that does not load keeps its share too: nobody inherits it, nobody is raised.
 * - A version that does not load has 0 but keeps its grant, and has it again when the same digest loads.
 * - A latch does not stop live itself (the same bytes under two names): only rollback takes live off.
 * - Dropping a version from the file gives its licence up.
 * - The newest previous live, with the bytes that held the promotion, may have `rollout.holdback` percent at any save,
 *   without a licence and outside `unproven`.
 */
export function resolve(input: LockInput): Resolution {
  const { route, state } = input
  const live = chooseLive(input)
  const before = state === null ? {} : grantedWeights(state)
  const previous = previousAfter(state, live.change)
  const { shares, held } = new Shares(input, live.version, live.change !== undefined, previous.at(-1)).settle()

  const taken = [...shares.values()].reduce((sum, share) => sum + share.effective, 0)
  const weights: Record<string, number> = {}
  for (const version of new Set([...Object.keys(route.versions), live.version]))
    weights[version] = version === live.version ? tidy(100 - taken) : (shares.get(version)?.effective ?? 0)

  const versions = [...new Set([...Object.keys(before), ...Object.keys(weights)])]
  const changes = versions
    .map(version => ({ version, from: before[version] ?? 0, to: weights[version] ?? 0 }))
    .filter(({ from, to }) => from !== to)
  const isRaise =
    live.change === 'promoted' || changes.some(({ version, from, to }) => version !== live.version && to > from)
  const raisedAt = isRaise ? (input.now ?? state?.raisedAt) : state?.raisedAt
  const overrides = bindOverrides(route.versions, input.digests, state)

  const next: RouteState = {
    live: promoted(input, live.version, live.change),
    previous,
    granted: Object.fromEntries(
      [...shares].flatMap(([version, { grant }]) => (grant === undefined ? [] : [[version, grant]])),
    ),
    latches: state?.latches ?? {},
    clears: state?.clears ?? {},
    fileHash: input.fileHash,
    ...(Object.keys(overrides).length === 0 ? {} : { overrides }),
    ...(state?.paused === undefined ? {} : { paused: state.paused }),
    ...(raisedAt === undefined ? {} : { raisedAt }),
  }
  return {
    live: live.version,
    weights,
    held: live.held === undefined ? held : [{ ...live.held, allowed: weights[live.held.version] ?? 0 }, ...held],
    changes,
    liveChange:
      live.change === undefined ? undefined : { from: state!.live.version, to: live.version, how: live.change },
    notices: noticesOf(input, next),
    state: next,
  }
}

/**
 * What is held, by the verdicts of this moment: a resolution keeps the reasons of the time at which it was made. Nothing is
 * raised, since the file is the one that the state knows.
 */
export function heldNow(
  { held, state }: Pick<Resolution, 'held' | 'state'>,
  input: Pick<LockInput, 'route' | 'digests' | 'verdicts'>,
): readonly Held[] {
  if (held.length === 0) return held
  const now = resolve({ ...input, state, fileHash: state.fileHash }).held
  return held.map(one => {
    const same = now.find(({ version, key }) => version === one.version && key === one.key)
    return same === undefined ? one : { ...one, reason: same.reason, missing: same.missing }
  })
}

/** Versions whose digests the lock needs: those of the file, and live where the file has dropped it (undefined: see the state). */
export function versionsToLoad(route: Route, state: RouteState | null): string[] {
  const names = new Set(Object.keys(route.versions))
  if (state !== null) names.add(state.live.version)
  return [...names]
}

/** Whether two resolutions' states differ in anything worth a log entry. */
export function sameState(a: RouteState | null, b: RouteState): boolean {
  return a !== null && JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))
}

type LiveChange = 'back' | 'promoted' | 'adopted' | undefined

function chooseLive(input: LockInput): { version: string; change: LiveChange; held?: Held } {
  const { route, state, digests } = input
  const wanted = route.live
  if (state === null || wanted === state.live.version) return { version: wanted, change: undefined }

  const digest = digests[wanted]
  const held = (reason: string): { version: string; change: undefined; held: Held } => ({
    version: state.live.version,
    change: undefined,
    held: {
      version: wanted,
      key: 'live',
      wanted: route.versions[wanted]?.weight ?? 0,
      allowed: 0,
      reason: `live stays ${state.live.version}: ${reason}`,
      missing: input.verdicts[wanted]?.missing ?? [],
    },
  })
  if (digest === undefined) return held(`${wanted} does not load`)
  const latch = state.latches[digest]
  if (latch !== undefined) return held(latched(latch))
  if (input.adopt) return { version: wanted, change: 'adopted' }
  const previous = state.previous.at(-1)
  if (previous?.version === wanted && previous.digest === digest) return { version: wanted, change: 'back' }

  const share = presentShare(state, wanted, digest)
  const lastStep = lastStepBelow100(route)
  if (share < lastStep) return held(`${wanted} has ${share} % and must be proven at ${lastStep} % first`)
  if (!isLicensed(input, wanted, share)) return held(verdictReason(input.verdicts[wanted], share))
  if (!mayRaise(input, wanted)) return held('it waits for promote or the next save')
  return { version: wanted, change: 'promoted' }
}

interface Share {
  /** What it gets now. */
  effective: number
  /** What the state remembers; undefined: nothing. */
  grant: Grant | undefined
}

/** The shares of all versions but live. One use: it holds what `unproven` has left while versions are settled in order. */
class Shares {
  readonly #input: LockInput
  readonly #live: string
  readonly #liveChanged: boolean
  /** The newest previous live from here on. */
  readonly #previous: Promoted | undefined
  readonly #shares = new Map<string, Share>()
  readonly #held: Held[] = []
  #room: number

  constructor(input: LockInput, live: string, liveChanged: boolean, previous: Promoted | undefined) {
    this.#input = input
    this.#live = live
    this.#liveChanged = liveChanged
    this.#previous = previous
    this.#room = floor(input.route.gate.unproven)
  }

  settle(): { shares: ReadonlyMap<string, Share>; held: readonly Held[] } {
    const versions = Object.keys(this.#input.route.versions).filter(version => version !== this.#live)
    // What is there comes before what is wished for, so that a raise never takes the room of a share that stands.
    for (const version of versions) this.#keep(version)
    for (const version of versions) {
      const reason = this.#raise(version)
      if (reason !== undefined) this.#hold(version, reason)
    }
    return { shares: this.#shares, held: this.#held }
  }

  #keep(version: string): void {
    const { digests, adopt, state } = this.#input
    const wanted = this.#wanted(version)
    const digest = digests[version]
    if (digest === undefined) {
      const grant = this.#liveChanged ? undefined : state?.granted[version]
      this.#shares.set(version, {
        effective: 0,
        grant: grant && { ...grant, weight: Math.min(grant.weight, wanted) },
      })
      return
    }
    if (state?.latches[digest] !== undefined) {
      this.#shares.set(version, { effective: 0, grant: { digest, weight: 0, proven: false } })
      return
    }
    if (adopt) {
      this.#shares.set(version, { effective: wanted, grant: { digest, weight: wanted, proven: true } })
      return
    }
    const prior = this.#prior(version, digest)
    let weight = Math.min(wanted, prior.weight)
    const proven = prior.proven && weight > 0
    if (!proven) weight = this.#take(weight)
    this.#shares.set(version, { effective: weight, grant: { digest, weight, proven } })
  }

  /** Raises as far as it may; says why where that is less than the file wants. */
  #raise(version: string): string | undefined {
    const { route, digests, state, verdicts } = this.#input
    const share = this.#shares.get(version)!
    const wanted = this.#wanted(version)
    const digest = digests[version]
    if (wanted <= share.effective) return undefined
    if (digest === undefined) return 'it does not load; its share goes to live'
    const latch = state?.latches[digest]
    if (latch !== undefined) return latched(latch)
    if (digests[this.#live] === undefined) return `live ${this.#live} does not load, so nobody is raised`

    const present = share.effective
    const grant = share.grant!
    const verdict = verdicts[version]
    const isNew = state === null || (state.granted[version]?.digest !== digest && state.live.version !== version)
    if (!this.#liveChanged && isLicensed(this.#input, version, present)) {
      if (!mayRaise(this.#input, version)) return 'it is ready and waits for promote or the next save'
      const next = route.rollout.steps.find(step => step > present) ?? 100
      const allowed = wanted >= 100 && next >= 100 ? present : Math.min(wanted, next)
      if (!grant.proven) this.#room = tidy(this.#room + present)
      if (allowed > present)
        this.#shares.set(version, { effective: allowed, grant: { ...grant, weight: allowed, proven: true } })
      else if (!grant.proven) this.#take(present)
      if (allowed >= wanted) return undefined
      return next >= 100 ? 'name it live to give it 100' : `the next step is ${next}`
    }

    const limit = holdbackLimit(route, this.#previous, version, digest)
    if (limit > present && mayRaise(this.#input, version)) {
      const weight = Math.min(wanted, limit)
      if (!grant.proven) this.#room = tidy(this.#room + present)
      this.#shares.set(version, { effective: weight, grant: { digest, weight, proven: true } })
      return wanted > weight ? heldBack(limit) : undefined
    }
    const stopped = verdict?.decision === 'abort' || verdict?.decision === 'invalid'
    if (!grant.proven && !stopped && (isNew || mayRaise(this.#input, version))) {
      const reachable = tidy(present + this.#room)
      // A version under evaluation keeps its stage rather than start again at a sliver of what was asked for.
      if (wanted <= reachable || verdict === undefined || state === null) {
        const weight = tidy(present + this.#take(Math.min(wanted, reachable) - present))
        this.#shares.set(version, { effective: weight, grant: { ...grant, weight } })
      }
    }
    const allowed = this.#shares.get(version)!.effective
    if (wanted - allowed < 1e-6) return undefined
    if (limit > 0 && verdict === undefined) return heldBack(limit)
    if (this.#liveChanged) return 'live has just changed, so its evidence starts again'
    const unproven = `versions without evidence may take ${route.gate.unproven} % together`
    return verdict === undefined ? unproven : verdictReason(verdict, present)
  }

  /** The share that this digest had before, and whether it had it by licence. */
  #prior(version: string, digest: string): { weight: number; proven: boolean } {
    const { state } = this.#input
    if (state === null) return { weight: 0, proven: false }
    const weight = presentShare(state, version, digest)
    if (version === state.live.version) return { weight, proven: state.live.proven }
    return { weight, proven: !this.#liveChanged && state.granted[version]?.proven === true }
  }

  /** Takes up to `share` of what versions without evidence may have together. */
  #take(share: number): number {
    const taken = floor(Math.min(share, this.#room))
    this.#room = tidy(this.#room - taken)
    return taken
  }

  #hold(version: string, reason: string): void {
    this.#held.push({
      version,
      key: 'weight',
      wanted: this.#wanted(version),
      allowed: this.#shares.get(version)!.effective,
      reason,
      missing: this.#input.verdicts[version]?.missing ?? [],
    })
  }

  #wanted(version: string): number {
    return this.#input.route.versions[version]!.weight
  }
}

/** The share of live traffic that exactly these bytes had under this name. */
function presentShare(state: RouteState, version: string, digest: string): number {
  if (version === state.live.version) return state.live.digest === digest ? grantedWeights(state)[version]! : 0
  const grant = state.granted[version]
  return grant?.digest === digest ? grant.weight : 0
}

/** Whether the version's verdict is *promote* for exactly where it stands. There is no licence at the first start. */
function isLicensed(input: LockInput, version: string, share: number): boolean {
  const verdict = input.verdicts[version]
  if (input.state === null || verdict?.decision !== 'promote' || input.digests[input.state.live.version] === undefined)
    return false
  return verdict.stage === (share > 0 ? 'canary' : 'shadow') && Math.abs(verdict.step - share) < 1e-6
}

/** A raise needs an occasion: a save (the file's hash is new) or the promotion of this very version. */
function mayRaise(input: LockInput, version: string): boolean {
  if (input.promoting !== undefined) return input.promoting === version
  return input.state === null || input.fileHash !== input.state.fileHash
}

/** The last step that a version stands at before it is live; 0 where 100 is the only step. */
export function lastStepBelow100(route: Route): number {
  return route.rollout.steps.filter(step => step < 100).at(-1) ?? 0
}

function promoted(input: LockInput, version: string, change: LiveChange): Promoted {
  const { state, digests, entries, adopt } = input
  const known = change === 'back' ? state!.previous.at(-1)! : state?.live.version === version ? state.live : undefined
  const digest = digests[version] ?? known?.digest
  const entry = entries?.[version] ?? known?.entry
  const sameBytes = known?.digest === undefined || known.digest === digest
  return {
    version,
    ...(digest === undefined ? {} : { digest }),
    ...(entry === undefined ? {} : { entry }),
    proven: adopt === true || known === undefined || (sameBytes && known.proven),
  }
}

function previousAfter(state: RouteState | null, change: LiveChange): Promoted[] {
  if (state === null) return []
  if (change === undefined) return state.previous
  return change === 'back' ? state.previous.slice(0, -1) : [...state.previous, state.live].slice(-PREVIOUS_KEPT)
}

function noticesOf({ digests, state }: LockInput, next: RouteState): string[] {
  const { version, proven } = next.live
  const notices: string[] = overrideNotices(next, digests)
  if (digests[version] === undefined) notices.push(`live ${version} does not load; no other version takes its traffic`)
  if (!proven) notices.push(`live ${version} has other bytes than the ones that were promoted; adopt them or go back`)
  if (state !== null && !proven && state.live.proven)
    notices.push(`the bytes of live ${version} changed under its name`)
  return notices
}

function verdictReason(verdict: LockVerdict | undefined, share: number): string {
  if (verdict === undefined) return 'there is no evidence for it yet'
  if (verdict.decision === 'promote')
    return `its evidence is from ${verdict.stage === 'shadow' ? 'the shadow stage' : `${verdict.step} %`}, and it stands at ${share} % now`
  return verdict.reason ?? `the verdict is ${verdict.decision}`
}

function heldBack(limit: number): string {
  return `it held the promotion before, and may have ${limit} % as the holdback`
}

function latched({ version, kind, reason }: { version: string; kind: string; reason: string }): string {
  const what = kind === 'abort' ? 'aborted' : 'rolled back'
  return `${version} was ${what} (${reason}); clear it first`
}

function floor(share: number): number {
  return Math.floor(share * 1e6 + 1e-6) / 1e6
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  )
}
