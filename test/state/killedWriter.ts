// Run as a process of its own: commits batch after batch and says so, until it is killed or the disk is full.
import { writeSync } from 'node:fs'
import { asUnderstudyError } from '../../src/errors.ts'
import { openSqliteStore, openStateLock } from '../../src/state/sqlite.ts'

const [dir, mode] = process.argv.slice(2)
if (dir === undefined) throw new Error('usage: killedWriter.ts DIR [lock|fill]')

openStateLock(dir)
writeSync(1, 'locked\n')
if (mode === 'lock') setInterval(() => {}, 1000)
else write(dir)

function write(dir: string): void {
  const store = openSqliteStore(dir)
  const filler = mode === 'fill' ? 'x'.repeat(4000) : ''
  let head = store.log('r').at(-1)?.sequence ?? 0
  let batch = Number(store.value('last') ?? 0)
  try {
    for (;;) {
      batch += 1
      const counters = Array.from({ length: 40 }, (_, slot) => ({ key: 'r', slot: String(slot), amount: 1 }))
      const values = [{ key: 'last', value: String(batch) }]
      store.commit({
        counters,
        values,
        pending: [{ scope: 'r', id: String(batch), at: batch, body: filler }],
        resolved: mode === 'fill' ? [] : [{ scope: 'r', id: String(batch - 20) }],
      })
      if (batch % 7 === 0) head = store.append('r', head, batch, String(batch)).sequence
      writeSync(1, `${batch}\n`)
    }
  } catch (error) {
    const failed = asUnderstudyError(error)
    writeSync(1, `${failed.code} ${failed.message} at ${batch}, kept ${store.value('last')}\n`)
    store.close()
  }
}
