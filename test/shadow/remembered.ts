// Requests as the shadow thread has them when they are over, for tests of what is told of them.
import { OUTCOME, type RequestRecord } from '../../src/record/format.ts'
import type { SnapshotRoute } from '../../src/rollout/snapshot.ts'
import type { ScoreOutcome } from '../../src/scoring/scorer.ts'
import type { Look } from '../../src/shadow/explain.ts'
import type { Observation } from '../../src/shadow/task.ts'

const shadow = (percent: number, max?: number) => ({ percent, max, batch: 32, wait: 20, deadline: 5_000, unbatched: 0 })

/** Live 1.0.0, canary 1.1.0, shadow 2.0.0. */
export const route = {
  name: 'm',
  live: '1.0.0',
  versions: [
    { version: '1.0.0', digest: 'one', weight: 60, shadow: shadow(0), evidenceKey: undefined },
    { version: '1.1.0', digest: 'two', weight: 40, shadow: shadow(0), evidenceKey: 'k1' },
    { version: '2.0.0', digest: 'three', weight: 0, shadow: shadow(50, 7), evidenceKey: 'k2' },
  ],
  sticky: undefined,
  force: 'x-version',
  paired: 10,
  mirrored: true,
  limits: { body: 1 << 20, depth: 64, elements: 1000 },
  salts: { split: 'a salt', mirror: 'b', count: 'c' },
  segments: [],
  labels: undefined,
  compare: [{ output: 'p', kind: undefined, tolerance: { absolute: 0.1 } }],
} as unknown as SnapshotRoute

export const answerOf = (...values: number[]) =>
  JSON.stringify({ model_name: 'm', outputs: [{ name: 'p', datatype: 'FP32', shape: [values.length], data: values }] })

export const BODY = JSON.stringify({
  user: 'ann',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }],
})

export function recordOf({
  request = BODY,
  answer = answerOf(0.5),
  ...changes
}: Partial<Omit<RequestRecord, 'request' | 'answer'>> & { request?: string; answer?: string } = {}): RequestRecord {
  return {
    revision: 3,
    route: 0,
    version: 0,
    epoch: 1,
    candidates: 4,
    paired: false,
    labelled: false,
    streamed: false,
    counted: true,
    timed: true,
    untimed: false,
    withheld: undefined,
    cohorts: 0,
    protocol: 'v2',
    path: '',
    requestForm: '',
    answerForm: '',
    outcome: OUTCOME.ok,
    status: 200,
    forced: false,
    headSampled: false,
    traceFlags: 1,
    startMs: 1000,
    durationMs: 2.5,
    inferMs: 0.5,
    queueMs: 0.25,
    traceId: '0af7651916cd43dd8448eb211c80319c',
    serverSpanId: 'aaaaaaaaaaaaaaaa',
    inferSpanId: 'bbbbbbbbbbbbbbbb',
    parentSpanId: '',
    requestId: 'id',
    ownId: false,
    errorType: '',
    tracestate: '',
    request: Buffer.from(request),
    answer: Buffer.from(answer),
    ...changes,
  }
}

export const answered = (...values: number[]): Observation => ({
  outcome: {
    ok: true,
    outputs: [{ name: 'p', datatype: 'FP32', shape: [values.length], data: Float32Array.from(values) }],
    inferMs: 4,
    queueMs: 9,
  },
  batched: true,
  sentMs: 1001,
  spanId: '',
})

export const failed = (code: Extract<ScoreOutcome, { ok: false }>['code']): Observation => ({
  outcome: { ok: false, code, message: 'a sentence', inferMs: 4, queueMs: 9 },
  batched: false,
  sentMs: 1001,
  spanId: '',
})

/** The shadow 2.0.0 beside live. */
export const mirrored = (observation: Look['observation']): Look => ({
  version: route.versions[2]!,
  isReversed: false,
  observation,
})

/** Live in the shadow of the canary 1.1.0. */
export const paired = (observation: Look['observation']): Look => ({
  version: route.versions[1]!,
  isReversed: true,
  observation,
})
