// MLflow's model server behind the gateway, for clients of its own protocol and for those of V2.
import { beforeAll, describe, expect, it } from 'vitest'
import { postJson, routesOf, type Sending, send, startGateway, type TestGateway } from '../e2e/gateway.ts'
import { PEERS } from './peers.ts'
import { type RunningServer, startMlflow } from './servers.ts'
import { farthest, outputOf, traffic, v2Request } from './traffic.ts'

const START_MS = 300_000
const VERSION = '2.0.0'
const MODELS = ['tumour-risk', 'flight-delay'] as const
type Model = (typeof MODELS)[number]
const PROBABILITIES = { 'tumour-risk': 'probabilities', 'flight-delay': 'probability' } as const

describe.skipIf(PEERS === undefined)("MLflow's server behind the gateway", () => {
  let servers: Record<Model, RunningServer>
  let gateway: TestGateway

  beforeAll(async () => {
    const [matrix, frame] = await Promise.all(MODELS.map(model => startMlflow(PEERS!, model, VERSION)))
    servers = { 'tumour-risk': matrix!, 'flight-delay': frame! }
    const routes: Record<string, unknown> = {}
    for (const model of MODELS) {
      const version = (more: object) => ({ live: VERSION, versions: { [VERSION]: { ...more, weight: 100 } } })
      const url = servers[model].url
      routes[model] = { ...version({ url, protocol: 'mlflow' }), path: `/${model}/invocations` }
      const rename = { outputs: { [PROBABILITIES[model]]: 'predictions' } }
      routes[`${model}-renamed`] = version({ url, protocol: 'mlflow', rename })
      routes[`${model}-onnx`] = { ...version({ onnx: `${model}/${VERSION}` }), path: `/${model}-onnx/invocations` }
    }
    gateway = await startGateway({ routes: routesOf(routes) })
  }, START_MS)

  /** Two rows in each form that an MLflow client may send. */
  function forms(model: Model): Record<string, Sending> {
    const { inputs } = v2Request(model, traffic(model), 0, 2)
    const isMatrix = inputs.length === 1
    const width = inputs[0]!.shape[1]!
    const columns = isMatrix ? Array.from({ length: width }, (_, n) => `f${n}`) : inputs.map(({ name }) => name)
    const cell = (row: number, n: number) => (isMatrix ? inputs[0]!.data[row * width + n]! : inputs[n]!.data[row]!)
    const data = [0, 1].map(row => columns.map((_, n) => cell(row, n)))
    const records = data.map(row => Object.fromEntries(row.map((value, n) => [columns[n]!, value])))
    const bodies = {
      dataframe_split: { columns, data },
      dataframe_records: records,
      instances: isMatrix ? data : records,
      inputs: isMatrix ? data : Object.fromEntries(columns.map((name, n) => [name, data.map(row => row[n]!)])),
    }
    const csv = [columns.join(','), ...data.map(row => row.join(','))].join('\n')
    return {
      ...Object.fromEntries(
        Object.entries(bodies).map(([key, body]) => [key, { body: JSON.stringify({ [key]: body }) }]),
      ),
      csv: { body: csv, headers: { 'content-type': 'text/csv' } },
    }
  }

  async function both(model: Model, sending: Sending) {
    const direct = await send(`${servers[model].url}/invocations`, sending)
    const through = await send(`${gateway.predictions}/${model}/invocations`, sending)
    return { direct, through }
  }

  it.each(MODELS)('%s: takes every form of its clients and gives the very bytes of the server', async model => {
    const answers = new Set<string>()
    for (const [form, sending] of Object.entries(forms(model))) {
      const { direct, through } = await both(model, sending)
      expect(direct.status, `${form}: ${direct.text}`).toBe(200)
      expect(through.status, form).toBe(200)
      expect(through.bytes, form).toEqual(direct.bytes)
      expect(through.headers['content-type'], form).toBe(direct.headers['content-type'])
      answers.add(direct.text)
    }
    expect(answers.size).toBe(1)
  })

  it('passes what the server refuses with its own status and words', async () => {
    const split = { columns: ['origin'], data: [['JFK']] }
    const refused: [number, Sending][] = [
      [400, { body: '{"rows": []}' }],
      [400, { body: '{"inputs":' }],
      [400, { body: JSON.stringify({ dataframe_split: split }) }],
      [415, { body: 'x', headers: { 'content-type': 'text/plain' } }],
    ]
    for (const [status, sending] of refused) {
      const { direct, through } = await both('flight-delay', sending)
      expect(direct.status, direct.text).toBe(status)
      expect([through.status, through.text]).toEqual([status, direct.text])
    }
  })

  it.each(MODELS)('%s: answers a V2 client with what the embedded export of the same pickle says', async model => {
    const request = v2Request(model, traffic(model), 0, 250)
    const infer = (route: string, body: object) => postJson(`${gateway.predictions}/v2/models/${route}/infer`, body)
    const onnx = await infer(`${model}-onnx`, request)
    const expected = outputOf(onnx.json, PROBABILITIES[model])
    const plain = await infer(model, { ...request, id: 'of the client' })
    expect(plain.status, plain.text).toBe(200)
    expect(plain.json).toMatchObject({ model_name: model, model_version: VERSION, id: 'of the client' })
    expect(plain.json.outputs).toMatchObject([{ name: 'predictions', shape: [250, 2], datatype: 'FP64' }])
    expect(farthest(outputOf(plain.json, 'predictions'), expected)).toBeLessThan(1e-5)
    const renamed = await infer(`${model}-renamed`, { ...request, outputs: [{ name: PROBABILITIES[model] }] })
    expect(renamed.status, renamed.text).toBe(200)
    expect(farthest(outputOf(renamed.json, PROBABILITIES[model]), expected)).toBeLessThan(1e-5)
  })

  it('tells a V2 client what the server refuses', async () => {
    const request = v2Request('flight-delay', traffic('flight-delay'), 0, 1)
    const without = { inputs: request.inputs.slice(1) }
    const { status, json } = await postJson(`${gateway.predictions}/v2/models/flight-delay/infer`, without)
    expect(status).toBe(400)
    expect(json.error).toMatch(/origin/)
  })

  it.each(MODELS)('%s: the embedded export takes every form of an MLflow client', async model => {
    const { direct } = await both(model, forms(model).dataframe_split!)
    const expected = direct.json.predictions.flat()
    for (const [form, sending] of Object.entries(forms(model))) {
      const { status, text, json } = await send(`${gateway.predictions}/${model}-onnx/invocations`, sending)
      expect(status, `${form}: ${text}`).toBe(200)
      // By columns as an object, by rows as records; two outputs where MLflow's own server has one.
      const { predictions } = json
      const found = Array.isArray(predictions)
        ? predictions.flatMap((row: Record<string, number[]>) => row[PROBABILITIES[model]]!)
        : predictions[PROBABILITIES[model]].flat()
      expect(farthest(found, expected), form).toBeLessThan(1e-5)
    }
  })
})
