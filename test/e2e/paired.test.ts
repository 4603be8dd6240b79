import { describe, expect, it } from 'vitest'
import { countedOf, settledWhen } from './evidence.ts'
import {
  getJson,
  inParallel,
  postJson,
  predict,
  routesOf,
  scratch,
  startGateway,
  type TestGateway,
  TUMOUR_ROWS,
  tumourRequest,
} from './gateway.ts'
import { writeModel } from './onnxModel.ts'
import { answerHalf, modelServer } from './upstream.ts'

const rowOf = (index: number) => TUMOUR_ROWS[index % TUMOUR_ROWS.length]!
const rows = (index: number) => tumourRequest(rowOf(index).slice(0, 30))
const compare = { output: 'probabilities', tolerance: { absolute: 0.05 } }
const canary = { onnx: 'tumour-risk/2.0.0', weight: 50 }

/** Sends requests with ids `0`, `1`, …, and says which the canary answered. */
async function load(gateway: TestGateway, count: number): Promise<boolean[]> {
  const answers = await inParallel(count, 8, index =>
    predict(gateway, 'risk', rows(index), { headers: { 'x-request-id': `id-${index}` } }),
  )
  return answers.map(({ headers }) => headers['x-understudy-version'] === '1.1.0')
}

describe('a canary without a shadow', () => {
  it('gathers paired evidence from the share of its requests that live scores too, and waits for their labels', async () => {
    const gateway = await startGateway({
      args: ['--adopt'],
      threads: 2,
      routes: routesOf({
        risk: {
          live: '1.0.0',
          versions: { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 50 }, '1.1.0': canary },
          compare,
          expect: 'change',
          labels: { loss: 'brier', margin: 0.5 },
          force: 'x-version',
          gate: { paired: 60 },
        },
      }),
    })
    const byCanary = await load(gateway, 900)
    const ofCanary = byCanary.filter(Boolean).length
    // A tester's requests are nobody's evidence.
    await inParallel(50, 8, index =>
      predict(gateway, 'risk', rows(index), { headers: { 'x-version': '1.1.0', 'x-request-id': `forced-${index}` } }),
    )
    const counted = await settledWhen(
      gateway,
      each => each.at('arm.c.n') === ofCanary && each.at('arm.b.n') === 900 - ofCanary,
    )
    const eligible = counted.at('mirror.eligible')
    expect(Math.abs(eligible - 0.6 * ofCanary)).toBeLessThan(5 * Math.sqrt(0.24 * ofCanary))
    expect(counted.at('mirror.compared')).toBe(eligible)
    expect(counted.at('pair.ok')).toBe(eligible)
    expect(counted.at('pair.match') + counted.at('pair.mismatch')).toBe(eligible)
    expect(counted.sum('diff.')).toBe(eligible)
    expect(counted.sum('mean.')).toBe(eligible)
    expect(counted.sum('class.')).toBe(eligible)
    // The first 200 set the deciles.
    expect(counted.sum('score.')).toBe(Math.max(0, eligible - 200))
    expect(counted.slots.filter(slot => slot.startsWith('plat.') || slot.startsWith('pair.late'))).toEqual([])

    const ids = byCanary.flatMap((is, index) => (is ? [{ request_id: `id-${index}`, label: rowOf(index)[30]! }] : []))
    const { json } = await postJson(`${gateway.predictions}/v1/labels`, ids)
    expect(json.joined, 'a label finds its pair').toBe(eligible)
    const others = byCanary.flatMap((is, index) => (is ? [] : [{ request_id: `id-${index}`, label: 1 }]))
    expect((await postJson(`${gateway.predictions}/v1/labels`, others)).json.joined).toBe(0)
    await settledWhen(gateway, each => each.sum('loss.') === eligible)
    await gateway.stop()
  })

  it('asks an HTTP live only where it may be mirrored, as a shadow, and each pair has the canary as its candidate', async () => {
    const server = await modelServer()
    const route = (live: object, gate: object) => ({
      live: '1.0.0',
      versions: { '1.0.0': { url: server.url, weight: 50, ...live }, '1.1.0': canary },
      compare,
      expect: 'change',
      gate,
    })
    let gateway = await startGateway({ args: ['--adopt'], routes: routesOf({ risk: route({}, {}) }) })
    let ofCanary = (await load(gateway, 60)).filter(Boolean).length
    let counted = await settledWhen(gateway, each => each.at('arm.c.n') === ofCanary)
    expect(counted.at('mirror.eligible')).toBe(0)
    expect(server.received.length).toBe(60 - ofCanary)
    await gateway.stop()

    server.received.length = 0
    gateway = await startGateway({
      args: ['--adopt'],
      routes: routesOf({ risk: route({ mirrorable: true }, { paired: 100 }) }),
    })
    ofCanary = (await load(gateway, 60)).filter(Boolean).length
    counted = await settledWhen(gateway, each => each.at('mirror.compared') === ofCanary)
    const shadowed = server.received.filter(({ headers }) => headers['x-understudy-role'] === 'shadow')
    expect(shadowed.length).toBeGreaterThan(0)
    // Live says ½ to everything, the canary 0 or 1 to nearly everything.
    expect(counted.at('pair.mismatch')).toBeGreaterThan(0.9 * ofCanary)
    expect(counted.at('class.0|1')).toBeGreaterThan(0)
    expect(counted.at('class.1|0')).toBe(0)
    await gateway.stop()
  })

  it('is neither helped nor harmed by a live that does not answer in the shadow: its drops make the verdict invalid', async () => {
    let hangs = true
    const server = await modelServer((received, response) => {
      if (hangs && received.headers['x-understudy-role'] === 'shadow') return
      answerHalf(received, response)
    })
    const gateway = await startGateway({
      args: ['--adopt'],
      routes: routesOf({
        risk: {
          live: '1.0.0',
          versions: {
            '1.0.0': {
              url: server.url,
              weight: 50,
              mirrorable: true,
              shadow: { percent: 0, deadline: '300ms', batch: 1 },
            },
            '1.1.0': canary,
          },
          compare,
          gate: { paired: 100 },
        },
      }),
    })
    const start = performance.now()
    const first = (await load(gateway, 200)).filter(Boolean).length
    expect(performance.now() - start, 'no answer waits for a pair').toBeLessThan(10_000)
    let counted = await settledWhen(gateway, each => each.at('mirror.eligible') === first)
    expect(counted.sum('pair.')).toBe(0)
    expect(counted.at('mirror.dropped.expired')).toBeGreaterThan(0)
    expect(counted.sum('mirror.dropped.')).toBe(first)
    expect(counted.mirrored.dropped).toBeGreaterThan(0.01 * counted.mirrored.eligible)
    const verdict = (await getJson(`${gateway.admin}/v1/routes/risk/gate?candidate=1.1.0`)) as { decision: string }
    expect(verdict.decision).toBe('invalid')
    hangs = false
    const more = (await load(gateway, 100)).filter(Boolean).length
    counted = await settledWhen(gateway, each => each.at('mirror.eligible') === first + more)
    expect(counted.at('mirror.compared'), 'it is asked again once it is back').toBeGreaterThan(0)
    await gateway.stop()
  })

  it('stays the candidate of its pairs when it fails, and a live that fails by itself is as much to blame', async () => {
    const broken = await modelServer((received, response) => {
      const number = Number(String(received.headers['x-request-id']).slice(3))
      if (number % 3 === 0) {
        response.writeHead(500, { 'content-type': 'application/json' })
        response.end('{"error":"a third of them"}')
      } else answerHalf(received, response)
    })
    const versions = (live: object, candidate: object) => ({
      '1.0.0': { ...live, weight: 50 },
      '1.1.0': { ...candidate, weight: 50 },
    })
    const http = { url: broken.url, mirrorable: true, shadow: { percent: 0, batch: 1 } }
    const embedded = { onnx: 'tumour-risk/1.0.0' }
    const start = (both: object) =>
      startGateway({
        args: ['--adopt'],
        routes: routesOf({ risk: { live: '1.0.0', versions: both, compare, expect: 'change', gate: { paired: 100 } } }),
      })
    let gateway = await start(versions(embedded, http))
    let byCanary = await load(gateway, 90)
    let failing = byCanary.filter((is, index) => is && index % 3 === 0).length
    let counted = await settledWhen(gateway, each => each.at('mirror.eligible') === byCanary.filter(Boolean).length)
    expect([counted.at('pair.err.c'), counted.at('pair.err.b')]).toEqual([failing, 0])
    expect(counted.at('mirror.failed.candidate_error')).toBe(failing)
    await gateway.stop()

    gateway = await start(versions(http, embedded))
    byCanary = await load(gateway, 90)
    failing = byCanary.filter((is, index) => is && index % 3 === 0).length
    counted = await settledWhen(gateway, each => each.at('mirror.eligible') === byCanary.filter(Boolean).length)
    expect([counted.at('pair.err.c'), counted.at('pair.err.b')]).toEqual([0, failing])
    await gateway.stop()

    gateway = await start(versions(http, http))
    byCanary = await load(gateway, 90)
    failing = byCanary.filter((is, index) => is && index % 3 === 0).length
    counted = await settledWhen(gateway, each => each.at('mirror.eligible') === byCanary.filter(Boolean).length)
    expect([counted.at('pair.err.both'), counted.at('pair.err.c'), counted.at('pair.err.b')]).toEqual([failing, 0, 0])
    await gateway.stop()
  })

  it('is in error where it refuses inputs that live takes, and not where both refuse them', async () => {
    const models = await scratch()
    const golden = { inputs: [1, 2], outputs: [1, 2] }
    const width = 2
    const live = await writeModel(models, 'echo', '1.0.0', { op: 'Identity', datatype: 'FP32', width }, golden)
    const other = await writeModel(models, 'echo', '1.1.0', { op: 'Identity', datatype: 'FP64', width }, golden)
    const gateway = await startGateway({
      args: ['--adopt'],
      routes: routesOf(
        {
          risk: {
            live: '1.0.0',
            versions: { '1.0.0': { onnx: live, weight: 50 }, '1.1.0': { onnx: other, weight: 50 } },
            gate: { paired: 100 },
          },
        },
        { models },
      ),
    })
    const ask = (datatype: string, count: number) =>
      inParallel(count, 8, () =>
        predict(gateway, 'risk', { inputs: [{ name: 'x', shape: [1, 2], datatype, data: [1, 2] }] }),
      )
    const ofCanary = (answers: Awaited<ReturnType<typeof ask>>) =>
      answers.filter(({ headers }) => headers['x-understudy-version'] === '1.1.0').length
    const refused = await ask('FP32', 60)
    expect(refused.filter(({ status }) => status === 400).length).toBe(ofCanary(refused))
    const unknown = await ask('INT64', 60)
    expect(unknown.every(({ status }) => status === 400)).toBe(true)
    const counted = await settledWhen(gateway, each => each.at('arm.c.n') === ofCanary([...refused, ...unknown]))
    await settledWhen(gateway, each => each.at('pair.err.c') === ofCanary(refused))
    expect([counted.at('arm.c.err'), counted.at('pair.err.b'), counted.at('pair.err.both')]).toEqual([0, 0, 0])
    await gateway.stop()
  })

  it('has pairs of both kinds in one account where it is a shadow too', async () => {
    const gateway = await startGateway({
      args: ['--adopt'],
      routes: routesOf({
        risk: {
          live: '1.0.0',
          versions: { '1.0.0': { onnx: 'tumour-risk/1.0.0', weight: 50 }, '1.1.0': { ...canary, shadow: 100 } },
          compare: { ...compare, segments: [{ bucket: 'features[0]', by: 5 }] },
          expect: 'change',
          gate: { paired: 100 },
        },
      }),
    })
    await load(gateway, 200)
    const counted = await settledWhen(gateway, each => each.at('mirror.eligible') === 200)
    expect(counted.at('mirror.compared')).toBe(200)
    const bySegment = counted.slots.filter(slot => slot.startsWith('pair.ok@'))
    expect(bySegment.reduce((sum, slot) => sum + counted.at(slot), 0)).toBe(200)
    const expected = new Set(
      Array.from({ length: 200 }, (_, index) => {
        const low = Math.floor(rowOf(index)[0]! / 5) * 5
        return `features[0]=[${low},${low + 5})`
      }),
    )
    expect(new Set(counted.segments)).toEqual(expected)

    // A restart keeps the order, and what is new comes after it.
    await gateway.kill()
    const again = await startGateway({ routes: await routesAt(gateway), folder: gateway.folder })
    expect((await countedOf(again)).segments).toEqual(counted.segments)
    await predict(again, 'risk', tumourRequest([1e6 + 1, ...rowOf(0).slice(1, 30)]))
    const later = await settledWhen(again, each => each.segments.length > counted.segments.length)
    expect(later.segments).toEqual([...counted.segments, 'features[0]=[1000000,1000005)'])
    await again.stop()
  })
})

async function routesAt({ routesFile }: TestGateway): Promise<string> {
  const { readFile } = await import('node:fs/promises')
  return readFile(routesFile, 'utf8')
}
