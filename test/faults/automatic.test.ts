import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { content, flow } from '../e2e/climbing.ts'
import { getJson, postJson, startGateway, type TestGateway, until } from '../e2e/gateway.ts'

interface Entry {
  readonly kind: string
  readonly phase: string
  readonly who: string
  readonly to: string
}

const route = async (gateway: TestGateway) => (await gateway.status()).routes[0]!
const raises = async (gateway: TestGateway) => {
  const { entries } = (await getJson(`${gateway.admin}/v1/history?route=risk`)) as { entries: Entry[] }
  return entries.filter(({ kind, phase }) => kind === 'promote' && phase === 'applied').map(({ to }) => to)
}

/** Kills the gateway the moment routes.yaml changes, which is between the intent and the `applied` of a raise. */
async function killedAtTheWrite(gateway: TestGateway): Promise<void> {
  const before = readFileSync(gateway.routesFile, 'utf8')
  const end = performance.now() + 120_000
  while (readFileSync(gateway.routesFile, 'utf8') === before) {
    if (performance.now() > end) throw new Error(`no raise in time: ${gateway.log().slice(-2000)}`)
    await new Promise(resolve => setImmediate(resolve))
  }
  await gateway.kill()
}

it('SIGKILL between the two writes of each automatic raise loses none and repeats none', {
  timeout: 400_000,
}, async () => {
  let gateway = await startGateway({ routes: content() })
  const traffic = flow(() => gateway)
  for (const share of [20, 60, 100]) {
    await killedAtTheWrite(gateway)
    const file = await readFile(gateway.routesFile, 'utf8')
    gateway = await startGateway({ routes: file, folder: gateway.folder })
    const { versions } = await route(gateway)
    // The file had it, so it had happened.
    expect(versions.find(({ version }) => version === '2.0.0')!.weight).toBe(share)
  }
  expect((await route(gateway)).live).toBe('2.0.0')
  expect(await raises(gateway)).toEqual(['20 %', '60 %', '2.0.0'])
  await traffic.stop()
  await gateway.stop()
})

it('a person who promotes all the time and a route that raises itself raise each step once', {
  timeout: 400_000,
}, async () => {
  const gateway = await startGateway({ routes: content() })
  const traffic = flow(() => gateway)
  let isOn = true
  const statuses = new Set<number>()
  const person = (async () => {
    while (isOn) {
      const answers = await Promise.all(
        [1, 2].map(() => postJson(`${gateway.admin}/v1/routes/risk/promote`, { candidate: '2.0.0', who: 'ann' })),
      )
      for (const { status } of answers) statuses.add(status)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  })()
  await until(async () => (await route(gateway)).live === '2.0.0', { timeoutMs: 180_000, what: () => gateway.log() })
  isOn = false
  await person
  expect(await raises(gateway)).toEqual(['20 %', '60 %', '2.0.0'])
  expect([...statuses].filter(status => ![200, 404, 409].includes(status))).toEqual([])
  await traffic.stop()
  await gateway.stop()
})
