import { afterEach, describe, expect, it } from 'vitest'
import type { Notice } from '../../src/notify/notice.ts'
import { MOST_WAITING, Outbox, type Outcome } from '../../src/notify/outbox.ts'
import { createPoster } from '../../src/notify/post.ts'
import { until } from '../e2e/gateway.ts'
import { type Hook, hook } from './hooks.ts'

const ending: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const end of ending.splice(0)) await end()
})

const notice = (id: string, at = new Date().toISOString()): Notice => ({
  id,
  event: 'ready',
  route: 'm',
  version: '1.1.0',
  baseline: '1.0.0',
  at,
  reason: 'it is ready',
  stage: 'shadow',
  step: 0,
  evidenceDigest: null,
  verdict: null,
})

function outbox({ timeoutMs = 5_000, urls }: { timeoutMs?: number; urls: readonly string[] }) {
  const poster = createPoster('understudy/test', timeoutMs)
  const outcomes: [Outcome, string, string | undefined][] = []
  const box = new Outbox({
    post: poster.post,
    now: Date.now,
    told: (outcome, { id }, _host, why) => void outcomes.push([outcome, id, why]),
    changed: () => {},
    backoff: () => 5,
  })
  box.configure(new Map([['m', urls]]))
  ending.push(
    () => box.stop(),
    () => poster.close(),
  )
  return { box, outcomes }
}

const ids = ({ received }: Hook) => received.map(({ body }) => body.id)

describe('a message that does not arrive', () => {
  it.each([
    ['an error of the receiver', [500, 503, 404, 200] as const, /^status 500$/],
    ['a redirect, which is not followed', [302, 301, 200] as const, /^status 302$/],
  ])('is sent again after %s, the same each time, before the next one', async (_what, replies, why) => {
    const elsewhere = await hook()
    const target = await hook(elsewhere.url)
    target.answer(...replies)
    const { box, outcomes } = outbox({ urls: [target.url] })
    box.send(target.url, notice('a'))
    box.send(target.url, notice('b'))
    await until(() => outcomes.filter(([outcome]) => outcome === 'delivered').length === 2)
    expect(ids(target)).toEqual([...replies.map(() => 'a'), 'b'])
    expect(elsewhere.received).toEqual([])
    expect(outcomes[0]).toEqual(['failed', 'a', expect.stringMatching(why)])
    expect(target.received.map(({ headers }) => headers['x-understudy-event-id'])).toEqual(ids(target))
    expect(target.received[0]).toMatchObject({ path: '/T0/secret', headers: { 'content-type': 'application/json' } })
  })

  it('is sent again when the connection was refused', async () => {
    const target = await hook()
    await target.close()
    const { box, outcomes } = outbox({ urls: [target.url] })
    box.send(target.url, notice('a'))
    await until(() => outcomes.length >= 2)
    expect(outcomes[0]).toEqual(['failed', 'a', 'ECONNREFUSED'])
    await target.open()
    await until(() => ids(target).length === 1)
  })

  it('is sent again when the receiver hangs', async () => {
    const target = await hook()
    target.answer('hang', 200)
    const { box, outcomes } = outbox({ urls: [target.url], timeoutMs: 200 })
    box.send(target.url, notice('a'))
    await until(() => outcomes.some(([outcome]) => outcome === 'delivered'))
    expect(outcomes[0]).toEqual(['failed', 'a', 'no answer within 0.2 s'])
    expect(ids(target)).toEqual(['a', 'a'])
  })

  it('is given up when it has been tried for an hour, and the next one gets its turn', async () => {
    const target = await hook()
    target.answer(500, 200)
    const { box, outcomes } = outbox({ urls: [target.url] })
    box.send(target.url, notice('old', new Date(Date.now() - 3_700_000).toISOString()))
    box.send(target.url, notice('new'))
    await until(() => outcomes.length === 2)
    expect(outcomes.map(([outcome, id]) => `${outcome} ${id}`)).toEqual(['given_up old', 'delivered new'])
    expect(box.state(target.url)).toMatchObject({ lost: 1, waiting: 0, failing: undefined })
  })

  it('keeps no other address waiting', async () => {
    const [hung, sound] = [await hook(), await hook()]
    hung.answer('hang')
    const { box } = outbox({ urls: [hung.url, sound.url] })
    for (const url of [hung.url, sound.url]) for (const id of ['a', 'b']) box.send(url, notice(id))
    await until(() => ids(sound).length === 2)
    expect(ids(hung).length).toBeLessThanOrEqual(1)
  })
})

describe('a queue', () => {
  it('holds a hundred messages: the oldest that is not under way falls out and is counted', async () => {
    const target = await hook()
    target.answer('hang')
    const { box, outcomes } = outbox({ urls: [target.url] })
    for (let id = 0; id <= MOST_WAITING + 1; id++) box.send(target.url, notice(String(id)))
    expect(outcomes.map(([outcome, id]) => `${outcome} ${id}`)).toEqual(['dropped 1', 'dropped 2'])
    expect(box.state(target.url)).toMatchObject({ waiting: MOST_WAITING, lost: 2 })
  })

  it('says what waits by the hash of its address, and takes it up again in a new process, in order', async () => {
    const target = await hook()
    await target.close()
    const first = outbox({ urls: [target.url] })
    for (const id of ['a', 'b']) first.box.send(target.url, notice(id))
    first.box.stop()
    const kept = JSON.stringify(first.box.waiting())
    expect(kept).not.toContain('secret')
    await target.open()
    const second = outbox({ urls: [target.url] })
    second.box.resume(JSON.parse(kept))
    second.box.send(target.url, notice('c'))
    await until(() => ids(target).length === 3)
    expect(ids(target)).toEqual(['a', 'b', 'c'])
    expect(second.box.waiting()).toEqual({})
  })

  it('of an address that has left the configuration is let go, and sends nothing more', async () => {
    const target = await hook()
    target.answer(500)
    const { box, outcomes } = outbox({ urls: [target.url] })
    box.send(target.url, notice('a'))
    await until(() => outcomes.length > 0)
    box.configure(new Map([['m', []]]))
    const seen = target.received.length
    box.send(target.url, notice('b'))
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(target.received.length).toBeLessThanOrEqual(seen + 1)
    expect(ids(target)).not.toContain('b')
    expect(box.waiting()).toEqual({})
  })
})
