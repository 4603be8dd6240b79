import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { SHADOW, Threads } from '../../src/control/threads.ts'
import type { Snapshot } from '../../src/rollout/snapshot.ts'

/** A thread that does what a test tells it to. */
class FakeWorker extends EventEmitter {
  readonly name: string
  readonly received: { kind: string }[] = []
  readonly workerData: { proven?: readonly string[] }
  answers: Readonly<Record<string, () => void>> = {}

  constructor(_: URL, { name, workerData }: { name: string; workerData: { proven?: readonly string[] } }) {
    super()
    this.name = name
    this.workerData = workerData
    fakes.workers.push(this)
    fakes.onStart(this)
  }

  postMessage(message: { kind: string; snapshot?: Snapshot }): void {
    this.received.push(message)
    queueMicrotask(() => fakes.onMessage(this, message))
  }

  say(message: object): void {
    this.emit('message', message)
  }

  async terminate(): Promise<void> {
    this.emit('exit')
  }
}

const fakes = vi.hoisted(() => ({
  workers: [] as FakeWorker[],
  /** Threads that had been started each time when V8 was told how to keep heaps. */
  startedWhenKept: [] as number[],
  onStart: (_: FakeWorker): void => {},
  onMessage: (_: FakeWorker, __: { kind: string; snapshot?: Snapshot }): void => {},
}))
vi.mock('node:worker_threads', () => ({
  // A function, since the class is not there yet when this runs.
  Worker: function fake(url: URL, options: { name: string; workerData: object }) {
    return new FakeWorker(url, options)
  },
}))

vi.mock('../../src/control/heaps.ts', async original => ({
  ...(await original<object>()),
  setHeapFlags: () => fakes.startedWhenKept.push(fakes.workers.length),
}))

const events: string[] = []
const threadsOf = () =>
  new Threads({
    host: '127.0.0.1',
    port: 0,
    serving: 1,
    ringBytes: 65_536,
    originMs: 0,
    wallShiftMs: 0,
    events: {
      serving: () => {},
      shadow: () => {},
      joined: thread => events.push(`${thread} joined`),
      died: thread => events.push(`${thread} died`),
      late: (thread, message) => events.push(`${thread}: ${message}`),
    },
  })
const snapshotOf = (revision: number) => ({ revision, routes: [] }) as unknown as Snapshot
const named = (name: string) => fakes.workers.findLast(worker => worker.name.startsWith(name))!
const settled = async (work: Promise<unknown>, ms: number) => {
  let isSettled = false
  const ended = work.finally(() => (isSettled = true))
  ended.catch(() => {})
  await vi.advanceTimersByTimeAsync(ms)
  expect(isSettled).toBe(true)
  return ended
}

beforeEach(() => {
  vi.useFakeTimers()
  events.length = 0
  fakes.workers.length = 0
  fakes.startedWhenKept.length = 0
  fakes.onStart = worker => {
    if (worker.name !== SHADOW) queueMicrotask(() => worker.say({ kind: 'listening', port: 8080 }))
  }
  fakes.onMessage = (worker, { kind, snapshot }) => {
    if (kind === 'snapshot') worker.say({ kind: 'applied', revision: snapshot!.revision, broken: [] })
    if (kind === 'drain' || kind === 'stop') worker.emit('exit')
  }
})
afterEach(() => {
  vi.useRealTimers()
})

test('V8 is told how to keep heaps before the first thread is started, or that one would not have it', () => {
  threadsOf()
  expect(fakes.startedWhenKept).toEqual([0])
  expect(fakes.workers).toHaveLength(1)
})

test('a change is served after two seconds when the shadow thread does not take it', async () => {
  const threads = threadsOf()
  await settled(threads.serve(snapshotOf(1)), 0)
  const { onMessage } = fakes
  fakes.onMessage = (worker, message) => {
    if (worker.name !== SHADOW) onMessage(worker, message)
  }
  await settled(threads.apply(snapshotOf(2)), 2_000)
  expect(named('serving').received.map(({ kind }) => kind)).toEqual(['snapshot'])
  expect(events.at(-1)).toMatch(/^shadow: has not taken revision 2 yet/)
})

test('a change is served at once while there is no shadow thread, and the next one gets it', async () => {
  const threads = threadsOf()
  await settled(threads.serve(snapshotOf(1)), 0)
  named(SHADOW).emit('exit')
  await settled(threads.apply(snapshotOf(2)), 0)
  await vi.advanceTimersByTimeAsync(500)
  expect(named(SHADOW).received).toContainEqual({ kind: 'snapshot', snapshot: snapshotOf(2) })
})

test('a check that is asked for while the shadow thread is down goes to the next one', async () => {
  const threads = threadsOf()
  named(SHADOW).emit('exit')
  const asked = threads.verify({ file: 'm', sha256: 'a' })
  await vi.advanceTimersByTimeAsync(500)
  expect(named(SHADOW).received.map(({ kind }) => kind)).toEqual(['verify'])
  const loaded = { inputs: [], outputs: [], p99Ms: 1 }
  named(SHADOW).say({ kind: 'verified', call: 1, model: loaded })
  expect(await asked).toBe(loaded)
})

test('what is proven goes to the serving threads, also to one that starts later and after another shadow thread', async () => {
  const threads = threadsOf()
  await settled(threads.serve(snapshotOf(1)), 0)
  expect(named('serving').workerData.proven).toEqual([])
  named(SHADOW).say({ kind: 'proven', sha256: 'a' })
  expect(named('serving').received).toEqual([{ kind: 'proven', sha256: 'a' }])
  named(SHADOW).emit('exit')
  named('serving').emit('exit')
  await vi.advanceTimersByTimeAsync(500)
  expect(named('serving').name).toBe('serving-2')
  expect(named('serving').workerData.proven).toEqual(['a'])
  named(SHADOW).say({ kind: 'proven', sha256: 'b' })
  expect(named('serving').received).toEqual([{ kind: 'proven', sha256: 'b' }])
  await settled(threads.stop(0, 1_000), 0)
})

test('a question goes to the shadow thread, and is given up with it', async () => {
  const threads = threadsOf()
  const asked = threads.explain('order-17', 'm')
  expect(named(SHADOW).received).toEqual([{ kind: 'explain', call: 1, requestId: 'order-17', route: 'm' }])
  const found = { explanations: [], seen: 0 }
  named(SHADOW).say({ kind: 'explained', call: 1, found })
  expect(await asked).toBe(found)
  const lost = threads.explain('order-18', undefined)
  named(SHADOW).emit('exit')
  await expect(lost).rejects.toMatchObject({ code: 'OVERLOADED' })
})

test('a stop waits neither for a shadow thread that is dead nor for threads that hang', async () => {
  const dead = threadsOf()
  await settled(dead.serve(snapshotOf(1)), 0)
  named(SHADOW).emit('exit')
  await settled(dead.stop(0, 1_000), 0)

  const hanging = threadsOf()
  await settled(hanging.serve(snapshotOf(1)), 0)
  fakes.onMessage = () => {}
  await settled(hanging.stop(0, 1_000), 12_000)
  expect(events.slice(-2)).toEqual([
    'serving-1: did not end in time and is ended',
    'shadow: did not end in time and is ended',
  ])
})

test('a start fails when the first thread ends before it listens, and can be stopped', async () => {
  fakes.onStart = worker => {
    if (worker.name !== SHADOW) queueMicrotask(() => worker.emit('exit'))
  }
  const threads = threadsOf()
  await expect(settled(threads.serve(snapshotOf(1)), 0)).rejects.toThrow('serving-1 ended before it listened')
  await settled(threads.stop(0, 1_000), 0)
})

test('a serving thread that cannot listen again is told of and tried again', async () => {
  const threads = threadsOf()
  await settled(threads.serve(snapshotOf(1)), 0)
  const { onStart } = fakes
  fakes.onStart = worker =>
    queueMicrotask(() => {
      worker.say({ kind: 'refused', message: 'address in use', code: 'EADDRINUSE' })
      worker.emit('exit')
    })
  named('serving').emit('exit')
  await vi.advanceTimersByTimeAsync(500)
  expect(events.at(-1)).toMatch('serving: cannot listen on 127.0.0.1:8080: address in use')
  fakes.onStart = onStart
  await vi.advanceTimersByTimeAsync(500)
  expect(threads.servingCount).toBe(1)
  await settled(threads.stop(0, 1_000), 0)
})
