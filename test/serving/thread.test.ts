import { Worker } from 'node:worker_threads'
import { expect, it, onTestFinished, vi } from 'vitest'
import { createDoorbell, createRing } from '../../src/record/ring.ts'
import type { Snapshot } from '../../src/rollout/snapshot.ts'
import { COUNTED, codeKey } from '../../src/serving/counted.ts'
import type { FromServing, ServingData } from '../../src/serving/message.ts'

/** One route with a version at an address where nobody listens. */
const snapshotOf = (revision: number) =>
  ({
    revision,
    name: 'test',
    traces: { ratio: 0, slow: 1e9 },
    routes: [
      {
        name: 'm',
        live: '1.0.0',
        paths: [],
        salts: {},
        versions: [
          {
            version: '1.0.0',
            target: { kind: 'url', urls: ['http://127.0.0.1:9'], protocol: 'v2', model: 'm', hasPath: false },
            weight: 100,
            shadow: { percent: 0 },
            deadlineMs: 1_000,
          },
        ],
        limits: { body: 1 << 20, depth: 32, elements: 1_000, mirrored: 1 << 20, inFlight: 10 },
      },
    ],
  }) as unknown as Snapshot

it('tells of the versions of a configuration for the last time when that has left', { timeout: 20_000 }, async () => {
  const heard: FromServing[] = []
  const worker = new Worker(new URL('../../src/serving/thread.ts', import.meta.url), {
    workerData: {
      host: '127.0.0.1',
      port: 0,
      reusePort: false,
      ring: createRing(65_536),
      doorbell: createDoorbell(),
      originMs: 0,
      snapshot: snapshotOf(1),
      proven: [],
    } satisfies ServingData,
  })
  onTestFinished(async () => {
    await worker.terminate()
  })
  worker.on('message', (message: FromServing) => heard.push(message))
  const until = <Found>(find: () => Found | undefined) =>
    vi.waitFor(
      () => {
        const found = find()
        expect(found).toBeDefined()
        return found!
      },
      { timeout: 8_000, interval: 20 },
    )
  const ticks = () => heard.filter(message => message.kind === 'tick')
  const { port } = await until(() => heard.find(message => message.kind === 'listening'))
  const ask = () => fetch(`http://127.0.0.1:${port}/v2/models/m/infer`, { method: 'POST', body: '{"inputs":[]}' })
  const { status } = await ask()
  expect(status).toBeGreaterThanOrEqual(500)
  const first = await until(() => ticks().find(({ versions }) => versions.named.length > 0))
  const [named] = first.versions.named
  expect(named).toMatchObject({ number: 0, route: 'm', version: '1.0.0', role: 'live' })
  expect(first.versions.codes).toMatchObject([{ number: 0, key: codeKey(status, 'v2') }])
  const numbers = new Float64Array(named!.memory, 8 * named!.start)
  expect([numbers[COUNTED.assigned], numbers[COUNTED.errors]]).toEqual([1, 1])
  await ask()
  // An answer is counted after it is sent. Nothing is told of it: its version and its code are known.
  await until(() => (numbers[COUNTED.errors] === 2 ? true : undefined))
  expect(numbers[COUNTED.assigned]).toBe(2)
  expect(ticks().flatMap(({ versions }) => [...versions.named, ...versions.codes])).toHaveLength(2)
  worker.postMessage({ kind: 'snapshot', snapshot: snapshotOf(2) })
  await until(() => ticks().find(({ versions }) => versions.gone.includes(0)))
  await ask()
  const second = await until(() => ticks().find(({ versions }) => versions.named.some(({ number }) => number > 0)))
  expect(second.versions.named[0]).toMatchObject({ number: 1, route: 'm', version: '1.0.0' })
})
