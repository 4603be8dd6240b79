import { cp, writeFile } from 'node:fs/promises'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { treeOf } from '../../bench/load/procfs.ts'
import { flightRequests } from '../../bench/load/rows.ts'
import { countedOf } from './evidence.ts'
import { inParallel, MODELS, predict, routesOf, scratch, startGateway, type TestGateway, until } from './gateway.ts'
import { writeModel } from './onnxModel.ts'

const quickBodies = Array.from({ length: 200 }, (_, index) => {
  const data = [index / 7, -index / 3]
  return JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data }] })
})
/** Models far under the time that a live one may take on a serving thread, whatever machine this is and whatever else it does. */
async function quickModels() {
  const models = await scratch()
  const write = (version: string, op: 'Neg' | 'Identity' | 'Floor', outputs: number[]) =>
    writeModel(models, 'quick', version, { op, datatype: 'FP32', width: 2 }, { inputs: [1.5, 2.5], outputs })
  const live = { onnx: await write('1.0.0', 'Neg', [-1.5, -2.5]), weight: 100 }
  const canary = { onnx: await write('1.1.0', 'Identity', [1.5, 2.5]), weight: 50 }
  const shadow = { onnx: await write('2.0.0', 'Floor', [1, 2]), shadow: 100 }
  const split = {
    live: '1.0.0',
    versions: { '1.0.0': { ...live, weight: 50 }, '1.1.0': canary },
    // The canary answers otherwise, and would be aborted for it once enough is compared: it is not what is tested.
    gate: { paired: 0, latency: { p50: 1000, p95: 1000, p99: 1000, slack: '1s' } },
  }
  return { models, live, shadow, split }
}

/** Answers of both arms so far, and how many of them were timed: those that share runs are not. */
async function armsOf(gateway: TestGateway): Promise<{ answers: number; timed: number }> {
  const counted = await countedOf(gateway, '1.1.0', 'split')
  return {
    answers: counted.at('arm.b.n') + counted.at('arm.c.n'),
    timed: counted.sum('lat.b.') + counted.sum('lat.c.'),
  }
}

const MANY = 600
/** A proof has the lowest priority and comes last on a machine that is busy with other tests. */
const PATIENT = { timeoutMs: 120_000 }

/** Asks for many, a lot of them at once: how many were timed. */
async function timedOfMany(gateway: TestGateway): Promise<number> {
  const before = await armsOf(gateway)
  await inParallel(MANY, 24, async index => {
    expect((await predict(gateway, 'split', quickBodies[index % quickBodies.length]!)).status).toBe(200)
  })
  const after = await until(async () => {
    const arms = await armsOf(gateway)
    return arms.answers >= before.answers + MANY ? arms : undefined
  })
  return after.timed - before.timed
}

/** The first answers after a load count in no arm's times. */
async function warmUp(gateway: TestGateway): Promise<void> {
  await until(async () => (await timedOfMany(gateway)) > 0)
}

/** How many are timed once some share: those that are the first of a turn. */
async function untilShared(gateway: TestGateway): Promise<number> {
  await warmUp(gateway)
  return until(async () => {
    const timed = await timedOfMany(gateway)
    return timed < 0.8 * MANY ? timed : undefined
  }, PATIENT)
}

it('answers under load with the bytes that it answers with alone', { timeout: 200_000 }, async () => {
  const { models, live, shadow, split } = await quickModels()
  // One that is shipped beside it: where it is quick enough it shares runs too, and its arithmetic is real.
  await cp(join(MODELS, 'flight-delay'), join(models, 'flight-delay'), { recursive: true })
  const flights = { live: '1.0.0', versions: { '1.0.0': { onnx: 'flight-delay/1.0.0', weight: 100 } } }
  const sole = { live: '1.0.0', versions: { '1.0.0': live } }
  const compared = { live: '1.0.0', versions: { '1.0.0': live, '2.0.0': shadow } }
  const gateway = await startGateway({
    args: ['--adopt'],
    routes: routesOf({ flights, sole, compared, split }, { models }),
  })
  await untilShared(gateway)
  const ask = async (model: string, body: string) => {
    const { status, text } = await predict(gateway, model, body)
    expect(status).toBe(200)
    return text
  }
  for (const [model, bodies] of [
    ['flights', flightRequests(200)],
    ['sole', quickBodies],
    ['compared', quickBodies],
  ] as const) {
    const alone: string[] = []
    for (const body of bodies) alone.push(await ask(model, body))
    expect(new Set(alone).size).toBeGreaterThan(100)
    const together = await inParallel(1_000, 24, index => ask(model, bodies[index % bodies.length]!))
    for (const [index, answer] of together.entries()) expect(answer).toBe(alone[index % bodies.length])
  }
})

it('begins to share once live is proven, without a new revision', { timeout: 200_000 }, async () => {
  const { models, split } = await quickModels()
  const gateway = await startGateway({ routes: routesOf({ split }, { models }), args: ['--adopt'] })
  expect(await untilShared(gateway)).toBeGreaterThan(0)
  expect((await gateway.status()).revision).toBe(1)
})

it.skipIf(process.platform !== 'linux')(
  'is ready before anything is proven, serves on when the process of a proof is killed, and checks the next model',
  async () => {
    const { models, shadow, split } = await quickModels()
    const gateway = await startGateway({ routes: routesOf({ split }, { models }), args: ['--adopt'] })
    const proving = () => treeOf(gateway.pid).filter(pid => priorityOf(pid) > getPriority())
    const [pid] = await until(() => (proving().length > 0 ? proving() : undefined))
    process.kill(pid!, 'SIGKILL')
    await until(() => !proving().includes(pid!))
    await timedOfMany(gateway)
    const versions = { ...split.versions, '2.0.0': shadow }
    await writeFile(gateway.routesFile, routesOf({ split: { ...split, versions } }, { models }))
    await until(async () => (await gateway.status()).revision === 2)
    const [route] = (await gateway.status()).routes
    expect(route!.candidates.map(({ version }) => version)).toContain('2.0.0')
    expect((await predict(gateway, 'split', quickBodies[0]!)).status).toBe(200)
  },
)

/** Of a process that may have ended. */
function priorityOf(pid: number): number {
  try {
    return getPriority(pid)
  } catch {
    return 0
  }
}
