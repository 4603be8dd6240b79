import { describe, expect, it } from 'vitest'
import { settledWhen } from './evidence.ts'
import { inParallel, predict, routesOf, startGateway, type TestGateway, TUMOUR_ROWS, tumourRequest } from './gateway.ts'
import { answerHalf, modelServer } from './upstream.ts'

const rows = (index: number) => tumourRequest(TUMOUR_ROWS[index % TUMOUR_ROWS.length]!.slice(0, 30))
const compare = { output: 'probabilities', tolerance: { absolute: 0.05 } }
const load = (gateway: TestGateway, count: number) =>
  inParallel(count, 8, index => predict(gateway, 'risk', rows(index)))
const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

/** A gateway with live at `live` % on a healthy server, and a canary on one that fails. */
async function start(live: number, gate: object) {
  const healthy = await modelServer()
  const failing = await modelServer((received, response) => {
    if (received.headers['x-fail'] === undefined) return answerHalf(received, response)
    response.writeHead(500, { 'content-type': 'application/json' })
    response.end('{"error":"down"}')
  })
  return startGateway({
    args: ['--adopt'],
    routes: routesOf({
      risk: {
        live: '1.0.0',
        versions: {
          '1.0.0': { url: healthy.url, weight: live },
          '1.1.0': { url: failing.url, weight: 100 - live },
        },
        compare,
        expect: 'change',
        gate: { errors: { ratio: 10, floor: 0.9 }, ...gate },
      },
    }),
  })
}

describe('blocks of live errors', () => {
  it("hold the canary's errors against a cohort of live's that is as large, and end by the clock", async () => {
    const gateway = await start(75, { blocks: '500ms' })
    for (let round = 0; round < 4; round++) {
      await load(gateway, 300)
      await inParallel(30, 8, index => predict(gateway, 'risk', rows(index), { headers: { 'x-fail': '1' } }))
      await pause(600)
    }
    await load(gateway, 20)
    const counted = await settledWhen(gateway, each => each.at('arm.b.n') + each.at('arm.c.n') === 1_340)
    const [canary, control] = [counted.at('arm.c.n'), counted.at('arm.k.n')]
    expect(Math.abs(control - canary)).toBeLessThan(5 * Math.sqrt(canary + control))
    expect(counted.at('arm.k.err')).toBe(0)
    expect(counted.at('arm.c.err')).toBeGreaterThan(0)
    expect(counted.at('block.n')).toBeGreaterThanOrEqual(4)
    // All but what is in the block that is still open; live fails never.
    expect(counted.at('block.plus')).toBe(counted.at('arm.c.err'))
    expect(counted.at('block.minus')).toBe(0)
    expect(counted.at('block.squares')).toBeGreaterThanOrEqual(counted.at('block.plus'))
    // Failures come in four bursts of a few milliseconds each, between blocks without any.
    expect(counted.at('block.more')).toBeGreaterThanOrEqual(2)
    expect(counted.at('block.more')).toBeLessThanOrEqual(Math.min(counted.at('block.n'), counted.at('block.plus')))
    expect(counted.at('block.less')).toBe(0)
    await gateway.stop()
  })

  it('thin the canary where it has the larger arm', async () => {
    const gateway = await start(30, { blocks: '500ms' })
    await load(gateway, 800)
    const counted = await settledWhen(gateway, each => each.at('arm.b.n') + each.at('arm.c.n') === 800)
    expect(counted.at('arm.k.n')).toBe(counted.at('arm.b.n'))
    const thinned = counted.at('arm.t.n')
    expect(Math.abs(thinned - counted.at('arm.b.n'))).toBeLessThan(5 * Math.sqrt(2 * counted.at('arm.b.n')))
    await gateway.stop()
  })

  it('are not counted where the route does not ask for them', async () => {
    const gateway = await start(50, {})
    await load(gateway, 50)
    const counted = await settledWhen(gateway, each => each.at('arm.b.n') + each.at('arm.c.n') === 50)
    expect(counted.slots.filter(slot => /^(arm\.[kt]|block)\./.test(slot))).toEqual([])
    await gateway.stop()
  })
})
