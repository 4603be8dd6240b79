import { expect, test } from 'vitest'
import { parseRoutes } from '../../src/config/load.ts'
import { Labels } from '../../src/control/labels.ts'
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
