// Remembers which sticky units were counted already, over restarts too: GATE.md counts a unit once per salt.
import type { StateStore } from '../state/store.ts'

interface Record {
  readonly bits: SharedArrayBuffer
  /** Bits that were set when it was kept last. Bits are only ever set, so an equal number means no change. */
  kept: number
  filled: number
}

const BYTES = 1024 * 1024
const HALF = 0.5

/** One bitmap a sticky route, shared with the serving threads, which set its bits. */
export class SeenUnits {
  readonly #store: Pick<StateStore, 'value'>
  readonly #records = new Map<string, Record>()

  constructor(store: Pick<StateStore, 'value'>) {
    this.#store = store
  }

  /** The bitmap of a route. @throws STATE_FAILED only at the first sight of a route */
  of(route: string): SharedArrayBuffer {
    let record = this.#records.get(route)
    if (record === undefined) {
      const bits = new SharedArrayBuffer(BYTES)
      const stored = this.#store.value(keyOf(route))
      if (stored !== undefined) new Uint8Array(bits).set(Buffer.from(stored, 'base64').subarray(0, BYTES))
      const filled = bitsSet(bits)
      record = { bits, kept: filled, filled }
      this.#records.set(route, record)
    }
    return record.bits
  }

  /** What has changed since it was taken last, as values for the store. */
  takeChanged(): { readonly key: string; readonly value: string }[] {
    const changed = []
    for (const [route, record] of this.#records) {
      record.filled = bitsSet(record.bits)
      if (record.filled === record.kept) continue
      record.kept = record.filled
      changed.push({ key: keyOf(route), value: Buffer.from(record.bits).toString('base64') })
    }
    return changed
  }

  /** What a person must know of a route's record: a new unit is taken for a counted one as often as the map is full. */
  notice(route: string): string | undefined {
    const record = this.#records.get(route)
    if (record === undefined || record.filled <= HALF * BYTES * 8) return undefined
    const percent = Math.floor((100 * record.filled) / (BYTES * 8))
    return `the record of counted users is ${percent >= 51 ? `${percent} %` : 'half'} full: as many of the new users are not counted, so evidence comes more slowly`
  }
}

function keyOf(route: string): string {
  return `seen/${route}`
}

function bitsSet(bits: SharedArrayBuffer): number {
  let sum = 0
  for (const word of new Uint32Array(bits)) {
    if (word === 0) continue
    let rest = word - ((word >>> 1) & 0x55555555)
    rest = (rest & 0x33333333) + ((rest >>> 2) & 0x33333333)
    sum += Math.imul((rest + (rest >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
  }
  return sum
}
