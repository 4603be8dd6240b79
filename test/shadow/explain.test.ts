import { hash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { OUTCOME, type RequestRecord } from '../../src/record/format.ts'
import type { SnapshotRoute } from '../../src/rollout/snapshot.ts'
import { assign } from '../../src/routing/assign.ts'
import { explain, type Look } from '../../src/shadow/explain.ts'
import { answered, answerOf, BODY, failed, mirrored, paired, recordOf, route } from './remembered.ts'

const told = (record: RequestRecord, looks: readonly Look[] = [], of: Partial<SnapshotRoute> = {}) =>
  explain({ record, route: { ...route, ...of }, looks, kept: undefined }, ms => 1_700_000_000_000 + ms)
const versionOf = (explanation: ReturnType<typeof told>, version: string) =>
  explanation.versions.find(each => each.version === version)
const canaryServed = { version: 1, candidates: 0, paired: true }

describe('a request of which little is known', () => {
  it('that nobody else looked at is its own answer, with why nobody did', () => {
    const explanation = told(recordOf({ candidates: 0 }))
    expect(explanation.comparisons).toEqual([])
    expect(explanation.versions.map(({ version, state, reason }) => [version, state, reason])).toEqual([
      ['1.0.0', 'answered', null],
      ['2.0.0', 'not_asked', 'not_sampled'],
    ])
    expect(versionOf(explanation, '2.0.0')?.detail).toBe('not in the sample (shadow: 50 %)')
  })

  it('whose bodies were too large to be recorded has neither digest nor outputs', () => {
    const explanation = told(recordOf({ candidates: 0, request: '', answer: '', withheld: 'too_large' }))
    expect(explanation.input).toBeNull()
    expect(explanation.answered).toMatchObject({ status: 200, bytes: null, sha256: null })
    expect(explanation.versions[0]).toMatchObject({ outputs: null, detail: 'its answer was too large to be recorded' })
    expect(versionOf(explanation, '2.0.0')?.reason).toBe('too_large')
  })

  it('that was answered before all of it had come says so', () => {
    const explanation = told(recordOf({ candidates: 0, request: '', answer: '', withheld: 'incomplete' }))
    expect(explanation.versions[0]!.detail).toMatch(/^it answered before all of the request had come/)
    expect(versionOf(explanation, '2.0.0')?.reason).toBe('incomplete')
  })

  it('that is no V2 request still has its digest', () => {
    const explanation = told(recordOf({ request: 'a,b\n1,2', answer: 'no JSON' }), [mirrored(answered(0.5))])
    expect(explanation.input).toEqual({ bytes: 7, sha256: hash('sha256', 'a,b\n1,2', 'hex'), tensors: null })
    expect(explanation.versions[0]).toMatchObject({
      state: 'answered',
      outputs: null,
      detail: 'its answer cannot be read',
    })
    expect(explanation.comparisons).toMatchObject([
      { result: 'unparseable', detail: 'the answer that was served cannot be read', outputs: [] },
    ])
  })

  it('that live failed is compared with nobody, and says who failed', () => {
    const failure = { outcome: OUTCOME.failed, status: 500, errorType: 'VERSION_FAILED', answer: '{"error":"no"}' }
    const explanation = told(recordOf(failure), [mirrored(answered(0.5))])
    expect(explanation.versions[0]).toMatchObject({ state: 'failed', reason: 'VERSION_FAILED', outputs: null })
    expect(versionOf(explanation, '2.0.0')).toMatchObject({ state: 'answered', outputs: [{ values: [0.5] }] })
    expect(explanation.comparisons).toMatchObject([{ result: 'baseline_error', outputs: [] }])
  })

  it.each([
    ['queue_full', 'its queue was full (mirror.queue)'],
    ['stalled', 'it had given no answer several times in a row, and was asked one request at a time'],
    ['not_sampled', 'left out by shadow.max (7 a second)'],
  ] as const)('whose candidate did not get it (%s) says why', (reason, detail) => {
    const explanation = told(recordOf(), [mirrored(reason)])
    expect(versionOf(explanation, '2.0.0')).toMatchObject({ state: 'not_asked', reason, detail, latencyMs: null })
    expect(explanation.comparisons).toEqual([])
  })

  it('has an answer of the wrong form beside the right one', () => {
    const json = [{ output: '/outputs/0/data', kind: undefined, tolerance: {} }]
    const observation = { ...answered(0.5), outcome: { ...answered(0.5).outcome, raw: Buffer.from('<html>') } }
    const explanation = told(recordOf(), [mirrored(observation)], { compare: json })
    expect(explanation.versions[0]!.outputs).toMatchObject([{ output: '/outputs/0/data', values: [0.5] }])
    expect(versionOf(explanation, '2.0.0')).toMatchObject({ outputs: null, detail: 'its answer cannot be read' })
    expect(explanation.comparisons).toMatchObject([{ result: 'candidate_error' }])
  })
})

describe('answers that differ', () => {
  it('are told with the first row that differs, the tolerance and the sizes', () => {
    const explanation = told(recordOf({ answer: answerOf(0.5, 0.25, 0.75) }), [mirrored(answered(0.5, 0.5, 0.75))])
    expect(explanation.comparisons).toEqual([
      {
        baseline: '1.0.0',
        candidate: '2.0.0',
        result: 'mismatch',
        errorType: null,
        detail: null,
        dropped: null,
        maxAbsDiff: 0.25,
        maxRelDiff: 1,
        outputs: [
          {
            output: 'p',
            kind: 'number',
            result: 'mismatch',
            reason: 'value',
            detail: 'differs by up to 0.25',
            tolerance: { absolute: 0.1 },
            rows: 3,
            mismatchingRows: 1,
            row: 1,
            maxAbsDiff: 0.25,
            maxRelDiff: 1,
            baselineValue: 0.25,
            candidateValue: 0.5,
          },
        ],
      },
    ])
    expect(versionOf(explanation, '2.0.0')).toMatchObject({
      role: 'shadow',
      latencyMs: 4,
      queueMs: 9,
      batched: true,
      outputs: [{ output: 'p', shape: [3], values: [0.5], width: 1 }],
    })
  })

  it('are JSON whatever they are: no infinity, no NaN, and rows of a bounded length', () => {
    const wide = Array.from({ length: 40 }, (_, index) => (index === 1 ? Number.NaN : index / 3))
    const observation = answered(...wide)
    if (observation.outcome.ok) Object.assign(observation.outcome.outputs[0]!, { shape: [1, 40] })
    const [, shadow] = told(recordOf({ answer: answerOf(0) }), [mirrored(observation)]).versions
    expect(shadow!.outputs).toMatchObject([{ width: 40, values: { length: 16, 0: 0, 1: 'NaN', 2: 0.6666667 } }])
    const explanation = told(recordOf({ answer: answerOf(0) }), [mirrored(answered(1))])
    expect(explanation.comparisons[0]).toMatchObject({ maxAbsDiff: 1, maxRelDiff: null })
    expect(JSON.parse(JSON.stringify(explanation))).toEqual(explanation)
  })

  it('stand in the order of the route, whichever ended first', () => {
    const other = { version: route.versions[1]!, isReversed: false, observation: answered(0.5) }
    const { comparisons } = told(recordOf(), [mirrored(answered(0.5)), other])
    expect(comparisons.map(({ candidate }) => candidate)).toEqual(['1.1.0', '2.0.0'])
  })

  it('have the canary as the candidate where live was asked in its shadow', () => {
    const explanation = told(recordOf({ ...canaryServed, answer: answerOf(0.75) }), [paired(answered(0.5))])
    expect(explanation.versions.map(({ version, role, state }) => [version, role, state])).toEqual([
      ['1.1.0', 'canary', 'answered'],
      ['1.0.0', 'shadow', 'answered'],
      ['2.0.0', 'shadow', 'not_asked'],
    ])
    const [comparison] = explanation.comparisons
    expect(comparison).toMatchObject({ baseline: '1.0.0', candidate: '1.1.0', result: 'mismatch' })
    expect(comparison!.outputs[0]).toMatchObject({ baselineValue: 0.5, candidateValue: 0.75 })
  })

  it('are no evidence where live was not to be had in the shadow', () => {
    const explanation = told(recordOf(canaryServed), [paired(failed('VERSION_DEADLINE'))])
    expect(explanation.comparisons).toMatchObject([
      { result: 'dropped', dropped: 'expired', errorType: 'VERSION_DEADLINE', outputs: [] },
    ])
    expect(versionOf(explanation, '1.0.0')).toMatchObject({ state: 'failed', detail: 'a sentence' })
  })
})

describe('why a version was not asked', () => {
  it.each<[string, Partial<RequestRecord>, Partial<SnapshotRoute>, string, string | undefined]>([
    ['a forced request', { forced: true, candidates: 0 }, {}, '2.0.0', 'forced'],
    ['a mirror that is off', { candidates: 0 }, { mirrored: false }, '2.0.0', 'mirror_off'],
    ["a client's mistake", { candidates: 0, outcome: OUTCOME.clientError }, {}, '2.0.0', 'client_error'],
    ["a canary's request", canaryServed, {}, '2.0.0', 'not_mirrored'],
    ['a canary that is not paired', { ...canaryServed, paired: false }, { paired: 0 }, '1.0.0', 'not_paired'],
    ['a canary outside the sample', { ...canaryServed, paired: false }, {}, '1.0.0', 'not_sampled'],
    [
      'a canary that was late',
      { ...canaryServed, paired: false, outcome: OUTCOME.deadline, errorType: 'VERSION_DEADLINE' },
      {},
      '1.0.0',
      'not_paired',
    ],
    ['a canary is no shadow', { candidates: 0 }, {}, '1.1.0', undefined],
  ])('%s', (_what, record, of, version, reason) => {
    expect(versionOf(told(recordOf(record as object), [], of), version)?.reason).toBe(reason)
  })
})

describe('the assignment', () => {
  const assignment = (record: object, of: Partial<SnapshotRoute> = {}) => told(recordOf(record), [], of).assignment

  it('was the only version’s, by weight, or the client’s own choice', () => {
    const versions = [route.versions[0]!, { ...route.versions[1]!, weight: 0 }]
    expect(assignment({}, { versions })).toMatchObject({ reason: 'static', sticky: null })
    expect(assignment({})).toMatchObject({
      reason: 'split',
      version: '1.0.0',
      weights: [
        { version: '1.0.0', weight: 60 },
        { version: '1.1.0', weight: 40 },
        { version: '2.0.0', weight: 0 },
      ],
    })
    const forced = assignment({ forced: true, version: 2, candidates: 0 })
    expect(forced).toMatchObject({ reason: 'targeting_match', version: '2.0.0' })
    expect(forced.why).toContain('x-version')
  })

  it('by a key in the body is drawn again, and the least draw is who the key belongs to; the key is not told', () => {
    for (const user of ['ann', 'bob', 'cleo', 'dan', 'eve']) {
      const request = BODY.replace('ann', user)
      const { sticky, ...rest } = assignment({ request }, { sticky: { pointer: '/user' } })
      const least = sticky!.draws!.toSorted((a, b) => a.draw - b.draw)[0]!
      expect(least.version).toBe(assign('a salt', user, route.versions))
      expect(sticky!.draws!.map(({ version }) => version)).toEqual(['1.0.0', '1.1.0'])
      expect(JSON.stringify([sticky, rest])).not.toContain(user)
    }
  })

  it.each<[SnapshotRoute['sticky'], object, object]>([
    [{ pointer: '/nobody' }, {}, { by: 'body /nobody', unit: 'missing', draws: null }],
    [{ pointer: '/user' }, { request: 'no JSON' }, { by: 'body /user', unit: 'unknown', draws: null }],
    [{ header: 'x-user-id' }, {}, { by: 'header x-user-id', unit: 'unknown', draws: null }],
    [{ cookie: 'uid' }, {}, { by: 'cookie uid', unit: 'unknown', draws: null }],
  ])('by %j is told as far as it is known', (sticky, record, expected) => {
    expect(assignment(record, { sticky }).sticky).toEqual(expected)
  })
})
