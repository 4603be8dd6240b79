// What bodies are on the wire: raw tensors, content codings in both directions, and bytes that nobody touches.
import { deflateRawSync, deflateSync, gunzipSync, gzipSync, inflateSync, zstdCompressSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { v2 } from '../../src/protocols/openInference.ts'
import type { Tensor } from '../../src/protocols/tensor.ts'
import type { Report } from '../../src/report/status.ts'
import {
  type Answer,
  getJson,
  predict,
  routesOf,
  send,
  startGateway,
  type TestGateway,
  tumourRequest,
  until,
} from './gateway.ts'
import { type ModelServer, modelServer } from './upstream.ts'

const text = JSON.stringify(tumourRequest())
const row = tumourRequest().inputs[0]!.data as number[]
let gateway: TestGateway
let upstream: ModelServer
let answerWith: (response: import('node:http').ServerResponse) => void

beforeAll(async () => {
  upstream = await modelServer((_received, response) => answerWith(response))
  gateway = await startGateway({
    routes: routesOf({
      risk: {
        live: '1.0.0',
        versions: {
          '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 100 },
          '1.1.0': { onnx: 'tumour-risk/1.0.0', shadow: 100 },
        },
        limits: { body: '64KiB' },
      },
      remote: {
        live: '1.0.0',
        versions: {
          '1.0.0': { url: upstream.url, weight: 100 },
          '1.1.0': { onnx: 'tumour-risk/1.0.0', shadow: 100 },
        },
        compare: { output: 'probabilities', tolerance: { absolute: 1 } },
      },
    }),
  })
})

const compared = (route: string, count: number) =>
  until(
    async () => {
      const { account } = (await getJson(`${gateway.admin}/v1/routes/${route}/report?candidate=1.1.0`)) as Report
      return account.compared >= count ? { account } : undefined
    },
    { what: () => `${count} comparisons of ${route}` },
  )

/** A request whose tensor is raw bytes, with its header fields. */
function raw(more: object = {}): { body: Buffer; headers: Record<string, string> } {
  const tensor = { name: 'features', shape: [1, 30], datatype: 'FP32', parameters: { binary_data_size: 120 } }
  const head = Buffer.from(JSON.stringify({ inputs: [tensor], ...more }))
  return {
    body: Buffer.concat([head, Buffer.from(Float32Array.from(row).buffer)]),
    headers: { 'inference-header-content-length': String(head.length), 'content-type': 'application/octet-stream' },
  }
}

function tensorsOf(answer: Answer): readonly Tensor[] {
  const jsonBytes = Number(answer.headers['inference-header-content-length'])
  const body = { bytes: answer.bytes, jsonBytes, contentType: '' }
  return v2.decodeResponse(body, { depth: 64, elements: 1000 }).outputs
}

describe('raw tensors', () => {
  it('are what JSON gives, in both directions, and are compared', async () => {
    const { outputs } = (await predict(gateway, 'risk', text)).json
    const { body, headers } = raw({ parameters: { binary_data_output: true } })
    const answer = await predict(gateway, 'risk', body, { headers })
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe('application/octet-stream')
    const [label, probabilities] = tensorsOf(answer)
    expect([...label!.data].map(Number)).toEqual(outputs[0].data)
    expect([...probabilities!.data].map(Number)).toEqual(outputs[1].data)
    const mixed = raw({ outputs: [{ name: 'probabilities', parameters: { binary_data: true } }, { name: 'label' }] })
    const both = await predict(gateway, 'risk', mixed.body, { headers: mixed.headers })
    expect(tensorsOf(both).map(({ name }) => name)).toEqual(['probabilities', 'label'])
    await compared('risk', 3)
  })

  it('come without any JSON, where the model has one input, and are compared as such', async () => {
    const before = (await compared('risk', 0)).account.compared
    const body = Buffer.from(Float32Array.from(row).buffer)
    const answer = await predict(gateway, 'risk', body, { headers: { 'inference-header-content-length': '0' } })
    expect(answer.status).toBe(200)
    await compared('risk', before + 1)
  })

  it('come compressed too: their length counts once the coding is off', async () => {
    const { body, headers } = raw()
    const answer = await predict(gateway, 'risk', gzipSync(body), {
      headers: { ...headers, 'content-encoding': 'gzip' },
    })
    expect(answer.status).toBe(200)
  })

  it.each([
    ['past the end', '100000'],
    ['negative', '-1'],
    ['no number', 'abc'],
    ['a number with a sign', '+10'],
    ['cut in the JSON', '10'],
  ])('whose JSON length is %s: 400', async (_, length) => {
    const { body, headers } = raw()
    const answer = await predict(gateway, 'risk', body, {
      headers: { ...headers, 'inference-header-content-length': length },
    })
    expect(answer.status).toBe(400)
    expect(answer.json).toEqual({ error: expect.any(String) })
  })
})

describe('a compressed request', () => {
  it.each([
    ['gzip', gzipSync(text)],
    ['x-gzip', gzipSync(text)],
    ['deflate', deflateSync(text)],
    ['deflate', deflateRawSync(text)],
    ['zstd', zstdCompressSync(text)],
    ['identity', Buffer.from(text)],
  ])('in %s is read', async (coding, body) => {
    expect((await predict(gateway, 'risk', body, { headers: { 'content-encoding': coding } })).status).toBe(200)
  })

  it.each<[string, string, Buffer, number]>([
    ['is not what it says', 'gzip', Buffer.from(text), 400],
    ['is cut off', 'gzip', gzipSync(text).subarray(0, -12), 400],
    ['is in a coding that nobody knows', 'compress', Buffer.from(text), 415],
    ['has two codings', 'gzip, gzip', gzipSync(gzipSync(text)), 415],
    ['grows beyond the limit', 'gzip', gzipSync(Buffer.alloc(200_000)), 413],
    ['is a bomb', 'deflate', deflateSync(Buffer.alloc(40_000_000)), 413],
  ])('that %s is refused', async (_, coding, body, status) => {
    const answer = await predict(gateway, 'risk', body, { headers: { 'content-encoding': coding } })
    expect(answer.status).toBe(status)
    expect(answer.json).toEqual({ error: expect.any(String) })
  })
})

describe('a compressed answer', () => {
  it.each([
    ['gzip', gunzipSync],
    ['deflate', inflateSync],
  ])('comes in %s when that alone is asked for', async (coding, plain) => {
    const answer = await predict(gateway, 'risk', text, { headers: { 'accept-encoding': coding } })
    expect(answer.headers).toMatchObject({ 'content-encoding': coding, vary: 'accept-encoding' })
    expect(JSON.parse(plain(answer.bytes).toString()).outputs).toHaveLength(2)
  })

  it('does not come unasked, and small ones not for a list of what a library knows', async () => {
    for (const accepted of ['', 'identity', 'br', 'gzip, deflate, br', 'gzip;q=0']) {
      const answer = await predict(gateway, 'risk', text, { headers: { 'accept-encoding': accepted } })
      expect(answer.headers['content-encoding'], accepted).toBeUndefined()
    }
    const many = { inputs: [{ name: 'features', shape: [40, 30], datatype: 'FP32', data: new Array(40).fill(row) }] }
    const answer = await predict(gateway, 'risk', many, { headers: { 'accept-encoding': 'gzip, deflate, br' } })
    expect(answer.headers['content-encoding']).toBe('gzip')
    expect(JSON.parse(gunzipSync(answer.bytes).toString()).outputs[1].data).toHaveLength(80)
  })
})

describe('bytes that need no translation', () => {
  const outputs = [{ name: 'probabilities', datatype: 'FP32', shape: [1, 2], data: [0.5, 0.5] }]

  it('pass as they are in both directions, codings and odd spacing included, and are read for the comparison', async () => {
    const before = (await compared('remote', 0)).account.compared
    const odd = ` {\n"inputs" : ${JSON.stringify(tumourRequest().inputs)} , "model_name":"whatever" }`
    const answer = Buffer.from(`{"model_name" : "m",\t"outputs":${JSON.stringify(outputs)}}  `)
    answerWith = response => {
      response.writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'content-encoding': 'gzip' })
      response.end(gzipSync(answer))
    }
    const body = gzipSync(odd)
    const received = await predict(gateway, 'remote', body, {
      headers: { 'content-encoding': 'gzip', 'accept-encoding': 'gzip, lzma, br;q=0.5' },
    })
    expect(received.bytes).toEqual(gzipSync(answer))
    expect(received.headers).toMatchObject({
      'content-encoding': 'gzip',
      'content-type': 'application/json; charset=utf-8',
    })
    const { headers } = upstream.received.at(-1)!
    expect(headers).toMatchObject({ 'content-encoding': 'gzip', 'accept-encoding': 'gzip, br;q=0.5' })
    expect(Number(headers['content-length'])).toBe(body.length)
    await compared('remote', before + 1)
  })

  it('are raw tensors too', async () => {
    const before = (await compared('remote', 0)).account.compared
    const head = Buffer.from(
      JSON.stringify({
        model_name: 'm',
        outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [1, 2], parameters: { binary_data_size: 8 } }],
      }),
    )
    const answer = Buffer.concat([head, Buffer.from(Float32Array.of(0.25, 0.75).buffer)])
    answerWith = response => {
      response.writeHead(200, { 'inference-header-content-length': String(head.length) })
      response.end(answer)
    }
    const { body, headers } = raw({ parameters: { binary_data_output: true } })
    const received = await predict(gateway, 'remote', body, { headers })
    expect(received.bytes).toEqual(answer)
    expect(tensorsOf(received)[0]!.data).toEqual(Float32Array.of(0.25, 0.75))
    await compared('remote', before + 1)
  })

  it('keep the query of the client', async () => {
    answerWith = response => response.end(JSON.stringify({ model_name: 'm', outputs }))
    await send(`${gateway.predictions}/v2/models/remote/infer?a=1&b=%20`, { body: text })
    expect(upstream.received.at(-1)!.url).toBe('/v2/models/remote/infer?a=1&b=%20')
  })
})
