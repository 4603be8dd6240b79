import { describe, expect, it } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import {
  getJson,
  inParallel,
  predict,
  routesOf,
  send,
  startGateway,
  type TestGateway,
  tumourRequest,
  until,
} from './gateway.ts'

const versions = (canary: number, more: object = {}) => ({
  live: '1.0.0',
  versions: {
    '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 - canary },
    '1.1.0': { onnx: 'tumour-risk/1.1.0', weight: canary },
    '2.0.0': { onnx: 'tumour-risk/2.0.0' },
  },
  ...more,
})

const body = JSON.stringify(tumourRequest())
type Sending = Parameters<typeof predict>[3]

async function versionOf(gateway: TestGateway, model: string, options: Sending = {}, text: string = body) {
  const { status, headers, json } = await predict(gateway, model, text, options)
  expect(status).toBe(200)
  expect(json.model_version).toBe(headers['x-understudy-version'])
  return headers['x-understudy-version'] as string
}

describe('a split of 70 and 30', () => {
  it('gives every version its share to 4 sigma over 4,000 requests, on one thread and on two', async () => {
    for (const threads of [1, 2]) {
      const gateway = await startGateway({ routes: routesOf({ risk: versions(30) }), threads, args: ['--adopt'] })
      const answers = await inParallel(4000, 32, () => versionOf(gateway, 'risk'))
      const canary = answers.filter(version => version === '1.1.0').length
      expect(answers.filter(version => version === '1.0.0').length).toBe(4000 - canary)
      expect(Math.abs(canary - 1200)).toBeLessThan(4 * Math.sqrt(4000 * 0.3 * 0.7))
      await gateway.stop()
    }
  })

  it('is sticky by header, cookie or pointer, also over a restart, and keeps the canary’s users when it grows', async () => {
    const sticky = {
      byHeader: { header: 'X-User-Id' },
      byCookie: { cookie: 'session' },
      byPointer: { pointer: '/parameters/user/id' },
    }
    const content = (canary: number) =>
      routesOf(
        Object.fromEntries(Object.entries(sticky).map(([name, key]) => [name, versions(canary, { sticky: key })])),
      )
    const ask = (gateway: TestGateway, user: number) =>
      Promise.all([
        versionOf(gateway, 'byHeader', { headers: { 'x-user-id': `user-${user}` } }),
        versionOf(gateway, 'byCookie', { headers: { cookie: `a=b; session=user-${user}; c` } }),
        versionOf(gateway, 'byPointer', {}, body.replace('{', `{"parameters":{"user":{"id":${user}}},`)),
      ])
    const users = 200
    let gateway = await startGateway({ routes: content(30), args: ['--adopt'] })
    const first = await inParallel(users, 8, user => ask(gateway, user))
    expect(await inParallel(users, 8, user => ask(gateway, user))).toEqual(first)
    for (const at of [0, 1, 2]) {
      const canary = first.filter(each => each[at] === '1.1.0').length
      expect(Math.abs(canary - users * 0.3)).toBeLessThan(4 * Math.sqrt(users * 0.3 * 0.7))
    }
    await gateway.stop()

    gateway = await startGateway({ routes: content(60), folder: gateway.folder, args: ['--adopt'] })
    const grown = await inParallel(users, 8, user => ask(gateway, user))
    for (const [user, before] of first.entries()) {
      for (const at of [0, 1, 2]) if (before[at] === '1.1.0') expect(grown[user]![at]).toBe('1.1.0')
    }
    expect(grown.filter(([version]) => version === '1.1.0').length).toBeGreaterThan(users * 0.45)
    await gateway.stop()
  })

  it('without a sticky key is not steered by the request id that a client brings', async () => {
    const gateway = await startGateway({ routes: routesOf({ risk: versions(50) }), args: ['--adopt'] })
    const answers = await inParallel(200, 8, () =>
      versionOf(gateway, 'risk', { headers: { 'x-request-id': 'always-the-same' } }),
    )
    expect(new Set(answers).size).toBe(2)
    await gateway.stop()
  })

  it('does not share its draw between routes: being on one canary says nothing of another', async () => {
    const sticky = { sticky: { header: 'x-user-id' } }
    const gateway = await startGateway({
      routes: routesOf({ one: versions(50, sticky), two: versions(50, sticky) }),
      args: ['--adopt'],
    })
    const same = await inParallel(400, 8, async user => {
      const headers = { 'x-user-id': `user-${user}` }
      return (await versionOf(gateway, 'one', { headers })) === (await versionOf(gateway, 'two', { headers }))
    })
    // Binomial(400, ½): sigma is 10.
    expect(Math.abs(same.filter(Boolean).length - 200)).toBeLessThan(50)
    await gateway.stop()
  })
})

describe('picking a version', () => {
  it('works by header and by path where the route allows it, and is never evidence', async () => {
    const gateway = await startGateway({
      routes: routesOf({
        open: {
          live: '1.0.0',
          versions: {
            '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
            '1.1.0': { onnx: 'tumour-risk/1.1.0', shadow: 100 },
            '2.0.0': { onnx: 'tumour-risk/2.0.0' },
          },
          force: 'X-Pick',
        },
        closed: versions(0),
      }),
    })
    const pick = (version: string) => ({ headers: { 'x-pick': version } })
    for (const version of ['1.0.0', '1.1.0', '2.0.0']) {
      expect(await versionOf(gateway, 'open', pick(version))).toBe(version)
      expect(await versionOf(gateway, 'open', { version })).toBe(version)
    }
    expect((await predict(gateway, 'open', body, pick('9.9.9'))).status).toBe(404)
    expect((await predict(gateway, 'open', body, { version: '9.9.9' })).status).toBe(404)
    for (let request = 0; request < 50; request++) await versionOf(gateway, 'open', pick('1.0.0'))

    // A route without `force` ignores such a header, since anybody may send one, and refuses the path form.
    expect(await versionOf(gateway, 'closed', pick('1.1.0'))).toBe('1.0.0')
    expect((await predict(gateway, 'closed', body, { version: '1.1.0' })).status).toBe(403)
    expect((await send(`${gateway.predictions}/v2/models/closed/versions/1.1.0`)).status).toBe(200)

    // Three requests that nobody forced, so that there is something to wait for.
    for (let request = 0; request < 3; request++) await versionOf(gateway, 'open')
    const report = await until(async () => {
      const each = (await getJson(`${gateway.admin}/v1/routes/open/report?candidate=1.1.0`)) as Report
      return each.account.compared === 3 ? each : undefined
    })
    expect(report.account.eligible).toBe(3)
    await gateway.stop()
  })

  it('of an idle version that the route lets nobody pick never happens', async () => {
    const gateway = await startGateway({ routes: routesOf({ risk: versions(0) }) })
    const answers = await inParallel(300, 16, () => versionOf(gateway, 'risk'))
    expect(new Set(answers)).toEqual(new Set(['1.0.0']))
    await gateway.stop()
  })
})
