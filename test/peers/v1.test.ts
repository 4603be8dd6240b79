// A V1 client in Python against embedded models: rows go in as `instances`, and `predictions` come back.
import { beforeAll, describe, expect, it } from 'vitest'
import { postJson, routesOf, startGateway, type TestGateway } from '../e2e/gateway.ts'
import { PEERS } from './peers.ts'
import { runPython } from './python.ts'
import { outputOf, traffic, v2Request } from './traffic.ts'

const ROWS = 3

describe.skipIf(PEERS === undefined)('a V1 client', () => {
  let gateway: TestGateway
  // biome-ignore lint/suspicious/noExplicitAny: a client's answers, looked into
  let answers: Record<string, { status: number; type: string; body: any }>

  beforeAll(async () => {
    const only = (onnx: string) => ({ live: '2.0.0', versions: { '2.0.0': { onnx, weight: 100 } } })
    const names = ['tumour-risk', 'digits', 'flight-delay']
    gateway = await startGateway({
      routes: routesOf(Object.fromEntries(names.map(name => [name, only(`${name}/2.0.0`)]))),
    })
    const predict = (model: string, body: unknown) => ({ path: `/v1/models/${model}:predict`, body })
    const plan = {
      status: { path: '/v1/models/tumour-risk' },
      models: { path: '/v1/models' },
      'tumour-risk': predict('tumour-risk', { instances: matrix('tumour-risk', 30) }),
      digits: predict('digits', { signature_name: 'serving_default', instances: matrix('digits', 64) }),
      named: predict('digits', { instances: matrix('digits', 64).map(pixels => ({ pixels })) }),
      columnar: predict('digits', { inputs: { pixels: matrix('digits', 64) } }),
      'flight-delay': predict('flight-delay', { instances: flights() }),
      'no instances': predict('digits', {}),
      'wrong width': predict('digits', { instances: [[1, 2, 3]] }),
      'wrong name': predict('digits', { instances: [{ nothing: [1] }] }),
      'unknown model': predict('nobody', { instances: [[1]] }),
      explain: { path: '/v1/models/digits:explain', body: { instances: [] } },
    }
    answers = await runPython(PEERS!, 'v1_client.py', [gateway.predictions, JSON.stringify(plan)])
  }, 120_000)

  const matrix = (model: string, width: number) =>
    traffic(model)
      .rows.slice(0, ROWS)
      .map(row => row.slice(0, width).map(Number))

  const flights = () => {
    const { inputs } = v2Request('flight-delay', traffic('flight-delay'), 0, ROWS)
    return Array.from({ length: ROWS }, (_, row) =>
      Object.fromEntries(inputs.map(({ name, data }) => [name, [data[row]]])),
    )
  }

  /** What V2 says of the same rows: label and probabilities, row by row. */
  async function rows(model: string, probabilities: string): Promise<{ label: number; scores: readonly number[] }[]> {
    const request = v2Request(model, traffic(model), 0, ROWS)
    const { json } = await postJson(`${gateway.predictions}/v2/models/${model}/infer`, request)
    const [labels, scores] = [outputOf(json, 'label'), outputOf(json, probabilities)]
    const width = scores.length / ROWS
    return labels.map((label, row) => ({ label, scores: scores.slice(row * width, (row + 1) * width) }))
  }

  it.each([
    ['tumour-risk', 'probabilities'],
    ['digits', 'probabilities'],
    ['flight-delay', 'probability'],
  ])('gets for %s what V2 says, row by row', async (model, probabilities) => {
    const expected = await rows(model, probabilities)
    expect(answers[model]).toMatchObject({ status: 200, type: 'application/json' })
    expect(answers[model]!.body.predictions).toEqual(
      expected.map(({ label, scores }) => ({ label, [probabilities]: scores })),
    )
  })

  it('may name the input, and may ask by columns', async () => {
    expect(answers.named!.body).toEqual(answers.digits!.body)
    const expected = await rows('digits', 'probabilities')
    expect(answers.columnar!.body.outputs).toEqual({
      label: expected.map(({ label }) => label),
      probabilities: expected.map(({ scores }) => scores),
    })
  })

  it('is told which models there are and that they are ready', () => {
    expect(answers.status).toMatchObject({ status: 200, body: { name: 'tumour-risk', ready: true } })
    expect(answers.models!.body.models.toSorted()).toEqual(['digits', 'flight-delay', 'tumour-risk'])
  })

  it('is refused with words that name what is wrong', () => {
    const refused = (name: string) => `${answers[name]!.status}: ${answers[name]!.body.error}`
    expect(refused('no instances')).toMatch(/^400: .*instances/)
    expect(refused('wrong width')).toMatch(/^400: .*pixels.*64/)
    expect(refused('wrong name')).toMatch(/^400: .*nothing/)
    expect(refused('unknown model')).toMatch(/^404: .*nobody/)
    expect(refused('explain')).toMatch(/^501: .*explain/)
  })
})
