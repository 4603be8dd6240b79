import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { flightRequests } from '../../bench/load/rows.ts'
import { codecOf } from '../../src/protocols/codecs.ts'
import { PLAIN_JSON } from '../../src/protocols/content.ts'
import { Pieces } from '../../src/record/pieces.ts'
import type { Snapshot } from '../../src/rollout/snapshot.ts'
import type { Incoming } from '../../src/serving/answer.ts'
import { CountedMemory } from '../../src/serving/counted.ts'
import { embedded } from '../../src/serving/embedded.ts'
import { RuntimeBuilder, type RuntimeRoute } from '../../src/serving/runtime.ts'
import { MODELS, manifestOf } from '../e2e/gateway.ts'

const MODEL = 'flight-delay'
const { sha256, signature } = manifestOf(MODEL, '1.0.0')
const bodies = flightRequests(4)

/** One route with an embedded live version, and a shadow that it is compared with where that is wanted. */
function snapshotOf(revision: number, { compared = false } = {}): Snapshot {
  const live = {
    version: '1.0.0',
    target: {
      kind: 'onnx',
      file: join(MODELS, MODEL, '1.0.0', 'model.onnx'),
      sha256,
      ...signature,
      features: [],
      p99Ms: 0.05,
    },
    weight: 100,
    shadow: { percent: 0 },
    deadlineMs: 10_000,
  }
  const shadow = { ...live, version: '2.0.0', weight: 0, shadow: { percent: 100 }, evidenceKey: 'key' }
  const route = {
    name: 'm',
    live: '1.0.0',
    paths: [],
    versions: compared ? [live, shadow] : [live],
    limits: { body: 1 << 20, depth: 32, elements: 1_000, mirrored: 1 << 20 },
  }
  return { revision, name: 'test', routes: [route] } as unknown as Snapshot
}

function builderOf(proven: readonly string[] = []): RuntimeBuilder {
  const builder = new RuntimeBuilder(new CountedMemory(), proven)
  onTestFinished(() => builder.stop())
  return builder
}

async function routeOf(builder: RuntimeBuilder, snapshot: Snapshot): Promise<RuntimeRoute> {
  return (await builder.build(snapshot)).routes.get('m')!
}

/** Asks for several rows in one turn: whether they shared runs, by one time for several, and which are untimed. */
async function askTogether(route: RuntimeRoute): Promise<{ shared: boolean; untimed: (boolean | undefined)[] }> {
  const answers = await Promise.all(
    bodies.map(body => {
      const incoming = {
        request: { headers: {} },
        body: Pieces.of(Buffer.from(body)),
        form: PLAIN_JSON,
      } as unknown as Incoming
      return embedded(route.live, route, incoming, codecOf('v2')!)
    }),
  )
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
  const times = new Set(answers.map(({ inferMs }) => inferMs))
  return { shared: times.size < answers.length, untimed: answers.map(({ untimed }) => untimed) }
}

it('scores each request alone until the model is proven, and from then on under the revisions that stand', async () => {
  const builder = builderOf()
  const older = await routeOf(builder, snapshotOf(1))
  const newer = await routeOf(builder, snapshotOf(2))
  builder.listening()
  const session = newer.live.engine!.scorer
  expect((await askTogether(newer)).shared).toBe(false)
  builder.proven('another model')
  expect((await askTogether(newer)).shared).toBe(false)
  builder.proven(sha256)
  expect((await askTogether(newer)).shared).toBe(true)
  expect((await askTogether(older)).shared).toBe(true)
  expect(newer.live.engine!.scorer).toBe(session)
})

it('shares from its first request on where the model was proven before the thread started', async () => {
  const route = await routeOf(builderOf([sha256]), snapshotOf(1))
  expect((await askTogether(route)).shared).toBe(true)
})

it('times every request while none shares, and the first of a turn alone once others do', async () => {
  const builder = builderOf()
  const route = await routeOf(builder, snapshotOf(1, { compared: true }))
  expect(await askTogether(route)).toEqual({ shared: false, untimed: [false, false, false, false] })
  // Proven between two requests of one turn.
  const before = askTogether(route)
  builder.proven(sha256)
  const after = askTogether(route)
  expect(await before).toEqual({ shared: false, untimed: [false, false, false, false] })
  expect((await after).untimed).toEqual([false, true, true, true])
})

it('never shares a session that is not on the thread', async () => {
  const builder = builderOf([sha256])
  builder.listening()
  const route = await routeOf(builder, snapshotOf(1))
  builder.proven(sha256)
  expect(route.live.engine!.canShare).toBe(false)
  expect((await askTogether(route)).shared).toBe(false)
})
