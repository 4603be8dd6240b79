import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadRoutes } from '../../src/config/load.ts'
import { UnderstudyError } from '../../src/errors.ts'
import type { Policy } from '../../src/gate/evidence.ts'
import { reload } from '../../src/rollout/reload.ts'
import { Gateway, ROUTES } from './gateway.ts'

let gateway: Gateway
beforeEach(async () => {
  gateway = new Gateway(ROUTES)
  await gateway.start()
})
afterEach(() => gateway.remove())

test('a save is judged by the policy that it brings along too', async () => {
  gateway.decisions['1.1.0'] = 'promote'
  const asked: (Policy | undefined)[] = []
  const { ports } = gateway
  gateway.overwrite(text => text.replace('steps: [50, 100] }', 'steps: [50, 100] }\n    gate: { disagreement: 0.5 }'))
  await reload(
    {
      ...ports,
      verdictNow: (route, version, next) => {
        asked.push(next)
        return ports.verdictNow(route, version)
      },
    },
    loadRoutes(gateway.file),
  )
  expect(asked.map(policy => policy?.gate.disagreement)).toEqual([0.5])
})

test('what is read again is what serves when its turn has come, not what served when it was asked for', async () => {
  const before = gateway.loaded
  gateway.overwrite(text => text.replace('shadow: 100', 'shadow: 50'))
  const edit = reload(gateway.ports, loadRoutes(gateway.file))
  const again = reload(gateway.ports, () => gateway.ports.current(), { who: 'identity' })
  await Promise.all([edit, again])
  expect(gateway.loaded.hash).not.toBe(before.hash)
  expect(gateway.loaded.config.routes.m!.versions['1.1.0']!.shadow.percent).toBe(50)
})

const two = (shadow: number) =>
  ['a', 'b']
    .map(
      name =>
        `  ${name}: { live: 1.0.0, versions: { 1.0.0: { onnx: x, weight: 100 }, 1.1.0: { onnx: y, shadow: ${shadow} } } }\n`,
    )
    .join('')

test('all routes of a save are recorded together', async () => {
  const { ports } = gateway
  let together = 0
  const store = {
    ...ports.store,
    together: <T>(work: () => T) => {
      together++
      return ports.store.together(work)
    },
  }
  gateway.overwrite(() => `routes:\n${two(10)}`)
  await reload({ ...ports, store }, loadRoutes(gateway.file))
  expect(together).toBe(1)
  expect(ports.store.log('rollout/a')).toHaveLength(1)
  expect(ports.store.log('rollout/b')).toHaveLength(1)
})

test('a route whose entry cannot be written keeps no other from being recorded, and nothing is recorded twice', async () => {
  gateway.overwrite(() => `routes:\n${two(10)}`)
  await gateway.reread()
  gateway.overwrite(() => `routes:\n${two(20)}`)
  const { ports } = gateway
  const failing = {
    ...ports.store,
    append: (scope: string, base: number, at: number, body: string) => {
      if (scope.endsWith('/b')) throw new UnderstudyError('STATE_FAILED', 'disk full')
      return ports.store.append(scope, base, at, body)
    },
  }
  await reload({ ...ports, store: failing }, loadRoutes(gateway.file))
  expect(ports.store.log('rollout/a')).toHaveLength(2)
  expect(ports.store.log('rollout/b')).toHaveLength(1)
  expect(gateway.loaded.hash).toBe(loadRoutes(gateway.file).hash)
})

test('the models of many routes are looked at side by side, and few at once', async () => {
  const { ports } = gateway
  const names = Array.from({ length: 40 }, (_, index) => `m${index}`)
  gateway.overwrite(
    () =>
      `routes:\n${names.map(name => `  ${name}: { live: 1.0.0, versions: { 1.0.0: { onnx: x, weight: 100 } } }\n`).join('')}`,
  )
  let [underWay, most] = [0, 0]
  const digests: typeof ports.digests = async (route, versions) => {
    most = Math.max(most, ++underWay)
    await new Promise(resolve => setTimeout(resolve, 2))
    underWay--
    return ports.digests(route, versions)
  }
  await reload({ ...ports, digests }, loadRoutes(gateway.file))
  expect(most).toBeGreaterThan(1)
  expect(most).toBeLessThanOrEqual(8)
  expect(Object.keys(gateway.served!.resolutions)).toEqual(expect.arrayContaining(names))
})
