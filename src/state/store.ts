// The contract of a state store: opaque keys, integers and bytes. It knows nothing of routes, versions or verdicts.

/** One amount to add to one counter. */
export interface CounterDelta {
  readonly key: string
  readonly slot: string
  readonly amount: number
}

/** One entry of the rollout log or the audit trail, in the order of `sequence`. */
export interface LogRecord {
  readonly sequence: number
  /** The sequence this entry was based on; the first entry per (scope, base) wins. */
  readonly base: number
  readonly scope: string
  /** Milliseconds since the Unix epoch. */
  readonly at: number
  readonly body: string
}

/** What was predicted for one request, kept until its label comes. */
export interface PendingPrediction {
  readonly scope: string
  readonly id: string
  readonly at: number
  readonly body: string
  /** What was remembered of its label, where the prediction outlives that. */
  readonly label?: string
}

/** One atomic write: all of it is durable, or none. */
export interface Batch {
  readonly counters?: readonly CounterDelta[]
  readonly pending?: readonly PendingPrediction[]
  /** Labels to be remembered with pending predictions, those of this batch too. The first stays; an unknown id is passed over. */
  readonly labelled?: readonly { readonly scope: string; readonly id: string; readonly label: string }[]
  /** Pending predictions that were resolved (counted): they are removed, after all else. */
  readonly resolved?: readonly { readonly scope: string; readonly id: string }[]
  readonly values?: readonly { readonly key: string; readonly value: string }[]
}

/**
 * A state store. One process writes; every method may throw UnderstudyError STATE_FAILED (disk full, I/O error), after
 * which nothing of that call is kept and the store may be tried again.
 */
export interface StateStore {
  /** Applies one batch in one transaction. A pending prediction whose id is already there is left as it is. */
  commit(batch: Batch): void
  /** All counters whose key starts with `keyPrefix`. */
  counters(keyPrefix: string): Map<string, Map<string, number>>
  value(key: string): string | undefined
  /** Values whose key starts with the prefix, sorted by key. */
  values(keyPrefix: string): Map<string, string>
  pending(scope: string, id: string): PendingPrediction | undefined
  /**
   * Pending predictions of a scope older than `before` (ms), the oldest first, `limit` (≥ 1) at most, by whole moments:
   * a millisecond that does not fit is left for the next call, unless it is the first.
   */
  due(scope: string, before: number, limit: number): readonly PendingPrediction[]
  /** How many predictions of a scope wait, and the time of the oldest (ms), if any. */
  waiting(scope: string): { readonly count: number; readonly oldest: number | undefined }
  /** Scopes with pending predictions, sorted. */
  scopes(): readonly string[]
  /** Removes pending predictions older than `before` (ms), then those beyond the newest `keep` of a scope; says how many. */
  expire(scope: string, before: number, keep: number): { readonly late: number; readonly beyond: number }
  /**
   * Appends to the log, synchronously durable. `base` must be the sequence of the newest entry of `scope` (0: none),
   * else nothing is written. @throws CONFLICT when another entry has this base already.
   */
  append(scope: string, base: number, at: number, body: string): LogRecord
  /**
   * Makes all that `work` appends durable at once, or nothing of it where `work` throws: thousands of entries one by one
   * wait for the disk thousands of times. `work` appends and reads the log, and lets an error of that pass.
   */
  together<T>(work: () => T): T
  /** Entries of one scope in order, or of all scopes. */
  log(scope?: string): readonly LogRecord[]
  close(): void
}
