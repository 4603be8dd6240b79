import { describe, expect, it } from 'vitest'
import { createAdminApi } from '../../src/admin/api.ts'
import { createGuard } from '../../src/admin/auth.ts'
import { UnderstudyError } from '../../src/errors.ts'
import { found } from '../report/explained.ts'
import { report } from '../report/sample.ts'
import { fakeControl } from './fakeControl.ts'

const HOST = { host: '127.0.0.1:9090' }
const JSON_TYPE = { 'content-type': 'application/json' }

function api(overrides: Parameters<typeof fakeControl>[0] = {}) {
  const { control, asked } = fakeControl(overrides)
  const unforeseen: unknown[] = []
  const guard = createGuard({ token: undefined, loopback: true, now: () => 0 })
  const app = createAdminApi({ control, guard, onInternalError: error => unforeseen.push(error) })
  const get = (path: string) => app.request(path, { headers: HOST })
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    app.request(path, {
      method: 'POST',
      headers: { ...HOST, ...JSON_TYPE, ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  return { app, asked, unforeseen, get, post }
}

describe('bad requests', () => {
  it.each([
    ['not JSON', '/v1/routes/flight-delay/promote', '{', 400, 'BAD_JSON', /not valid JSON/],
    ['a list', '/v1/routes/flight-delay/promote', [], 400, 'BAD_REQUEST', /expected a map/],
    [
      'an unknown field',
      '/v1/routes/flight-delay/promote',
      { candidat: '1' },
      400,
      'BAD_REQUEST',
      /did you mean `candidate`/,
    ],
    [
      'a weight above 100',
      '/v1/routes/flight-delay/weight',
      { version: '1.1.0', weight: 101 },
      400,
      'BAD_REQUEST',
      /weight: expected a percentage/,
    ],
    [
      'a weight as text',
      '/v1/routes/flight-delay/weight',
      { version: '1.1.0', weight: '5' },
      400,
      'BAD_REQUEST',
      /percentage/,
    ],
    ['clear without a reason', '/v1/routes/flight-delay/clear', { version: '1.1.0' }, 400, 'BAD_REQUEST', /reason/],
    [
      'abort with an empty reason',
      '/v1/routes/flight-delay/abort',
      { version: '1.1.0', reason: '' },
      400,
      'BAD_REQUEST',
      /reason/,
    ],
    ['pause without a reason', '/v1/routes/flight-delay/pause', {}, 400, 'BAD_REQUEST', /reason/],
    ['abort without a version', '/v1/routes/flight-delay/abort', { reason: 'x' }, 400, 'BAD_REQUEST', /version/],
    ['mirror neither on nor off', '/v1/mirror', { on: 'yes' }, 400, 'BAD_REQUEST', /true or false/],
    ['a route that does not exist', '/v1/routes/nope/rollback', {}, 404, 'UNKNOWN_MODEL', /unknown route/],
  ])('%s is refused with what is wrong, and nothing is done', async (_what, path, body, status, code, message) => {
    const { post, asked } = api()
    const answer = await post(path, body)
    const json = (await answer.json()) as { error: string; code: string }
    expect([answer.status, json.code]).toEqual([status, code])
    expect(json.error).toMatch(message)
    expect(asked).toEqual([])
  })

  it('refuses a body that is no JSON by its content type, as another site’s form would send it', async () => {
    const { app, asked } = api()
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
      const answer = await app.request('/v1/routes/flight-delay/promote', {
        method: 'POST',
        headers: { ...HOST, 'content-type': type },
        body: '{}',
      })
      expect(answer.status).toBe(400)
    }
    expect(asked).toEqual([])
  })

  it('refuses a body beyond its bound', async () => {
    const answer = await api().post('/v1/routes/flight-delay/promote', { reason: 'x'.repeat(70_000) })
    expect(answer.status).toBe(413)
    expect(await answer.json()).toMatchObject({ code: 'TOO_LARGE' })
  })

  it('refuses an idempotency key that could not stand in a log', async () => {
    const answer = await api().post('/v1/routes/flight-delay/promote', {}, { 'idempotency-key': 'a b' })
    expect(answer.status).toBe(400)
  })

  it.each(['/v1/history?last=0', '/v1/history?last=x', '/v1/history?last=100000'])('refuses %s', async path => {
    expect((await api().get(path)).status).toBe(400)
  })

  it('tells an unknown path from a method that is not allowed', async () => {
    const { get, app } = api()
    expect((await get('/v2/status')).status).toBe(404)
    const answer = await get('/v1/routes/flight-delay/promote')
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST'])
    expect((await app.request('/v1/status', { method: 'DELETE', headers: HOST })).status).toBe(405)
  })

  it('says "internal error" and no more when something unforeseen fails', async () => {
    const { get, unforeseen } = api({
      status: () => {
        throw new Error('/secret/path')
      },
    })
    const answer = await get('/v1/status')
    expect([answer.status, await answer.json()]).toEqual([500, { error: 'internal error', code: 'INTERNAL' }])
    expect(unforeseen).toHaveLength(1)
  })

  it('passes on a conflict with its code', async () => {
    const { post } = api({
      promote: async () => {
        throw new UnderstudyError('CONFLICT', 'routes.yaml changed meanwhile')
      },
    })
    const answer = await post('/v1/routes/flight-delay/promote', {})
    expect([answer.status, await answer.json()]).toEqual([
      409,
      { error: 'routes.yaml changed meanwhile', code: 'CONFLICT' },
    ])
  })
})

describe('reading', () => {
  it('gives the status, a report, a verdict and the evidence behind it', async () => {
    const { get } = api()
    expect(await (await get('/v1/status')).json()).toMatchObject({ statusVersion: 1, revision: 3 })
    expect(await (await get('/v1/routes/flight-delay/report?candidate=1.1.0')).json()).toMatchObject({
      reportVersion: 1,
    })
    expect(await (await get('/v1/routes/flight-delay/gate')).json()).toMatchObject({ candidate: '1.1.0' })
    const evidence = (await (await get('/v1/routes/flight-delay/evidence')).json()) as {
      evidence: { periods: unknown[] }
    }
    expect(evidence.evidence.periods[0]).toMatchObject({ counters: { 'pair.match': 800 } })
  })

  it('hands on which candidate is meant', async () => {
    let seen: unknown[] = []
    const { get } = api({
      report: (...given) => {
        seen = given
        return report
      },
    })
    await get('/v1/routes/flight-delay/report?candidate=2.0.0-rc.1%2Bcpu')
    expect(seen).toEqual(['flight-delay', '2.0.0-rc.1+cpu'])
    await get('/v1/routes/flight-delay/report')
    expect(seen).toEqual(['flight-delay', undefined])
  })

  it('shows counters that are maps as objects', async () => {
    const { get } = api({ evidence: () => ({ evidence: { counters: new Map([['a', 1]]) }, policy: {} }) })
    expect(await (await get('/v1/routes/flight-delay/evidence')).json()).toMatchObject({
      evidence: { counters: { a: 1 } },
    })
  })

  it('gives the history of one route, newest hundred by default', async () => {
    const { get, asked } = api()
    expect(await (await get('/v1/history?route=flight-delay')).json()).toMatchObject({
      entries: [{ who: 'ann' }, { version: '2.0.0' }],
    })
    await get('/v1/history?last=5')
    expect(asked.map(each => each.arguments)).toEqual([
      ['flight-delay', 100],
      [undefined, 5],
    ])
  })

  it('explains one request by its id, whatever it is made of, in one route or in all', async () => {
    const seen: unknown[][] = []
    const { get, app } = api({
      explain: async (...asked) => {
        seen.push(asked)
        return found
      },
    })
    expect(await (await get('/v1/requests/order-17')).json()).toEqual(JSON.parse(JSON.stringify(found)))
    const id = 'a/b:c@d+e=f_.-'
    await get(`/v1/requests/${encodeURIComponent(id)}?route=flight-delay`)
    await get('/v1/requests/order-17?route=')
    expect(seen).toEqual([
      ['order-17', undefined],
      [id, 'flight-delay'],
      ['order-17', undefined],
    ])
    for (const wrong of ['x'.repeat(129), 'a%20b', '%1b', '%']) {
      const answer = await get(`/v1/requests/${wrong}`)
      expect([answer.status, await answer.json()]).toMatchObject([400, { code: 'BAD_REQUEST' }])
    }
    const posted = await app.request('/v1/requests/order-17', { method: 'PUT', headers: HOST })
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET'])
    expect((await api().get('/v1/requests/nope')).status).toBe(404)
  })

  it('gives metrics as text and health to probes', async () => {
    const { get, app } = api()
    const metrics = await get('/metrics')
    expect(metrics.headers.get('content-type')).toContain('version=0.0.4')
    expect((await app.request('/livez')).status).toBe(200)
    expect((await app.request('/readyz')).status).toBe(200)
    expect((await api({ ready: () => false }).app.request('/readyz')).status).toBe(503)
  })

  it.each([
    [
      'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
      'application/openmetrics-text',
    ],
    ['text/plain;version=0.0.4;q=0.5, application/openmetrics-text;q=0.9', 'application/openmetrics-text'],
    ['text/plain, application/openmetrics-text;q=0.9', 'text/plain'],
    ['application/openmetrics-text;q=0', 'text/plain'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'text/plain'],
    ['application/json', 'text/plain'],
    ['nonsense ; ; q=x', 'text/plain'],
    ['', 'text/plain'],
  ])('gives metrics in the format that is asked for: %s → %s', async (accept, type) => {
    const { headers } = await api().app.request('/metrics', { headers: { host: 'localhost', accept } })
    expect(headers.get('content-type')).toMatch(new RegExp(`^${type};`))
  })

  it('forbids pages, frames, sniffing and caching on every answer, errors too', async () => {
    for (const path of ['/v1/status', '/nope', '/livez']) {
      const { headers } = await api().get(path)
      expect(headers.get('content-security-policy')).toContain("default-src 'none'")
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('cache-control')).toBe('no-store')
    }
  })
})

describe('changing', () => {
  it('hands on who, why, rehearsal and the idempotency key', async () => {
    const { post, asked } = api()
    const answer = await post(
      '/v1/routes/flight-delay/promote',
      { candidate: '1.1.0', who: 'ann', reason: 'better', dryRun: true },
      { 'idempotency-key': 'k-1' },
    )
    expect(await answer.json()).toMatchObject({ applied: false, dryRun: true })
    const request = { who: 'ann', reason: 'better', dryRun: true, idempotencyKey: 'k-1' }
    expect(asked).toEqual([{ what: 'promote', arguments: ['flight-delay', '1.1.0', request] }])
  })

  it('asks for each change by its own path', async () => {
    const { post, asked } = api()
    await post('/v1/routes/flight-delay/rollback', {})
    await post('/v1/routes/flight-delay/abort', { version: '1.1.0', reason: 'x' })
    await post('/v1/routes/flight-delay/clear', { version: '1.1.0', reason: 'x' })
    await post('/v1/routes/flight-delay/weight', { version: '1.1.0', weight: 25 })
    await post('/v1/routes/flight-delay/pause', { reason: 'a holiday' })
    await post('/v1/routes/flight-delay/resume', {})
    await post('/v1/mirror', { on: false, route: 'flight-delay' })
    expect(asked.map(({ what }) => what)).toEqual([
      'rollback',
      'abort',
      'clear',
      'set-weight',
      'pause',
      'resume',
      'mirror',
    ])
    expect(asked[3]!.arguments.slice(0, 3)).toEqual(['flight-delay', '1.1.0', 25])
  })

  it('takes labels with the status that the label join gives', async () => {
    const { post } = api()
    expect((await post('/v1/labels', '[{}]')).status).toBe(200)
    expect((await post('/v1/labels', '[]')).status).toBe(400)
    expect((await post('/v1/labels', `"${'x'.repeat(5_000_000)}"`)).status).toBe(413)
  })
})

describe('the report as a page', () => {
  it('comes as HTML under a policy that lets it load its own style and nothing else', async () => {
    const answer = await api().get('/v1/routes/flight-delay/report?candidate=1.1.0&format=html')
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(answer.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-[\w+/]+={0,2}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
    )
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(await answer.text()).toContain('1.1.0 against live 1.0.0')
  })

  it('is refused in a format that nobody writes', async () => {
    const answer = await api().get('/v1/routes/flight-delay/report?format=pdf')
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ code: 'BAD_REQUEST', error: 'format: expected json or html' })
  })
})
