import { describe, expect, it } from 'vitest'
import { createAdminApi } from '../../src/admin/api.ts'
import { createGuard } from '../../src/admin/auth.ts'
import { fakeControl } from './fakeControl.ts'

const TOKEN = 'a-token-of-enough-letters'

function guarded(options: { token?: string; loopback?: boolean }) {
  let now = 0
  const guard = createGuard({ token: options.token, loopback: options.loopback ?? true, now: () => now })
  const { control, asked } = fakeControl()
  const app = createAdminApi({ control, guard })
  const ask = async (headers: Record<string, string>, method = 'GET', address = '127.0.0.1') => {
    const path = method === 'GET' ? '/v1/status' : '/v1/routes/flight-delay/promote'
    const type: Record<string, string> = method === 'GET' ? {} : { 'content-type': 'application/json' }
    const answer = await app.request(
      path,
      { method, headers: { host: '127.0.0.1:9090', ...type, ...headers }, ...(method === 'POST' && { body: '{}' }) },
      { incoming: { socket: { remoteAddress: address } } },
    )
    return answer
  }
  return { ask, asked, app, pass: (ms: number) => (now += ms) }
}

describe('another site’s page', () => {
  it.each([
    ['a Host that is another name (DNS rebinding)', { host: 'evil.example:9090' }],
    ['a Host that only begins like this machine', { host: '127.0.0.1.evil.example' }],
    ['a Host with a user name', { host: 'localhost@evil.example' }],
    ['an Origin of another site', { origin: 'http://evil.example' }],
    ['an Origin of another port', { origin: 'http://127.0.0.1:8080' }],
    ['an opaque Origin', { origin: 'null' }],
    ['Sec-Fetch-Site: cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['Sec-Fetch-Site: same-site', { 'sec-fetch-site': 'same-site' }],
  ])('with %s may neither read nor change', async (_what, headers) => {
    const { ask, asked } = guarded({})
    expect((await ask(headers)).status).toBe(403)
    expect((await ask(headers, 'POST')).status).toBe(403)
    expect(asked).toEqual([])
  })

  it('is told from its own page and from clients that are no browsers', async () => {
    const { ask } = guarded({})
    expect((await ask({})).status).toBe(200)
    expect((await ask({ host: 'localhost:9090' })).status).toBe(200)
    expect((await ask({ host: '[::1]:9090' })).status).toBe(200)
    expect((await ask({ origin: 'http://127.0.0.1:9090', 'sec-fetch-site': 'same-origin' }, 'POST')).status).toBe(200)
    expect((await ask({ 'sec-fetch-site': 'none' })).status).toBe(200)
  })

  it('off loopback may be asked by any name, with the token', async () => {
    const { ask } = guarded({ token: TOKEN, loopback: false })
    expect((await ask({ host: 'gateway.internal:9090', authorization: `Bearer ${TOKEN}` })).status).toBe(200)
    expect((await ask({ host: 'gateway.internal:9090' })).status).toBe(401)
  })
})

describe('the token', () => {
  it.each([
    ['no header', undefined],
    ['another scheme', `Basic ${TOKEN}`],
    ['a wrong token', 'Bearer wrong'],
    ['a longer token', `Bearer ${TOKEN}x`],
    ['an empty token', 'Bearer '],
  ])('is needed: %s is refused', async (_what, authorization) => {
    const { ask } = guarded({ token: TOKEN })
    const answer = await ask(authorization === undefined ? {} : { authorization })
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([401, 'UNAUTHORIZED'])
  })

  it('guards metrics, and not the health that probes ask for', async () => {
    const { app } = guarded({ token: TOKEN })
    expect((await app.request('/metrics', { headers: { host: 'localhost' } })).status).toBe(401)
    expect((await app.request('/livez')).status).toBe(200)
  })

  it('lets in whoever has it', async () => {
    const { ask } = guarded({ token: TOKEN })
    expect((await ask({ authorization: `Bearer ${TOKEN}` })).status).toBe(200)
    expect((await ask({ authorization: `bearer ${TOKEN}` })).status).toBe(200)
  })
})

describe('guessing', () => {
  const wrong = { authorization: 'Bearer guess' }
  const right = { authorization: `Bearer ${TOKEN}` }

  it('makes an address wait, longer each time, without comparing what it sends meanwhile', async () => {
    const { ask, pass } = guarded({ token: TOKEN })
    for (let guess = 0; guess < 5; guess++) expect((await ask(wrong)).headers.get('retry-after')).toBeNull()
    expect((await ask(right)).headers.get('retry-after')).toBe('1')
    pass(1_000)
    expect((await ask(wrong)).status).toBe(401)
    expect((await ask(wrong)).headers.get('retry-after')).toBe('2')
    pass(2_000)
    expect((await ask(right)).status).toBe(200)
    expect((await ask(wrong)).headers.get('retry-after')).toBeNull()
  })

  it('never makes anybody wait more than a minute', async () => {
    const { ask, pass } = guarded({ token: TOKEN })
    for (let guess = 0; guess < 30; guess++) {
      await ask(wrong)
      pass(60_000)
    }
    expect((await ask(right)).status).toBe(200)
  })

  it('of one address does not hold up another', async () => {
    const { ask } = guarded({ token: TOKEN })
    for (let guess = 0; guess < 6; guess++) await ask(wrong, 'GET', '192.0.2.1')
    expect((await ask(right, 'GET', '192.0.2.2')).status).toBe(200)
  })

  it('is not what a request without a token does', async () => {
    const { ask } = guarded({ token: TOKEN })
    for (let attempt = 0; attempt < 20; attempt++) await ask({})
    expect((await ask(right)).status).toBe(200)
  })
})
