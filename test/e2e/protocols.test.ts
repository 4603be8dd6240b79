// Clients of one protocol in front of versions of another: real gateways, and servers that speak as the specifications say.
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Report } from '../../src/report/status.ts'
import {
  type Answer,
  getJson,
  predict,
  routesOf,
  send,
  startGateway,
  type TestGateway,
  TUMOUR_ROWS,
  tumourRequest,
  until,
} from './gateway.ts'
import { type ModelServer, modelServer } from './upstream.ts'

const ROWS = TUMOUR_ROWS.slice(0, 3).map(row => row.slice(0, 30))

/** Twice the sum of each row: as TensorFlow Serving has it, with and without a name. */
const v1Server = (named: boolean) =>
  modelServer(({ url, body, method }, response) => {
    response.setHeader('content-type', 'application/json')
    if (method === 'GET') {
      response.statusCode = 404
      response.end('{"error":"no metadata"}')
      return
    }
    const { instances, inputs } = JSON.parse(body)
    const rows = (instances ?? inputs.x ?? inputs) as (number[] | { x: number[] })[]
    if (rows.some(row => (Array.isArray(row) ? row : row.x).length !== 2)) {
      response.statusCode = 400
      response.end(JSON.stringify({ error: 'x must have two columns' }))
      return
    }
    expect(url).toBe('/v1/models/twice:predict')
    const sums = rows.map(row => 2 * (Array.isArray(row) ? row : row.x).reduce((a, b) => a + b, 0))
    response.end(JSON.stringify({ predictions: named ? sums.map(sum => ({ y: sum, one: 1.0 })) : sums }))
  })

/** The same as an MLflow scoring server. */
const mlflowServer = () =>
  modelServer(({ url, body }, response) => {
    expect(url).toBe('/invocations')
    const { dataframe_split: frame, inputs } = JSON.parse(body)
    const rows = (frame?.data ?? inputs) as number[][]
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ predictions: rows.map(row => 2 * row.reduce((a, b) => a + b, 0)) }))
  })

let gateway: TestGateway
let v1: ModelServer
let named: ModelServer
let mlflow: ModelServer
let scores: ModelServer

beforeAll(async () => {
  v1 = await v1Server(false)
  named = await v1Server(true)
  mlflow = await mlflowServer()
  scores = await modelServer(({ body }, response) => {
    const { rows } = JSON.parse(body)
    response.setHeader('content-type', 'application/vnd.scores+json')
    response.end(`{ "result" : {"scores":[${(rows as number[]).map(row => row / 2).join(' , ')}]} }`)
  })
  const one = (version: object, route: object = {}) => ({
    live: '1.0.0',
    versions: { '1.0.0': { weight: 100, ...version } },
    ...route,
  })
  const http = { mirrorable: true, model: 'twice' }
  gateway = await startGateway({
    routes: routesOf({
      risk: one({ onnx: 'tumour-risk/1.0.0' }, { path: '/invocations' }),
      flights: one({ onnx: 'flight-delay/1.0.0' }, { path: '/flights/invocations' }),
      score: one(
        { onnx: 'tumour-risk/1.0.0', answers: ['score'], rename: { outputs: { score: 'probabilities' } } },
        { path: '/score/invocations' },
      ),
      tf: one({ url: v1.url, protocol: 'v1', ...http }),
      'tf-named': one({ url: named.url, protocol: 'v1', ...http }),
      'tf-renamed': one({
        url: v1.url,
        protocol: 'v1',
        ...http,
        rename: { inputs: { features: 'x' }, outputs: { score: 'predictions' } },
      }),
      ml: one({ url: mlflow.url, protocol: 'mlflow', ...http }, { path: '/ml/invocations' }),
      scores: {
        live: '1.0.0',
        versions: {
          '1.0.0': { url: scores.url, protocol: 'json', weight: 100 },
          '1.1.0': { url: `${scores.url}/else/where`, protocol: 'json', shadow: 100, mirrorable: true },
        },
        path: ['/score', '/api/v1.0/predictions'],
        compare: { output: '/result/scores', kind: 'number', tolerance: { absolute: 1e-9 } },
      },
    }),
  })
})

const v1Predict = (model: string, body: object, version = ''): Promise<Answer> =>
  send(`${gateway.predictions}/v1/models/${model}${version}:predict`, { body: JSON.stringify(body) })
const at = (path: string, body: object | string, headers: Record<string, string> = {}): Promise<Answer> =>
  send(gateway.predictions + path, { body: typeof body === 'string' ? body : JSON.stringify(body), headers })
const pairs = (rows: number[][]) => ({
  inputs: [{ name: 'x', shape: [rows.length, 2], datatype: 'FP64', data: rows.flat() }],
})

describe('an embedded model', () => {
  it('answers V1 row by row and column by column with what V2 gets', async () => {
    const [, probabilities] = (await predict(gateway, 'risk', tumourRequest(ROWS[0]))).json.outputs
    const byRow = await v1Predict('risk', { instances: [ROWS[0]] })
    expect(byRow.status).toBe(200)
    expect(byRow.json).toEqual({ predictions: [{ label: expect.any(Number), probabilities: probabilities.data }] })
    const byColumn = await v1Predict('risk', { inputs: { features: [ROWS[0]] } })
    expect(byColumn.json).toEqual({ outputs: { label: [expect.any(Number)], probabilities: [probabilities.data] } })
    expect(byColumn.headers['x-understudy-version']).toBe('1.0.0')
  })

  it('answers MLflow in each of its forms, at the path that belongs to it', async () => {
    const matrix = (await at('/invocations', { inputs: ROWS })).json
    expect(matrix.predictions.probabilities).toHaveLength(ROWS.length)
    const byRow = (await at('/invocations', { instances: ROWS })).json
    expect(byRow.predictions.map((row: { label: number }) => row.label)).toEqual(matrix.predictions.label)
    const features = (await getJson(`${gateway.predictions}/v2/models/flights`)) as { inputs: { name: string }[] }
    const columns = features.inputs.map(({ name }) => name)
    const row = columns.map(name => ({ origin: 'EWR', carrier: 'UA', dest: 'ORD' })[name] ?? 1)
    const split = await at('/flights/invocations', { dataframe_split: { columns, data: [row] } })
    expect(split.status).toBe(200)
    expect(split.json.predictions).toEqual([
      { label: expect.any(Number), probability: [expect.any(Number), expect.any(Number)] },
    ])
    const records = [Object.fromEntries(columns.map((name, index) => [name, row[index]]))]
    expect((await at('/flights/invocations', { dataframe_records: records })).json).toEqual(split.json)
    const csv = `${columns.join(',')}\n${row.join(',')}\n`
    expect((await at('/flights/invocations', csv, { 'content-type': 'text/csv' })).json).toEqual(split.json)
  })

  it('refuses what it cannot take in the words of the protocol that was spoken', async () => {
    const v1Error = await v1Predict('risk', { instances: [[1, 2]] })
    expect(v1Error.status).toBe(400)
    expect(v1Error.json).toEqual({ error: expect.stringContaining('features') })
    const mlflowError = await at('/invocations', { inputs: [[1, 2]] })
    expect(mlflowError.status).toBe(400)
    expect(mlflowError.json).toEqual({ error_code: 'BAD_REQUEST', message: expect.stringContaining('features') })
    expect((await at('/invocations', 'a', { 'content-type': 'text/plain' })).status).toBe(415)
    expect((await v1Predict('nobody', { instances: [1] })).status).toBe(404)
    expect((await v1Predict('risk', { instances: [ROWS[0]] }, '/versions/1.0.0')).status).toBe(403)
    const classify = await send(`${gateway.predictions}/v1/models/risk:classify`, { body: '{}' })
    expect([classify.status, classify.json]).toEqual([501, { error: expect.stringContaining(':predict') }])
  })
})

describe('a version that says what it answers with', () => {
  it('gives that, under the name of the clients, and everything else to who asks for it', async () => {
    const { predictions } = (await at('/score/invocations', { inputs: ROWS })).json
    expect(predictions).toHaveLength(ROWS.length)
    expect(predictions[0]).toHaveLength(2)
    expect((await v1Predict('score', { instances: [ROWS[0]] })).json.predictions).toEqual([predictions[0]])
    const all = await predict(gateway, 'score', { ...tumourRequest(ROWS[0]), outputs: [{ name: 'label' }] })
    expect(all.json.outputs.map(({ name }: { name: string }) => name)).toEqual(['label'])
  })

  it('takes no traffic where the model has no such tensor, and says which it has', async () => {
    const lost = await startGateway({
      routes: routesOf({
        risk: {
          live: '1.0.0',
          versions: { '1.0.0': { onnx: 'tumour-risk/1.0.0', answers: ['scores'], weight: 100 } },
        },
      }),
    })
    expect((await predict(lost, 'risk', tumourRequest())).status).toBe(503)
    expect(JSON.stringify(await lost.status())).toContain(
      'the model has no tensor \\"scores\\"; it takes features and gives label, probabilities',
    )
    await lost.stop()
  })
})

describe('a server of another protocol', () => {
  it('is asked in its own, and its answer comes in that of the client', async () => {
    const v2 = await predict(
      gateway,
      'tf',
      pairs([
        [1, 2],
        [3, 4.5],
      ]),
    )
    expect(v2.json).toEqual({
      model_name: 'tf',
      model_version: '1.0.0',
      outputs: [{ name: 'predictions', datatype: 'FP64', shape: [2], data: [6, 15] }],
    })
    expect(JSON.parse(v1.received.at(-1)!.body)).toEqual({
      instances: [
        [1, 2],
        [3, 4.5],
      ],
    })
    const two = await predict(gateway, 'tf-named', { id: 'a', outputs: [{ name: 'y' }], ...pairs([[1, 2]]) })
    expect(two.json.id).toBe('a')
    expect(two.json.outputs).toEqual([{ name: 'y', datatype: 'FP64', shape: [1], data: [6] }])
    expect((await predict(gateway, 'ml', pairs([[1, 2]]))).json.outputs[0].data).toEqual([6])
    expect((await v1Predict('ml', { instances: [[1, 2]] })).json).toEqual({ predictions: [6] })
    expect((await at('/ml/invocations', { inputs: [[1, 2]] })).json).toEqual({ predictions: [6] })
  })

  it('may call its tensors otherwise', async () => {
    const body = { inputs: [{ ...pairs([[1, 2]]).inputs[0], name: 'features' }], outputs: [{ name: 'score' }] }
    const { json } = await predict(gateway, 'tf-renamed', body)
    expect(json.outputs).toEqual([{ name: 'score', datatype: 'FP64', shape: [1], data: [6] }])
  })

  it('tells what it was asked for in vain, and what it refuses, in the words of the client', async () => {
    const unknown = await predict(gateway, 'tf-named', { outputs: [{ name: 'z' }], ...pairs([[1, 2]]) })
    expect([unknown.status, unknown.json.error]).toEqual([400, 'unknown output "z"; the model gives y, one'])
    const refused = await predict(gateway, 'tf', {
      inputs: [{ name: 'x', shape: [1, 1], datatype: 'FP64', data: [1] }],
    })
    expect([refused.status, refused.json]).toEqual([400, { error: 'x must have two columns' }])
  })

  it('gets no credentials of the client that it would not get in its own protocol, and no field of a body that is not sent', async () => {
    await predict(gateway, 'tf', gzipSync(JSON.stringify(pairs([[1, 2]]))), {
      headers: { 'content-encoding': 'gzip', 'x-mine': 'kept', 'proxy-authorization': 'secret' },
    })
    const { headers } = v1.received.at(-1)!
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'x-mine': 'kept', 'x-understudy-role': 'live' })
    expect(headers['content-encoding']).toBeUndefined()
    expect(headers['proxy-authorization']).toBeUndefined()
    expect(headers.traceparent).toMatch(/^00-/)
  })
})

describe('a protocol that is not known', () => {
  it('passes through as it is, to the address or to the path of the client, and back', async () => {
    const text = '{"rows" :[1,2.50]}'
    const { status, text: answer, headers } = await at('/score?debug=1', text)
    expect([status, answer]).toEqual([200, '{ "result" : {"scores":[0.5 , 1.25]} }'])
    expect(headers['content-type']).toBe('application/vnd.scores+json')
    await at('/api/v1.0/predictions', text)
    const asked = () => scores.received.map(({ url, body }) => [url, body])
    await until(() => asked().length >= 4, { what: () => 'the shadow to be asked twice' })
    expect(asked()).toContainEqual(['/score?debug=1', text])
    expect(asked()).toContainEqual(['/api/v1.0/predictions', text])
    expect(asked().map(([url]) => url)).toEqual(expect.arrayContaining(['/else/where?debug=1', '/else/where']))
    // Each in a span of its own of the same trace, so that the servers' spans belong to it.
    const contextOf = (path: string) =>
      scores.received
        .find(({ url }) => url === path)!
        .headers.traceparent!.toString()
        .split('-')
    const [live, shadow] = [contextOf('/score?debug=1'), contextOf('/else/where?debug=1')]
    expect(shadow[1]).toBe(live[1])
    expect(shadow[2]).toMatch(/^[0-9a-f]{16}$/)
    expect(shadow[2]).not.toBe(live[2])
  })

  it('is compared by a pointer into its answers', async () => {
    await at('/score', '{"rows":[3]}')
    const report = async () => (await getJson(`${gateway.admin}/v1/routes/scores/report?candidate=1.1.0`)) as Report
    const { account } = await until(
      async () => {
        const told = await report()
        return told.account.compared >= 3 ? told : undefined
      },
      { what: () => 'three comparisons' },
    )
    expect(account.dropped).toMatchObject({ queue_full: 0 })
  })

  it('cannot be translated: 501 that says why', async () => {
    const { status, json } = await predict(gateway, 'scores', pairs([[1, 2]]))
    expect(status).toBe(501)
    expect(json.error).toBe(
      'version 1.0.0 of model "scores" speaks a form of its own, and the Open Inference Protocol V2 cannot be translated to that',
    )
  })

  it('is asked for by POST alone, at the paths that are written', async () => {
    expect((await send(`${gateway.predictions}/score`)).status).toBe(405)
    expect((await at('/score/', '{}')).status).toBe(404)
    expect((await at('/nowhere/invocations', '{}')).status).toBe(404)
  })
})

describe('a shadow of another protocol', () => {
  it('is compared by what the client would have seen: names and datatypes that its protocol does not carry make no mismatch', async () => {
    const upstream = `${gateway.predictions}`
    const shadowing = await startGateway({
      routes: routesOf({
        risk: {
          live: '1.0.0',
          versions: {
            '1.0.0': { url: upstream, protocol: 'v1', weight: 100 },
            '1.1.0': { onnx: 'tumour-risk/1.0.0', shadow: 100 },
            '1.2.0': { url: upstream, protocol: 'v2', shadow: 100, mirrorable: true },
            '1.3.0': { url: upstream, protocol: 'mlflow', shadow: 100, mirrorable: true },
          },
          compare: { output: [{ output: 'label' }, { output: 'probabilities', tolerance: { absolute: 1e-6 } }] },
        },
      }),
    })
    for (const row of ROWS) {
      const answer = await send(`${shadowing.predictions}/v1/models/risk:predict`, {
        body: JSON.stringify({ instances: [row] }),
      })
      expect(answer.status).toBe(200)
    }
    await predict(shadowing, 'risk', tumourRequest(ROWS[0]))
    const asked = ROWS.length + 1
    for (const candidate of ['1.1.0', '1.2.0', '1.3.0']) {
      const { account } = await until(
        async () => {
          const told = (await getJson(`${shadowing.admin}/v1/routes/risk/report?candidate=${candidate}`)) as Report
          return told.account.compared + Object.values(told.account.failed).reduce((a, b) => a + b, 0) === asked
            ? told
            : undefined
        },
        { what: () => `${asked} comparisons of ${candidate}` },
      )
      expect(account.compared, candidate).toBe(asked)
      const evidence = (await getJson(`${shadowing.admin}/v1/routes/risk/evidence?candidate=${candidate}`)) as object
      expect(JSON.stringify(evidence), candidate).not.toContain('pair.mismatch')
    }
    await shadowing.stop()
  })
})
