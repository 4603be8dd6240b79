// Run as a process of its own: answers, labels and sweeps batch after batch, and says so until it is killed.
import { writeSync } from 'node:fs'
import { ArmLabels, type ArmPending, type ArmRoute, armScope } from '../../src/evidence/armLabels.ts'
import { openSqliteStore } from '../../src/state/sqlite.ts'

const [dir] = process.argv.slice(2)
if (dir === undefined) throw new Error('usage: killedSweep.ts DIR')

const store = openSqliteStore(dir)
const arms = new ArmLabels(store)
const route: ArmRoute = { spec: { loss: 'brier', clip: 1 }, within: 100, isPresent: () => true }
const body = JSON.stringify({ arms: [['key', 'c']], p: 0.5, s: [] } satisfies ArmPending)

// Its clock is the number of answers: one a millisecond, every second one labelled as soon as it is kept.
let made = Number(store.value('made') ?? 0)
let newest = Array.from({ length: 30 }, (_, index) => made - index)
for (;;) {
  // Of an earlier process the newest labels again: nobody was answered that they are kept.
  for (const at of newest) if (at % 2 === 0) arms.join('risk', String(at), 1, route, made)
  newest = Array.from({ length: 30 }, () => ++made)
  arms.sweep('risk', route, made, made, 37)
  const { counters, labelled, resolved } = arms.take()
  store.commit({
    pending: newest.map(at => ({ scope: armScope('risk'), id: String(at), at, body })),
    counters: [...counters].flatMap(([key, slots]) => [...slots].map(([slot, amount]) => ({ key, slot, amount }))),
    labelled,
    resolved,
    values: [{ key: 'made', value: String(made) }],
  })
  arms.kept()
  writeSync(1, `${made}\n`)
}
