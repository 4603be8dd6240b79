// The embedded state store: one SQLite file per gateway. It decides what is durable when, and knows nothing of what is stored.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { messageOf, UnderstudyError } from '../errors.ts'
import type { Batch, LogRecord, PendingPrediction, StateStore } from './store.ts'

/** Raised when the tables change; a store with a higher one is refused, never guessed at. */
const SCHEMA_VERSION = 2

const SCHEMA = `
  CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
  CREATE TABLE counter (
    key TEXT NOT NULL, slot TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (key, slot)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE keyed_value (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE pending (
    row INTEGER PRIMARY KEY, scope TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
    label TEXT, UNIQUE (scope, id)
  ) STRICT;
  CREATE INDEX pending_by_age ON pending (scope, at);
  CREATE TABLE log (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, base INTEGER NOT NULL, at INTEGER NOT NULL,
    body TEXT NOT NULL, UNIQUE (scope, base)
  ) STRICT;
  CREATE INDEX log_by_scope ON log (scope, sequence);
  INSERT INTO schema_version VALUES (${SCHEMA_VERSION});
`

/** What brings an older store to the next version, by the version that it has. */
const MIGRATIONS: Readonly<Record<number, string>> = {
  1: 'ALTER TABLE pending ADD COLUMN label TEXT',
}

/** No well-formed text sorts behind it, so `prefix` to `prefix + LAST` is every key with that prefix. */
const LAST = '\u{10FFFF}'

/** SQLite's primary result codes that a person can do something about. */
const REASONS: Readonly<Record<number, string>> = {
  5: 'another process is writing to it',
  8: 'it is read-only',
  10: 'an input or output error',
  11: 'the file is damaged',
  13: 'the disk is full',
  14: 'the file cannot be opened',
  26: 'the file is not a state store',
}
const SQLITE_BUSY = 5

/**
 * Opens (or creates) the store in `dir`, which is made readable by its owner only: it holds the salts of assignment.
 *
 * Two connections to one write-ahead log: evidence is committed with `synchronous=NORMAL` (survives SIGKILL; a power cut
 * may cost the newest batches, never part of one), log entries with FULL. Both go to the same file in order, so the
 * sync of a log entry makes all evidence before it durable too.
 *
 * Take `openStateLock(dir)` first: the store itself does not keep a second gateway out.
 * @throws STATE_FAILED also when the store was written by a newer release.
 */
export function openSqliteStore(dir: string): StateStore {
  return guard('opened', () => {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const file = join(dir, 'state.db')
    const durable = connect(file, 'FULL')
    try {
      migrate(durable)
      const evidence = connect(file, 'NORMAL')
      try {
        return storeOn(evidence, durable)
      } catch (error) {
        evidence.close()
        throw error
      }
    } catch (error) {
      durable.close()
      throw error
    }
  })
}

/** Proof that this process alone uses a state folder, until `release` or the end of the process. */
export interface StateLock {
  release(): void
}

/** Held by this process: a connection that nobody refers to is closed by the collector, and its lock would go with it. */
const held = new Set<DatabaseSync>()

/**
 * Takes the folder for this process. The lock is an exclusive transaction held open on a file of its own, so the kernel
 * releases it with the process, however that ends. Not for network file systems without byte-range locks.
 * @throws STATE_IN_USE naming the process that holds it
 */
export function openStateLock(dir: string): StateLock {
  return guard('locked', () => {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const holder = join(dir, 'lock.pid')
    const database = new DatabaseSync(join(dir, 'lock.db'), { timeout: 0 })
    try {
      database.exec('BEGIN EXCLUSIVE')
      writeFileSync(holder, `${process.pid} ${hostname()}\n`, { mode: 0o600 })
    } catch (error) {
      database.close()
      if (resultCode(error) !== SQLITE_BUSY) throw error
      throw new UnderstudyError('STATE_IN_USE', `the state folder is in use by ${describeHolder(holder)}`, {
        cause: error,
      })
    }
    held.add(database)
    return {
      release() {
        held.delete(database)
        if (database.isOpen) database.close()
      },
    }
  })
}

function describeHolder(holder: string): string {
  try {
    const [pid, host] = readFileSync(holder, 'utf8').trim().split(' ')
    if (!pid) return 'another process'
    return host === hostname() ? `process ${pid}` : `process ${pid} on ${host}`
  } catch {
    return 'another process'
  }
}

function connect(file: string, synchronous: 'FULL' | 'NORMAL'): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 2000 })
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; PRAGMA journal_size_limit = 16777216`)
  return database
}

function migrate(database: DatabaseSync): void {
  inTransaction(database, () => {
    const known = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'").get()
    if (!known) {
      database.exec(SCHEMA)
      return
    }
    const version = Number(database.prepare('SELECT max(version) AS version FROM schema_version').get()?.version)
    if (version > SCHEMA_VERSION) {
      throw new UnderstudyError(
        'STATE_FAILED',
        `the state was written by a newer Understudy (schema ${version}, this one reads ${SCHEMA_VERSION})`,
      )
    }
    for (let from = version; from < SCHEMA_VERSION; from++) database.exec(MIGRATIONS[from] ?? '')
    if (version < SCHEMA_VERSION) database.prepare('UPDATE schema_version SET version = ?').run(SCHEMA_VERSION)
  })
}

function storeOn(evidence: DatabaseSync, durable: DatabaseSync): StateStore {
  const addCounter = evidence.prepare(
    'INSERT INTO counter VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value',
  )
  const setValue = evidence.prepare(
    'INSERT INTO keyed_value VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
  )
  const addPending = evidence.prepare(
    'INSERT INTO pending (scope, id, at, body) VALUES (?, ?, ?, ?) ON CONFLICT (scope, id) DO NOTHING',
  )
  const setLabel = evidence.prepare('UPDATE pending SET label = ? WHERE scope = ? AND id = ? AND label IS NULL')
  const removePending = evidence.prepare('DELETE FROM pending WHERE scope = ? AND id = ?')
  const onePending = evidence.prepare('SELECT scope, id, at, body, label FROM pending WHERE scope = ? AND id = ?')
  const oldPending = evidence.prepare(
    'SELECT scope, id, at, body, label FROM pending WHERE scope = ? AND at < ? ORDER BY at, row LIMIT ?',
  )
  const pendingOf = evidence.prepare(
    'SELECT scope, id, at, body, label FROM pending WHERE scope = ? AND at = ? ORDER BY row',
  )
  const countPending = evidence.prepare('SELECT count(*) AS count, min(at) AS oldest FROM pending WHERE scope = ?')
  const nextScope = evidence.prepare('SELECT min(scope) AS scope FROM pending WHERE scope > ?')
  const dropOld = evidence.prepare('DELETE FROM pending WHERE scope = ? AND at < ?')
  const dropBeyond = evidence.prepare(
    `DELETE FROM pending WHERE row IN
       (SELECT row FROM pending WHERE scope = ? ORDER BY at DESC, row DESC LIMIT -1 OFFSET ?)`,
  )
  const countersFrom = evidence.prepare('SELECT key, slot, value FROM counter WHERE key >= ? AND key < ?')
  const oneValue = evidence.prepare('SELECT value FROM keyed_value WHERE key = ?')
  const valuesFrom = evidence.prepare('SELECT key, value FROM keyed_value WHERE key >= ? AND key < ? ORDER BY key')
  const newest = durable.prepare('SELECT max(sequence) AS sequence FROM log WHERE scope = ?')
  const addEntry = durable.prepare('INSERT INTO log (scope, base, at, body) VALUES (?, ?, ?, ?)')
  const allEntries = durable.prepare('SELECT sequence, base, scope, at, body FROM log ORDER BY sequence')
  const scopeEntries = durable.prepare(
    'SELECT sequence, base, scope, at, body FROM log WHERE scope = ? ORDER BY sequence',
  )

  return {
    commit(batch: Batch) {
      guard('written', () =>
        inTransaction(evidence, () => {
          for (const { key, slot, amount } of batch.counters ?? []) addCounter.run(key, slot, amount)
          for (const { scope, id, at, body } of batch.pending ?? []) addPending.run(scope, id, at, body)
          for (const { scope, id, label } of batch.labelled ?? []) setLabel.run(label, scope, id)
          for (const { scope, id } of batch.resolved ?? []) removePending.run(scope, id)
          for (const { key, value } of batch.values ?? []) setValue.run(key, value)
        }),
      )
    },
    counters(keyPrefix) {
      return guard('read', () => {
        const byKey = new Map<string, Map<string, number>>()
        for (const row of countersFrom.iterate(keyPrefix, keyPrefix + LAST)) {
          const { key, slot, value } = row as { key: string; slot: string; value: number }
          const slots = byKey.get(key)
          if (slots) slots.set(slot, value)
          else byKey.set(key, new Map([[slot, value]]))
        }
        return byKey
      })
    },
    value(key) {
      return guard('read', () => oneValue.get(key)?.value as string | undefined)
    },
    values(keyPrefix) {
      return guard('read', () => {
        const rows = valuesFrom.all(keyPrefix, keyPrefix + LAST) as { key: string; value: string }[]
        return new Map(rows.map(row => [row.key, row.value]))
      })
    },
    pending(scope, id) {
      return guard('read', () => asPrediction(onePending.get(scope, id)))
    },
    due(scope, before, limit) {
      return guard('read', () => {
        const rows = oldPending.all(scope, before, limit + 1).map(row => asPrediction(row)!)
        const next = rows[limit]
        if (next === undefined) return rows
        const whole = rows.findIndex(({ at }) => at === next.at)
        return whole > 0 ? rows.slice(0, whole) : pendingOf.all(scope, next.at).map(row => asPrediction(row)!)
      })
    },
    waiting(scope) {
      return guard('read', () => {
        const { count, oldest } = countPending.get(scope) as { count: number; oldest: number | null }
        return { count, oldest: oldest ?? undefined }
      })
    },
    scopes() {
      return guard('read', () => {
        const scopes: string[] = []
        // A seek for each: DISTINCT would walk through a million rows.
        for (let last = ''; ; ) {
          const scope = nextScope.get(last)?.scope
          if (typeof scope !== 'string') return scopes
          scopes.push(scope)
          last = scope
        }
      })
    },
    expire(scope, before, keep) {
      return guard('written', () =>
        inTransaction(evidence, () => ({
          late: Number(dropOld.run(scope, before).changes),
          beyond: Number(dropBeyond.run(scope, keep).changes),
        })),
      )
    },
    append(scope, base, at, body) {
      return guard('written', () =>
        inTransaction(durable, () => {
          const head = Number(newest.get(scope)?.sequence ?? 0)
          if (head !== base) {
            throw new UnderstudyError('CONFLICT', `based on entry ${base}, but the newest is ${head}`)
          }
          const { lastInsertRowid } = addEntry.run(scope, base, at, body)
          return { sequence: Number(lastInsertRowid), base, scope, at, body }
        }),
      )
    },
    together(work) {
      return guard('written', () => inTransaction(durable, work))
    },
    log(scope) {
      return guard('read', () => {
        const rows = scope === undefined ? allEntries.all() : scopeEntries.all(scope)
        return rows.map(row => asPlain<LogRecord>(row)!)
      })
    },
    close() {
      if (evidence.isOpen) evidence.close()
      if (durable.isOpen) durable.close()
    },
  }
}

/** Rows come without a prototype, which `toEqual` and some serializers mind; the columns are named as the contract's fields. */
function asPlain<T>(row: Record<string, unknown> | undefined): T | undefined {
  return row && ({ ...row } as T)
}

function asPrediction(row: Record<string, unknown> | undefined): PendingPrediction | undefined {
  if (row === undefined) return undefined
  const { label, ...prediction } = row
  return { ...prediction, ...(label !== null && { label }) } as unknown as PendingPrediction
}

/** Within another one it is a part of that. */
function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  if (database.isTransaction) return work()
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    // After a full disk or an I/O error SQLite may have rolled back by itself.
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function guard<T>(what: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof UnderstudyError) throw error
    const reason = REASONS[resultCode(error) ?? -1] ?? withoutPath(error)
    throw new UnderstudyError('STATE_FAILED', `the state store could not be ${what}: ${reason}`, { cause: error })
  }
}

/** SQLite's primary result code (the low byte of the extended one), if the error is SQLite's. */
function resultCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | null)?.errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

/** A file error's text holds the path, which a client must not see; its code says enough. */
function withoutPath(error: unknown): string {
  const code = (error as { code?: unknown; syscall?: unknown } | null)?.code
  const isFileError = (error as { syscall?: unknown } | null)?.syscall !== undefined
  return isFileError && typeof code === 'string' ? code : messageOf(error)
}
