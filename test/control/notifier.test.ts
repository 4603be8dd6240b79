import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type RunningGateway, startGateway } from '../../src/gateway.ts'
import type { Status } from '../../src/report/status.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { getJson, postJson, predict, routesOf, scratch, send, tumourRequest, until } from '../e2e/gateway.ts'
import { type Hook, hook } from '../notify/hooks.ts'

let folder: string
let gateway: RunningGateway | undefined
let lines: string[]

const VERSIONS = {
  '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
  '2.0.0': { onnx: 'tumour-risk/2.0.0', shadow: 100 },
}

function routes(notify: object[], weight = 0): string {
  const versions = {
    '1.0.0': { ...VERSIONS['1.0.0'], weight: 100 - weight },
    '2.0.0': { ...VERSIONS['2.0.0'], weight },
  }
  return routesOf({ risk: { live: '1.0.0', versions, compare: { output: 'probabilities' }, notify } })
}
const write = (text: string) => writeFile(join(folder, 'routes.yaml'), text)

async function start(): Promise<RunningGateway> {
  gateway = await startGateway({
    routesFile: join(folder, 'routes.yaml'),
    stateDir: join(folder, 'state'),
    listen: '127.0.0.1:0',
    admin: '127.0.0.1:0',
    threads: 1,
    log: createLogger({ level: 'info', pretty: false, to: { write: line => void lines.push(line) } }),
  })
  return gateway
}

beforeEach(async () => {
  lines = []
  folder = await scratch()
})
afterEach(async () => {
  await gateway?.stop()
  gateway = undefined
})

const admin = () => `http://127.0.0.1:${gateway!.adminPort}`
const route = async () => ((await getJson(`${admin()}/v1/status`)) as Status).routes[0]!
const act = (action: string, body: object) =>
  postJson(`${admin()}/v1/routes/risk/${action}`, { who: 'ann', reason: 'a test', ...body })
const told = ({ received }: Hook) => received.map(({ body }) => `${body.event} ${body.version}`)

test('an abort is told once, with who it is about, and not again after a restart', async () => {
  const target = await hook()
  await write(routes([{ url: target.url }]))
  await start()
  expect((await act('abort', { version: '2.0.0' })).status).toBe(200)
  await until(() => target.received.length === 1)
  expect(target.received[0]!.body).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{32}$/),
    event: 'abort',
    route: 'risk',
    version: '2.0.0',
    baseline: '1.0.0',
    at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    reason: 'a test',
    stage: 'shadow',
    step: 0,
    evidenceDigest: null,
    verdict: null,
  })
  await gateway!.stop()
  await start()
  // A second event shows that the first would have come before it.
  await act('clear', { version: '2.0.0' })
  await act('abort', { version: '2.0.0', reason: 'again' })
  await until(() => target.received.length > 1)
  expect(target.received.slice(1).map(({ body }) => `${body.event} ${body.reason}`)).toEqual(['abort again'])
}, 60_000)

test('a held raise is told to the webhooks of the file as it is now, and only of events they asked for', async () => {
  const [first, second] = [await hook(), await hook()]
  await write(routes([{ url: first.url, on: ['promoted'] }]))
  await start()
  await write(
    routes(
      [
        { url: first.url, on: ['promoted'] },
        { url: second.url, on: ['held'] },
      ],
      50,
    ),
  )
  await until(() => second.received.length === 1)
  expect(told(second)).toEqual(['held 2.0.0'])
  expect(second.received[0]!.body.reason).toMatch(/^2\.0\.0 stays at \d %? ?/)
  // Its address is gone from the file: nothing more is sent there.
  await write(routes([{ url: first.url, on: ['promoted', 'held'] }], 60))
  await until(() => first.received.length === 1)
  expect([told(first), told(second)]).toEqual([['held 2.0.0'], ['held 2.0.0']])
}, 60_000)

test('a webhook that hangs or is gone delays no answer, no abort and no stop, and is told after the restart', async () => {
  const target = await hook()
  target.answer('hang')
  await write(routes([{ url: target.url }]))
  await start()
  const aborted = await act('abort', { version: '2.0.0' })
  expect(aborted.status).toBe(200)
  await until(() => target.received.length === 1)
  expect(
    (await predict({ predictions: `http://127.0.0.1:${gateway!.dataPort}` }, 'risk', tumourRequest())).status,
  ).toBe(200)
  expect((await route()).versions.find(({ version }) => version === '2.0.0')!.latched).toBeDefined()
  await gateway!.stop()
  // It was not waited for.
  await until(() => target.brokenOff() === 1)
  target.answer(200)
  await start()
  await until(() => target.received.length === 2)
  const [once, twice] = target.received.map(({ body }) => body.id)
  expect(once).toBe(twice)
}, 60_000)

test('status and metrics say that a webhook cannot be reached, by scheme and host only', async () => {
  const target = await hook()
  await target.close()
  await write(routes([{ url: target.url }]))
  await start()
  await act('abort', { version: '2.0.0' })
  const notices = await until(async () => {
    const { notices } = await route()
    return notices.some(notice => notice.startsWith('webhook')) ? notices : undefined
  })
  expect(notices.join()).toMatch(
    /webhook at http:\/\/127\.0\.0\.1:\d+: the last try failed \(ECONNREFUSED\), 1 message waits/,
  )
  expect((await send(`${admin()}/metrics`)).text).toMatch(
    /understudy_notifications_total\{route="risk",event="abort",outcome="failed"\} [1-9]/,
  )
  expect([...lines, JSON.stringify(await route())].join()).not.toContain('secret')
}, 60_000)
