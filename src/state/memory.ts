// A state store that ends with the process: for `--state none` and for tests. It promises all that store.ts does but durability.
import { UnderstudyError } from '../errors.ts'
import type { Batch, LogRecord, PendingPrediction, StateStore } from './store.ts'

/** An empty store in memory. */
export function openMemoryStore(): StateStore {
  const counters = new Map<string, Map<string, number>>()
  const values = new Map<string, string>()
  const pending = new Map<string, Waiting>()
  const entries: LogRecord[] = []
  const byScope = new Map<string, LogRecord[]>()
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
        const ofScope = pending.get(scope) ?? new Waiting()
        pending.set(scope, ofScope)
        ofScope.add({ scope, id, at, body })
      }
      for (const { scope, id, label } of batch.labelled ?? []) pending.get(scope)?.label(id, label)
      for (const { scope, id } of batch.resolved ?? []) pending.get(scope)?.remove(id)
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
    due(scope, before, limit) {
      mustBeOpen()
      return pending.get(scope)?.due(before, limit) ?? []
    },
    waiting(scope) {
      mustBeOpen()
      const ofScope = pending.get(scope)
      return { count: ofScope?.size ?? 0, oldest: ofScope?.oldest }
    },
    scopes() {
      mustBeOpen()
      return [...pending]
        .filter(([, { size }]) => size > 0)
        .sort(byUtf8)
        .map(([scope]) => scope)
    },
    expire(scope, before, keep) {
      mustBeOpen()
      const ofScope = pending.get(scope)
      if (!ofScope) return { late: 0, beyond: 0 }
      const { size } = ofScope
      while ((ofScope.oldest ?? Number.POSITIVE_INFINITY) < before) ofScope.removeOldest()
      const late = size - ofScope.size
      while (ofScope.size > keep) ofScope.removeOldest()
      return { late, beyond: size - late - ofScope.size }
    },
    append(scope, base, at, body) {
      mustBeOpen()
      const ofScope = byScope.get(scope) ?? []
      const head = ofScope.at(-1)?.sequence ?? 0
      if (head !== base) throw new UnderstudyError('CONFLICT', `based on entry ${base}, but the newest is ${head}`)
      const entry: LogRecord = { sequence: entries.length + 1, base, scope, at, body }
      entries.push(entry)
      byScope.set(scope, ofScope)
      ofScope.push(entry)
      return entry
    },
    together(work) {
      mustBeOpen()
      const before = entries.length
      try {
        return work()
      } catch (error) {
        for (const { scope } of entries.splice(before).toReversed()) byScope.get(scope)!.pop()
        throw error
      }
    },
    log(scope) {
      mustBeOpen()
      return [...(scope === undefined ? entries : (byScope.get(scope) ?? []))]
    },
    close() {
      closed = true
    },
  }
}

interface Place {
  prediction: PendingPrediction
  isGone: boolean
}

/** The predictions of one scope: by id, and by age, so that the oldest of a million are found without a look at the others. */
class Waiting {
  readonly #byId = new Map<string, Place>()
  /** Oldest first; of one moment, those that came first. Those that are gone stay until they are passed. */
  #byAge: Place[] = []
  #first = 0

  get size(): number {
    return this.#byId.size
  }

  get oldest(): number | undefined {
    this.#pass()
    return this.#byAge[this.#first]?.prediction.at
  }

  get(id: string): PendingPrediction | undefined {
    return this.#byId.get(id)?.prediction
  }

  add(prediction: PendingPrediction): void {
    if (this.#byId.has(prediction.id)) return
    const place = { prediction, isGone: false }
    this.#byId.set(prediction.id, place)
    // They come nearly in order.
    let at = this.#byAge.length
    while (at > this.#first && this.#byAge[at - 1]!.prediction.at > prediction.at) at--
    this.#byAge.splice(at, 0, place)
  }

  label(id: string, label: string): void {
    const place = this.#byId.get(id)
    if (place !== undefined && place.prediction.label === undefined) place.prediction = { ...place.prediction, label }
  }

  remove(id: string): void {
    const place = this.#byId.get(id)
    if (place === undefined) return
    place.isGone = true
    this.#byId.delete(id)
    this.#pass()
  }

  removeOldest(): void {
    this.#pass()
    const place = this.#byAge[this.#first]
    if (place !== undefined) this.remove(place.prediction.id)
  }

  due(before: number, limit: number): PendingPrediction[] {
    const due: PendingPrediction[] = []
    /** Where the last moment of `due` begins. */
    let moment = 0
    for (let at = this.#first; at < this.#byAge.length; at++) {
      const { prediction, isGone } = this.#byAge[at]!
      if (prediction.at >= before) break
      if (isGone) continue
      if (due.length > 0 && prediction.at !== due[moment]!.at) {
        if (due.length >= limit) break
        moment = due.length
      }
      if (due.length >= limit && moment > 0) return due.slice(0, moment)
      due.push(prediction)
    }
    return due
  }

  #pass(): void {
    while (this.#byAge[this.#first]?.isGone) this.#first++
    if (this.#first < 1_000 || this.#first < this.#byAge.length / 2) return
    this.#byAge = this.#byAge.slice(this.#first)
    this.#first = 0
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
function byUtf8([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
