import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadRoutes } from '../../src/config/load.ts'
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
