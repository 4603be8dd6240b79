// The functions that run once for every request or pair, each with what it works on in real traffic: a 1 KB V2 request.

import { AnswerSlots } from '../../src/evidence/answerSlots.ts'
import { compareOutputs } from '../../src/evidence/compare.ts'
import { type Counters, SLOT } from '../../src/evidence/counters.ts'
import { latencyBin } from '../../src/evidence/histogram.ts'
import { addPair } from '../../src/evidence/pairCount.ts'
import { v2 } from '../../src/protocols/openInference.ts'
import type { Tensor } from '../../src/protocols/tensor.ts'
import { joinedText, textRequestOf } from '../../src/protocols/textRequest.ts'
import { OUTCOME, type PackedRecord, readRecord, writeRecord } from '../../src/record/format.ts'
import { Pieces } from '../../src/record/pieces.ts'
import { createDoorbell, createRing, RingConsumer, RingProducer } from '../../src/record/ring.ts'
import { assign, assignDrawn, sampled } from '../../src/routing/assign.ts'
import { draw } from '../../src/routing/draw.ts'
import { CountedMemory, VersionCounts } from '../../src/serving/counted.ts'
import { answerHeaders, cleanRequestId, requestHeaders } from '../../src/serving/headers.ts'
import { requestTrace } from '../../src/serving/trace.ts'

export interface HotFunction {
  readonly name: string
  /** One call; what it gives is looked at, so that nothing of it can be left out. */
  readonly call: () => unknown
}

const VALUES = 60
const LIMITS = { depth: 64, elements: 1_000_000 }
const BATCH = 32

const rowText = (seed: number) =>
  JSON.stringify({
    inputs: [
      {
        name: 'x',
        datatype: 'FP32',
        shape: [1, VALUES],
        data: Array.from({ length: VALUES }, (_, at) => Number((Math.sin(seed * VALUES + at) * 100).toFixed(12))),
      },
    ],
  })
export const REQUEST_TEXT = rowText(1)
const requestBody = { bytes: Buffer.from(REQUEST_TEXT), jsonBytes: undefined, contentType: 'application/json' }
const probabilities = (positive: number): Tensor => ({
  name: 'probability',
  datatype: 'FP32',
  shape: [1, 2],
  data: Float32Array.of(1 - positive, positive),
})
const answerText = v2.encodeResponse(
  { modelName: 'm', modelVersion: '1.0.0', id: undefined, outputs: [probabilities(0.18)] },
  v2.decodeRequest(requestBody, LIMITS, undefined),
).body
const answerBody = { ...requestBody, bytes: Buffer.from(answerText) }
const batch = Array.from({ length: BATCH }, (_, row) => {
  const bytes = Buffer.from(rowText(row))
  return textRequestOf({ ...requestBody, bytes }, LIMITS)!
})

const RAW_HEADERS = [
  ...['Host', '127.0.0.1:8080', 'Connection', 'keep-alive', 'Content-Type', 'application/json'],
  ...['Content-Length', '1015', 'Accept', '*/*', 'User-Agent', 'client/1.0', 'X-Request-Id', 'c0ffee-1'],
]
const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const ANSWERED = { date: 'now', 'content-type': 'application/json', 'content-length': '250', connection: 'keep-alive' }
const ARMS = [
  { version: '1.0.0', weight: 99 },
  { version: '1.1.0', weight: 1 },
]

const record: PackedRecord = {
  revision: 1,
  route: 0,
  version: 0,
  epoch: 1,
  candidates: 4,
  paired: false,
  labelled: false,
  outcome: OUTCOME.ok,
  status: 200,
  forced: false,
  streamed: false,
  protocol: 'v2',
  headSampled: false,
  counted: true,
  timed: true,
  untimed: false,
  withheld: undefined,
  cohorts: 0,
  traceFlags: 0,
  startMs: 1,
  durationMs: 1,
  inferMs: 1,
  queueMs: 0,
  traceId: '0af7651916cd43dd8448eb211c80319c',
  serverSpanId: 'b7ad6b7169203331',
  inferSpanId: 'b7ad6b7169203332',
  parentSpanId: '',
  requestId: '0af76519-16cd-43dd-8448-eb211c80319c',
  ownId: true,
  errorType: '',
  tracestate: '',
  path: '',
  requestForm: '',
  answerForm: '',
  request: Pieces.of(requestBody.bytes),
  answer: Pieces.of(answerBody.bytes),
}
const ring = createRing(1 << 20)
const producer = new RingProducer(ring, createDoorbell())
const consumer = new RingConsumer(ring)

const specs = [{ output: 'probability', kind: undefined, tolerance: { absolute: 0.02 } }]
const outputs = (positive: number) => ({ tensors: [probabilities(positive)] })
const [live, candidate] = [outputs(0.18), outputs(0.19)]
const counters: Counters = new Map()
const answers = new AnswerSlots()
const counted = new VersionCounts(new CountedMemory(), { route: 'm', version: '1.0.0', role: 'live' })
const firstRow = { score: 0.18, label: '0', isMeasured: true }

export const HOT_FUNCTIONS: readonly HotFunction[] = [
  {
    name: 'header fields of a request and its answer',
    call: () => [requestHeaders(RAW_HEADERS, 'keep-alive'), answerHeaders(ANSWERED)],
  },
  { name: 'trace of a request', call: () => requestTrace({ traceparent: PARENT }, 0.01) },
  { name: 'request id', call: () => cleanRequestId('0af76519-16cd-43dd-8448-eb211c80319c') },
  { name: 'assignment that is drawn', call: () => assignDrawn(draw(), ARMS) },
  { name: 'assignment by a unit', call: () => assign('salt', 'customer-1234', ARMS) },
  { name: 'sampling', call: () => sampled('salt', 'b7ad6b7169203331', 50) },
  {
    name: 'counts of an answer',
    call: () => {
      counted.answered(200, 'v2', 1_000.5, 1.2, 0.9)
      counted.assigned(false)
      return latencyBin(1.2)
    },
  },
  {
    name: 'record through the ring',
    call: () => {
      writeRecord(producer, record)
      let read: unknown
      consumer.drain(packed => {
        read = readRecord(packed)
      })
      return read
    },
  },
  { name: 'request left as text', call: () => textRequestOf(requestBody, LIMITS) },
  { name: `${BATCH} requests joined as text`, call: () => joinedText(batch) },
  { name: 'request decoded', call: () => v2.decodeRequest(requestBody, LIMITS, undefined) },
  { name: 'answer decoded', call: () => v2.decodeResponse(answerBody, LIMITS) },
  { name: 'comparison', call: () => compareOutputs(live, candidate, specs) },
  {
    name: 'count of a pair',
    call: () => {
      const slots: string[] = []
      answers.take(firstRow, firstRow, 1, slot => slots.push(slot))
      addPair(counters, {
        result: 'match',
        dropped: undefined,
        errors: { baseline: false, candidate: false },
        unstable: false,
        differences: [12],
        answers: slots,
        segments: [],
        latency: [1.2, 1.3],
        late: [SLOT.match],
        sampled: false,
      })
      return counters
    },
  },
]
