import { describe, expect, it } from 'vitest'
import { AnswerSlots } from '../../src/evidence/answerSlots.ts'
import { addPair } from '../../src/evidence/pairCount.ts'
import { OUTCOME, type OutcomeCode, type RequestRecord } from '../../src/record/format.ts'
import type { SnapshotRoute } from '../../src/rollout/snapshot.ts'
import type { ScoreOutcome } from '../../src/scoring/scorer.ts'
import { pairCountOf } from '../../src/shadow/count.ts'
import { pairOf, reversedPairOf } from '../../src/shadow/pair.ts'
import { type Observation, Task } from '../../src/shadow/task.ts'

const route = {
  name: 'm',
  limits: { body: 1 << 20, depth: 64, elements: 1000 },
  versions: [],
  segments: [],
  labels: { loss: 'brier', clip: 1, affectedByAnswer: false },
  compare: [{ output: undefined, kind: undefined, tolerance: { absolute: 0.1 } }],
} as unknown as SnapshotRoute

interface Served {
  readonly outcome?: OutcomeCode
  readonly answer?: string
  readonly asked?: readonly string[]
  readonly compare?: SnapshotRoute['compare']
  readonly segments?: SnapshotRoute['segments']
}

const answerOf = (...outputs: [name: string, value: number | null][]) =>
  JSON.stringify({
    model_name: 'm',
    outputs: outputs.map(([name, value]) => ({ name, datatype: 'FP32', shape: [1], data: [value] })),
  })

function task({ outcome = OUTCOME.ok, answer = answerOf(['p', 0.5]), asked, compare, segments }: Served = {}): Task {
  const request = {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }],
    ...(asked && { outputs: asked.map(name => ({ name })) }),
  }
  const record = {
    request: Buffer.from(JSON.stringify(request)),
    answer: Buffer.from(answer),
    outcome,
    errorType: outcome === OUTCOME.ok ? '' : 'VERSION_FAILED',
    protocol: 'v2',
    requestForm: '',
    answerForm: '',
  }
  return new Task(record as unknown as RequestRecord, {
    ...route,
    ...(compare !== undefined && { compare }),
    ...(segments !== undefined && { segments }),
  })
}

const observed = (outcome: ScoreOutcome): Observation => ({ outcome, batched: false, sentMs: 0, spanId: '' })
const answered = (...outputs: [name: string, value: number][]) =>
  observed({
    ok: true,
    outputs: outputs.map(([name, value]) => ({
      name,
      datatype: 'FP32' as const,
      shape: [1],
      data: Float32Array.of(value),
    })),
    inferMs: 1,
    queueMs: 0,
  })
const failed = (code: Extract<ScoreOutcome, { ok: false }>['code']) =>
  observed({ ok: false, code, message: code, inferMs: 1, queueMs: 0 })

describe('a pair of which live was served', () => {
  it('has both sides in their places', () => {
    const pair = pairOf(task(), answered(['p', 0.75]))
    expect(pair).toMatchObject({ result: 'mismatch', baseline: 0.5, candidate: 0.75 })
    expect(pair.errors).toEqual({ baseline: false, candidate: false })
    expect(pair.firstRows).toMatchObject([{ score: 0.5 }, { score: 0.75 }])
  })

  it.each([
    ['VERSION_FAILED', 'candidate_error'],
    ['BAD_TENSOR', 'candidate_error'],
    ['VERSION_DEADLINE', 'timeout'],
  ] as const)('is an error of a candidate that gave %s where live answered', (code, result) => {
    expect(pairOf(task(), failed(code))).toMatchObject({
      result,
      errors: { baseline: false, candidate: true },
      baseline: 0.5,
      candidate: null,
    })
  })

  it('is an error of live where it failed, and not of a candidate that refused the request', () => {
    const broken = task({ outcome: OUTCOME.failed, answer: '{}' })
    expect(pairOf(broken, answered(['p', 1])).errors).toEqual({ baseline: true, candidate: false })
    expect(pairOf(broken, failed('BAD_TENSOR')).errors).toEqual({ baseline: true, candidate: false })
    expect(pairOf(broken, failed('VERSION_FAILED')).errors).toEqual({ baseline: true, candidate: true })
  })

  it('is no evidence where the answer cannot be read', () => {
    expect(pairOf(task({ answer: 'no JSON' }), answered(['p', 1]))).toMatchObject({
      result: 'unparseable',
      errors: undefined,
    })
  })
})

describe('a pair of which the canary was served', () => {
  it('has the canary as its candidate and live as its baseline', () => {
    const pair = reversedPairOf(task(), answered(['p', 0.75]))
    expect(pair).toMatchObject({ result: 'mismatch', baseline: 0.75, candidate: 0.5 })
    expect(pair.firstRows).toMatchObject([{ score: 0.75 }, { score: 0.5 }])
  })

  it.each([
    ['VERSION_DEADLINE', 'mirror.dropped.expired'],
    ['VERSION_UNREACHABLE', 'mirror.dropped.not_ready'],
    ['VERSION_NOT_READY', 'mirror.dropped.not_ready'],
    ['BAD_TENSOR', 'mirror.failed.baseline_error'],
  ] as const)('is no evidence where live gave %s in the shadow, whatever the canary did', (code, slot) => {
    for (const outcome of [OUTCOME.ok, OUTCOME.failed, OUTCOME.clientError]) {
      const pair = reversedPairOf(task({ outcome }), failed(code))
      expect(pair).toMatchObject({
        result: 'baseline_error',
        errors: undefined,
        baseline: null,
        comparison: undefined,
      })
      const slots = new Map<string, number>()
      const said = pairCountOf(pair, ['a=b'], new AnswerSlots(), 1)
      addPair(slots, { ...said, latency: undefined, late: [], sampled: false })
      expect([...slots]).toEqual([[slot, 1]])
    }
  })

  it('is an error of live where it failed by itself, as it is of a shadow, so that equal versions are even', () => {
    expect(reversedPairOf(task(), failed('VERSION_FAILED')).errors).toEqual({ baseline: true, candidate: false })
    const broken = task({ outcome: OUTCOME.failed, answer: '{}' })
    expect(reversedPairOf(broken, failed('VERSION_FAILED')).errors).toEqual({ baseline: true, candidate: true })
    expect(reversedPairOf(broken, answered(['p', 1])).errors).toEqual({ baseline: false, candidate: true })
  })

  it('is an error of a canary that refused what live takes, or that nobody can read', () => {
    const refused = task({ outcome: OUTCOME.clientError, answer: '{"error":"no"}' })
    for (const each of [refused, task({ answer: 'no JSON' })]) {
      expect(reversedPairOf(each, answered(['p', 0.75]))).toMatchObject({
        result: 'candidate_error',
        errors: { baseline: false, candidate: true },
        baseline: 0.75,
        candidate: null,
      })
    }
  })

  it('is an error of a canary that gave a NaN of its own, and not of one that gave the infinity that live gives', () => {
    const broken = task({ answer: answerOf(['p', null]) })
    expect(reversedPairOf(broken, answered(['p', 1])).errors).toEqual({ baseline: false, candidate: true })
    expect(reversedPairOf(broken, answered(['p', Number.POSITIVE_INFINITY])).result).toBe('match')
  })

  it('compares what the client asked for, though live gives everything', () => {
    const asked = task({ asked: ['p'] })
    expect(reversedPairOf(asked, answered(['label', 1], ['p', 0.5])).result).toBe('match')
    const compare = [{ output: 'label', kind: undefined, tolerance: {} }]
    expect(reversedPairOf(task({ asked: ['p'], compare }), answered(['label', 1], ['p', 0.5])).result).toBe(
      'unparseable',
    )
  })

  it('compares JSON by pointer', () => {
    const compare = [{ output: '/outputs/0/data/0', kind: undefined, tolerance: { absolute: 0.1 } }]
    expect(reversedPairOf(task({ compare }), answered(['p', 0.55])).result).toBe('match')
    expect(reversedPairOf(task({ compare }), answered(['p', 0.75])).result).toBe('mismatch')
  })
})

describe('segments', () => {
  const segments: SnapshotRoute['segments'] = ['x', { answer: 'p', by: 0.5 }]

  it('go by what live answered, whoever was served', () => {
    const served = task({ answer: answerOf(['p', 0.75]), segments })
    expect(pairOf(served, answered(['p', 0.25])).segments).toEqual(['x=1', 'answer.p=[0.5,1)'])
    expect(pairOf(served, failed('VERSION_FAILED')).segments).toEqual(['x=1', 'answer.p=[0.5,1)'])
    expect(reversedPairOf(served, answered(['p', 0.25])).segments).toEqual(['x=1', 'answer.p=[0,0.5)'])
  })

  it('go by the inputs alone where live gave no answer', () => {
    const unserved = task({ outcome: OUTCOME.failed, segments })
    expect(pairOf(unserved, answered(['p', 0.25])).segments).toEqual(['x=1'])
    expect(reversedPairOf(task({ segments }), failed('VERSION_FAILED')).segments).toEqual(['x=1'])
  })
})

describe('answers of a protocol without datatypes', () => {
  const LIVE = { kind: 'url', protocol: 'v1' }
  const v1 = (answer: object, compare: SnapshotRoute['compare'], body: object = { instances: [[1]] }) =>
    new Task(
      {
        request: Buffer.from(JSON.stringify(body)),
        answer: Buffer.from(JSON.stringify(answer)),
        outcome: OUTCOME.ok,
        errorType: '',
        protocol: 'v1',
        requestForm: '',
        answerForm: '',
        version: 0,
      } as unknown as RequestRecord,
      { ...route, live: '1.0.0', versions: [{ version: '1.0.0', target: LIVE }], compare } as unknown as SnapshotRoute,
    )
  const scored = [{ output: 'score', kind: undefined, tolerance: {} }]
  const passed = (answer: object) =>
    observed({
      ok: true,
      outputs: [],
      raw: Buffer.from(JSON.stringify(answer)),
      untyped: true,
      inferMs: 1,
      queueMs: 0,
    })
  const resultOf = (live: object, candidate: object, compare = scored) =>
    pairOf(v1(live, compare), passed(candidate)).result

  it('match where a client sees the same, whatever the spacing and whether 1 is written 1.0', () => {
    expect(resultOf({ predictions: [0.5] }, { predictions: [0.5] })).toBe('match')
    expect(resultOf({ predictions: [{ score: 1 }] }, { more: true, predictions: [{ score: 1 }] })).toBe('match')
  })

  it.each<[string, object, object]>([
    ['a name that the candidate leaves out', { predictions: [{ score: 0.5 }] }, { predictions: [0.5] }],
    ['a name that only the candidate gives', { predictions: [0.5] }, { predictions: [{ score: 0.5 }] }],
    ['another shape', { predictions: [[0.5]] }, { predictions: [0.5] }],
    ['another member', { predictions: [0.5] }, { outputs: [0.5] }],
  ])('mismatch by %s, which a client would stumble over', (_, live, candidate) => {
    expect(resultOf(live, candidate)).toBe('mismatch')
  })

  it('are an error of a candidate that answers what this protocol cannot carry', () => {
    const rows = (count: number, name: string) => ({
      name,
      datatype: 'FP32' as const,
      shape: [count],
      data: new Float32Array(count),
    })
    const uneven = observed({ ok: true, outputs: [rows(1, 'a'), rows(2, 'b')], inferMs: 1, queueMs: 0 })
    const pair = pairOf(v1({ predictions: [0.5] }, scored), uneven)
    expect(pair).toMatchObject({ result: 'candidate_error', errors: { baseline: false, candidate: true } })
  })
})
