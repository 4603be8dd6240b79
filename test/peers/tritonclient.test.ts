// tritonclient, as it comes from its authors, against the gateway: everything that it can ask over HTTP.
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  getJson,
  MODELS,
  manifestOf,
  routesOf,
  scratch,
  startGateway,
  type TestGateway,
  until,
} from '../e2e/gateway.ts'
import { writeModel } from '../e2e/onnxModel.ts'
import { PEERS } from './peers.ts'
import { runPython } from './python.ts'
import { type RunningServer, startMlserver } from './servers.ts'
import { farthest, traffic, v2Request } from './traffic.ts'

const START_MS = 300_000
const SHIPPED = ['tumour-risk', 'digits', 'flight-delay'] as const

/** Values at the ends of what each datatype holds. */
const IDENTITIES = {
  BOOL: [true, false],
  UINT8: [0, 255],
  INT8: [-128, 127],
  UINT16: [0, 65_535],
  INT16: [-32_768, 32_767],
  UINT32: [0, 4_294_967_295],
  INT32: [-2_147_483_648, 2_147_483_647],
  UINT64: ['0', '18446744073709551615'],
  INT64: ['-9223372036854775808', '9223372036854775807'],
  FP16: [-65_504, 0.333_251_953_125],
  FP32: [-3.402_823_466_385_288_6e38, 0.100_000_001_490_116_12],
  FP64: [-1.797_693_134_862_315_7e308, 5e-324],
  BYTES: ['', 'grüße, ünïcode ✓'],
} as const
type Identity = keyof typeof IDENTITIES
const KINDS = Object.keys(IDENTITIES) as Identity[]

interface Read {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data: readonly (number | string | boolean)[]
}

describe.skipIf(PEERS === undefined)('tritonclient', () => {
  let gateway: TestGateway
  let mlserver: RunningServer
  // biome-ignore lint/suspicious/noExplicitAny: a client's answers, looked into
  let answers: Record<string, { ok?: any; error?: string; status?: string }>

  beforeAll(async () => {
    const models = await scratch()
    for (const name of SHIPPED) await symlink(join(MODELS, name), join(models, name))
    const only = (onnx: string, version: string) => ({ live: version, versions: { [version]: { onnx, weight: 100 } } })
    const routes: Record<string, unknown> = {}
    for (const name of SHIPPED) routes[name] = only(`${name}/2.0.0`, '2.0.0')
    for (const kind of KINDS) {
      const one = kind === 'BYTES' ? ['one', 'two'] : kind === 'BOOL' ? [1, 0] : [1, 2]
      const model = { op: 'Identity', datatype: kind, width: 2 } as const
      routes[kind.toLowerCase()] = only(
        await writeModel(models, kind.toLowerCase(), '1.0.0', model, { inputs: one, outputs: one }),
        '1.0.0',
      )
    }
    mlserver = await startMlserver(PEERS!, [{ name: 'digits', version: '2.0.0' }])
    // MLServer speaks no binary tensors and no deflate; under other names it is translated, so its clients may.
    const rename = { outputs: { label: 'predict', probabilities: 'predict_proba' } }
    routes.pickled = {
      live: '2.0.0',
      versions: { '2.0.0': { url: mlserver.url, model: 'digits', weight: 100, rename } },
    }
    gateway = await startGateway({ routes: routesOf(routes, { models }) })
    answers = await runPython(PEERS!, 'triton_client.py', [new URL(gateway.predictions).host, JSON.stringify(plan())])
  }, START_MS)

  function plan() {
    const models: Record<string, object> = {}
    for (const name of SHIPPED) {
      const { inputs } = v2Request(name, traffic(name), 0, 3)
      models[name] = { inputs, outputs: manifestOf(name, '2.0.0').signature.outputs.map(each => each.name) }
    }
    models.pickled = models.digits!
    for (const kind of KINDS) {
      const input = { name: 'x', datatype: kind, shape: [1, 2], data: IDENTITIES[kind] }
      models[kind.toLowerCase()] = { inputs: [input], outputs: ['y'], binaryOnly: kind === 'FP16' }
    }
    return { asked: 'tumour-risk', models }
  }

  const read = (name: string, output: string): Read => {
    expect(answers[name]?.error, name).toBeUndefined()
    return answers[name]!.ok[output]
  }
  const refused = (name: string) => {
    expect(answers[name]?.ok, name).toBeUndefined()
    return `${answers[name]!.status}: ${answers[name]!.error}`
  }

  it('is told that server and model are live and ready, and that an unknown model is not', () => {
    expect(answers.live).toEqual({ ok: true })
    expect(answers.ready).toEqual({ ok: true })
    expect(answers['model ready']).toEqual({ ok: true })
    expect(answers['unknown ready']).toEqual({ ok: false })
  })

  it('is told of server and model: metadata, configuration, repository and statistics', () => {
    expect(answers.server!.ok.extensions).toContain('binary_tensor_data')
    const { inputs, outputs } = manifestOf('tumour-risk', '2.0.0').signature
    expect(answers.metadata!.ok).toMatchObject({ name: 'tumour-risk', versions: ['2.0.0'], inputs, outputs })
    expect(answers.config!.ok).toMatchObject({ name: 'tumour-risk', max_batch_size: 0 })
    expect(answers.config!.ok.input).toEqual([{ name: 'features', data_type: 'TYPE_FP32', dims: [-1, 30] }])
    const index = answers.index!.ok as { name: string; state: string }[]
    expect(index.map(({ name }) => name).sort()).toEqual(
      [...SHIPPED, 'pickled', ...KINDS.map(kind => kind.toLowerCase())].sort(),
    )
    expect(new Set(index.map(({ state }) => state))).toEqual(new Set(['READY']))
    expect(answers.statistics!.ok.model_stats[0]).toMatchObject({ name: 'tumour-risk', version: '2.0.0' })
  })

  it('sees its own requests in the statistics', async () => {
    const counted = await until(async () => {
      const { model_stats } = (await getJson(`${gateway.predictions}/v2/models/tumour-risk/stats`)) as {
        model_stats: { inference_count: number }[]
      }
      const { inference_count } = model_stats[0]!
      return inference_count >= 10 && inference_count
    })
    // Five forms, four at once, one with a query; those that were refused are none.
    expect(counted).toBe(10)
  })

  it.each([...SHIPPED, 'pickled'])(
    '%s: the same answers in JSON, binary, gzip, deflate and when no output is named',
    model => {
      const name = model === 'pickled' ? 'digits' : model
      const [label, probabilities] = manifestOf(name, '2.0.0').signature.outputs.map(each => each.name) as [
        string,
        string,
      ]
      const classes = name === 'digits' ? 10 : 2
      const first = read(`${model} json`, probabilities)
      expect(first.shape).toEqual([3, classes])
      for (let row = 0; row < 3; row++) {
        const sum = first.data.slice(row * classes, (row + 1) * classes).reduce((a: number, b) => a + (b as number), 0)
        expect(sum).toBeCloseTo(1, 5)
      }
      // MLServer answers named outputs only: unnamed it gives the label alone.
      const forms = ['binary', 'gzip', 'deflate', ...(model === 'pickled' ? [] : ['all outputs'])]
      for (const form of forms) {
        expect(read(`${model} ${form}`, probabilities), form).toEqual(first)
        expect(read(`${model} ${form}`, label), form).toEqual(read(`${model} json`, label))
      }
      expect(answers[`${model} binary`]!.ok.id).toBe('of the client')
      expect(answers[`${model} gzip`]!.ok.id ?? null).toBeNull()
    },
  )

  it('gets the same from the pickle in MLServer as from its embedded export', () => {
    const numbers = (name: string) => read(name, 'probabilities').data as number[]
    expect(farthest(numbers('pickled binary'), numbers('digits binary'))).toBeLessThan(1e-5)
    expect(read('pickled binary', 'label').data).toEqual(read('digits binary', 'label').data)
  })

  it.each(KINDS)('%s comes back as it was sent', kind => {
    const model = kind.toLowerCase()
    const forms = ['binary', 'gzip', 'deflate', 'all outputs', ...(kind === 'FP16' ? [] : ['json'])]
    for (const form of forms) {
      const { data, shape } = read(`${model} ${form}`, 'y')
      expect(shape, form).toEqual([1, 2])
      expect(data, form).toEqual([...IDENTITIES[kind]])
    }
  })

  it('gets what it asked for when it asks for several at once', () => {
    const expected = read('tumour-risk json', 'probabilities')
    const all = answers.async!.ok as { probabilities: Read }[]
    expect(all.map(({ probabilities }) => probabilities)).toEqual(new Array(4).fill(expected))
    expect(read('query and headers', 'probabilities')).toEqual(expected)
  })

  it('raises its own exception with a message that says what is wrong', () => {
    expect(refused('wrong width')).toMatch(/400.*features.*30/)
    expect(refused('wrong rank')).toMatch(/400.*features/)
    expect(refused('wrong datatype')).toMatch(/400.*features.*FP64/)
    expect(refused('wrong name')).toMatch(/400.*nothing/)
    expect(refused('unknown output')).toMatch(/400.*nothing/)
    expect(refused('unknown model')).toMatch(/404.*nobody/)
    expect(refused('unknown metadata')).toMatch(/404.*nobody/)
    expect(refused('unknown version')).toMatch(/40[34].*/)
  })
})
