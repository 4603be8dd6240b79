// Reads and writes the log for the actions: what could not be written is kept and written before anything else is.
import { UnderstudyError } from '../errors.ts'
import { appendEntry, type EntryBody, type Folded, fold, type LogEntry, routeLog } from './log.ts'
import type { RolloutPorts } from './ports.ts'

type Ports = Pick<RolloutPorts, 'store' | 'now'>

// Safety actions go on while the store fails; their entries wait here, by store and route.
const unrecorded = new WeakMap<object, Map<string, EntryBody[]>>()

type Read = Folded & { readonly entries: readonly LogEntry[] }

// A rollback must be possible while the store cannot even be read.
const lastRead = new WeakMap<object, Map<string, Read>>()

/** The log of a route with what still waits to be written on top. */
export function readRoute(ports: Ports, route: string): Read {
  flush(ports, route)
  const read = readOrRecall(ports, route)
  const waits = waiting(ports, route)
  if (waits.length === 0) return read
  const state = waits.findLast(body => body.phase === 'applied' && body.state !== undefined)?.state ?? read.state
  return { ...read, state, dangling: undefined }
}

function readOrRecall({ store }: Ports, route: string): Read {
  try {
    return remember(store, route, routeLog(store, route))
  } catch (error) {
    const recalled = lastRead.get(store)?.get(route)
    if (recalled === undefined) throw error
    return recalled
  }
}

function remember(store: Ports['store'], route: string, entries: readonly LogEntry[]): Read {
  const read = { ...fold(entries), entries }
  lastRead.set(store, (lastRead.get(store) ?? new Map<string, Read>()).set(route, read))
  return read
}

/** Appends an entry after everything that waits. @throws STATE_FAILED, CONFLICT. */
export function record(ports: Ports, route: string, body: EntryBody): LogEntry {
  flush(ports, route)
  if (waiting(ports, route).length > 0)
    throw new UnderstudyError('STATE_FAILED', 'earlier entries of the rollout log could not be written yet')
  return append(ports, route, body)
}

/**
 * Makes all entries that `work` records durable at once, and nothing of them where it throws, which it does at the first
 * that cannot be kept. @throws STATE_FAILED, CONFLICT.
 */
export function recordTogether({ store }: Pick<Ports, 'store'>, work: () => void): void {
  const read = new Map(lastRead.get(store))
  const queue = new Map(unrecorded.get(store))
  try {
    store.together(work)
  } catch (error) {
    // What memory has of them was not kept.
    lastRead.set(store, read)
    unrecorded.set(store, queue)
    throw error
  }
}

function append({ store, now }: Ports, route: string, body: EntryBody): LogEntry {
  const before = routeLog(store, route)
  const entry = appendEntry(store, route, fold(before).head, now(), body)
  remember(store, route, [...before, entry])
  return entry
}

/** Appends an entry, or keeps it until that works. Undefined: it is kept. */
export function recordLater(ports: Ports, route: string, body: EntryBody): LogEntry | undefined {
  try {
    return record(ports, route, body)
  } catch {
    const queue = unrecorded.get(ports.store) ?? new Map<string, EntryBody[]>()
    queue.set(route, [...(queue.get(route) ?? []), body])
    unrecorded.set(ports.store, queue)
    return undefined
  }
}

function waiting(ports: Ports, route: string): readonly EntryBody[] {
  return unrecorded.get(ports.store)?.get(route) ?? []
}

function flush(ports: Ports, route: string): void {
  const queue = unrecorded.get(ports.store)
  while (queue !== undefined && (queue.get(route)?.length ?? 0) > 0) {
    const [body, ...rest] = queue.get(route)!
    try {
      append(ports, route, body!)
    } catch {
      return
    }
    queue.set(route, rest)
  }
}
