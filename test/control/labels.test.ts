import { expect, test } from 'vitest'
import { parseRoutes } from '../../src/config/load.ts'
import { Labels } from '../../src/control/labels.ts'
import { differenceBin } from '../../src/evidence/histogram.ts'
import { compareDigest } from '../../src/rollout/periods.ts'
import { openMemoryStore } from '../../src/state/memory.ts'

const config = parseRoutes(
  `routes:
  risk:
    live: 1.0.0
    versions:
      1.0.0: { onnx: risk/1.0.0, weight: 100 }
      2.0.0: { onnx: risk/2.0.0, shadow: 100 }
    labels: { loss: brier, within: 1h }
`,
  'routes.yaml',
)
const HOUR = 3_600_000
const affected = parseRoutes(
  `routes:
  risk:
    live: 1.0.0
    versions:
      1.0.0: { onnx: risk/1.0.0, weight: 90 }
      2.0.0: { onnx: risk/2.0.0, weight: 10 }
    labels: { loss: brier, within: 1h, affectedByAnswer: true }
`,
  'routes.yaml',
)

function open(parts: Partial<ConstructorParameters<typeof Labels>[0]> = {}) {
  const store = openMemoryStore()
  const digest = compareDigest(affected.routes.risk!)
  const digests: Record<string, string> = { key: compareDigest(config.routes.risk!), arms: digest, old: 'another' }
  const labels = new Labels({ store, compareDigestOf: key => digests[key], settledMs: () => 1e12, ...parts })
  return { store, labels }
}
const prediction = (id: string, at = 0) => ({
  scope: 'risk/2.0.0',
  id,
  at,
  body: JSON.stringify({ key: 'key', b: 0.5, c: 0.9, s: [] }),
})
const bodyOf = (count: number, start = 0) =>
  Buffer.from(
    JSON.stringify(Array.from({ length: count }, (_, index) => ({ request_id: `${start + index}`, label: 1 }))),
  )

test('labels beyond a bound between two commits are refused until the next commit', async () => {
  const labels = open().labels
  const submit = async (start: number) => (await labels.submit(bodyOf(10_000, start), config, 0)).status
  expect([await submit(0), await submit(10_000), await submit(20_000)]).toEqual([200, 200, 503])
  labels.take(config, 0)
  expect(await submit(20_000)).toBe(503)
  labels.kept()
  expect(await submit(20_000)).toBe(200)
})

test('an answer waits until what it was joined to is kept, also over a commit that failed', async () => {
  const { store, labels } = open()
  store.commit({ pending: [prediction('0')] })
  let answer: unknown
  const submitted = labels.submit(bodyOf(1), config, 0).then(answered => (answer = answered))
  labels.take(config, 0)
  await new Promise(setImmediate)
  expect(answer).toBeUndefined()
  expect(labels.take(config, 0).resolved).toHaveLength(1)
  labels.kept()
  expect(await submitted).toEqual({
    status: 200,
    body: JSON.stringify({ joined: 1, waiting: 0, unusable: 0, late: 0, repeated: 0 }),
  })
  expect(labels.take(config, 0).resolved).toEqual([])
})

test('predictions that expire without a label, and those that had to go before, are counted apart', () => {
  const { store, labels } = open()
  store.commit({ pending: [prediction('old', 1), ...[0, 1, 2].map(id => prediction(`${id}`, HOUR))] })
  labels.expire(config, HOUR + 2, 2)
  expect(labels.counts('risk', config, 0)).toEqual({
    waiting: 0,
    joined: 0,
    unmatched: 0,
    late: 0,
    expired: 1,
    cut: 1,
  })
})

test('a route that takes no labels is unknown here', async () => {
  const labels = open().labels
  const body = Buffer.from('{"request_id":"a","label":1,"route":"other"}')
  expect((await labels.submit(body, config, 0)).status).toBe(404)
})

const answer = (id: string, at: number, arms = [['arms', 'c']]) => ({
  scope: 'risk/@arms',
  id,
  at,
  body: JSON.stringify({ arms, p: 0.5, s: [] }),
})
const epochOf = (...pending: ReturnType<typeof answer>[]) => [{ epoch: 1, counters: new Map(), pending }]

/** As the cycle does it: what is settled goes into the store together with what labels came to. */
function commit({ store, labels }: ReturnType<typeof open>, nowMs: number, pending: ReturnType<typeof answer>[] = []) {
  const epochs = labels.admitted(epochOf(...pending), affected, nowMs)
  const { counters, labelled = [], resolved } = labels.take(affected, nowMs)
  const slots = Object.fromEntries([...counters].flatMap(([, slots]) => [...slots]))
  store.commit({ pending: epochs.flatMap(epoch => epoch.pending), labelled, resolved })
  labels.kept()
  labels.arrived(pending, affected)
  return slots
}

test('a live answer counts with its label when that had its time, and status says how many wait until when', async () => {
  const it = open()
  commit(it, 10, [answer('0', 5), answer('1', 7)])
  const submitted = it.labels.submit(bodyOf(1), affected, 20)
  expect(commit(it, 30)).toEqual({})
  expect(JSON.parse((await submitted).body)).toMatchObject({ joined: 1 })
  expect(it.labels.counts('risk', affected, 2_000).arms).toEqual({
    waiting: 2,
    nextDueAt: new Date(5 + HOUR).toISOString(),
    cut: 0,
  })
  expect(commit(it, HOUR + 6)).toEqual({ 'arm.c.due': 1, [`arm.c.loss.${differenceBin(0.25)}`]: 1 })
  expect(it.labels.counts('risk', affected, HOUR + 2_000).arms).toMatchObject({ waiting: 1 })
  expect(commit(it, HOUR + 8)).toEqual({ 'arm.c.due': 1 })
  expect(it.labels.counts('risk', affected, HOUR + 4_000).arms).toEqual({ waiting: 0, nextDueAt: null, cut: 0 })
})

test('a live answer is not due before all that were admitted with it are in the store', () => {
  let settledMs = 0
  const it = open({ settledMs: () => settledMs })
  commit(it, 10, [answer('0', 5)])
  settledMs = 1_000
  // Settled by now, but what was settled is in the store with this commit only.
  expect(commit(it, 2 * HOUR)).toEqual({})
  expect(commit(it, 2 * HOUR)).toEqual({ 'arm.c.due': 1 })
})

test('a commit that failed counts a live answer once', () => {
  const it = open()
  commit(it, 10, [answer('0', 5)])
  it.labels.take(affected, 2 * HOUR)
  expect(commit(it, 2 * HOUR)).toEqual({ 'arm.c.due': 1 })
  expect(commit(it, 2 * HOUR)).toEqual({})
})

test('of more live answers than may wait a sample is taken, of both arms alike, and the rest is told', () => {
  const it = open({ armsKept: 2_000 })
  let [b, c, all] = [0, 0, 0]
  for (let second = 0; second < 600; second++) {
    const pending = Array.from({ length: 40 }, (_, index) =>
      answer(`${second}-${index}`, second * 1_000, [['arms', index % 2 === 0 ? 'b' : 'c']]),
    )
    all += pending.length
    commit(it, second * 1_000, pending)
  }
  const { waiting, cut } = it.labels.counts('risk', affected, 600_000).arms!
  expect(waiting).toBeLessThanOrEqual(2_040)
  // About a thousand; which ones is a matter of chance.
  expect(waiting).toBeGreaterThan(700)
  expect(waiting + cut).toBe(all)
  for (const { body } of it.store.due('risk/@arms', HOUR, 1e6)) body.includes('"b"') ? b++ : c++
  expect(Math.abs(b - c)).toBeLessThan(5 * Math.sqrt(waiting))
  // Also of the newest.
  expect(it.store.due('risk/@arms', HOUR, 1e6).at(-1)!.at).toBeGreaterThan(500_000)
})

test('a store that cannot be asked how many wait keeps no epoch from being committed', () => {
  const it = open()
  it.store.close()
  expect(it.labels.admitted(epochOf(answer('0', 5)), affected, 10)[0]!.pending).toHaveLength(1)
  expect(it.labels.counts('risk', affected, 10).arms).toMatchObject({ waiting: 1 })
})

test('a label is joined for the version that the file calls live while the lock holds it', async () => {
  const { store, labels } = open()
  store.commit({ pending: [{ ...prediction('0'), scope: 'risk/1.0.0' }] })
  const submitted = labels.submit(bodyOf(1), config, 0)
  labels.take(config, 0)
  labels.kept()
  expect(JSON.parse((await submitted).body)).toMatchObject({ joined: 1 })
})

test('what waits for nobody any more is let go a week later', () => {
  const { store, labels } = open()
  const DAYS = 24 * HOUR
  store.commit({
    pending: [{ ...prediction('0'), scope: 'risk/0.9.0' }, answer('0', 0), { ...prediction('0'), scope: 'gone/@arms' }],
  })
  labels.expire(affected, 7 * DAYS, 10)
  expect(store.scopes()).toEqual(['gone/@arms', 'risk/0.9.0', 'risk/@arms'])
  labels.expire(affected, 7 * DAYS + 1, 10)
  expect(store.scopes()).toEqual(['risk/@arms'])
  labels.expire(config, 7 * DAYS + 1, 10)
  expect(store.scopes()).toEqual([])
})
