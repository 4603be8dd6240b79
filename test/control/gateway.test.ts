import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { UnderstudyError } from '../../src/errors.ts'
import { type RunningGateway, startGateway } from '../../src/gateway.ts'
import type { Status } from '../../src/report/status.ts'
import type { StateStore } from '../../src/state/store.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { getJson, postJson, predict, routesOf, scratch, tumourRequest, until } from '../e2e/gateway.ts'

// A store in memory that outlives the gateway and can be made to fail in every call, as a disk with an I/O error does.
const disk = vi.hoisted(() => ({ store: undefined as StateStore | undefined, failing: false }))
vi.mock('../../src/state/sqlite.ts', async () => {
  const { openMemoryStore } = await import('../../src/state/memory.ts')
  return {
    openStateLock: () => ({ release: () => {} }),
    openSqliteStore: () => {
      disk.store ??= openMemoryStore()
      return new Proxy(disk.store, {
        get: (store, name: keyof StateStore) => {
          if (name === 'close') return () => {}
          if (disk.failing) throw new UnderstudyError('STATE_FAILED', 'the state store could not be read: an I/O error')
          return store[name]
        },
      })
    },
  }
})

let folder: string
let gateway: RunningGateway
const log = createLogger({ level: 'silent' })

async function start(): Promise<void> {
  gateway = await startGateway({
    routesFile: join(folder, 'routes.yaml'),
    stateDir: join(folder, 'state'),
    listen: '127.0.0.1:0',
    admin: '127.0.0.1:0',
    threads: 1,
    log,
  })
}

beforeEach(async () => {
  disk.store = undefined
  disk.failing = false
  folder = await scratch()
  const versions = {
    '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
    '2.0.0': { onnx: 'tumour-risk/2.0.0', shadow: 100 },
  }
  const compare = { output: 'probabilities', tolerance: { absolute: 0.05 } }
  const labels = { loss: 'brier' }
  await writeFile(
    join(folder, 'routes.yaml'),
    routesOf({
      risk: { live: '1.0.0', versions, compare, labels },
      other: { live: '1.0.0', versions, compare, sticky: { header: 'x-user' } },
    }),
  )
  await start()
})
afterEach(async () => {
  await gateway.stop()
})

const admin = () => `http://127.0.0.1:${gateway.adminPort}`
const status = async () => (await getJson(`${admin()}/v1/status`)) as Status
const ask = () => predict({ predictions: `http://127.0.0.1:${gateway.dataPort}` }, 'risk', tumourRequest())
const mirrors = async () => Object.fromEntries((await status()).routes.map(({ name, mirror }) => [name, mirror]))

test('62. a store that fails in every call ends nothing: it serves, aborts, promotes nobody, and works again', async () => {
  await ask()
  disk.failing = true
  await until(async () => !(await status()).store.ok)
  expect((await ask()).status).toBe(200)
  const aborted = await postJson(`${admin()}/v1/routes/risk/abort`, { version: '2.0.0', reason: 'it is bad' })
  expect(aborted.status).toBe(200)
  expect((await status()).routes[0]!.versions.find(({ version }) => version === '2.0.0')!.latched).toBeDefined()
  const [candidate] = (await status()).routes[1]!.candidates
  expect(candidate!.verdict.decision).not.toBe('promote')
  // Long enough for every kind of tick.
  await new Promise(resolve => setTimeout(resolve, 1_500))
  expect((await ask()).status).toBe(200)
  disk.failing = false
  await until(async () => (await status()).store.ok)
}, 30_000)

test('mirroring that is switched off stays off over a restart, route by route', async () => {
  const mirror = (on: boolean, route?: string) => postJson(`${admin()}/v1/mirror`, { on, route, reason: 'a test' })
  await mirror(false)
  expect(await mirrors()).toEqual({ risk: 'off', other: 'off' })
  await mirror(true, 'other')
  await gateway.stop()
  await start()
  expect(await mirrors()).toEqual({ risk: 'off', other: 'on' })
  await ask()
  await until(async () => (await status()).routes[0]!.candidates[0]!.account.eligible === 1)
  expect((await status()).routes[0]!.candidates[0]!.account.notSampled).toBe(1)
  await mirror(true)
  expect(await mirrors()).toEqual({ risk: 'on', other: 'on' })
}, 30_000)
