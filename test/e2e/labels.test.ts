import { beforeAll, describe, expect, it } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import {
  getJson,
  inParallel,
  postJson,
  predict,
  routesOf,
  send,
  startGateway,
  type TestGateway,
  TUMOUR_ROWS,
  tumourRequest,
  until,
} from './gateway.ts'

let gateway: TestGateway
const none = { joined: 0, waiting: 0, unusable: 0, late: 0, repeated: 0 }
const versions = {
  '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
  '2.0.0': { onnx: 'tumour-risk/2.0.0', shadow: 100 },
}
const compare = { output: 'probabilities', tolerance: { absolute: 0.05 } }

beforeAll(async () => {
  gateway = await startGateway({
    routes: routesOf({
      risk: { live: '1.0.0', versions, compare, expect: 'change', labels: { loss: 'brier', margin: 0.05 } },
      plain: { live: '1.0.0', versions: { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 } } },
    }),
  })
})

const rowOf = (index: number) => TUMOUR_ROWS[index % TUMOUR_ROWS.length]!
const labelOf = (index: number) => rowOf(index)[30]!

let sent = 0
async function ask(ids: readonly string[]): Promise<void> {
  sent += ids.length
  await inParallel(ids.length, 8, async index => {
    const { status } = await predict(gateway, 'risk', tumourRequest(rowOf(index).slice(0, 30)), {
      headers: { 'x-request-id': ids[index]! },
    })
    expect(status).toBe(200)
  })
}

const report = async () => (await getJson(`${gateway.admin}/v1/routes/risk/report`)) as Report
const labelled = async () => (await report()).labels?.n ?? 0
const post = (body: unknown) => postJson(`${gateway.predictions}/v1/labels`, body)

/** Waits until every mirrored request so far is settled, so that its prediction waits for its label. */
async function compared(): Promise<void> {
  await until(async () => {
    const { account } = await report()
    return account.inFlight === 0 && account.eligible === sent
  })
}

const eventually = (n: number) =>
  until(async () => (await labelled()) === n, { what: () => `${n} labels to be evidence` })

describe('a label', () => {
  it('after its prediction is joined, becomes paired Brier evidence, and counts once however often it comes', async () => {
    const before = await labelled()
    const ids = Array.from({ length: 50 }, (_, index) => `after-${index}`)
    await ask(ids)
    await compared()
    const labels = ids.map((request_id, index) => ({ request_id, label: labelOf(index) }))
    const { status, json } = await post(labels)
    expect({ status, json }).toEqual({ status: 200, json: { ...none, joined: 50 } })
    await eventually(before + 50)
    // The same again, in every form that is accepted.
    expect((await post(labels)).json).toEqual({ ...none, repeated: 50 })
    await post({ labels })
    await post(labels[0])
    await ask(['another'])
    await compared()
    expect(await labelled()).toBe(before + 50)
    const { labels: shown } = await report()
    expect(shown!.meanDifference).toBeGreaterThan(-1)
    expect(shown!.meanDifference).toBeLessThan(1)
  })

  it('measures how much worse the candidate is: the mean over all held-out rows is that of their manifests', async () => {
    const brier = (version: '1.0.0' | '2.0.0', answers: readonly number[]) =>
      answers.reduce((sum, p, index) => sum + (p - labelOf(index)) ** 2, 0) / answers.length || version.length
    const all: Record<'1.0.0' | '2.0.0', number[]> = { '1.0.0': [], '2.0.0': [] }
    const forced = await startGateway({
      routes: routesOf({
        risk: { live: '1.0.0', versions, compare, expect: 'change', labels: { loss: 'brier' }, force: 'x-pick' },
      }),
    })
    for (const version of ['1.0.0', '2.0.0'] as const) {
      for (let index = 0; index < TUMOUR_ROWS.length; index++) {
        const { json } = await predict(forced, 'risk', tumourRequest(rowOf(index).slice(0, 30)), {
          headers: { 'x-pick': version },
        })
        all[version].push(json.outputs.find((output: { name: string }) => output.name === 'probabilities').data[1])
      }
    }
    const expected = brier('2.0.0', all['2.0.0']) - brier('1.0.0', all['1.0.0'])
    const ids = TUMOUR_ROWS.map((_, index) => `all-${index}`)
    await inParallel(ids.length, 8, index =>
      predict(forced, 'risk', tumourRequest(rowOf(index).slice(0, 30)), { headers: { 'x-request-id': ids[index]! } }),
    )
    await post([])
    const shown = await until(async () => {
      const { json } = await postJson(
        `${forced.predictions}/v1/labels`,
        ids.map((request_id, index) => ({ request_id, label: labelOf(index) })),
      )
      expect(json).toHaveProperty('joined')
      const { labels } = (await getJson(`${forced.admin}/v1/routes/risk/report`)) as Report
      return labels?.n === TUMOUR_ROWS.length ? labels : undefined
    })
    // Differences are kept in bins, so the mean is near and not equal.
    expect(Math.abs(shown.meanDifference! - expected)).toBeLessThan(0.005)
    await forced.stop()
  })

  it('before its prediction waits for it and is then joined, once', async () => {
    const before = await labelled()
    const ids = Array.from({ length: 20 }, (_, index) => `before-${index}`)
    const { json } = await post(ids.map((request_id, index) => ({ request_id, label: labelOf(index) })))
    expect(json).toEqual({ ...none, waiting: 20 })
    await ask(ids)
    await eventually(before + 20)
    await ask(['yet another'])
    await compared()
    expect(await labelled()).toBe(before + 20)
  })

  it('of a request that nobody knows waits and counts for nothing', async () => {
    const before = await labelled()
    expect((await post({ request_id: 'nobody', label: 1 })).json).toEqual({ ...none, waiting: 1 })
    expect(await labelled()).toBe(before)
  })

  it('of a kind that the loss cannot use is told and counts for nothing', async () => {
    const before = await labelled()
    await ask(['unusable-1', 'unusable-2'])
    await compared()
    const { json } = await post([
      { request_id: 'unusable-1', label: 'malignant' },
      { request_id: 'unusable-2', label: 7.5 },
    ])
    expect(json.joined).toBe(0)
    expect(json.unusable).toBe(2)
    expect(await labelled()).toBe(before)
    // A right one may still come.
    expect((await post({ request_id: 'unusable-1', label: 0 })).json.joined).toBe(1)
    await eventually(before + 1)
  })

  it('may come on the admin listener too', async () => {
    const before = await labelled()
    await ask(['by-admin'])
    await compared()
    const { json } = await postJson(`${gateway.admin}/v1/labels`, { request_id: 'by-admin', label: 1 })
    expect(json.joined).toBe(1)
    await eventually(before + 1)
  })

  it.each<[string, string]>([
    ['nothing', ''],
    ['no JSON', '{'],
    ['null', 'null'],
    ['a number', '7'],
    ['an object without a label', '{"request_id":"a"}'],
    ['an object without a request id', '{"label":1}'],
    ['an empty request id', '{"request_id":"","label":1}'],
    ['a label that is null', '{"request_id":"a","label":null}'],
    ['a label that is an object', '{"request_id":"a","label":{}}'],
    ['an unknown key', '{"request_id":"a","label":1,"weight":2}'],
    ['one bad entry among good ones', '[{"request_id":"a","label":1},{"request_id":"b"}]'],
    ['more than ten thousand', JSON.stringify(new Array(10_001).fill({ request_id: 'a', label: 1 }))],
  ])('in a body that holds %s: 400', async (_, body) => {
    const before = await labelled()
    const { status, json } = await send(`${gateway.predictions}/v1/labels`, { body })
    expect(status).toBe(400)
    expect(json).toEqual({ error: expect.any(String) })
    expect(await labelled()).toBe(before)
  })

  it('for a route that takes none, or that does not exist: 404 that names it', async () => {
    for (const route of ['plain', 'nowhere', '__proto__']) {
      const { status, json } = await post({ request_id: 'a', label: 1, route })
      expect({ status, error: json.error }).toEqual({ status: 404, error: expect.stringContaining(route) })
    }
  })

  it('in a body over four megabytes: 413', async () => {
    const { status } = await send(`${gateway.predictions}/v1/labels`, { body: 'x'.repeat(4 * 1024 * 1024 + 1) })
    expect(status).toBe(413)
    const chunked = await send(`${gateway.predictions}/v1/labels`, {
      chunks: new Array(5).fill('x'.repeat(1024 * 1024)),
      headers: { 'content-type': 'application/json' },
    }).catch(() => ({ status: 413 }))
    expect(chunked.status).toBe(413)
  })

  it('that waits for its prediction is not lost by a restart of what was joined', async () => {
    const ids = ['kept-1', 'kept-2']
    await ask(ids)
    await compared()
    expect((await post({ request_id: 'kept-1', label: 1 })).json.joined).toBe(1)
    const n = await labelled()
    await gateway.kill()
    gateway = await startGateway({
      folder: gateway.folder,
      routes: routesOf({
        risk: { live: '1.0.0', versions, compare, expect: 'change', labels: { loss: 'brier', margin: 0.05 } },
        plain: { live: '1.0.0', versions: { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 } } },
      }),
    })
    expect(await labelled()).toBe(n)
    // Answered "joined", so it is kept; the other prediction still waits for its label.
    expect((await post({ request_id: 'kept-1', label: 1 })).json.joined).toBe(0)
    expect((await post({ request_id: 'kept-2', label: 1 })).json.joined).toBe(1)
    await eventually(n + 1)
  })
})

describe('a label of a live answer that changes the outcome', () => {
  const within = 2_500
  const routes = routesOf({
    risk: {
      live: '1.0.0',
      // Adopted: the canary has its share from the start.
      versions: {
        '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 50 },
        '2.0.0': { onnx: 'tumour-risk/2.0.0', weight: 50, shadow: 100 },
      },
      compare,
      expect: 'change',
      // So narrow that a hundred labels prove nothing.
      labels: { loss: 'brier', margin: 0.0001, within: `${within}ms`, affectedByAnswer: true },
    },
  })
  const rows = 120
  const ids = Array.from({ length: rows }, (_, index) => `arm-${index}`)

  const slots = async (at: TestGateway) => {
    const { evidence } = (await getJson(`${at.admin}/v1/routes/risk/evidence`)) as {
      evidence: { periods: { counters: Record<string, number> }[] }
    }
    const sum = (start: string) =>
      evidence.periods
        .flatMap(({ counters }) => Object.entries(counters))
        .filter(([slot]) => slot.startsWith(start) && !slot.includes('@'))
        .reduce((all, [, amount]) => all + amount, 0)
    return {
      answers: { b: sum('arm.b.n'), c: sum('arm.c.n') },
      due: { b: sum('arm.b.due'), c: sum('arm.c.due') },
      losses: { b: sum('arm.b.loss.'), c: sum('arm.c.loss.') },
      pairs: sum('loss.'),
    }
  }
  const arms = async (at: TestGateway) => (await at.status()).routes[0]!.labels!.arms!

  it('is counted for both arms when every label had its time, over a restart too; of a shadow it is only shown', async () => {
    let at = await startGateway({ routes, args: ['--adopt'] })
    const post = (body: unknown) => postJson(`${at.predictions}/v1/labels`, body)
    const label = (index: number) => ({ request_id: ids[index]!, label: labelOf(index) })
    // Three of four are labelled at once, most of them before their prediction is kept. The last quarter never is.
    const versions = await inParallel(rows, 8, async index => {
      const { status, headers } = await predict(at, 'risk', tumourRequest(rowOf(index).slice(0, 30)), {
        headers: { 'x-request-id': ids[index]! },
      })
      expect(status).toBe(200)
      if (index < 90) expect((await post(label(index))).status).toBe(200)
      return headers['x-understudy-version']
    })
    const answers = {
      b: versions.filter(version => version === '1.0.0').length,
      c: versions.filter(version => version === '2.0.0').length,
    }
    expect(answers.b + answers.c).toBe(rows)
    await until(async () => {
      const { joined, arms } = (await at.status()).routes[0]!.labels!
      return joined === 90 && arms!.waiting === rows
    })
    // The first label of a request stays.
    const others = ids.slice(0, 90).map((_, index) => ({ ...label(index), label: 1 - labelOf(index) }))
    expect((await post(others)).json).toMatchObject({ joined: 0, waiting: 0 })
    // Answered when it is on disk, and so is all that was joined before it.
    expect((await post(label(90))).json.joined).toBe(1)
    await at.kill()
    at = await startGateway({ folder: at.folder, routes })
    const all = { answers, due: answers, losses: { b: expect.any(Number), c: expect.any(Number) } }
    const counted = await until(async () => {
      const now = await slots(at)
      return now.due.b + now.due.c === rows ? now : undefined
    })
    expect(counted).toMatchObject(all)
    expect(counted.losses.b + counted.losses.c).toBe(91)
    const labelled = (version: string) => versions.slice(0, 91).filter(answered => answered === version).length
    expect(counted.losses).toEqual({ b: labelled('1.0.0'), c: labelled('2.0.0') })
    expect(await until(async () => ((await arms(at)).waiting === 0 ? arms(at) : undefined))).toEqual({
      waiting: 0,
      nextDueAt: null,
      cut: 0,
    })
    // A label that comes now finds nothing, and the counters stay.
    expect((await post({ request_id: ids[100], label: 1 })).json.joined).toBe(0)
    // Pairs of the same requests have labels too: they are shown, and no verdict rests on them.
    const { verdict } = (await getJson(`${at.admin}/v1/routes/risk/report`)) as Report
    const shown = verdict.metrics.filter(({ metric, segment }) => metric === 'labels' && segment === undefined)
    const [ofPairs, ofArms] = ['labels', 'labels of the candidate'].map(unit => shown.find(row => row.unit === unit))
    expect(ofPairs).toMatchObject({ n: counted.pairs, state: 'watched' })
    expect(counted.pairs).toBeGreaterThan(0)
    expect(ofArms).toMatchObject({ n: counted.losses.c, state: 'open' })
    await at.stop()
  })

  it('is not counted before its time', async () => {
    const at = await startGateway({
      routes: routes.replace(`${within}ms`, '1h'),
      args: ['--adopt'],
    })
    await inParallel(20, 4, index =>
      predict(at, 'risk', tumourRequest(rowOf(index).slice(0, 30)), { headers: { 'x-request-id': ids[index]! } }),
    )
    await until(async () => (await arms(at)).waiting === 20)
    const { json } = await postJson(
      `${at.predictions}/v1/labels`,
      ids.slice(0, 20).map((request_id, index) => ({ request_id, label: labelOf(index) })),
    )
    expect(json).toEqual({ ...none, joined: 20 })
    const { nextDueAt } = await arms(at)
    expect(Date.parse(nextDueAt!)).toBeGreaterThan(Date.now() + 3_000_000)
    const { due, losses, answers } = await slots(at)
    expect({ due, losses }).toEqual({ due: { b: 0, c: 0 }, losses: { b: 0, c: 0 } })
    expect(answers.b + answers.c).toBe(20)
    await at.stop()
  })
})
