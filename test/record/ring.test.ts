import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createDoorbell, createRing, nap, RingConsumer, RingProducer, sleep } from '../../src/record/ring.ts'

function open(bytes = 4096) {
  const ring = createRing(bytes)
  const doorbell = createDoorbell()
  return { ring, doorbell, producer: new RingProducer(ring, doorbell), consumer: new RingConsumer(ring) }
}

function put(producer: RingProducer, record: Uint8Array, isAwaited = true): boolean {
  const at = producer.reserve(record.length)
  if (at < 0) return false
  producer.bytes.set(record, at)
  producer.publish(isAwaited)
  return true
}

function takeAll(consumer: RingConsumer): Buffer[] {
  const records: Buffer[] = []
  consumer.drain(({ bytes, start, end }) => records.push(Buffer.from(bytes.subarray(start, end))))
  return records
}

describe('a ring', () => {
  it('that is empty gives nothing', () => {
    const { consumer } = open()
    expect(consumer.isEmpty()).toBe(true)
    expect(takeAll(consumer)).toEqual([])
  })

  it('carries records of no bytes at all', () => {
    const { producer, consumer } = open()
    expect(put(producer, Buffer.alloc(0))).toBe(true)
    expect(put(producer, Buffer.from('x'))).toBe(true)
    expect(takeAll(consumer).map(String)).toEqual(['', 'x'])
  })

  it('gives records in order, each once', () => {
    const { producer, consumer } = open()
    for (const text of ['one', 'two', 'three']) put(producer, Buffer.from(text))
    expect(takeAll(consumer).map(String)).toEqual(['one', 'two', 'three'])
    expect(takeAll(consumer)).toEqual([])
    expect(consumer.isEmpty()).toBe(true)
  })

  it('shows nothing of a record that is reserved and not published', () => {
    const { producer, consumer } = open()
    const at = producer.reserve(100)
    expect(at).toBeGreaterThanOrEqual(0)
    expect(consumer.isEmpty()).toBe(true)
    expect(takeAll(consumer)).toEqual([])
  })

  it('refuses a record larger than itself, and one that has no room, and works on', () => {
    const { producer, consumer } = open()
    expect(put(producer, Buffer.alloc(5000))).toBe(false)
    const record = Buffer.alloc(1000, 7)
    let written = 0
    while (put(producer, record)) written++
    expect(written).toBeGreaterThanOrEqual(3)
    expect(written).toBeLessThanOrEqual(4)
    expect(takeAll(consumer)).toHaveLength(written)
    expect(put(producer, record)).toBe(true)
    expect(takeAll(consumer)).toEqual([record])
  })

  it('has room again record by record while it is drained, not only at the end', () => {
    const { producer, consumer } = open()
    while (put(producer, Buffer.alloc(1000)));
    let during = 0
    consumer.drain(() => {
      if (during++ === 1) expect(put(producer, Buffer.alloc(900))).toBe(true)
    })
  })

  it('keeps every byte through thousands of wraps at every alignment', () => {
    const { producer, consumer } = open()
    let length = 1
    for (let round = 0; round < 20_000; round++) {
      length = (length * 37 + 11) % 1500
      const record = Buffer.alloc(length, round)
      if (!put(producer, record)) throw new Error('an empty ring has no room')
      const [taken, ...others] = takeAll(consumer)
      if (others.length > 0 || !taken?.equals(record)) throw new Error(`round ${round} came out changed`)
    }
  })

  it('keeps order and bytes whatever is written and drained when (property)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.uint8Array({ maxLength: 2000 }), fc.constant('drain' as const)), { maxLength: 200 }),
        steps => {
          const { producer, consumer } = open()
          const expected: Buffer[] = []
          const taken: Buffer[] = []
          for (const step of steps) {
            if (step === 'drain') taken.push(...takeAll(consumer))
            else if (put(producer, step)) expected.push(Buffer.from(step))
          }
          taken.push(...takeAll(consumer))
          return taken.length === expected.length && taken.every((record, index) => record.equals(expected[index]!))
        },
      ),
      { seed: 3, numRuns: 200 },
    )
  })

  it('keeps working where its 32-bit cursors run over', () => {
    const ring = createRing(4096)
    // Both cursors stand shortly before 2^32, as after four gigabytes of records.
    const control = new Int32Array(ring)
    control[0] = (2 ** 32 - 4096) | 0
    control[16] = (2 ** 32 - 4096) | 0
    const producer = new RingProducer(ring, createDoorbell())
    const consumer = new RingConsumer(ring)
    for (let round = 0; round < 50; round++) {
      const records = [Buffer.alloc(700, round), Buffer.alloc(701, round + 1), Buffer.alloc(1, round + 2)]
      for (const record of records) expect(put(producer, record)).toBe(true)
      expect(takeAll(consumer)).toEqual(records)
    }
  })

  it('goes on after its consumer is replaced, from the first record that was not taken', () => {
    const { ring, producer, consumer } = open()
    put(producer, Buffer.from('taken'))
    takeAll(consumer)
    put(producer, Buffer.from('left'))
    expect(takeAll(new RingConsumer(ring)).map(String)).toEqual(['left'])
  })

  it('tells up to which epoch everything has been published', () => {
    const { producer, consumer } = open()
    producer.settle(41)
    expect(consumer.settledEpoch()).toBe(41)
  })

  it('has at least the memory asked for, as a power of two', () => {
    expect(createRing(1).byteLength).toBeGreaterThanOrEqual(4096)
    expect(createRing(100_000).byteLength).toBeGreaterThanOrEqual(131_072)
  })
})

describe('a producer on another thread', () => {
  it('loses, doubles and changes nothing of what it was told it wrote, while the ring is full again and again', async () => {
    const ring = createRing(16_384)
    const doorbell = createDoorbell()
    const source = `
      const { parentPort, workerData } = require('node:worker_threads')
      import(workerData.module).then(({ RingProducer }) => {
        const producer = new RingProducer(workerData.ring, workerData.doorbell)
        let refused = 0
        for (let number = 0; number < workerData.count; ) {
          const length = 8 + (number * 131) % 3000
          const at = producer.reserve(length)
          if (at < 0) { refused++; Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0.01); continue }
          producer.bytes.fill(number & 255, at, at + length)
          producer.view.setUint32(at, number, true)
          producer.publish()
          number++
        }
        parentPort.postMessage(refused)
      })`
    const count = 30_000
    const module = new URL('../../src/record/ring.ts', import.meta.url).href
    const worker = new Worker(source, { eval: true, workerData: { module, ring, doorbell, count } })
    onTestFinished(async () => void (await worker.terminate()))
    let refused: number | undefined
    const failed = new Promise<never>((_, reject) => worker.once('error', reject))
    worker.once('message', (value: number) => (refused = value))
    const consumer = new RingConsumer(ring)
    let next = 0
    const read = async () => {
      while (next < count) {
        consumer.drain(({ bytes, start, end }) => {
          const record = bytes.subarray(start, end)
          const number = record.readUInt32LE(0)
          if (number !== next) throw new Error(`got record ${number}, expected ${next}`)
          if (record.length !== 8 + ((number * 131) % 3000)) throw new Error(`record ${number} has another length`)
          for (let at = 4; at < record.length; at++) {
            if (record[at] !== (number & 255)) throw new Error(`record ${number} is changed at ${at}`)
          }
          next++
        })
        await sleep(doorbell, () => consumer.isEmpty(), 100)
      }
    }
    await Promise.race([read(), failed])
    expect(next).toBe(count)
    await expect.poll(() => refused).toBeGreaterThan(0)
  })
})

describe('a consumer that sleeps', () => {
  it('is woken by the next record, long before its timeout', async () => {
    const { doorbell, producer, consumer } = open()
    const startedAt = performance.now()
    const sleeping = sleep(doorbell, () => consumer.isEmpty(), 10_000)
    setImmediate(() => put(producer, Buffer.from('wake')))
    await sleeping
    expect(performance.now() - startedAt).toBeLessThan(2_000)
    expect(takeAll(consumer).map(String)).toEqual(['wake'])
  })

  it('does not sleep at all when there is a record already', async () => {
    const { producer, consumer } = open()
    put(producer, Buffer.from('there'))
    const startedAt = performance.now()
    await sleep(createDoorbell(), () => consumer.isEmpty(), 10_000)
    expect(performance.now() - startedAt).toBeLessThan(2_000)
  })

  it('is left to sleep by a record that nobody waits for, and finds it when it looks', async () => {
    const { doorbell, producer, consumer } = open()
    let isAwake = false
    const sleeping = sleep(doorbell, () => consumer.isEmpty(), 60_000).then(() => (isAwake = true))
    put(producer, Buffer.alloc(100), false)
    await new Promise(resolve => setTimeout(resolve, 100))
    expect(isAwake).toBe(false)
    expect(takeAll(consumer)).toHaveLength(1)
    put(producer, Buffer.from('wake'))
    await sleeping
    expect(takeAll(consumer).map(String)).toEqual(['wake'])
  })

  it('is woken by a record that nobody waits for when it leaves little room, and not again before there is as little', async () => {
    const { doorbell, producer, consumer } = open()
    for (let round = 0; round < 3; round++) {
      let isAwake = false
      const sleeping = sleep(doorbell, () => consumer.isEmpty(), 60_000).then(() => (isAwake = true))
      for (let index = 0; index < 4; index++) put(producer, Buffer.alloc(200), false)
      await new Promise(resolve => setTimeout(resolve, 20))
      expect(isAwake).toBe(false)
      put(producer, Buffer.alloc(200), false)
      await sleeping
      expect(takeAll(consumer)).toHaveLength(5)
    }
  })

  it('wakes at its timeout when nothing comes', async () => {
    const { consumer } = open()
    await sleep(createDoorbell(), () => consumer.isEmpty(), 20)
    expect(consumer.isEmpty()).toBe(true)
  })
})

describe('a consumer that naps', () => {
  it('is left to nap by records that somebody waits for, and woken once they leave little room', async () => {
    const { doorbell, producer, consumer } = open()
    for (let round = 0; round < 3; round++) {
      let isAwake = false
      const napping = nap(doorbell, () => consumer.isFilling(), 60_000).then(() => (isAwake = true))
      for (let index = 0; index < 4; index++) put(producer, Buffer.alloc(200))
      await new Promise(resolve => setTimeout(resolve, 20))
      expect(isAwake).toBe(false)
      put(producer, Buffer.alloc(200))
      await napping
      expect(takeAll(consumer)).toHaveLength(5)
    }
  })

  it('does not nap at all when there is little room already', async () => {
    const { producer, consumer } = open()
    for (let index = 0; index < 5; index++) put(producer, Buffer.alloc(200))
    const startedAt = performance.now()
    await nap(createDoorbell(), () => consumer.isFilling(), 10_000)
    expect(performance.now() - startedAt).toBeLessThan(2_000)
  })

  it('lets other events happen even when there is always little room', async () => {
    let others = 0
    const ticking = setInterval(() => others++, 0)
    onTestFinished(() => clearInterval(ticking))
    const doorbell = createDoorbell()
    const until = performance.now() + 5_000
    while (others < 5 && performance.now() < until) await nap(doorbell, () => true, 10_000)
    expect(others).toBe(5)
    while (others < 10 && performance.now() < until) await sleep(doorbell, () => false, 10_000)
    expect(others).toBe(10)
  })

  it('wakes at its timeout whatever has come', async () => {
    const { producer, consumer } = open()
    put(producer, Buffer.from('there'))
    const startedAt = performance.now()
    await nap(createDoorbell(), () => consumer.isFilling(), 20)
    expect(performance.now() - startedAt).toBeGreaterThan(15)
    expect(takeAll(consumer).map(String)).toEqual(['there'])
  })
})
