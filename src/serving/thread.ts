// Entry of a serving thread: listens, answers the data plane, and posts its epochs. Nothing else happens here.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import { getRequestListener } from '@hono/node-server'
import { messageOf, UnderstudyError } from '../errors.ts'
import type { EpochDelta } from '../evidence/epochPost.ts'
import { encodeError } from '../protocols/openInference.ts'
import { EPOCH_MS, epochAt, monotonicMs } from '../record/clock.ts'
import { EpochLedger } from '../record/epochs.ts'
import { RingProducer } from '../record/ring.ts'
import type { DurationCounts } from '../telemetry/durations.ts'
import { type ServingBook, takeCodes } from './account.ts'
import { KnownAddresses } from './addresses.ts'
import { createDataPlane } from './app.ts'
import { letContinue } from './body.ts'
import { Connections } from './connections.ts'
import { CountedMemory } from './counted.ts'
import { addRouteCounts } from './counts.ts'
import { hasDotSegments, pathFormOf, refusalOf } from './limits.ts'
import type { FromServing, ServingData, ToServing } from './message.ts'
import { type PredictContext, predict } from './predict.ts'
import { type Runtime, RuntimeBuilder, SERVED_ELSEWHERE } from './runtime.ts'
import { WholeRequest } from './wholeRequest.ts'

const data = workerData as ServingData
const port = parentPort!
const ring = new RingProducer(data.ring, data.doorbell)
const ledger = new EpochLedger<ServingBook>(() => new Map())
const memory = new CountedMemory()
const builder = new RuntimeBuilder(memory, data.proven)
const refused = new Map<number, DurationCounts>()

let runtime: Runtime
let addresses: KnownAddresses
let draining = false
let drained = false
let ticking: NodeJS.Timeout | undefined
const retired = new Set<Runtime>()

const context: PredictContext = {
  runtime: () => runtime,
  ring,
  ledger,
  originMs: data.originMs,
  refused,
  draining: () => draining,
}

const NO_BYTES = new Uint8Array(0)
const app = createDataPlane({
  runtime: () => runtime,
  draining: () => draining,
  sendLabels: body => askControl('labels', body),
  statistics: async () => JSON.parse((await askControl('statistics', NO_BYTES)).body),
})
const otherwise = getRequestListener(app.fetch, {
  overrideGlobalObjects: false,
  // Clients of HTTP/1.0 need not say whom they ask.
  hostname: 'localhost',
})

const connections = new Connections()
const TOO_MANY = new UnderstudyError('OVERLOADED', 'too many requests under way on this connection')

const server = createServer(
  {
    // A slow client is closed by node itself; see FAULTS 1 and 2.
    headersTimeout: 10_000,
    requestTimeout: 30_000,
    connectionsCheckingInterval: 1_000,
    keepAliveTimeout: 65_000,
    maxHeaderSize: 16 * 1024,
    noDelay: true,
    IncomingMessage: WholeRequest,
  },
  answer,
)
// Leave to send a body is given when its head is accepted, not before.
server.on('checkContinue', answer)
server.maxHeadersCount = 100
server.on('connection', (socket: Socket) => connections.opened(socket))
server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
  response.writeHead(417, { 'content-type': 'application/json', connection: 'close' })
  response.end(encodeError('unknown expectation'))
})
// Upgrades and tunnels are refused, never passed through.
server.on('upgrade', (_request, socket: Socket) => turnAway(socket, '501 Not Implemented'))
server.on('connect', (_request, socket: Socket) => turnAway(socket, '405 Method Not Allowed'))

function answer(request: WholeRequest, response: ServerResponse): void {
  request.url = pathFormOf(request)
  const { socket } = request
  const refusal = refusalOf(request)
  // Predictions take a short way past the router: they are nearly all of the traffic.
  const addressed = request.method === 'POST' ? addresses.at(request.url) : undefined
  if (refusal !== undefined) refuse(refusal, response)
  else if (addressed !== undefined) {
    const connection = connections.of(socket)
    if (connection.isFull) refuse(TOO_MANY, response)
    else predict(context, addressed, request, response, connection)
  } else if (hasDotSegments(request.url)) refuse(new UnderstudyError('UNKNOWN_PATH', 'unknown path'), response)
  else {
    letContinue(request, response)
    void otherwise(request, response)
  }
}

function turnAway(socket: Socket, status: string): void {
  // node has taken its own listener off this socket: a reset would end the thread.
  socket.on('error', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
}

await start()

async function start(): Promise<void> {
  serve(await builder.build(data.snapshot))
  tellApplied()
  builder.listening()
  server.on('error', error => {
    tell({ kind: 'refused', message: messageOf(error), code: (error as NodeJS.ErrnoException).code })
    // A thread that cannot listen ends, so that control sees it and tries again.
    void end()
  })
  server.listen({ host: data.host, port: data.port, reusePort: data.reusePort, backlog: 1024 }, () => {
    const address = server.address()
    tell({ kind: 'listening', port: typeof address === 'object' && address !== null ? address.port : data.port })
  })
  ticking = setInterval(tick, EPOCH_MS)
}

port.on('message', (message: ToServing) => {
  if (message.kind === 'snapshot') void apply(message.snapshot)
  else if (message.kind === 'proven') builder.proven(message.sha256)
  else if (message.kind === 'answer') heardFromControl(message)
  else void drain(message.delayMs, message.deadlineMs)
})

/** What is remembered of addresses is of one revision, which must not outlive its last request. */
function serve(next: Runtime): void {
  runtime = next
  addresses = new KnownAddresses(next)
}

let applying: Promise<void> = Promise.resolve()

/** Builds the new revision completely and swaps; the old one ends after its last request, when its counts are posted. */
function apply(snapshot: ServingData['snapshot']): Promise<void> {
  applying = applying.then(async () => {
    const next = await builder.build(snapshot)
    const previous = runtime
    serve(next)
    retired.add(previous)
    tellApplied()
  })
  return applying
}

function tellApplied(): void {
  const broken = [...runtime.routes.values()].flatMap(route =>
    route.versions.flatMap(({ broken: message, snapshot }) =>
      message === undefined || message === 'takes no traffic' || message === SERVED_ELSEWHERE
        ? []
        : [{ version: `${route.snapshot.name}/${snapshot.version}`, message }],
    ),
  )
  tell({ kind: 'applied', revision: runtime.snapshot.revision, broken })
}

/** Posts the settled epochs: every request of theirs is answered, recorded and counted. */
function tick(): void {
  const now = epochAt(monotonicMs(), data.originMs)
  const { books, settled } = ledger.takeSettled(now - 1)
  const epochs: EpochDelta[] = []
  for (const { epoch, counts } of books) {
    const counters = new Map()
    for (const [route, routeCounts] of counts) addRouteCounts(counters, route.snapshot, routeCounts)
    epochs.push({ epoch, counters, pending: [] })
  }
  ring.settle(settled)
  tell({ kind: 'tick', post: { settled, epochs }, versions: memory.take(), refused: takeCodes(refused) })
  connections.closeOverdue(monotonicMs())
  for (const each of retired) {
    if (each.underWay > 0) continue
    retired.delete(each)
    for (const route of each.routes.values()) for (const version of route.versions) version.counted.end()
    void builder.release(each)
  }
}

const calls = new Map<number, (answer: { status: number; body: string }) => void>()
let nextCall = 1
const CONTROL_DEADLINE_MS = 10_000
const QUIET_MS = 250

function askControl(what: 'labels' | 'statistics', body: Uint8Array): Promise<{ status: number; body: string }> {
  return new Promise(resolve => {
    const call = nextCall++
    const timer = setTimeout(() => {
      calls.delete(call)
      resolve({ status: 503, body: encodeError(`the ${what} did not come in time`) })
    }, CONTROL_DEADLINE_MS)
    calls.set(call, answer => {
      clearTimeout(timer)
      resolve(answer)
    })
    tell({ kind: 'ask', what, call, body })
  })
}

/** Refuses a request whose body is not read: the connection cannot be used again. */
function refuse({ status, message }: UnderstudyError, response: ServerResponse): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  response.end(encodeError(message))
}

function heardFromControl({ call, status, body }: Extract<ToServing, { kind: 'answer' }>): void {
  calls.get(call)?.({ status, body })
  calls.delete(call)
}

/**
 * Readiness goes off first while connections are still accepted, so that load balancers look away; then the port
 * closes, idle connections last. node:http's own close() would drop connections that are about to send a request.
 */
async function drain(delayMs: number, deadlineMs: number): Promise<void> {
  draining = true
  await pause(delayMs)
  // net's close stops accepting and leaves every connection alone; each answer now says `connection: close`.
  NetServer.prototype.close.call(server)
  // A connection that was accepted a moment ago may have its request still in the socket: idle means quiet for a while.
  const latest = monotonicMs() + deadlineMs
  let quietSince = monotonicMs()
  while (monotonicMs() < latest && monotonicMs() - quietSince < QUIET_MS) {
    await pause(10)
    if (requestsUnderWay() > 0) quietSince = monotonicMs()
  }
  server.closeIdleConnections()
  await pause(EPOCH_MS + 10)
  tick()
  if (drained) return
  drained = true
  await end()
  server.closeAllConnections()
}

/** Frees everything that keeps this thread alive. */
async function end(): Promise<void> {
  clearInterval(ticking)
  await builder.stop()
  port.close()
}

function requestsUnderWay(): number {
  return [runtime, ...retired].reduce((sum, each) => sum + each.underWay, 0)
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

function tell(message: FromServing): void {
  port.postMessage(message)
}
