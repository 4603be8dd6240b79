import { expect, it } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import { getJson, inParallel, predict, routesOf, startGateway, TUMOUR_ROWS, until } from './gateway.ts'
import { modelServer } from './upstream.ts'

const REQUESTS = 64

it('a shadow gets requests in batches with the very digits that the clients wrote, and each answer goes to its own', async () => {
  const live = await modelServer()
  const shadow = await modelServer()
  const gateway = await startGateway({
    routes: routesOf({
      risk: {
        live: '1.0.0',
        versions: {
          '1.0.0': { url: live.url, weight: 100 },
          '2.0.0': {
            url: shadow.url,
            mirrorable: true,
            shadow: { percent: 100, batch: 8, wait: '100ms', unbatched: 0, deadline: '30s' },
          },
        },
        compare: { output: 'probabilities', tolerance: { absolute: 0.05 } },
      },
    }),
  })
  // Neither 0.10 nor this many digits would come back from an FP32.
  const digits = (index: number) => `0.10, ${index}.123456789012345e0`
  const answers = await inParallel(REQUESTS, 16, index => {
    const data = [digits(index), ...TUMOUR_ROWS[0]!.slice(2, 30)].join(',')
    const body = `{"inputs":[{"name":"features","datatype":"FP32","shape":[1,30],"data":[${data}]}]}`
    return predict(gateway, 'risk', body)
  })
  expect(answers.every(({ status }) => status === 200)).toBe(true)
  await until(
    async () => {
      const { account } = (await getJson(`${gateway.admin}/v1/routes/risk/report`)) as Report
      return account.compared === REQUESTS ? account : undefined
    },
    { timeoutMs: 20_000, what: () => 'all to be compared' },
  )
  await gateway.stop()
  const bodies = shadow.received.map(({ body }) => body)
  const rows = bodies.map(body => (JSON.parse(body) as { inputs: [{ shape: number[] }] }).inputs[0].shape[0]!)
  expect(rows.reduce((sum, each) => sum + each, 0)).toBe(REQUESTS)
  expect(Math.max(...rows)).toBeGreaterThan(1)
  for (let index = 0; index < REQUESTS; index++)
    expect(bodies.filter(body => body.includes(digits(index)))).toHaveLength(1)
})
