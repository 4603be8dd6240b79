import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { type Counted, settledWhen } from './evidence.ts'
import {
  getJson,
  inParallel,
  predict,
  routesOf,
  startGateway,
  type TestGateway,
  TUMOUR_ROWS,
  tumourRequest,
} from './gateway.ts'
import { answerHalf, modelServer, type Received } from './upstream.ts'

const rows = (index: number) => tumourRequest(TUMOUR_ROWS[index % TUMOUR_ROWS.length]!.slice(0, 30))
const load = (gateway: TestGateway, count: number) =>
  inParallel(count, 8, index => predict(gateway, 'risk', rows(index)))
const compare = { output: 'probabilities', tolerance: { absolute: 0.05 } }
const twice = (counted: Counted) => counted.at('again.plus') + counted.at('again.minus') + counted.at('again.zero')
const isShadow = ({ headers }: Received) => headers['x-understudy-role'] === 'shadow'

/** Answers with 0 and 1 where the other answers ½ and ½. */
const answerSure: typeof answerHalf = (received, response) => {
  const rowCount = JSON.parse(received.body).inputs[0].shape[0] as number
  const data = Array.from({ length: rowCount * 2 }, (_, at) => at % 2)
  response.writeHead(200, { 'content-type': 'application/json' })
  const outputs = [{ name: 'probabilities', datatype: 'FP32', shape: [rowCount, 2], data }]
  response.end(JSON.stringify({ model_name: 'sure', outputs }))
}

describe('what live scores twice', () => {
  it('is every mirrored request of an embedded model at 100 percent, and it never contradicts itself', async () => {
    const gateway = await startGateway({
      routes: routesOf({
        risk: {
          live: '1.0.0',
          versions: {
            '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
            '1.1.0': { onnx: 'tumour-risk/2.0.0', shadow: 100 },
          },
          compare: { ...compare, again: 100 },
          expect: 'change',
        },
      }),
    })
    await load(gateway, 150)
    const counted = await settledWhen(gateway, each => each.at('mirror.compared') === 150)
    expect(twice(counted)).toBe(150)
    expect(counted.at('again.differs')).toBe(0)
    expect(counted.at('again.plus')).toBe(counted.at('pair.mismatch'))
    await gateway.stop()
  })

  it('is a sample until live contradicts itself, then everything, also after a restart', {
    timeout: 60_000,
  }, async () => {
    let contradicts = false
    const live = await modelServer((received, response) => {
      if (contradicts && isShadow(received)) answerSure(received, response)
      else answerHalf(received, response)
    })
    const candidate = await modelServer()
    let gateway = await startGateway({
      routes: routesOf({
        risk: {
          live: '1.0.0',
          versions: {
            '1.0.0': { url: live.url, weight: 100, mirrorable: true, repeatable: true },
            '1.1.0': { url: candidate.url, shadow: 100, mirrorable: true, repeatable: true },
          },
          compare: { ...compare, again: 20 },
          expect: 'change',
        },
      }),
    })
    await load(gateway, 300)
    const quiet = await settledWhen(gateway, each => each.at('mirror.compared') === 300)
    expect(Math.abs(twice(quiet) - 60)).toBeLessThan(5 * Math.sqrt(300 * 0.16))
    expect([quiet.at('again.zero'), quiet.at('again.differs')]).toEqual([twice(quiet), 0])

    contradicts = true
    await load(gateway, 200)
    await settledWhen(gateway, each => each.at('mirror.compared') === 500)
    const before = await settledWhen(gateway, each => each.at('again.differs') > 0)
    await load(gateway, 100)
    const after = await settledWhen(gateway, each => each.at('mirror.compared') === 600)
    expect(twice(after) - twice(before)).toBe(100)
    // The candidate agreed each time, live with itself never.
    expect(after.at('again.minus') - before.at('again.minus')).toBe(100)

    await gateway.stop()
    gateway = await startGateway({ routes: await readFile(gateway.routesFile, 'utf8'), folder: gateway.folder })
    await load(gateway, 50)
    const restarted = await settledWhen(gateway, each => each.at('mirror.compared') === 650)
    expect(twice(restarted) - twice(after)).toBe(50)
    await gateway.stop()
  })

  it('counts for nothing where the second run fails or hangs: pairs, drops and answers are as without it', async () => {
    const live = await modelServer((received, response) => {
      if (!isShadow(received)) answerHalf(received, response)
    })
    const gateway = await startGateway({
      routes: routesOf({
        risk: {
          live: '1.0.0',
          versions: {
            '1.0.0': {
              url: live.url,
              weight: 100,
              mirrorable: true,
              repeatable: true,
              shadow: { percent: 0, deadline: '300ms', batch: 1 },
            },
            '1.1.0': { onnx: 'tumour-risk/2.0.0', shadow: 100 },
          },
          compare: { ...compare, again: 100 },
          expect: 'change',
        },
      }),
    })
    const answers = await load(gateway, 200)
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    const counted = await settledWhen(gateway, each => each.at('mirror.compared') === 200)
    expect([twice(counted), counted.at('again.differs'), counted.mirrored.dropped]).toEqual([0, 0, 0])
    const { decision } = (await getJson(`${gateway.admin}/v1/routes/risk/gate?candidate=1.1.0`)) as { decision: string }
    expect(decision).not.toBe('invalid')
    await gateway.stop()
  })

  it("is what live said of a canary's request too, where it was asked for the pair", async () => {
    const gateway = await startGateway({
      args: ['--adopt'],
      routes: routesOf({
        risk: {
          live: '1.0.0',
          versions: {
            '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 50 },
            '1.1.0': { onnx: 'tumour-risk/2.0.0', weight: 50 },
          },
          compare: { ...compare, again: 100 },
          expect: 'change',
          gate: { paired: 100 },
        },
      }),
    })
    await load(gateway, 120)
    const counted = await settledWhen(gateway, each => each.at('arm.b.n') + each.at('arm.c.n') === 120)
    expect(counted.at('mirror.compared')).toBe(counted.at('arm.c.n'))
    expect(twice(counted)).toBe(counted.at('arm.c.n'))
    expect(counted.at('again.differs')).toBe(0)
    await gateway.stop()
  })
})
