import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { openSqliteStore, openStateLock } from '../../src/state/sqlite.ts'
import { describeStore } from '../contract/store.ts'

const root = mkdtempSync(join(tmpdir(), 'understudy-state-'))
let folders = 0
const newFolder = () => join(root, String(++folders), '.understudy')
const children: ChildProcess[] = []

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

describeStore('sqlite', () => openSqliteStore(newFolder()))

describe('the SQLite store', () => {
  it('finds everything again after it was closed', () => {
    const dir = newFolder()
    const before = openSqliteStore(dir)
    before.commit({
      counters: [{ key: 'a', slot: 's', amount: 3 }],
      values: [{ key: 'salt', value: 'x' }],
      pending: [{ scope: 'r', id: '1', at: 1, body: 'p' }],
    })
    const entry = before.append('r', 0, 1, 'promoted')
    before.close()

    const after = openSqliteStore(dir)
    expect(after.counters('').get('a')?.get('s')).toBe(3)
    expect(after.value('salt')).toBe('x')
    expect(after.pending('r', '1')?.body).toBe('p')
    expect(after.log()).toEqual([entry])
    after.close()
  })

  it('makes its folder readable by its owner only', () => {
    const dir = newFolder()
    openSqliteStore(dir).close()
    expect(statSync(dir).mode & 0o077).toBe(0)
  })

  it('refuses a store that a newer release wrote, and says so', () => {
    const dir = newFolder()
    openSqliteStore(dir).close()
    const database = new DatabaseSync(join(dir, 'state.db'))
    database.exec('UPDATE schema_version SET version = 7')
    database.close()
    expect(() => openSqliteStore(dir)).toThrow('written by a newer Understudy (schema 7, this one reads 2)')
  })

  it('opens the folder of an earlier release, with all that is in it', () => {
    const dir = newFolder()
    mkdirSync(dir, { recursive: true })
    const database = new DatabaseSync(join(dir, 'state.db'))
    // As release 0.1 made it.
    database.exec(`
      CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
      CREATE TABLE counter (
        key TEXT NOT NULL, slot TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (key, slot)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE keyed_value (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE pending (
        row INTEGER PRIMARY KEY, scope TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
        UNIQUE (scope, id)
      ) STRICT;
      CREATE INDEX pending_by_age ON pending (scope, at);
      CREATE TABLE log (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, base INTEGER NOT NULL, at INTEGER NOT NULL,
        body TEXT NOT NULL, UNIQUE (scope, base)
      ) STRICT;
      CREATE INDEX log_by_scope ON log (scope, sequence);
      INSERT INTO schema_version VALUES (1);
      INSERT INTO counter VALUES ('a', 's', 3);
      INSERT INTO pending (scope, id, at, body) VALUES ('r', '1', 5, 'old');
      INSERT INTO log (scope, base, at, body) VALUES ('r', 0, 1, 'promoted');
    `)
    database.close()
    for (const labelled of [[{ scope: 'r', id: '1', label: '0.5' }], []]) {
      const store = openSqliteStore(dir)
      expect(store.counters('a').get('a')?.get('s')).toBe(3)
      expect(store.log('r').map(({ body }) => body)).toEqual(['promoted'])
      store.commit({ labelled })
      expect(store.due('r', 10, 10)).toEqual([{ scope: 'r', id: '1', at: 5, body: 'old', label: '0.5' }])
      store.close()
    }
  })

  it('fails with STATE_FAILED and no path when its file is something else', () => {
    const dir = newFolder()
    openSqliteStore(dir).close()
    writeFileSync(join(dir, 'state.db'), 'not a database '.repeat(1000))
    const error = thrownBy(() => openSqliteStore(dir))
    expect(error).toMatchObject({ code: 'STATE_FAILED', message: expect.stringContaining('not a state store') })
    expect(error.message).not.toContain(root)
  })

  it('fails with STATE_FAILED and no path when its folder cannot be made', () => {
    const file = join(root, 'a-file')
    writeFileSync(file, '')
    for (const open of [openSqliteStore, openStateLock]) {
      const error = thrownBy(() => open(join(file, 'sub')))
      expect(error).toMatchObject({ code: 'STATE_FAILED' })
      expect(error.message).not.toContain(root)
    }
  })
})

describe('the lock on a state folder', () => {
  it('keeps a second holder out, and names the process that holds it', () => {
    const dir = newFolder()
    const lock = openStateLock(dir)
    expect(thrownBy(() => openStateLock(dir))).toMatchObject({
      code: 'STATE_IN_USE',
      message: `the state folder is in use by process ${process.pid}`,
    })
    lock.release()
    lock.release()
    openStateLock(dir).release()
  })

  it('is held against another process, and ends with that process when it is killed', { timeout: 20_000 }, async () => {
    const dir = newFolder()
    const { child, lines } = run(dir, 'lock')
    expect((await lines.next()).value).toBe('locked')
    expect(thrownBy(() => openStateLock(dir))).toMatchObject({
      code: 'STATE_IN_USE',
      message: `the state folder is in use by process ${child.pid}`,
    })
    child.kill('SIGKILL')
    await once(child, 'exit')
    openStateLock(dir).release()
  })
})

describe('the SQLite store of a killed process', () => {
  it('holds every committed batch whole and no half one', { timeout: 60_000 }, async () => {
    const dir = newFolder()
    for (const killAfter of [1, 23, 60, 150]) {
      const { child, lines } = run(dir, 'write')
      expect((await lines.next()).value).toBe('locked')
      let said = 0
      for (let line = 0; line < killAfter; line++) said = Number((await lines.next()).value)
      // It goes on committing while this signal is on its way, so the kill falls anywhere in a transaction.
      child.kill('SIGKILL')
      for await (const line of lines) said = Number(line)

      const store = openSqliteStore(dir)
      const last = Number(store.value('last'))
      expect([said, said + 1]).toContain(last)
      const slots = store.counters('r').get('r')!
      expect(slots.size).toBe(40)
      expect(new Set(slots.values())).toEqual(new Set([last]))
      const entries = store.log('r')
      // A batch may be there without the entry that follows it; an announced batch is not.
      const newest = entries.at(-1)
      expect(Number(newest?.body ?? 0)).toBeGreaterThanOrEqual(said - (said % 7))
      expect(Number(newest?.body ?? 0)).toBeLessThanOrEqual(last)
      expect(entries.map(entry => entry.base)).toEqual([0, ...entries.map(entry => entry.sequence)].slice(0, -1))
      store.close()
    }
  })
})

// A limit on file size is what a test can do to fill a disk without one.
describe.skipIf(process.platform === 'win32' || !existsSync('/bin/sh'))('the SQLite store on a full disk', () => {
  it('refuses the batch that does not fit, keeps all before it, and can still be read', {
    timeout: 60_000,
  }, async () => {
    const dir = newFolder()
    const { lines } = run(dir, 'fill', 'ulimit -f 2048; ')
    let said = 0
    let failed = ''
    for await (const line of lines) {
      if (line.startsWith('STATE_FAILED')) failed = line
      else if (line !== 'locked') said = Number(line)
    }
    expect(said).toBeGreaterThan(10)
    expect(failed).toMatch(
      /^STATE_FAILED the state store could not be written: (the disk is full|an input or output error)/,
    )
    expect(failed).toContain(`at ${said + 1}, kept ${said}`)

    const store = openSqliteStore(dir)
    expect(new Set(store.counters('r').get('r')!.values())).toEqual(new Set([said]))
    store.commit({ counters: [{ key: 'r', slot: 'again', amount: 1 }] })
    expect(store.counters('r').get('r')?.get('again')).toBe(1)
    store.close()
  })
})

function run(
  dir: string,
  mode: string,
  before = '',
): { child: ChildProcess; lines: AsyncIterator<string> & AsyncIterable<string> } {
  const script = join(import.meta.dirname, 'killedWriter.ts')
  const child = spawn('/bin/sh', ['-c', `${before}exec "$@"`, 'sh', process.execPath, script, dir, mode], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  return { child, lines }
}

function thrownBy(work: () => unknown): Error {
  try {
    work()
  } catch (error) {
    return error as Error
  }
  throw new Error('expected it to throw')
}
