// Finds what has happened to a route since somebody was last told: two states in, events out. Pure: no clock, no network.
import { z } from 'zod'
import type { Verdict } from '../gate/evidence.ts'
import { type Happening, verdictPart } from './notice.ts'

/** What the lock says of a route at one moment. */
export interface RouteNow {
  readonly route: string
  readonly live: { readonly version: string; readonly digest?: string | undefined }
  /** The promotion that a rollback goes back to; undefined: none. */
  readonly previous: string | undefined
  /** `rollout.holdback`: percent that the previous live may keep without that being a promotion. */
  readonly holdback: number
  readonly granted: Readonly<Record<string, Grant>>
  /** By digest. */
  readonly latches: Readonly<
    Record<
      string,
      { readonly version: string; readonly kind: 'abort' | 'rollback'; readonly reason: string; readonly at: number }
    >
  >
  readonly held: readonly {
    readonly version: string
    readonly key: 'weight' | 'live'
    readonly wanted: number
    readonly allowed: number
    readonly reason: string
  }[]
  /** Percent per version that applies. */
  readonly weights: Readonly<Record<string, number>>
}

interface Grant {
  readonly digest: string
  readonly weight: number
  readonly proven: boolean
}

/** What a verdict says that is worth a message of its own; an abort is told when it is latched. */
type Word = 'ready' | 'invalid'

const Told = z.strictObject({
  origin: z.string(),
  serial: z.int(),
  live: z.string(),
  previous: z.string().nullable(),
  /** Percent by version and digest, of those that had it by licence. */
  proven: z.record(z.string(), z.number()),
  /** Digest and moment of each latch. */
  latches: z.array(z.string()),
  held: z.array(z.string()),
  /** By version: evidence key and step, the last word about them, and when each word was last told, ms. */
  words: z.record(
    z.string(),
    z.strictObject({
      key: z.string(),
      word: z.enum(['ready', 'invalid']),
      ready: z.number().optional(),
      invalid: z.number().optional(),
    }),
  ),
  /** Declines after a promotion, by whatever names them. */
  declines: z.array(z.string()),
})

/** What has been told of one route: kept in the store, so that a restart tells nothing twice. */
export type Told = z.infer<typeof Told>

/** Undefined: nothing readable; whoever asks begins anew. */
export function readTold(text: string | undefined): Told | undefined {
  if (text === undefined) return undefined
  try {
    return Told.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** A route that is seen for the first time: what stands is no news, what is held and ready is. */
export function firstTold(now: RouteNow, origin: string): Told {
  return { origin, serial: 0, ...standing(now), held: [], words: {}, declines: [] }
}

function standing(now: RouteNow): Pick<Told, 'live' | 'previous' | 'proven' | 'latches'> {
  return {
    live: now.live.version,
    previous: now.previous ?? null,
    proven: Object.fromEntries(
      Object.entries(now.granted)
        .filter(([, { proven, weight }]) => proven && weight > 0)
        .map(([version, { digest, weight }]) => [`${version} ${digest}`, weight]),
    ),
    latches: Object.entries(now.latches).map(([digest, { at }]) => `${digest} ${at}`),
  }
}

/** What changed in what serves. The caller numbers the happenings from `told.serial` on. */
export function rolloutChanges(told: Told, now: RouteNow): { readonly happenings: Happening[]; readonly told: Told } {
  const happenings: Happening[] = []
  const newLatches = Object.entries(now.latches).filter(([digest, { at }]) => !told.latches.includes(`${digest} ${at}`))
  for (const [, latch] of newLatches) happenings.push(latched(now, latch))
  const isLiveNew = told.live !== now.live.version
  const isTold = newLatches.some(([, { kind, version }]) => kind === 'rollback' && version === told.live)
  if (isLiveNew && !isTold) happenings.push(liveChanged(told, now))
  if (!isLiveNew) happenings.push(...raised(told, now))
  happenings.push(...nowHeld(told, now, new Set(newLatches.map(([, { version }]) => version))))
  const held = now.held.map(heldKey)
  return { happenings, told: { ...told, ...standing(now), held, declines: isLiveNew ? [] : told.declines } }
}

function latched(now: RouteNow, { version, kind, reason }: RouteNow['latches'][string]): Happening {
  return {
    ...about(now, version),
    event: kind === 'abort' ? 'abort' : 'rolledback',
    reason,
    // It has been taken off; an aborted shadow stays mirrored.
    stage: kind === 'abort' && (now.weights[version] ?? 0) === 0 ? 'shadow' : about(now, version).stage,
  }
}

/** A new live: gone back to, or promoted. */
function liveChanged(told: Told, now: RouteNow): Happening {
  const { version } = now.live
  const isBack = told.previous === version && now.previous !== told.live
  if (isBack) return { ...about(now, told.live), event: 'rolledback', reason: `live is ${version} again` }
  return {
    ...about(now, version),
    event: 'promoted',
    baseline: told.live,
    reason: `${version} is live in place of ${told.live}`,
  }
}

/** Shares that grew by licence. */
function raised(told: Told, now: RouteNow): Happening[] {
  return Object.entries(now.granted)
    .filter(([version, { digest, weight, proven }]) => {
      if (version === now.previous && weight <= now.holdback) return false
      return proven && weight > (told.proven[`${version} ${digest}`] ?? 0) + 1e-6
    })
    .map(([version, { weight }]) => ({
      ...about(now, version),
      event: 'promoted' as const,
      reason: `${version} has ${weight} % of live traffic now`,
    }))
}

/** Held raises that were not held before. What is held because it has just been latched is told by the latch. */
function nowHeld(told: Told, now: RouteNow, latchedNow: ReadonlySet<string>): Happening[] {
  return now.held
    .filter(held => !told.held.includes(heldKey(held)) && !latchedNow.has(held.version))
    .map(held => ({
      ...about(now, held.version),
      event: 'held' as const,
      reason:
        held.key === 'live'
          ? held.reason
          : `${held.version} stays at ${held.allowed} % of the ${held.wanted} % asked for: ${held.reason}`,
    }))
}

function heldKey({ version, key, wanted }: RouteNow['held'][number]): string {
  return `${key} ${version} ${wanted}`
}

function about(now: RouteNow, version: string): Omit<Happening, 'event' | 'reason'> {
  const step = now.weights[version] ?? 0
  const isLive = version === now.live.version
  return {
    route: now.route,
    version,
    baseline: isLive ? null : now.live.version,
    stage: isLive ? 'live' : step > 0 ? 'canary' : 'shadow',
    step,
    evidenceDigest: null,
    verdict: null,
  }
}

/** A word that comes back is told again only after this long: at its border a verdict may flicker every second. */
export const REPEAT_AFTER_MS = 600_000

/**
 * What a verdict says that it did not say before on the same evidence key and step. Continue, hold and abort have no
 * word: a word that was told stands until another one comes, or until it has not been true for ten minutes.
 * @param lastTrueMs when the word that was told was last true
 */
export function verdictChange(
  told: Told,
  verdict: Verdict,
  evidenceKey: string,
  nowMs: number,
  lastTrueMs: number,
): { readonly happening: Happening | undefined; readonly told: Told } {
  const key = `${evidenceKey} ${verdict.stage} ${verdict.step}`
  const { [verdict.candidate]: last, ...others } = told.words
  const before = last?.key === key ? last : undefined
  const word = wordOf(verdict)
  if (word === undefined) {
    const isOver = before === undefined ? last !== undefined : nowMs - lastTrueMs >= REPEAT_AFTER_MS
    return { happening: undefined, told: isOver ? { ...told, words: others } : told }
  }
  const isRecent = nowMs - (before?.[word] ?? Number.NEGATIVE_INFINITY) < REPEAT_AFTER_MS
  if (before?.word === word || isRecent) return { happening: undefined, told }
  return {
    happening: {
      event: word,
      route: verdict.route,
      version: verdict.candidate,
      baseline: verdict.baseline,
      reason: verdict.reason,
      stage: verdict.stage,
      step: verdict.step,
      evidenceDigest: verdict.evidenceDigest,
      verdict: verdictPart(verdict),
    },
    told: { ...told, words: { ...others, [verdict.candidate]: { ...before, key, word, [word]: nowMs } } },
  }
}

function wordOf({ decision }: Verdict): Word | undefined {
  return decision === 'promote' ? 'ready' : decision === 'invalid' ? 'invalid' : undefined
}

/** The word that was told and is true now: its clock is wound again. */
export function isStillTrue(told: Told, verdict: Verdict): boolean {
  return told.words[verdict.candidate]?.word === wordOf(verdict)
}
