// MLServer behind the gateway, serving the pickles of the shipped models: what goes through untouched, and what does not.
import { gunzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { manifestOf, postJson, routesOf, type Sending, send, startGateway, type TestGateway } from '../e2e/gateway.ts'
import { PEERS } from './peers.ts'
import { type RunningServer, startMlserver } from './servers.ts'
import { farthest, outputOf, traffic, v2Request } from './traffic.ts'

const MODELS = ['tumour-risk', 'digits', 'flight-delay'] as const
const VERSION = '2.0.0'
const START_MS = 240_000
/** What the ONNX exports call what MLServer's scikit-learn runtime calls `predict` and `predict_proba`. */
const outputNames = (model: string) => manifestOf(model, VERSION).signature.outputs.map(({ name }) => name)
const BOTH = [{ name: 'predict' }, { name: 'predict_proba' }]

describe.skipIf(PEERS === undefined)('MLServer behind the gateway', () => {
  let mlserver: RunningServer
  let gateway: TestGateway

  beforeAll(async () => {
    // Columns of strings and numbers reach the pipeline as a data frame.
    const inputs = manifestOf('flight-delay', VERSION).signature.inputs.map(({ name, datatype, shape }) => {
      const parameters = datatype === 'BYTES' ? { content_type: 'str' } : {}
      return { name, datatype, shape, parameters }
    })
    const outputs = [
      { name: 'predict', datatype: 'INT64', shape: [-1, 1] },
      { name: 'predict_proba', datatype: 'FP64', shape: [-1, 2] },
    ]
    mlserver = await startMlserver(PEERS!, [
      { name: 'tumour-risk', version: VERSION },
      { name: 'digits', version: VERSION },
      { name: 'flight-delay', version: VERSION, contentType: 'pd', inputs, outputs },
    ])
    const pickled = (more: object) => ({
      live: VERSION,
      versions: { [VERSION]: { url: mlserver.url, weight: 100, ...more } },
    })
    const routes: Record<string, unknown> = {}
    for (const model of MODELS) {
      routes[model] = pickled({})
      routes[`${model}-onnx`] = { live: VERSION, versions: { [VERSION]: { onnx: `${model}/${VERSION}`, weight: 100 } } }
      const [label, probabilities] = outputNames(model) as [string, string]
      const rename = { outputs: { [label]: 'predict', [probabilities]: 'predict_proba' } }
      routes[`${model}-renamed`] = pickled({ model, rename })
    }
    gateway = await startGateway({ routes: routesOf(routes) })
  }, START_MS)

  /** The same request to both: straight to MLServer, and by way of the gateway. */
  async function both(path: string, sending: Sending) {
    const direct = await send(mlserver.url + path, sending)
    const through = await send(gateway.predictions + path, sending)
    return { direct, through }
  }

  const infer = (model: string) => `/v2/models/${model}/infer`

  it.each(MODELS)('answers for %s with the very bytes that MLServer gives', async model => {
    const rows = traffic(model)
    for (const [index, outputs] of [BOTH, [{ name: 'predict_proba' }], undefined].entries()) {
      const request = {
        ...v2Request(model, rows, index, index + 3),
        id: `request-${index}`,
        ...(outputs && { outputs }),
      }
      const { direct, through } = await both(infer(model), { body: JSON.stringify(request) })
      expect(direct.status, direct.text).toBe(200)
      expect(through.status).toBe(200)
      expect(through.bytes).toEqual(direct.bytes)
      expect(through.headers['content-type']).toBe(direct.headers['content-type'])
      expect(through.headers['ce-id']).toBe(`request-${index}`)
      expect(through.headers['x-understudy-version']).toBe(VERSION)
    }
  })

  it('passes what MLServer refuses with its own status and words', async () => {
    const request = v2Request('tumour-risk', traffic('tumour-risk'), 0, 1)
    const [features] = request.inputs
    const refused = [
      [400, { ...request, outputs: [{ name: 'nope' }] }],
      [422, { inputs: [{ ...features, datatype: 'FP31' }] }],
      [422, { inputs: 7 }],
      [500, { inputs: [{ ...features, shape: [1, 29], data: features!.data.slice(1) }] }],
    ] as const
    for (const [status, body] of refused) {
      const { direct, through } = await both(infer('tumour-risk'), { body: JSON.stringify(body) })
      expect(direct.status, direct.text).toBe(status)
      expect([through.status, through.text]).toEqual([status, direct.text])
    }
    const { direct, through } = await both(infer('tumour-risk'), { body: '{"inputs":' })
    expect(direct.status).toBe(422)
    expect([through.status, through.text]).toEqual([422, direct.text])
  })

  it('passes a compressed answer and a compressed request as they are', async () => {
    const request = { ...v2Request('digits', traffic('digits'), 0, 100), id: 'long', outputs: BOTH }
    const asking = { body: JSON.stringify(request), headers: { 'accept-encoding': 'gzip' } }
    const { direct, through } = await both(infer('digits'), asking)
    expect(direct.headers['content-encoding']).toBe('gzip')
    expect(through.headers['content-encoding']).toBe('gzip')
    expect(gunzipSync(through.bytes)).toEqual(gunzipSync(direct.bytes))
  })

  it('says what MLServer knows of a model, and is ready', async () => {
    const { direct, through } = await both('/v2/models/flight-delay', {})
    const plain = direct.json.inputs.map(({ name, datatype, shape }: Record<string, unknown>) => ({
      name,
      datatype,
      shape,
    }))
    expect(plain).toHaveLength(14)
    expect(through.json).toMatchObject({ name: 'flight-delay', versions: [VERSION], inputs: plain })
    expect(through.json.outputs).toMatchObject([{ name: 'predict' }, { name: 'predict_proba', datatype: 'FP64' }])
    expect((await send(`${gateway.predictions}/v2/models/flight-delay/ready`)).json).toMatchObject({ ready: true })
    expect((await send(`${gateway.predictions}/v2/models/nope`)).status).toBe(404)
  })

  it.each(MODELS)('%s: the pickle and its ONNX export answer alike on every held-out row', async model => {
    const rows = traffic(model)
    const [label, probabilities] = outputNames(model) as [string, string]
    const count = Math.min(rows.rows.length, 4_000)
    for (let from = 0; from < count; from += 1_000) {
      const request = v2Request(model, rows, from, Math.min(from + 1_000, count))
      const pickle = await postJson(gateway.predictions + infer(model), { ...request, outputs: BOTH })
      const onnx = await postJson(gateway.predictions + infer(`${model}-onnx`), request)
      expect([pickle.status, onnx.status]).toEqual([200, 200])
      expect(outputOf(pickle.json, 'predict')).toEqual(outputOf(onnx.json, label))
      expect(farthest(outputOf(pickle.json, 'predict_proba'), outputOf(onnx.json, probabilities))).toBeLessThan(1e-5)
    }
  })

  it.each(MODELS)('%s: renamed, it answers to the names of the export', async model => {
    const request = v2Request(model, traffic(model), 0, 5)
    const names = outputNames(model)
    const asked = { ...request, id: 'renamed', outputs: names.map(name => ({ name })) }
    const pickle = await postJson(gateway.predictions + infer(`${model}-renamed`), asked)
    const onnx = await postJson(gateway.predictions + infer(`${model}-onnx`), asked)
    expect(pickle.status, pickle.text).toBe(200)
    expect(pickle.json.id).toBe('renamed')
    expect(pickle.json.outputs.map(({ name }: { name: string }) => name)).toEqual(names)
    for (const name of names) {
      expect(farthest(outputOf(pickle.json, name), outputOf(onnx.json, name))).toBeLessThan(1e-5)
    }
  })
})
