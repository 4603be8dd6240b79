// The rollout log: what each entry says, and the state that entries add up to. It knows nothing of how it is stored.
import { z } from 'zod'
import { UnderstudyError } from '../errors.ts'
import type { LogRecord, StateStore } from '../state/store.ts'
import { RouteState } from './state.ts'

export const ENTRY_KINDS = [
  'start',
  'edit',
  'held',
  'promote',
  'set-weight',
  'rollback',
  'abort',
  'clear',
  'adopt',
  'mirror',
  'override',
  'pause',
  'resume',
  'reload-failed',
] as const

/** One entry: who did what to which version, from what to what, why and on which evidence. */
const EntryBody = z.strictObject({
  kind: z.enum(ENTRY_KINDS),
  /** Only `applied` changes the state. An `intent` is followed by `applied` or `abandoned` that names it. */
  phase: z.enum(['intent', 'applied', 'abandoned']),
  who: z.string(),
  version: z.string().optional(),
  /** For people: a share such as `5 %`, or a version where live changes. */
  from: z.string().optional(),
  to: z.string().optional(),
  reason: z.string(),
  evidenceDigest: z.string().optional(),
  /** sha256 of routes.yaml before and after. */
  hashBefore: z.string().optional(),
  hashAfter: z.string().optional(),
  /** YAML text of an entry that was put back. */
  entry: z.string().optional(),
  /** Idempotency key of the request. */
  key: z.string().optional(),
  /** Sequence of the intent that this entry ends. */
  intent: z.int().optional(),
  held: z
    .array(z.strictObject({ version: z.string(), wanted: z.number(), allowed: z.number(), reason: z.string() }))
    .optional(),
  /** The whole state of the route from here on; of an intent, once it is applied. */
  state: RouteState.optional(),
})
export type EntryBody = z.infer<typeof EntryBody>

/** An entry as it stands in the log. `at`: ms since the Unix epoch. */
export type LogEntry = EntryBody & { readonly sequence: number; readonly base: number; readonly at: number }

export interface Folded {
  /** Null: this route was never started. */
  readonly state: RouteState | null
  /** Sequence of the newest accepted entry, the base of the next; 0: none. */
  readonly head: number
  /** An intent that nothing ended: the process stopped between two writes. */
  readonly dangling: LogEntry | undefined
}

const SCOPE = 'rollout/'

/** The store's scope of one route's entries. */
export function routeScope(route: string): string {
  return SCOPE + route
}

/** Entries that count, in order: of two with one base the first wins, and what was based on the loser is void with it. */
export function readLog(records: readonly LogRecord[]): LogEntry[] {
  const accepted: LogEntry[] = []
  let head = 0
  for (const { sequence, base, at, body } of records) {
    if (base !== head) continue
    accepted.push({ ...parseBody(body, sequence), sequence, base, at })
    head = sequence
  }
  return accepted
}

/** The state that entries of one route add up to. Pure; entries as `readLog` gives them. */
export function fold(entries: readonly LogEntry[]): Folded {
  let state: RouteState | null = null
  let dangling: LogEntry | undefined
  for (const entry of entries) {
    if (entry.phase === 'intent') dangling = entry
    if (entry.phase !== 'intent' && entry.intent === dangling?.sequence) dangling = undefined
    if (entry.phase === 'applied' && entry.state !== undefined) state = entry.state
  }
  return { state, head: entries.at(-1)?.sequence ?? 0, dangling }
}

/** Entries of a route from the store. */
export function routeLog(store: Pick<StateStore, 'log'>, route: string): LogEntry[] {
  return readLog(store.log(routeScope(route)))
}

/** Entries of all routes, oldest first, each with its route: what `history` shows. */
export function history(store: Pick<StateStore, 'log'>): (LogEntry & { readonly route: string })[] {
  const byScope = Map.groupBy(store.log(), record => record.scope)
  return [...byScope]
    .filter(([scope]) => scope.startsWith(SCOPE))
    .flatMap(([scope, records]) => readLog(records).map(entry => ({ ...entry, route: scope.slice(SCOPE.length) })))
    .sort((a, b) => a.at - b.at || a.sequence - b.sequence)
}

/** Appends one entry, durably. @throws CONFLICT when `base` is not the newest any more, STATE_FAILED. */
export function appendEntry(
  store: Pick<StateStore, 'append'>,
  route: string,
  base: number,
  at: number,
  body: EntryBody,
): LogEntry {
  const checked = EntryBody.parse(body)
  const { sequence } = store.append(routeScope(route), base, at, JSON.stringify(checked))
  return { ...checked, sequence, base, at }
}

// An entry that cannot be read may hold a latch, so it is never skipped.
function parseBody(body: string, sequence: number): EntryBody {
  try {
    return EntryBody.parse(JSON.parse(body))
  } catch (error) {
    throw new UnderstudyError('STATE_FAILED', `entry ${sequence} of the rollout log cannot be read`, { cause: error })
  }
}
