import { expect, test } from 'vitest'
import { hook } from '../notify/hooks.ts'
import { content, flow } from './climbing.ts'
import { postJson, startGateway, until } from './gateway.ts'

test('webhooks hear in order how a version gets ready, climbs, lives and is rolled back; one that hangs delays none of it', async () => {
  const [sound, hung] = [await hook(), await hook()]
  hung.answer('hang')
  const notify = [{ url: hung.url }, { url: sound.url }]
  const told = () => sound.received.map(({ body }) => body)
  let gateway = await startGateway({ routes: content({}, {}, { notify }) })
  const traffic = flow(() => gateway)
  const happened = (event: string, count: number) =>
    until(() => told().filter(each => each.event === event).length >= count, {
      timeoutMs: 60_000,
      what: () => `${count} of ${event}: ${JSON.stringify(told())}`,
    })
  await happened('promoted', 3)
  const rolled = await postJson(`${gateway.admin}/v1/routes/risk/rollback`, { who: 'ann', reason: 'a test' })
  expect(rolled.status).toBe(200)
  await happened('rolledback', 1)
  await traffic.stop()

  const events = told()
  expect(
    events
      .filter(({ event }) => event !== 'ready')
      .map(({ event, version, baseline, stage, step }) => [event, version, baseline, stage, step]),
  ).toEqual([
    ['promoted', '2.0.0', '1.0.0', 'canary', 20],
    ['promoted', '2.0.0', '1.0.0', 'canary', 60],
    ['promoted', '2.0.0', '1.0.0', 'live', 100],
    ['rolledback', '2.0.0', '1.0.0', 'shadow', 0],
  ])
  const [first] = events
  expect(first).toMatchObject({
    event: 'ready',
    stage: 'shadow',
    step: 0,
    verdict: { decision: 'promote', missing: [] },
  })
  expect(first!.evidenceDigest).toMatch(/^[0-9a-f]{64}$/)
  const live = events.find(({ stage }) => stage === 'live')!
  expect(live.reason).toMatch(/^2\.0\.0 is live in place of 1\.0\.0 \(auto: .*no worse than 1\.0\.0/)
  expect(live.evidenceDigest).toMatch(/^[0-9a-f]{64}$/)
  expect(events.at(-1)!.reason).toBe('a test')
  // Ready is told once for a step, not every time somebody looks.
  const ready = events.filter(({ event }) => event === 'ready').map(({ step }) => step)
  expect(new Set(ready).size).toBe(ready.length)
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length)

  // A restart tells nothing twice: the next thing that is told is new.
  await gateway.stop()
  gateway = await startGateway({ folder: gateway.folder, routes: content({ mode: 'manual' }, {}, { notify }) })
  const aborted = await postJson(`${gateway.admin}/v1/routes/risk/clear`, { version: '2.0.0', reason: 'a test' })
  expect(aborted.status).toBe(200)
  await postJson(`${gateway.admin}/v1/routes/risk/abort`, { version: '2.0.0', reason: 'after the restart' })
  await happened('abort', 1)
  const later = told().slice(events.length)
  expect(later.filter(({ event }) => event !== 'held').map(({ event, reason }) => [event, reason])).toEqual([
    ['abort', 'after the restart'],
  ])
  await gateway.stop()
}, 180_000)
