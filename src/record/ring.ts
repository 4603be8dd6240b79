// A bounded single-producer, single-consumer queue of byte records in shared memory. It drops, and never waits.
import { Buffer } from 'node:buffer'

// Cursors stand on cache lines of their own, or each side's writes would evict the other's.
const HEAD = 0
const TAIL = 16
const SETTLED_EPOCH = 32
const CONTROL_BYTES = 256
const FRAME_BYTES = 8
const PADDING = 0xffff_ffff
/** A ring that is full to this part is emptied, whoever waits for what is in it. */
const FILLING = 4

/** Memory of one ring with at least `bytes` for records, rounded up to a power of two (at most 1 GiB). */
export function createRing(bytes: number): SharedArrayBuffer {
  const capacity = Math.min(2 ** 30, Math.max(4096, 2 ** Math.ceil(Math.log2(bytes))))
  return new SharedArrayBuffer(CONTROL_BYTES + capacity)
}

/** The words by which the consumer sleeps: shared by all rings of one consumer. */
export function createDoorbell(): SharedArrayBuffer {
  return new SharedArrayBuffer(8)
}
const STATE = 0
const RINGS = 1
/** What the consumer does. Producers look at it after each record. */
const AWAKE = 0
/** Woken by the next record that somebody waits for. */
const ASLEEP = 1
/** It looks by itself soon, and is woken only where a ring is filling. */
const NAPPING = 2

export class RingProducer {
  readonly #control: Int32Array
  readonly #doorbell: Int32Array
  readonly #capacity: number
  /** The record area; offsets given to writers count from its start. */
  readonly bytes: Buffer
  readonly view: DataView
  #head: number
  #cachedTail: number
  #reserved = 0

  constructor(ring: SharedArrayBuffer, doorbell: SharedArrayBuffer) {
    this.#control = new Int32Array(ring, 0, CONTROL_BYTES / 4)
    this.#doorbell = new Int32Array(doorbell)
    this.#capacity = ring.byteLength - CONTROL_BYTES
    this.bytes = Buffer.from(ring, CONTROL_BYTES, this.#capacity)
    this.view = new DataView(ring, CONTROL_BYTES, this.#capacity)
    this.#head = Atomics.load(this.#control, HEAD) >>> 0
    this.#cachedTail = Atomics.load(this.#control, TAIL) >>> 0
  }

  /** Offset at which `size` bytes may be written, or −1 when the ring is too full. Must be followed by `publish`. */
  reserve(size: number): number {
    const frame = (FRAME_BYTES + size + 7) & ~7
    let at = this.#head & (this.#capacity - 1)
    const untilEnd = this.#capacity - at
    const needed = frame <= untilEnd ? frame : untilEnd + frame
    if (!this.#fits(needed)) return -1
    if (frame > untilEnd) {
      this.view.setUint32(at, PADDING, true)
      at = 0
    }
    this.view.setUint32(at, size, true)
    this.#reserved = needed
    return at + FRAME_BYTES
  }

  /**
   * Makes the reserved record visible, and wakes the consumer if it sleeps and must not. To be woken costs the consumer's
   * thread more than a record does, so what nobody waits for lies there until it looks by itself, or room becomes scarce.
   */
  publish(isAwaited = true): void {
    this.#head = (this.#head + this.#reserved) >>> 0
    Atomics.store(this.#control, HEAD, this.#head | 0)
    const state = Atomics.load(this.#doorbell, STATE)
    if (state === AWAKE) return
    if ((isAwaited && state === ASLEEP) || this.#isFilling()) this.#ring()
  }

  /** Says that every record of requests admitted up to `epoch` has been published or dropped. */
  settle(epoch: number): void {
    Atomics.store(this.#control, SETTLED_EPOCH, epoch)
  }

  #isFilling(): boolean {
    const most = this.#capacity / FILLING
    if ((this.#head - this.#cachedTail) >>> 0 <= most) return false
    this.#cachedTail = Atomics.load(this.#control, TAIL) >>> 0
    return (this.#head - this.#cachedTail) >>> 0 > most
  }

  #fits(needed: number): boolean {
    if (needed > this.#capacity) return false
    if (this.#capacity - ((this.#head - this.#cachedTail) >>> 0) >= needed) return true
    this.#cachedTail = Atomics.load(this.#control, TAIL) >>> 0
    return this.#capacity - ((this.#head - this.#cachedTail) >>> 0) >= needed
  }

  #ring(): void {
    Atomics.store(this.#doorbell, STATE, AWAKE)
    Atomics.add(this.#doorbell, RINGS, 1)
    Atomics.notify(this.#doorbell, RINGS)
  }
}

/** Where a record lies in the ring: until the next is taken, when the same object tells of that one. */
export interface PackedPlace {
  readonly bytes: Buffer
  readonly view: DataView
  readonly start: number
  /** Behind its last byte. */
  readonly end: number
}

export class RingConsumer {
  readonly #control: Int32Array
  readonly #capacity: number
  // One for all records: a view of each would cost as much as reading its fields.
  readonly #place: { -readonly [Key in keyof PackedPlace]: PackedPlace[Key] }
  #tail: number

  constructor(ring: SharedArrayBuffer) {
    this.#control = new Int32Array(ring, 0, CONTROL_BYTES / 4)
    this.#capacity = ring.byteLength - CONTROL_BYTES
    const bytes = Buffer.from(ring, CONTROL_BYTES, this.#capacity)
    const view = new DataView(ring, CONTROL_BYTES, this.#capacity)
    this.#place = { bytes, view, start: 0, end: 0 }
    this.#tail = Atomics.load(this.#control, TAIL) >>> 0
  }

  /**
   * Hands every record published so far to `take`, which must copy what it keeps: the bytes are overwritten later.
   * @returns how many there were
   */
  drain(take: (record: PackedPlace) => void): number {
    const place = this.#place
    const { view } = place
    const head = Atomics.load(this.#control, HEAD) >>> 0
    let records = 0
    while (this.#tail !== head) {
      let at = this.#tail & (this.#capacity - 1)
      let size = view.getUint32(at, true)
      if (size === PADDING) {
        this.#tail = (this.#tail + this.#capacity - at) >>> 0
        at = 0
        size = view.getUint32(0, true)
      }
      place.start = at + FRAME_BYTES
      place.end = place.start + size
      take(place)
      this.#tail = (this.#tail + ((FRAME_BYTES + size + 7) & ~7)) >>> 0
      // Released record by record: a long drain must not look like a full ring to the producer.
      Atomics.store(this.#control, TAIL, this.#tail | 0)
      records++
    }
    return records
  }

  /** Read before `drain`: all records of epochs up to this one are then in hand. */
  settledEpoch(): number {
    return Atomics.load(this.#control, SETTLED_EPOCH)
  }

  isEmpty(): boolean {
    return Atomics.load(this.#control, HEAD) >>> 0 === this.#tail
  }

  /** Whether it is to be emptied before the consumer would look by itself. */
  isFilling(): boolean {
    return (Atomics.load(this.#control, HEAD) - this.#tail) >>> 0 > this.#capacity / FILLING
  }
}

/** Sleeps until there is a record that somebody waits for, a ring is filling or `timeoutMs` passes. */
export function sleep(doorbell: SharedArrayBuffer, isEmpty: () => boolean, timeoutMs: number): Promise<void> {
  return waitAs(ASLEEP, doorbell, isEmpty, timeoutMs)
}

/** Sleeps until a ring is filling or `timeoutMs` passes, whoever waits for what comes meanwhile. */
export function nap(doorbell: SharedArrayBuffer, isFilling: () => boolean, timeoutMs: number): Promise<void> {
  return waitAs(NAPPING, doorbell, () => !isFilling(), timeoutMs)
}

async function waitAs(
  state: typeof ASLEEP | typeof NAPPING,
  doorbell: SharedArrayBuffer,
  mayWait: () => boolean,
  timeoutMs: number,
): Promise<void> {
  const words = new Int32Array(doorbell)
  const rings = Atomics.load(words, RINGS)
  Atomics.store(words, STATE, state)
  // Asked now: what was published between the last drain and the flag has rung no bell.
  const waiting = mayWait() ? Atomics.waitAsync(words, RINGS, rings, timeoutMs) : undefined
  if (waiting?.async) await waiting.value
  // A consumer that cannot keep up has other events too.
  else await new Promise(resolve => setImmediate(resolve))
  Atomics.store(words, STATE, AWAKE)
}
