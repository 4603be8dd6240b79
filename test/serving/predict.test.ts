import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { EpochLedger } from '../../src/record/epochs.ts'
import { Pieces } from '../../src/record/pieces.ts'
import { createDoorbell, createRing, RingProducer } from '../../src/record/ring.ts'
import type { UpstreamAnswer, UpstreamCall } from '../../src/scoring/exchange.ts'
import type { ServingBook } from '../../src/serving/account.ts'
import { addressedAt } from '../../src/serving/addresses.ts'
import { type Connection, Connections } from '../../src/serving/connections.ts'
import { predict } from '../../src/serving/predict.ts'
import type { Runtime, RuntimeRoute, RuntimeVersion } from '../../src/serving/runtime.ts'
import { WholeRequest } from '../../src/serving/wholeRequest.ts'
import { counting } from './counting.ts'

const PATH = '/v2/models/m/infer'
const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

const OK: UpstreamAnswer = {
  ok: true,
  status: 200,
  headers: {},
  body: Pieces.of(Buffer.from('{}')),
  bytes: 2,
  streamed: false,
  latencyMs: 1,
  queueMs: 0,
}
const FAILED: UpstreamAnswer = {
  ok: false,
  code: 'VERSION_BROKE_OFF',
  message: 'it failed',
  streamed: false,
  latencyMs: 1,
  queueMs: 0,
}

/** A gateway of one route whose only version is asked with `ask`, and what it counts. */
async function world(ask: (answered: (answer: UpstreamAnswer) => void) => void) {
  const upstream = { call: (_call: UpstreamCall, answered: (answer: UpstreamAnswer) => void) => ask(answered) }
  const counted = counting('1.0.0')
  const live = {
    index: 0,
    snapshot: { version: '1.0.0', weight: 100, deadlineMs: 1_000, target: { kind: 'url', protocol: 'v2' } },
    engine: { upstream, scored: 0 },
    counted: counted.counts,
  } as unknown as RuntimeVersion
  const route = {
    index: 0,
    snapshot: { name: 'm', salts: {}, limits: { body: 1_000, mirrored: 1_000, inFlight: 10 } },
    versions: [live],
    live,
    sole: live,
    arms: [],
    candidates: [],
    cohorts: [],
    inFlight: 0,
  } as unknown as RuntimeRoute
  const runtime = {
    snapshot: { revision: 1, traces: { ratio: 0, slow: 1e9 } },
    routes: new Map([['m', route]]),
    paths: new Map(),
    underWay: 0,
  } as unknown as Runtime
  const ledger = new EpochLedger<ServingBook>(() => new Map())
  const context = {
    runtime: () => runtime,
    ring: new RingProducer(createRing(1 << 16), createDoorbell()),
    ledger,
    originMs: 0,
    refused: new Map(),
    draining: () => false,
  }
  const connections = new Connections()
  let connection: Connection | undefined
  const server = createServer({ IncomingMessage: WholeRequest }, (request, response) => {
    connection = connections.of(request.socket)
    predict(context, addressedAt(PATH, runtime)!, request, response, connection)
  })
  server.on('connection', socket => connections.opened(socket))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => new Promise(resolve => server.close(resolve)))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}`
  const status = async () => (await fetch(url, { method: 'POST', body: '{}', headers: { connection: 'close' } })).status
  return {
    status,
    assigned: counted.assigned,
    counts: () => ({
      onConnection: connection?.underWay.length,
      inFlight: route.inFlight,
      underWay: runtime.underWay,
    }),
  }
}

it.each([
  ['answers twice', [OK, OK], 200],
  ['fails after its answer', [OK, FAILED], 200],
  ['answers after it has failed', [FAILED, OK], 502],
])('counts a request once whose version %s', async (_what, answers, expected) => {
  const { status, assigned, counts } = await world(answered => {
    for (const answer of answers) answered(answer)
    setImmediate(() => answered(answers[0]!))
  })
  expect(await status()).toBe(expected)
  await new Promise(resolve => setTimeout(resolve, 20))
  expect(counts()).toEqual({ onConnection: 0, inFlight: 0, underWay: 0 })
  expect(assigned().n).toBe(1)
})

it('counts a request once whose version fails it and answers it after all', async () => {
  const { status, assigned, counts } = await world(answered => {
    setImmediate(() => answered(OK))
    throw new Error('no memory')
  })
  expect(await status()).toBe(500)
  await new Promise(resolve => setTimeout(resolve, 20))
  expect(counts()).toEqual({ onConnection: 0, inFlight: 0, underWay: 0 })
  expect(assigned().n).toBe(0)
})
