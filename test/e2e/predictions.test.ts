import { randomBytes } from 'node:crypto'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  manifestOf,
  predict,
  ROOT,
  routesOf,
  scratch,
  send,
  startGateway,
  type TestGateway,
  tumourRequest,
} from './gateway.ts'
import { writeModel } from './onnxModel.ts'

let gateway: TestGateway

beforeAll(async () => {
  const models = await scratch()
  for (const name of ['tumour-risk', 'digits', 'flight-delay']) {
    await symlink(join(ROOT, 'models', name), join(models, name))
  }
  const echo = await writeModel(
    models,
    'echo',
    '1.0.0',
    { op: 'Identity', datatype: 'INT64', width: 2 },
    { inputs: [7, -7], outputs: [7, -7] },
  )
  const log = await writeModel(
    models,
    'log',
    '1.0.0',
    { op: 'Log', datatype: 'FP32', width: 1 },
    { inputs: [1], outputs: [0] },
  )
  const flags = await writeModel(
    models,
    'flags',
    '1.0.0',
    { op: 'Identity', datatype: 'BOOL', width: 2 },
    { inputs: [1, 0], outputs: [1, 0] },
  )
  const only = (onnx: string, version = '1.0.0') => ({ live: version, versions: { [version]: { onnx, weight: 100 } } })
  gateway = await startGateway({
    routes: routesOf(
      {
        'tumour-risk': {
          ...only('tumour-risk/1.1.0', '1.1.0'),
          versions: {
            '1.1.0': { onnx: 'tumour-risk/1.1.0', weight: 100 },
            '1.0.0': { onnx: 'tumour-risk/1.0.0' },
          },
          limits: { body: '256KiB' },
        },
        digits: only('digits/1.0.0'),
        'flight-delay': { ...only('flight-delay/2.0.0', '2.0.0'), limits: { body: '16MiB' } },
        echo: only(echo),
        log: only(log),
        flags: only(flags),
      },
      { models },
    ),
  })
})

describe('a right request', () => {
  it.each([
    ['tumour-risk', '1.1.0'],
    ['digits', '1.0.0'],
    ['flight-delay', '2.0.0'],
  ])('to %s is answered with the golden vectors of version %s', async (model, version) => {
    const { golden } = manifestOf(model, version)
    expect(golden.vectors.length).toBeGreaterThan(0)
    for (const vector of golden.vectors) {
      const { status, json, headers } = await predict(gateway, model, { inputs: vector.inputs })
      expect(status).toBe(200)
      expect(headers['content-type']).toBe('application/json')
      expect(json.model_name).toBe(model)
      expect(json.model_version).toBe(version)
      for (const expected of vector.outputs) {
        const actual = json.outputs.find((output: { name: string }) => output.name === expected.name)
        expect(actual).toMatchObject({ datatype: expected.datatype, shape: expected.shape })
        for (const [index, value] of expected.data.entries()) {
          const allowed = golden.tolerance.absolute + golden.tolerance.relative * Math.abs(Number(value))
          expect(Math.abs(actual.data[index] - Number(value))).toBeLessThanOrEqual(allowed)
        }
      }
    }
  })

  it('is told who answered and under which request id', async () => {
    const { headers } = await predict(gateway, 'tumour-risk', tumourRequest(), {
      headers: { 'x-request-id': 'mine-1' },
    })
    expect(headers['x-understudy-version']).toBe('1.1.0')
    expect(headers['x-request-id']).toBe('mine-1')
  })

  it('gets a request id of the gateway when it brings none, another each time', async () => {
    const answers = await Promise.all([1, 2].map(() => predict(gateway, 'tumour-risk', tumourRequest())))
    const ids = answers.map(({ headers }) => headers['x-request-id'])
    expect(ids[0]).toMatch(/\S{16,}/)
    expect(ids[0]).not.toBe(ids[1])
  })

  it('gets its id back, and none when it gave none', async () => {
    expect((await predict(gateway, 'tumour-risk', { id: 'a "quoted" id', ...tumourRequest() })).json.id).toBe(
      'a "quoted" id',
    )
    expect((await predict(gateway, 'tumour-risk', tumourRequest())).json).not.toHaveProperty('id')
  })

  it('gets the outputs it asks for, in the order asked', async () => {
    const ask = async (outputs: { name: string }[] | undefined) =>
      (await predict(gateway, 'tumour-risk', { ...tumourRequest(), ...(outputs && { outputs }) })).json.outputs.map(
        (output: { name: string }) => output.name,
      )
    expect(await ask([{ name: 'probabilities' }, { name: 'label' }])).toEqual(['probabilities', 'label'])
    expect(await ask([{ name: 'label' }, { name: 'probabilities' }])).toEqual(['label', 'probabilities'])
    expect(await ask([{ name: 'probabilities' }])).toEqual(['probabilities'])
    expect(await ask(undefined)).toEqual(['label', 'probabilities'])
  })

  it('may nest its data, add a query string, percent-encode the name and name the model in the body', async () => {
    const [input] = tumourRequest().inputs
    const body = JSON.stringify({
      model_name: 'tumour-risk',
      parameters: { anything: 1 },
      inputs: [{ ...input, data: [input!.data] }],
    })
    const answer = await send(`${gateway.predictions}/v2/models/tumour%2Drisk/infer?trace=1`, { body })
    expect(answer.status).toBe(200)
    expect(answer.json.model_version).toBe('1.1.0')
  })

  it('of 64-bit integers beyond 2^53 is never rounded', async () => {
    const body =
      '{"inputs":[{"name":"x","datatype":"INT64","shape":[1,2],"data":[9007199254740993,-9223372036854775808]}]}'
    const { status, text } = await predict(gateway, 'echo', body)
    expect(status).toBe(200)
    expect(text).toContain('9007199254740993')
    expect(text).toContain('-9223372036854775808')
  })

  it('answers NaN and infinity as null, and says so', async () => {
    const { status, json } = await predict(gateway, 'log', {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [3, 1], data: [0, -1, 1] }],
    })
    expect(status).toBe(200)
    expect(json.outputs[0].data).toEqual([null, null, 0])
    expect(JSON.stringify(json.parameters)).toContain('y')
  })

  it('answers booleans as booleans', async () => {
    const { json } = await predict(gateway, 'flags', {
      inputs: [{ name: 'x', datatype: 'BOOL', shape: [1, 2], data: [false, true] }],
    })
    expect(json.outputs[0].data).toEqual([false, true])
  })

  it('may hold no rows', async () => {
    const { status, json } = await predict(gateway, 'echo', {
      inputs: [{ name: 'x', datatype: 'INT64', shape: [0, 2], data: [] }],
    })
    expect([200, 400]).toContain(status)
    if (status === 200) expect(json.outputs[0]).toMatchObject({ shape: [0, 2], data: [] })
  })
})

const good = tumourRequest().inputs[0]!
const tensor = (change: object) => ({ inputs: [{ ...good, ...change }] })

describe('a wrong request is refused with a message that names what is wrong', () => {
  it.each<[string, object | string | Uint8Array, RegExp]>([
    ['an unknown tensor name', tensor({ name: 'featurez' }), /featurez/],
    ['a tensor without a name', { inputs: [{ ...good, name: undefined }] }, /name/],
    ['an empty tensor name', tensor({ name: '' }), /name/],
    ['a tensor name that every object inherits', tensor({ name: 'constructor' }), /constructor/],
    ['the name __proto__', tensor({ name: '__proto__' }), /__proto__/],
    ['a wrong datatype', tensor({ datatype: 'FP64' }), /features.*FP64/],
    ['a datatype that does not exist', tensor({ datatype: 'FLOAT' }), /features.*FLOAT/],
    ['a datatype that every object inherits', tensor({ datatype: 'toString' }), /features.*toString/],
    ['no datatype', tensor({ datatype: undefined }), /features.*datatype/],
    ['FP16 in JSON', tensor({ datatype: 'FP16' }), /features.*FP16/],
    ['a wrong width', tensor({ shape: [1, 29], data: (good.data as number[]).slice(1) }), /features.*29/],
    ['a wrong rank', tensor({ shape: [30] }), /features.*30/],
    ['three dimensions', tensor({ shape: [1, 30, 1] }), /features/],
    ['a negative dimension', tensor({ shape: [-1, 30] }), /features.*shape/],
    ['a fractional dimension', tensor({ shape: [1.5, 20] }), /features.*shape/],
    ['dimensions whose product overflows', tensor({ shape: [2 ** 40, 2 ** 40] }), /features/],
    ['no shape', tensor({ shape: undefined }), /features.*shape/],
    ['too few values', tensor({ data: [1, 2, 3] }), /features.*3.*30/],
    ['too many values', tensor({ data: [...(good.data as number[]), 1] }), /features.*31.*30/],
    ['no data', tensor({ data: undefined }), /features.*data/],
    ['data that is no array', tensor({ data: 'AAAA' }), /features.*data/],
    ['a string among the numbers', tensor({ data: [...(good.data as number[]).slice(1), '1'] }), /features.*"1"/],
    ['null among the numbers', tensor({ data: [...(good.data as number[]).slice(1), null] }), /features.*null/],
    ['an object among the numbers', tensor({ data: [...(good.data as number[]).slice(1), {}] }), /features/],
    ['true among the numbers', tensor({ data: [...(good.data as number[]).slice(1), true] }), /features.*true/],
    ['1e999', JSON.stringify(tensor({})).replace(/\[16\.14,/, '[1e999,'), /features/],
    ['1e39 in FP32, which becomes infinite', tensor({ data: [...(good.data as number[]).slice(1), 1e39] }), /features/],
    ['the bare word NaN', JSON.stringify(tensor({})).replace(/\[16\.14,/, '[NaN,'), /JSON/],
    ['no inputs', {}, /inputs/],
    ['inputs that are no array', { inputs: {} }, /inputs/],
    ['an empty list of inputs', { inputs: [] }, /inputs/],
    ['an input that is null', { inputs: [null] }, /inputs/],
    ['an input given twice', { inputs: [good, good] }, /features.*twice/],
    ['an input too many', { inputs: [good, { ...good, name: 'more' }] }, /more/],
    ['an unknown output', { inputs: [good], outputs: [{ name: 'probz' }] }, /probz/],
    ['an output without a name', { inputs: [good], outputs: [{}] }, /outputs/],
    ['outputs that are no array', { inputs: [good], outputs: 'label' }, /outputs/],
    ['an id that is no string', { id: 7, inputs: [good] }, /id/],
    ['a body that is an array', [good], /object/],
    ['a body that is null', 'null', /object/],
    ['an empty body', '', /JSON/],
    ['cut-off JSON', JSON.stringify(tensor({})).slice(0, -3), /JSON/],
    [
      'bytes that are not UTF-8',
      Buffer.concat([Buffer.from('{"id":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]),
      /UTF-8/,
    ],
    [
      'half a surrogate in UTF-8',
      Buffer.concat([Buffer.from('{"id":"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')]),
      /UTF-8/,
    ],
    ['a hundred kilobytes of noise', randomBytes(100_000), /JSON|UTF-8/],
    ['brackets a hundred deep', '['.repeat(100) + ']'.repeat(100), /64/],
    ['data nested beyond any shape', tensor({ data: JSON.parse('['.repeat(60) + ']'.repeat(60)) }), /features/],
  ])('%s: 400', async (_, body, message) => {
    const { status, json, headers } = await predict(gateway, 'tumour-risk', body)
    expect({ status, json }).toMatchObject({ status: 400, json: { error: expect.stringMatching(message) } })
    expect(Object.keys(json)).toEqual(['error'])
    expect(headers['content-type']).toBe('application/json')
  })

  it('a missing input of several: 400 that names it', async () => {
    const { inputs } = manifestOf('flight-delay', '2.0.0').golden.vectors[0]!
    const { status, json } = await predict(gateway, 'flight-delay', {
      inputs: inputs.filter(({ name }) => name !== 'carrier'),
    })
    expect(status).toBe(400)
    expect(json.error).toMatch(/carrier.*missing/)
  })

  it('inputs that do not agree on their rows: never a 500', async () => {
    const { inputs } = manifestOf('flight-delay', '2.0.0').golden.vectors[0]!
    const [first, ...others] = inputs
    const doubled = { ...first!, shape: [first!.shape[0]! * 2, 1], data: [...first!.data, ...first!.data] }
    const { status, json } = await predict(gateway, 'flight-delay', { inputs: [doubled, ...others] })
    expect({ status, error: json.error }).toEqual({ status: 400, error: expect.stringMatching(/origin|rows/) })
  })

  it.each([
    ['9223372036854775808', /9223372036854775808/],
    ['-9223372036854775809', /-9223372036854775809/],
    ['1.5', /1\.5/],
    ['1e30', /x/],
    ['"7"', /7/],
  ])('the INT64 value %s: 400', async (value, message) => {
    const body = `{"inputs":[{"name":"x","datatype":"INT64","shape":[1,2],"data":[${value},0]}]}`
    const { status, json } = await predict(gateway, 'echo', body)
    expect({ status, json }).toMatchObject({ status: 400, json: { error: expect.stringMatching(message) } })
  })

  it('ten megabytes of brackets: 400, and others are answered meanwhile', async () => {
    const brackets = Buffer.alloc(10_000_000, '[')
    const [wrong, right] = await Promise.all([
      predict(gateway, 'flight-delay', brackets),
      predict(gateway, 'tumour-risk', tumourRequest()),
    ])
    expect(wrong.status).toBe(400)
    expect(wrong.json.error).toMatch(/64/)
    expect(right.status).toBe(200)
  })

  it('an own key __proto__ touches no prototype and changes no answer', async () => {
    const plain = JSON.stringify(tumourRequest())
    const polluting = plain.replace(
      /^\{/,
      '{"__proto__":{"id":"polluted","polluted":true},"constructor":{"prototype":{"polluted":true}},',
    )
    const { status, json } = await predict(gateway, 'tumour-risk', polluting)
    expect(status).toBe(200)
    expect(json).not.toHaveProperty('id')
    const after = await predict(gateway, 'tumour-risk', tumourRequest())
    expect(after.json).toEqual((await predict(gateway, 'tumour-risk', plain)).json)
    expect(after.json).not.toHaveProperty('polluted')
    const onlyInherited = await predict(gateway, 'tumour-risk', '{"__proto__":{"inputs":[]}}')
    expect(onlyInherited.status).toBe(400)
    expect(onlyInherited.json.error).toMatch(/inputs/)
  })

  it.each(['tumour-risc', '__proto__', 'constructor', '..', '%2e%2e', '%00', 'digits%2f..%2fdigits', 'x'.repeat(5000)])(
    'the unknown model %s: 404 that names it, shortened',
    async model => {
      const { status, json } = await predict(gateway, model, tumourRequest())
      expect(status).toBe(404)
      expect(json.error.length).toBeLessThan(400)
    },
  )

  it('an unknown version: 404 that names it', async () => {
    const { status, json } = await predict(gateway, 'tumour-risk', tumourRequest(), { version: '9.9.9' })
    expect({ status, error: json.error }).toEqual({ status: 404, error: expect.stringMatching(/9\.9\.9/) })
  })

  it('a version that the route lets nobody pick: 403, nothing is answered by it', async () => {
    const { status, json, headers } = await predict(gateway, 'tumour-risk', tumourRequest(), { version: '1.0.0' })
    expect(status).toBe(403)
    expect(json.error).toMatch(/version/)
    expect(headers).not.toHaveProperty('x-understudy-version')
  })

  it('a body over the limit: 413, declared or chunked', async () => {
    const body = 'x'.repeat(256 * 1024 + 1)
    const declared = await predict(gateway, 'tumour-risk', body)
    expect({ status: declared.status, error: declared.json.error }).toEqual({
      status: 413,
      error: expect.stringMatching(/262144/),
    })
    const chunked = await send(`${gateway.predictions}/v2/models/tumour-risk/infer`, {
      method: 'POST',
      chunks: [body.slice(0, 200_000), body.slice(200_000)],
    })
    expect(chunked.status).toBe(413)
    expect((await predict(gateway, 'tumour-risk', tumourRequest())).status).toBe(200)
  })

  it('a content coding that nobody knows: 415 that names it', async () => {
    const { status, json } = await predict(gateway, 'tumour-risk', tumourRequest(), {
      headers: { 'content-encoding': 'compress' },
    })
    expect(status).toBe(415)
    expect(json.error).toMatch(/compress/)
  })

  it('a raw tensor without the length of its JSON: 400 that names the tensor', async () => {
    const { status, json } = await predict(
      gateway,
      'tumour-risk',
      tensor({ parameters: { binary_data_size: 120 }, data: undefined }),
    )
    expect(status).toBe(400)
    expect(json.error).toMatch(/features/)
  })

  it('a request id that could be smuggled into a header: replaced', async () => {
    const { headers } = await predict(gateway, 'tumour-risk', tumourRequest(), {
      headers: { 'x-request-id': `x${'y'.repeat(500)}` },
    })
    expect(headers['x-request-id']).not.toContain('yyy')
  })
})

describe('beside predictions', () => {
  it.each([
    ['/v2/health/live', { live: true }],
    ['/v2/health/ready', { ready: true }],
    ['/v2/models/digits/ready', { name: 'digits', ready: true }],
    ['/v2/models/tumour-risk/versions/1.1.0/ready', { name: 'tumour-risk', ready: true }],
  ])('GET %s answers %j', async (path, expected) => {
    const { status, json, headers } = await send(gateway.predictions + path)
    expect(status).toBe(200)
    expect(headers['content-type']).toBe('application/json')
    expect(json).toEqual(expected)
  })

  it.each(['/v2', '/v2/'])('GET %s tells name, version and extensions', async path => {
    const { status, json } = await send(gateway.predictions + path)
    expect(status).toBe(200)
    expect(json).toEqual({
      name: expect.any(String),
      version: expect.any(String),
      extensions: expect.any(Array),
    })
  })

  it('GET /v2/models/{model} gives versions, inputs and outputs as the manifest has them', async () => {
    const { signature } = manifestOf('flight-delay', '2.0.0')
    const { status, json } = await send(`${gateway.predictions}/v2/models/flight-delay`)
    expect(status).toBe(200)
    expect(json).toMatchObject({ name: 'flight-delay', versions: ['2.0.0'], platform: expect.any(String) })
    expect(json.inputs).toEqual(signature.inputs)
    expect(json.outputs).toEqual(signature.outputs)
  })

  it.each([
    ['GET', '/v2/models/nobody', 404],
    ['GET', '/v2/models/digits/versions/9.9.9', 404],
    ['GET', '/v2/models/nobody/ready', 404],
    ['GET', '/v2/models/__proto__', 404],
    ['GET', '/favicon.ico', 404],
    ['GET', '/v2/models/digits/infer', 405],
    ['PUT', '/v2/models/digits/infer', 405],
    ['DELETE', '/v2/models/digits', 405],
    ['POST', '/v2/health/live', 405],
    ['GET', '/v1/status', 404],
    ['GET', '/metrics', 404],
  ])('%s %s is %i with an error body', async (method, path, expected) => {
    const { status, json } = await send(gateway.predictions + path, { method })
    expect(status).toBe(expected)
    expect(json).toEqual({ error: expect.any(String) })
  })

  it('the admin API has probes, status and metrics on a listener of its own', async () => {
    expect((await send(`${gateway.admin}/livez`)).status).toBe(200)
    expect((await send(`${gateway.admin}/readyz`)).status).toBe(200)
    const metrics = await send(`${gateway.admin}/metrics`)
    expect(metrics.text).toMatch(/^understudy_requests_total\{/m)
    const status = await gateway.status()
    expect(status.ready).toBe(true)
    expect(status.routes.map(({ name }) => name)).toContain('digits')
  })
})
