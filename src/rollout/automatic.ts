// Decides which candidate is raised by itself next, or what that waits for. Pure: it knows no clock, file or evidence.
import semver from 'semver'
import type { Route } from '../config/schema.ts'
import { isOpen, opensAt } from '../config/window.ts'
import { UnderstudyError } from '../errors.ts'
import type { Verdict } from '../gate/evidence.ts'
import { grantedWeights, type RouteState } from './state.ts'

/** The gate's own raise: carried out only if what it was decided on still stands when its turn has come. */
export interface Automatic {
  /** The share that the version had, percent. */
  readonly from: number
}

export interface AutomaticInput {
  readonly route: Route
  readonly state: RouteState
  /** Digest by version; undefined: it does not load. */
  readonly digests: Readonly<Record<string, string | undefined>>
  /** Of the candidates that gather evidence. */
  readonly verdicts: Readonly<Record<string, Pick<Verdict, 'decision' | 'stage' | 'step' | 'reason'> | undefined>>
  /** ms since the Unix epoch. */
  readonly nowMs: number
}

/** What a route waits for before it raises anybody by itself. */
export interface Wait {
  readonly reason: string
  /** When it is over, ms since the Unix epoch; undefined: not foreseeable. */
  readonly until?: number
}

export type AutomaticDecision =
  | { readonly raise: { readonly version: string; readonly from: number } }
  | { readonly wait: Wait | undefined }

/**
 * The raise that is due: of a candidate whose verdict is *promote* at exactly its present stage and step, in a route that
 * is not paused, inside its window and `every` after the last raise. `wait: undefined`: there is no candidate to wait for.
 *
 * One candidate climbs at a time: where several could, the one that stands highest, and of equals the newest by semver.
 * While one has a share that it has earned, the others wait for it, whatever their verdicts: two that climb together
 * would take live's share from under each other's evidence. A person who prefers another one lowers or aborts the first.
 *
 * A version that was live before is never raised by itself: with nothing worse about it either, the two would take turns.
 */
export function decideAutomatic(input: AutomaticInput): AutomaticDecision {
  const { route, state, verdicts, nowMs } = input
  const candidates = climbers(input)
  const climbing = candidates.find(({ earned }) => earned)
  const ready = candidates.find(candidate => candidate.ready)
  const next = climbing ?? ready ?? candidates[0]
  const wait = waitOfRoute(route, state, nowMs)
  // Only what a person decided is worth saying where nothing could be raised anyway.
  if (next === undefined) return { wait: state.paused === undefined ? undefined : wait }
  if (wait !== undefined && (next.ready || state.paused !== undefined)) return { wait }
  if (!next.ready) {
    const behind = ready === undefined ? '' : `; ${ready.version} is ready and comes after it`
    return { wait: { reason: `${next.version}: ${verdicts[next.version]!.reason}${behind}` } }
  }
  return { raise: { version: next.version, from: next.share } }
}

/** Why a route as a whole raises nobody by itself at this moment; undefined: nothing keeps it from that. */
export function waitOfRoute({ rollout }: Route, { paused, raisedAt }: RouteState, nowMs: number): Wait | undefined {
  if (rollout.mode !== 'auto') return { reason: 'rollout.mode is manual' }
  if (paused !== undefined) return { reason: `paused by ${paused.who}: ${paused.reason}` }
  // A time that has not come yet is of a clock that was set back since: it says nothing of how long ago the raise was.
  const due = raisedAt === undefined || raisedAt > nowMs ? nowMs : raisedAt + rollout.every
  const { window } = rollout
  const open = window === undefined ? due : opensAt(window, Math.max(due, nowMs))
  if (window !== undefined && !isOpen(window, nowMs))
    return { reason: `raises happen ${window.text} only`, until: open }
  if (due > nowMs) return { reason: 'the last raise is less than `rollout.every` ago', until: open }
  return undefined
}

/**
 * Whether a raise that was decided a moment ago may still happen, when its turn has come.
 * @throws CONFLICT when a person has paused the route, the window has closed, or somebody else has raised meanwhile
 */
export function checkAutomatic(
  { from }: Automatic,
  share: number,
  route: Route,
  state: RouteState,
  nowMs: number,
): void {
  const wait = waitOfRoute(route, state, nowMs)
  if (wait !== undefined) throw new UnderstudyError('CONFLICT', `nothing is raised by itself now: ${wait.reason}`)
  if (Math.abs(share - from) > 1e-6)
    throw new UnderstudyError('CONFLICT', `it has ${share} % by now, and the raise was decided at ${from} %`)
}

interface Climber {
  readonly version: string
  readonly share: number
  /** It has a share by a verdict or by adoption, not only out of `gate.unproven`. */
  readonly earned: boolean
  readonly ready: boolean
}

/** Candidates that may climb by themselves, the first to be raised first. */
function climbers({ route, state, digests, verdicts }: AutomaticInput): Climber[] {
  const weights = grantedWeights(state)
  const before = new Set(state.previous.map(({ digest }) => digest))
  return Object.keys(route.versions)
    .flatMap((version): Climber[] => {
      const digest = digests[version]
      const verdict = verdicts[version]
      if (version === state.live.version || digest === undefined || verdict === undefined) return []
      if (state.latches[digest] !== undefined || before.has(digest) || digest === state.live.digest) return []
      const share = weights[version] ?? 0
      const ready =
        verdict.decision === 'promote' &&
        verdict.stage === (share > 0 ? 'canary' : 'shadow') &&
        Math.abs(verdict.step - share) < 1e-6
      return [{ version, share, earned: share > 0 && state.granted[version]?.proven === true, ready }]
    })
    .sort((a, b) => b.share - a.share || semver.compareBuild(b.version, a.version))
}
