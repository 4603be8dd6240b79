// What remembering requests for `explain` costs the shadow thread: CPU a request with and without it, and the heap it takes.
// Usage: node bench/micro/explain.ts [requests] [rounds] [rate]; prints JSON, microseconds of CPU a request and bytes.
import { cpus } from 'node:os'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { SHADOW_LIMITS, setHeapFlags } from '../../src/control/heaps.ts'
import { v2 } from '../../src/protocols/openInference.ts'
import { OUTCOME, readRecord, writeRecord } from '../../src/record/format.ts'
import { Pieces } from '../../src/record/pieces.ts'
import { createDoorbell, createRing, type PackedPlace, RingConsumer, RingProducer } from '../../src/record/ring.ts'
import type { SnapshotRoute } from '../../src/rollout/snapshot.ts'
import { explain } from '../../src/shadow/explain.ts'
import { Explanations } from '../../src/shadow/explanations.ts'
import { pairOf } from '../../src/shadow/pair.ts'
import { Task } from '../../src/shadow/task.ts'

const REQUESTS = Number(process.argv[2] ?? 200_000)
const ROUNDS = Number(process.argv[3] ?? 6)
/** Requests a second that the records tell of: beyond a bound ordinary ones are not remembered. */
const RATE = Number(process.argv[4] ?? 9_000)
const FEATURES = 30
/** Records that are there at one look: 2 ms at 9,000 a second. */
const AT_ONCE = 18

interface Round {
  readonly remembers: boolean
  readonly requests: number
}

interface Cost {
  readonly threadUs: number
  readonly processUs: number
  readonly heapBytes: number
  readonly explainUs: number
}

async function measure(): Promise<void> {
  setHeapFlags()
  const costs: Record<'with' | 'without', Cost[]> = { with: [], without: [] }
  for (let index = 0; index < ROUNDS; index++) {
    const order = index % 2 === 0 ? ([true, false] as const) : ([false, true] as const)
    for (const remembers of order)
      costs[remembers ? 'with' : 'without'].push(await inWorker({ remembers, requests: REQUESTS }))
  }
  const told = (list: readonly Cost[]) => ({
    threadUs: median(list.map(cost => cost.threadUs)),
    threadUsAll: list.map(cost => cost.threadUs),
    processUs: median(list.map(cost => cost.processUs)),
    heapBytes: median(list.map(cost => cost.heapBytes)),
  })
  const explainUs = median(costs.with.map(cost => cost.explainUs))
  const result = {
    requests: REQUESTS,
    rounds: ROUNDS,
    rate: RATE,
    with: told(costs.with),
    without: told(costs.without),
    explainUs,
  }
  console.log(JSON.stringify({ ...result, node: process.version, cpu: cpus()[0]?.model }, undefined, 2))
}

function inWorker(data: Round): Promise<Cost> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: data, resourceLimits: SHADOW_LIMITS })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

/** The shadow thread's work on one live answer and one candidate's, without asking anybody: unpack, decode, compare. */
async function round({ remembers, requests }: Round): Promise<Cost> {
  const ring = createRing(16 * 1024 * 1024)
  const producer = new RingProducer(ring, createDoorbell())
  const consumer = new RingConsumer(ring)
  const explanations = new Explanations(ms => ms)
  let last: Task | undefined
  const take = (packed: PackedPlace) => {
    const record = readRecord(packed)
    const task = new Task(record, route)
    const observation = {
      outcome: { ok: true as const, outputs: outputsOf(record.startMs), inferMs: 0.1, queueMs: 1 },
      batched: true,
      sentMs: record.startMs,
      spanId: '',
    }
    pairOf(task, observation)
    if (remembers)
      explanations.keep(task, [{ version: route.versions[1]!, isReversed: false, observation }], undefined, [
        'ordinary',
      ])
    last = task
  }
  const some = (count: number, from: number) => {
    for (let done = from; done < from + count; done += AT_ONCE) {
      for (let index = 0; index < AT_ONCE; index++) writeRecord(producer, recordOf(done + index))
      consumer.drain(take)
    }
  }
  some(20_000, 0)
  const before = process.cpuUsage()
  const threadBefore = process.threadCpuUsage()
  some(requests, 20_000)
  const thread = process.threadCpuUsage(threadBefore)
  const all = process.cpuUsage(before)
  const heapBytes = process.memoryUsage().heapUsed
  const look = { record: last!.record, route, looks: [], kept: undefined }
  const explainBefore = process.threadCpuUsage()
  for (let index = 0; index < 1000; index++) explain(look, ms => ms)
  const explained = process.threadCpuUsage(explainBefore)
  return {
    threadUs: (thread.user + thread.system) / requests,
    processUs: (all.user + all.system) / requests,
    heapBytes,
    explainUs: (explained.user + explained.system) / 1000,
  }
}

const route = {
  name: 'm',
  live: '1.0.0',
  versions: [
    { version: '1.0.0', digest: 'a', weight: 100, shadow: { percent: 0 } },
    { version: '1.1.0', digest: 'b', weight: 0, shadow: { percent: 100 }, evidenceKey: 'k' },
  ],
  limits: { body: 1 << 20, depth: 64, elements: 1_000_000 },
  segments: [],
  labels: { loss: 'brier', clip: 1, affectedByAnswer: false },
  compare: [{ output: 'probabilities', kind: undefined, tolerance: { absolute: 0.02 } }],
} as unknown as SnapshotRoute

function outputsOf(seed: number) {
  const p = (seed % 997) / 1000
  const data = Float32Array.of(1 - p, p)
  return [{ name: 'probabilities', datatype: 'FP32' as const, shape: [1, 2], data }]
}

const NOTHING_ASKED = { id: undefined, inputs: [], outputs: undefined, binaryOutputs: false, columnar: false }

/** Bodies are made beforehand: another thread makes them. */
function bodiesOf(index: number) {
  const data = Array.from({ length: FEATURES }, (_, at) => ((index + at) % 1000) / 8)
  const inputs = [{ name: 'features', datatype: 'FP32', shape: [1, FEATURES], data }]
  const answer = { modelName: 'm', modelVersion: '1.0.0', id: undefined, outputs: outputsOf(index) }
  return {
    request: Pieces.of(Buffer.from(JSON.stringify({ inputs }))),
    answer: Pieces.of(Buffer.from(v2.encodeResponse(answer, NOTHING_ASKED).body)),
  }
}

const fixed = {
  revision: 1,
  route: 0,
  version: 0,
  epoch: 1,
  candidates: 2,
  paired: false,
  labelled: false,
  streamed: false,
  counted: true,
  timed: true,
  untimed: false,
  withheld: undefined,
  cohorts: 0,
  protocol: 'v2' as const,
  path: '',
  requestForm: '',
  answerForm: '',
  outcome: OUTCOME.ok,
  status: 200,
  forced: false,
  headSampled: false,
  traceFlags: 1,
  durationMs: 1,
  inferMs: 0.1,
  queueMs: 0,
  traceId: '0af7651916cd43dd8448eb211c80319c',
  serverSpanId: 'aaaaaaaaaaaaaaaa',
  inferSpanId: 'bbbbbbbbbbbbbbbb',
  parentSpanId: '',
  errorType: '',
  tracestate: '',
}

const BODIES = Array.from({ length: 1000 }, (_, index) => bodiesOf(index))

function recordOf(index: number) {
  const own = { requestId: `request-${index}`, ownId: true }
  return { ...fixed, ...BODIES[index % BODIES.length]!, ...own, startMs: (index * 1000) / RATE }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

if (isMainThread) await measure()
else parentPort!.postMessage(await round(workerData as Round))
