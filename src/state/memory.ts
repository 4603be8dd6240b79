// A state store that ends with the process: for `--state none` and for tests. It promises all that store.ts does but durability.
import { UnderstudyError } from '../errors.ts'
import type { Batch, LogRecord, PendingPrediction, StateStore } from './store.ts'

/** An empty store in memory. */
export function openMemoryStore(): StateStore {
  const counters = new Map<string, Map<string, number>>()
  const values = new Map<string, string>()
  const pending = new Map<string, Map<string, PendingPrediction>>()
  const entries: LogRecord[] = []
  let closed = false

  const mustBeOpen = () => {
    if (closed) throw new UnderstudyError('STATE_FAILED', 'the state store is closed')
  }

  return {
    commit(batch) {
      mustBeOpen()
      // Everything that can fail comes before the first change: a batch is kept whole or not at all.
      mustBeWhole(batch)
      for (const { key, slot, amount } of batch.counters ?? []) {
        const slots = counters.get(key) ?? new Map<string, number>()
        counters.set(key, slots.set(slot, (slots.get(slot) ?? 0) + amount))
      }
      for (const { scope, id, at, body } of batch.pending ?? []) {
        const ofScope = pending.get(scope) ?? new Map<string, PendingPrediction>()
        pending.set(scope, ofScope)
        if (!ofScope.has(id)) ofScope.set(id, { scope, id, at, body })
      }
      for (const { scope, id } of batch.resolved ?? []) pending.get(scope)?.delete(id)
      for (const { key, value } of batch.values ?? []) values.set(key, value)
    },
    counters(keyPrefix) {
      mustBeOpen()
      const found = new Map<string, Map<string, number>>()
      for (const [key, slots] of counters) if (key.startsWith(keyPrefix)) found.set(key, new Map(slots))
      return found
    },
    value(key) {
      mustBeOpen()
      return values.get(key)
    },
    values(keyPrefix) {
      mustBeOpen()
      return new Map([...values].filter(([key]) => key.startsWith(keyPrefix)).sort(byUtf8))
    },
    pending(scope, id) {
      mustBeOpen()
      return pending.get(scope)?.get(id)
    },
    expire(scope, before, keep) {
      mustBeOpen()
      const ofScope = pending.get(scope)
      if (!ofScope) return { late: 0, beyond: 0 }
      const size = ofScope.size
      for (const [id, { at }] of ofScope) if (at < before) ofScope.delete(id)
      const late = size - ofScope.size
      // The sort is stable, so of two predictions of one moment the one that came later is the newer.
      const newestLast = [...ofScope.values()].sort((a, b) => a.at - b.at)
      for (const { id } of newestLast.slice(0, Math.max(0, newestLast.length - keep))) ofScope.delete(id)
      return { late, beyond: size - late - ofScope.size }
    },
    append(scope, base, at, body) {
      mustBeOpen()
      const head = entries.findLast(entry => entry.scope === scope)?.sequence ?? 0
      if (head !== base) throw new UnderstudyError('CONFLICT', `based on entry ${base}, but the newest is ${head}`)
      const entry: LogRecord = { sequence: entries.length + 1, base, scope, at, body }
      entries.push(entry)
      return entry
    },
    log(scope) {
      mustBeOpen()
      return entries.filter(entry => scope === undefined || entry.scope === scope)
    },
    close() {
      closed = true
    },
  }
}

function mustBeWhole(batch: Batch): void {
  const amounts = batch.counters?.every(delta => Number.isSafeInteger(delta.amount)) ?? true
  const times = batch.pending?.every(prediction => Number.isSafeInteger(prediction.at)) ?? true
  if (!amounts || !times) {
    throw new UnderstudyError(
      'STATE_FAILED',
      'the state store could not be written: amounts and times are whole numbers',
    )
  }
}

/** SQLite's order of text; JavaScript's differs above U+FFFF. */
function byUtf8([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
