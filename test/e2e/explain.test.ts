import { hash } from 'node:crypto'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Explanation, Found } from '../../src/shadow/explanation.ts'
import {
  postJson,
  predict,
  routesOf,
  scratch,
  send,
  startGateway,
  type TestGateway,
  TUMOUR_ROWS,
  tumourRequest,
  understudy,
  until,
} from './gateway.ts'
import { deafServer, modelServer } from './upstream.ts'

const compare = { output: 'probabilities', tolerance: { absolute: 0.01 } }
const embedded = (version: string, more: object) => ({ onnx: `tumour-risk/${version}`, ...more })
const rowOf = (index: number) => TUMOUR_ROWS[index % TUMOUR_ROWS.length]!.slice(0, 30)

let gateway: TestGateway
let spans: string

beforeAll(async () => {
  const half = await modelServer()
  const deaf = await deafServer()
  spans = join(await scratch(), 'spans.jsonl')
  gateway = await startGateway({
    args: ['--adopt'],
    env: { OTEL_BSP_SCHEDULE_DELAY: '200' },
    routes: routesOf(
      {
        risk: {
          live: '1.0.0',
          versions: {
            '1.0.0': embedded('1.0.0', { weight: 50 }),
            '1.1.0': embedded('1.1.0', { weight: 50, shadow: 100 }),
            '2.0.0': { url: half.url, shadow: 100, mirrorable: true },
          },
          compare,
          sticky: { pointer: '/user' },
          force: 'x-version',
          expect: 'change',
          labels: { loss: 'brier', margin: 0.05 },
          gate: { paired: 100 },
        },
        // A shadow that never answers, and takes one request after another.
        stuck: {
          live: '1.0.0',
          versions: {
            '1.0.0': embedded('1.0.0', { weight: 100 }),
            '1.1.0': { url: deaf.url, shadow: { percent: 100, deadline: '300ms', batch: 1 }, mirrorable: true },
          },
          compare,
        },
        alone: { live: '1.0.0', versions: { '1.0.0': embedded('1.0.0', { weight: 100 }) } },
      },
      { traces: { file: spans, ratio: 0.000001 } },
    ),
  })
})

const bodyOf = (user: string, row = rowOf(0)) => JSON.stringify({ ...tumourRequest(row), user })

async function ask(id: string, body: string, headers: Record<string, string> = {}, route = 'risk'): Promise<string> {
  const answer = await predict(gateway, route, body, { headers: { 'x-request-id': id, ...headers } })
  expect(answer.status).toBe(200)
  return String(answer.headers['x-understudy-version'])
}

const found = (id: string) =>
  until(async () => {
    const { status, json } = await send(`${gateway.admin}/v1/requests/${encodeURIComponent(id)}`)
    return status === 200 ? (json as Found) : undefined
  })
const explained = async (id: string) => (await found(id)).explanations[0]!
const versionOf = ({ versions }: Explanation, name: string) => versions.find(({ version }) => version === name)!
/** A user whose requests a version answers. */
async function userOf(version: string): Promise<string> {
  for (let index = 0; index < 100; index++) {
    const user = `${version}-user-${index}`
    if ((await ask(`probe-${user}`, bodyOf(user))) === version) return user
  }
  throw new Error(`nobody of a hundred users is on ${version}`)
}

describe('a request that live answered', () => {
  it('is told with its input, its assignment, every answer and the differences', async () => {
    const body = bodyOf(await userOf('1.0.0'))
    await ask('live-1', body)
    const explanation = await explained('live-1')
    expect(explanation.input).toEqual({
      bytes: body.length,
      sha256: hash('sha256', body, 'hex'),
      tensors: [{ name: 'features', datatype: 'FP32', shape: [1, 30] }],
    })
    const { assignment } = explanation
    expect(assignment).toMatchObject({ version: '1.0.0', reason: 'split', held: [], sticky: { unit: 'used' } })
    expect(assignment.weights).toEqual([
      { version: '1.0.0', weight: 50 },
      { version: '1.1.0', weight: 50 },
      { version: '2.0.0', weight: 0 },
    ])
    const draws = assignment.sticky!.draws!
    expect(draws.toSorted((a, b) => a.draw - b.draw)[0]!.version, 'the least draw wins').toBe('1.0.0')
    expect(explanation.versions.map(({ version, role, state }) => [version, role, state])).toEqual([
      ['1.0.0', 'live', 'answered'],
      ['1.1.0', 'shadow', 'answered'],
      ['2.0.0', 'shadow', 'answered'],
    ])
    expect(versionOf(explanation, '2.0.0').outputs).toEqual([
      { output: 'probabilities', shape: [1, 2], values: [0.5, 0.5], width: 2 },
    ])
    const served = versionOf(explanation, '1.0.0').outputs![0]!.values[1] as number
    const half = explanation.comparisons.find(({ candidate }) => candidate === '2.0.0')!
    expect(half).toMatchObject({
      baseline: '1.0.0',
      result: 'mismatch',
      maxAbsDiff: expect.closeTo(Math.abs(0.5 - served), 5),
    })
    expect(half.outputs).toMatchObject([
      { kind: 'probabilities', tolerance: { absolute: 0.01 }, row: 0, candidateValue: 0.5 },
    ])
    expect(explanation.spans).toEqual({ reason: 'mismatch', weight: 1 })
  })

  it('waits for its label until that comes', async () => {
    await ask('labelled-1', bodyOf(await userOf('1.0.0')))
    await until(async () => (await explained('labelled-1')).label === 'awaited')
    await postJson(`${gateway.predictions}/v1/labels`, { request_id: 'labelled-1', label: 1 })
    await until(async () => (await explained('labelled-1')).label === 'joined')
  })

  it('is told of a shadow that did not answer, and of one that did not get it', async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `stuck-${index}`)
    await Promise.all(ids.map(id => ask(id, bodyOf('ann'), {}, 'stuck')))
    const late = await explained('stuck-0')
    expect(versionOf(late, '1.1.0')).toMatchObject({ state: 'failed', reason: 'VERSION_DEADLINE' })
    expect(late.comparisons).toMatchObject([{ result: 'timeout', errorType: 'VERSION_DEADLINE' }])
    expect(late.assignment).toMatchObject({ reason: 'static', sticky: null })
    // Once it has missed several deadlines it is asked one request at a time, and the others are dropped.
    // Most of them where they were served, and only a trace's sample is told of.
    const dropped = await until(async () => {
      const id = `stuck-${ids.push('') - 1}`
      await ask(
        id,
        bodyOf('ann'),
        { traceparent: `00-${'a'.repeat(16)}${'f'.repeat(16)}-${'b'.repeat(16)}-01` },
        'stuck',
      )
      const { versions } = await explained(id)
      return versions.find(({ state }) => state === 'not_asked')
    })
    expect(dropped).toMatchObject({ version: '1.1.0', reason: expect.stringMatching(/stalled|expired/), outputs: null })
  })
})

describe('a request that the canary answered', () => {
  it('by the key of its user is told with live’s answer in the shadow', async () => {
    await ask('canary-1', bodyOf(await userOf('1.1.0')))
    const explanation = await explained('canary-1')
    expect(explanation.assignment).toMatchObject({ version: '1.1.0', reason: 'split' })
    expect(explanation.versions.map(({ version, role, state }) => [version, role, state])).toEqual([
      ['1.1.0', 'canary', 'answered'],
      ['1.0.0', 'shadow', 'answered'],
      ['2.0.0', 'shadow', 'not_asked'],
    ])
    expect(explanation.comparisons).toMatchObject([{ baseline: '1.0.0', candidate: '1.1.0' }])
  })

  it('because a tester asked for it is kept where its trace is sampled, and is nobody’s evidence', async () => {
    const traceId = `0af7651916cd43dd${'f'.repeat(16)}`
    const traceparent = `00-${traceId}-bbbbbbbbbbbbbbbb-01`
    expect(await ask('forced-1', bodyOf('ann'), { 'x-version': '1.1.0', traceparent })).toBe('1.1.0')
    const explanation = await explained('forced-1')
    expect(explanation).toMatchObject({
      traceId,
      parentSpanId: 'bbbbbbbbbbbbbbbb',
      comparisons: [],
      spans: { reason: 'head' },
    })
    expect(explanation.assignment).toMatchObject({ version: '1.1.0', reason: 'targeting_match', sticky: null })
    expect(explanation.versions.map(({ version, state, reason }) => [version, state, reason])).toEqual([
      ['1.1.0', 'answered', null],
      ['1.0.0', 'not_asked', 'forced'],
      ['2.0.0', 'not_asked', 'forced'],
    ])
    // Nothing was remarkable about this one.
    await ask('forced-2', bodyOf('ann'), { 'x-version': '1.1.0' })
    await ask('after-2', bodyOf('ann'))
    await explained('after-2')
    expect((await send(`${gateway.admin}/v1/requests/forced-2`)).json).toMatchObject({ code: 'UNKNOWN_REQUEST' })
  })
})

describe('the command', () => {
  const cli = (...args: string[]) => understudy(['explain', ...args, '--admin', gateway.admin])

  it('prints text within 80 columns, and JSON, of requests that share an id the newest first', async () => {
    const user = await userOf('1.0.0')
    await ask('twice/1', bodyOf(user, rowOf(1)))
    await explained('twice/1')
    await ask('twice/1', bodyOf(user, rowOf(2)))
    await until(async () => (await found('twice/1')).seen === 2)
    const { code, out } = await cli('twice/1')
    expect(code).toBe(0)
    expect(out).toMatch(/^2 requests had this id, the newest first\n\nrequest twice\/1 of risk\n/)
    expect(out).toContain('2.0.0 against 1.0.0: mismatch')
    expect(Math.max(...out.split('\n').map(line => [...line].length))).toBeLessThanOrEqual(80)
    const json = JSON.parse((await cli('twice/1', '--route', 'risk', '--json')).out)
    expect(json).toMatchObject({ explainVersion: 1, requestId: 'twice/1', seen: 2 })
    const [newest, older] = json.explanations as Explanation[]
    expect(newest!.input!.sha256).toBe(hash('sha256', bodyOf(user, rowOf(2)), 'hex'))
    expect(older!.input!.sha256).toBe(hash('sha256', bodyOf(user, rowOf(1)), 'hex'))
  })

  it('finds a request by the id that the gateway gave it, and one that is sent with that id once more', async () => {
    const first = await predict(gateway, 'risk', bodyOf('ann', rowOf(3)))
    const id = String(first.headers['x-request-id'])
    await explained(id)
    await ask(id, bodyOf('ann', rowOf(4)))
    await until(async () => (await found(id)).seen === 2)
    expect((await cli(id)).out).toContain(`request ${id} of risk`)
  })

  it('says of an unknown request which are kept', async () => {
    // Nobody looked at it, and nothing was remarkable about it.
    await ask('alone-1', bodyOf('ann'), {}, 'alone')
    const { code, out, err } = await cli('alone-1')
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(
      /request "alone-1" is not kept\. Kept are the newest 10,000 \(24 MiB at most; \d+ now, back to 20/,
    )
  })

  it('finds a request in the spans that the gateway wrote, and says what they say', async () => {
    await ask('traced-1', bodyOf(await userOf('1.0.0')))
    const remembered = await explained('traced-1')
    const { out } = await until(async () => {
      const ended = await understudy(['explain', 'traced-1', '--traces', spans, '--json'])
      return ended.code === 0 ? ended : undefined
    })
    const [told] = JSON.parse(out).explanations as Explanation[]
    for (const name of ['route', 'requestId', 'revision', 'protocol', 'traceId', 'spanId', 'live', 'spans'] as const)
      expect(told![name], name).toEqual(remembered[name])
    expect(told!.versions.map(({ version, role, digest }) => [version, role, digest])).toEqual(
      remembered.versions.map(({ version, role, digest }) => [version, role, digest]),
    )
    expect(told!.comparisons.map(({ candidate, result, maxAbsDiff }) => [candidate, result, maxAbsDiff])).toEqual(
      remembered.comparisons.map(({ candidate, result, maxAbsDiff }) => [candidate, result, maxAbsDiff]),
    )
  })
})
