// A process that gathers evidence as a gateway's control thread does and measures its memory. Needs --expose-gc.
// Arguments: kind, comparisons of each candidate, seed, folder of the state. Prints an `EvidenceMemory` as JSON.
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { Route } from '../../src/config/schema.ts'
import { EvidenceBook } from '../../src/control/evidence.ts'
import type { ReadonlyCounters } from '../../src/evidence/counters.ts'
import type { CounterDeltas } from '../../src/evidence/epochPost.ts'
import { KeptCounters } from '../../src/evidence/keptCounters.ts'
import { judge } from '../../src/gate/verdict.ts'
import { seededRandom } from '../../src/load/schedule.ts'
import { openSqliteStore } from '../../src/state/sqlite.ts'
import type { EvidenceMemory } from './evidence.ts'
import { metricSlots } from './metricSlots.ts'
import { type Kind, LIMITS, Observations } from './observations.ts'

const CANDIDATES = 4
const EPOCH_COMPARISONS = 10_000
/** Of the largest slot: its bytes are the difference of two heaps, and one copy would be lost in it. */
const COPIES = 32

const [kind, comparisons, seed, folder] = process.argv.slice(2) as [Kind, string, string, string]
const policy = Route.parse({
  live: '1.0.0',
  versions: { '1.0.0': { onnx: 'm/1.0.0', weight: 50 } },
  labels: { loss: 'brier' },
  gate: { difference: 0.02 },
})

const store = openSqliteStore(folder)
const routes = Array.from({ length: CANDIDATES }, (_, index) => `m${index}`)
/** Let go of at the end, to see what it held; used in functions only, whose registers end with them. */
const held: { book?: EvidenceBook } = { book: new EvidenceBook(store) }
const { counters, slots, largest, largestBytes } = measured()
// By what is freed and not by what was added: in a run of minutes the heap loses megabytes of compiled code.
const before = heldBytes()
delete held.book
const bytes = before - heldBytes()
store.close()
const result: EvidenceMemory = {
  kind,
  comparisons: Number(comparisons),
  counters,
  metricSlots: slots,
  candidateBytes: bytes / CANDIDATES,
  slotBytes: bytes / CANDIDATES / slots,
  largestSlot: largest,
  largestSlotBytes: largestBytes,
  storeBytes: statSync(join(folder, 'state.db')).size / CANDIDATES,
}
process.stdout.write(`${JSON.stringify(result)}\n`)

function measured() {
  const book = held.book!
  const keys = routes.map(name => follow(book, name))
  gather(book, keys, Number(comparisons))
  for (const route of routes) judge(book.evidence(route, '1.1.0')!, policy)
  const counters = book.counters(keys[0]!)
  const slots = metricSlots(counters.keys())
  const [largest, names] = [...slots].sort(([, a], [, b]) => b.length - a.length)[0]!
  return { counters: counters.size, slots: slots.size, largest, largestBytes: bytesOf(counters, names) }
}

/** The key of a new candidate. */
function follow(book: EvidenceBook, name: string): string {
  const side = (version: string) => ({ version, digest: `${name} ${version}`, weight: 50 })
  const candidate = { ...side('1.1.0'), mirrored: true, cleared: 0 }
  const route = { name, live: side('1.0.0'), candidates: [candidate], compareDigest: 'compare', limits: {}, salt: name }
  return book.follow(route, LIMITS, 0).get('1.1.0')!
}

function gather(book: EvidenceBook, keys: readonly string[], each: number): void {
  const random = seededRandom(Number(seed))
  const sources = keys.map(key => [key, new Observations(kind, random)] as const)
  for (let done = 0, epoch = 1; done < each; epoch++) {
    const size = Math.min(EPOCH_COMPARISONS, each - done)
    const deltas: CounterDeltas = new Map()
    for (const [key, source] of sources) {
      source.begin(book.counters(key))
      for (let index = 0; index < size; index++) source.count(deltas, key, true, 1)
    }
    book.commit([{ epoch, counters: deltas, pending: [] }], { counters: [], resolved: [] })
    done += size
  }
}

/** Of one metric slot as the book keeps it, as a mean over copies. */
function bytesOf(counters: ReadonlyCounters, names: readonly string[]): number {
  const copies = Array.from({ length: COPIES }, () => copyOf(counters, names))
  const before = heldBytes()
  copies.length = 0
  return (before - heldBytes()) / COPIES
}

function copyOf(counters: ReadonlyCounters, names: readonly string[]): KeptCounters {
  const copy = new KeptCounters()
  // With names of its own, as they come out of messages.
  for (const name of names) copy.add(Buffer.from(name).toString('latin1'), counters.get(name)!)
  // Reads them in the order of their names, as the gate does, which keeps some of that.
  copy.visit(() => {})
  return copy
}

/** What is reachable: objects of the heap, and what lies outside of it. */
function heldBytes(): number {
  for (let turn = 0; turn < 3; turn++) globalThis.gc!()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
