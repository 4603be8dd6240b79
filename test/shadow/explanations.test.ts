import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import type { Tensor } from '../../src/protocols/tensor.ts'
import type { Look } from '../../src/shadow/explain.ts'
import { Explanations } from '../../src/shadow/explanations.ts'
import type { Kind } from '../../src/shadow/kinds.ts'
import { Task } from '../../src/shadow/task.ts'
import { answered, BODY, mirrored, recordOf, route } from './remembered.ts'

const bounds = { requests: 100, bytes: 10_000_000, perSecond: 1_000, atOnce: 1_000 }
const memoryOf = (changes: Partial<typeof bounds> = {}) => new Explanations(ms => ms, { ...bounds, ...changes })

interface Kept {
  readonly id?: string
  readonly ownId?: boolean
  readonly startMs?: number
  readonly request?: string
  readonly name?: string
  readonly looks?: readonly Look[]
  readonly kinds?: readonly Kind[]
}

function keep(
  memory: Explanations,
  { id = 'id', ownId = false, startMs = 0, request, name = 'm', looks = [], kinds = ['ordinary'] }: Kept,
): void {
  const record = recordOf({ requestId: id, ownId, startMs, ...(request !== undefined && { request }) })
  memory.keep(new Task(record, { ...route, name }), looks, undefined, kinds)
}

const timesOf = (memory: Explanations, id: string, of?: string) =>
  memory.find(id, of).explanations.map(({ at }) => new Date(at).getTime())

describe('the memory of requests', () => {
  it('knows nothing at first, and says so', () => {
    expect(memoryOf().find('id', undefined)).toEqual({
      explanations: [],
      seen: 0,
      memory: {
        requests: 0,
        most: 100,
        mostBytes: 10_000_000,
        perSecond: 1_000,
        atOnce: 1_000,
        passedOver: 0,
        since: null,
      },
    })
  })

  it('keeps as many as it may, the newest, and says since when', () => {
    const memory = memoryOf({ requests: 3 })
    for (let index = 0; index < 10; index++) keep(memory, { id: `id-${index}`, startMs: index })
    expect(['id-6', 'id-7', 'id-8', 'id-9'].map(id => timesOf(memory, id))).toEqual([[], [7], [8], [9]])
    expect(memory.find('id-0', undefined).memory).toMatchObject({ requests: 3, since: new Date(7).toISOString() })
  })

  it('is looked at without anything being kept longer for it', () => {
    const memory = memoryOf({ requests: 2 })
    keep(memory, { id: 'a' })
    keep(memory, { id: 'b' })
    memory.find('a', undefined)
    keep(memory, { id: 'c' })
    expect(timesOf(memory, 'a')).toEqual([])
  })

  it('keeps the bytes of a request, and nothing that lay beside them in memory', async () => {
    const memory = memoryOf()
    const pools: WeakRef<ArrayBuffer>[] = []
    /** As bodies come: in a pool with those of others. */
    const pooled = (text: string, type: 'bytes' | 'floats' = 'bytes') => {
      const pool = new ArrayBuffer(65_536)
      pools.push(new WeakRef(pool))
      if (type === 'floats') return new Float32Array(pool, 1024, 2).fill(0.5)
      const bytes = Buffer.from(pool, 1024, text.length)
      bytes.write(text)
      return bytes
    }
    const keepOne = () => {
      const record = recordOf({ requestId: 'one' })
      const answer = Buffer.from(record.answer).toString()
      const bodies = { request: pooled(BODY) as Buffer, answer: pooled(answer) as Buffer }
      const output = { name: 'p', datatype: 'FP32', shape: [2], data: pooled('', 'floats') } as Tensor
      const outcome = { ok: true, outputs: [output], raw: pooled('raw') as Buffer, inferMs: 1, queueMs: 0 } as const
      const observation = { outcome, batched: false, sentMs: 0, spanId: '' }
      const looks = [{ version: route.versions[2]!, isReversed: false, observation }]
      memory.keep(new Task({ ...record, ...bodies }, route), looks, undefined, ['different'])
    }
    keepOne()
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    await new Promise(resolve => setTimeout(resolve))
    collect()
    expect(pools.map(pool => pool.deref())).toEqual([undefined, undefined, undefined, undefined])
    const [explanation] = memory.find('one', undefined).explanations
    expect(JSON.stringify(explanation)).toContain('0.5')
  })

  it('is bounded by the bytes of inputs and answers too', () => {
    const memory = memoryOf({ bytes: 100_000 })
    const request = 'x'.repeat(30_000)
    for (let index = 0; index < 10; index++) keep(memory, { id: `id-${index}`, startMs: index, request })
    expect(memory.find('id-9', undefined).memory.requests).toBe(3)
    const values = new Array(5_000).fill(0)
    for (let index = 10; index < 20; index++)
      keep(memory, { id: `id-${index}`, looks: [mirrored(answered(...values))] })
    expect(memory.find('id-19', undefined).memory.requests).toBe(4)
  })

  it('passes over one request that is larger than all of it', () => {
    const memory = memoryOf({ bytes: 10_000 })
    keep(memory, { id: 'small' })
    keep(memory, { id: 'large', request: 'x'.repeat(20_000) })
    expect([timesOf(memory, 'large'), timesOf(memory, 'small')]).toEqual([[], [0]])
  })

  it('keeps requests that share an id, the newest first, a few of them, and counts them all', () => {
    const memory = memoryOf()
    for (let index = 0; index < 3; index++) keep(memory, { startMs: index })
    expect(timesOf(memory, 'id')).toEqual([2, 1, 0])
    for (let index = 3; index < 30; index++) keep(memory, { startMs: index })
    expect(timesOf(memory, 'id')).toEqual([29, 28, 27, 26, 25, 24, 23, 22])
    expect(memory.find('id', undefined)).toMatchObject({ seen: 30, memory: { requests: 1 } })
  })

  it('counts with an id that was made here what a client sends with it again', () => {
    const memory = memoryOf()
    keep(memory, { ownId: true })
    keep(memory, { startMs: 1 })
    expect(timesOf(memory, 'id')).toEqual([1, 0])
    expect(memory.find('id', undefined).seen).toBe(2)
  })

  it('tells routes apart where one is asked for, and finds an id in all of them otherwise', () => {
    const memory = memoryOf()
    keep(memory, { name: 'a', startMs: 1 })
    keep(memory, { name: 'b', startMs: 2 })
    expect(timesOf(memory, 'id', 'a')).toEqual([1])
    expect(timesOf(memory, 'id', 'c')).toEqual([])
    expect(memory.find('id', undefined).explanations.map(each => each.route)).toEqual(['b', 'a'])
  })

  it('passes over what comes faster than its kind may, whatever the other kinds and routes do', () => {
    const memory = memoryOf({ perSecond: 10, atOnce: 10 })
    for (let index = 0; index < 30; index++) keep(memory, { id: `fast-${index}` })
    for (let index = 0; index < 25; index++) keep(memory, { id: `differs-${index}`, kinds: ['different'] })
    for (const kind of ['failed', 'shadow failed', 'slow', 'sampled'] as const)
      keep(memory, { id: kind, kinds: [kind] })
    keep(memory, { id: 'elsewhere', name: 'other', kinds: ['different'] })
    const { requests, passedOver } = memory.find('failed', undefined).memory
    expect({ requests, passedOver }).toEqual({ requests: 25, passedOver: 35 })
    // Half a second later there is room again, also for one that started before.
    keep(memory, { id: 'later', startMs: 500 })
    keep(memory, { id: 'earlier', startMs: 400 })
    expect([timesOf(memory, 'later'), timesOf(memory, 'earlier')]).toEqual([[500], [400]])
    expect(memory.find('later', undefined).memory.passedOver).toBe(35)
  })

  it('keeps a burst whole, and saves up for the next while little comes', () => {
    const memory = memoryOf({ perSecond: 1, atOnce: 20 })
    for (let index = 0; index < 25; index++) keep(memory, { id: `a-${index}`, kinds: ['different'] })
    for (let index = 0; index < 25; index++) keep(memory, { id: `b-${index}`, startMs: 10_000, kinds: ['different'] })
    expect(memory.find('a-0', undefined).memory).toMatchObject({ requests: 30, passedOver: 20 })
  })

  it('keeps what is of several kinds as long as one of them has room', () => {
    const memory = memoryOf({ perSecond: 1, atOnce: 1 })
    keep(memory, { id: 'a', kinds: ['different'] })
    keep(memory, { id: 'b', kinds: ['slow', 'different'] })
    keep(memory, { id: 'c', kinds: ['slow', 'different'] })
    expect(['a', 'b', 'c'].map(id => timesOf(memory, id))).toEqual([[0], [0], []])
  })

  it('bounds what is ordinary over all routes: thousands of them may have a little traffic each', () => {
    const memory = memoryOf({ perSecond: 10, atOnce: 10 })
    for (let index = 0; index < 30; index++) keep(memory, { id: 'id', name: `route-${index}` })
    expect(memory.find('id', undefined).memory).toMatchObject({ requests: 10, passedOver: 20 })
  })

  it('counts with an id what was passed over', () => {
    const memory = memoryOf({ perSecond: 2, atOnce: 2 })
    for (let index = 0; index < 30; index++) keep(memory, { startMs: index / 1000 })
    expect(memory.find('id', undefined).seen).toBe(30)
    expect(timesOf(memory, 'id')).toHaveLength(2)
  })
})
