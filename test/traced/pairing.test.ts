import { describe, expect, it } from 'vitest'
import type { SpanValue } from '../../src/telemetry/readSpans.ts'
import { observe, whoseSpan } from '../../src/traced/observe.ts'
import { join, owed, type PartialTrace, tracedPair } from '../../src/traced/pairing.ts'
import { predicted, SPANS, type Told, tracedRoute } from './route.ts'

const KIB = 1024
const route = await tracedRoute()
const live = (prediction: SpanValue | undefined, told?: Told) =>
  observe(predicted(0, '1.0.0', prediction, told), route, true, KIB)
const candidate = (prediction: SpanValue | undefined, told?: Told) =>
  observe(predicted(0, '1.1.0', prediction, told), route, false, KIB)

describe('a span', () => {
  it('is of the version that it names, where it is a prediction of the route', async () => {
    const kinds = (span: object, of = route) => whoseSpan({ ...predicted(0, '1.0.0', 1), ...span }, of).kind
    expect(kinds({})).toBe('version')
    expect(kinds({ name: 'GET /' })).toBe('other')
    expect(kinds({ attributes: {} })).toBe('other')
    expect(kinds({ attributes: { version: '9.9.9' } })).toBe('unknown_version')
    expect(kinds({ attributes: Object.assign(Object.create(null), { __proto__: 1 }) })).toBe('other')

    const byModel = await tracedRoute({ spans: { ...SPANS, model: 'model' } })
    expect(kinds({}, byModel)).toBe('other')
    expect(kinds({ attributes: { version: '1.0.0', model: 'fraud' } }, byModel)).toBe('other')
    expect(kinds({ attributes: { version: '1.0.0', model: 'churn' } }, byModel)).toBe('version')
    const byDefault = await tracedRoute({ spans: undefined })
    expect(
      kinds(
        { name: 'infer churn', attributes: { 'understudy.model.name': 'churn', 'understudy.model.version': '1.0.0' } },
        byDefault,
      ),
      'as Understudy itself writes them',
    ).toBe('version')
  })

  it('is of the build that is declared, under the name that spans have for it', async () => {
    const versions = {
      '1.0.0': { traced: '3', weight: 100, identity: { literal: 'sha-a' } },
      '1.1.0': { traced: '4', shadow: 100, identity: { literal: 'sha-b' } },
    }
    const declared = await tracedRoute({ versions, spans: { ...SPANS, digest: 'digest' } })
    const whose = (version: string | number, digest?: string) =>
      whoseSpan(
        { ...predicted(0, '', 1), attributes: { version, ...(digest === undefined ? {} : { digest }) } },
        declared,
      )
    expect(whose('3', 'sha-a')).toMatchObject({ kind: 'version', version: { version: '1.0.0' } })
    expect(whose(4, 'sha-b')).toMatchObject({ kind: 'version', version: { version: '1.1.0' } })
    expect(whose('4', 'sha-a').kind).toBe('other_build')
    expect(whose('4').kind).toBe('other_build')
    expect(whose('1.0.0', 'sha-a').kind).toBe('unknown_version')
  })

  it('tells an answer, an error, or nothing that can be read', () => {
    expect(live(0.5).outputs).toEqual({ json: { prediction: 0.5 } })
    expect(live('yes').outputs).toEqual({ json: { prediction: 'yes' } })
    expect(live('0.5').outputs, 'text is never a number').toEqual({ json: { prediction: '0.5' } })
    expect(live(true).outputs).toEqual({ json: { prediction: true } })
    expect(live(Number.NaN).outputs).toEqual({ json: { prediction: null } })
    expect(live('[0.25, 0.75]').outputs).toEqual({ json: { prediction: [0.25, 0.75] } })
    expect(live('{"score": 1}').outputs).toEqual({ json: { prediction: { score: 1 } } })
    expect(live('[0.25, 0.7').outputs, 'cut short').toBeUndefined()
    expect(live(`${'['.repeat(500)}${']'.repeat(500)}`).outputs, 'too deep').toBeUndefined()
    expect(live(undefined).outputs).toBeUndefined()
    expect(live(1, { isError: true })).toMatchObject({ outputs: undefined, errorType: 'error' })
    expect(live(1, { attributes: { 'error.type': '503' } })).toMatchObject({ outputs: undefined, errorType: '503' })
    expect(live(1, { attributes: { 'error.type': '' } }).errorType).toBe('')
    expect(live(1, { attributes: { 'error.type': false } }).errorType).toBe('')
    expect(live('x'.repeat(KIB + 1))).toMatchObject({ outputs: undefined, isTooLarge: true })
    expect(live(1, { durationMs: -1 }).durationMs).toBeUndefined()
    expect(live(1, { attributes: { request: 'r-1' } }).requestId).toBe('r-1')
    expect(live(1, { attributes: { request: 17 } }).requestId).toBe('17')
    expect(live(1, { attributes: { request: 'r'.repeat(129) } }).requestId, 'no label can name it').toBeUndefined()
  })

  it('has the segments of its attributes and of its answer', async () => {
    const segments = ['customer.region', { bucket: 'age', by: 10 }, { answer: 'prediction' }]
    const bySegment = await tracedRoute({ compare: { segments } })
    const attributes = { 'customer.region': 'north', age: 34 }
    const told = observe(predicted(0, '1.0.0', 'yes', { attributes }), bySegment, true, KIB)
    expect(told.segments).toEqual(['customer.region=north', 'age=[30,40)', 'answer.prediction=yes'])
    expect(observe(predicted(0, '1.1.0', 'yes', { attributes }), bySegment, false, KIB).segments).toEqual([])
  })
})

describe('a pair of spans', () => {
  const failed: Told = { isError: true }
  const errorType = (type: string): Told => ({ attributes: { 'error.type': type } })

  it.each([
    ['match', live(1), candidate(1), { baseline: false, candidate: false }],
    ['mismatch', live(1), candidate(2), { baseline: false, candidate: false }],
    ['mismatch', live(1), candidate('1'), { baseline: false, candidate: false }],
    ['mismatch', live(1), candidate(Number.NaN), { baseline: false, candidate: true }],
    ['match', live('[0.5,0.5]'), candidate('[0.5, 0.5]'), { baseline: false, candidate: false }],
    ['candidate_error', live(1), candidate(1, failed), { baseline: false, candidate: true }],
    ['candidate_error', live(1), candidate(undefined), { baseline: false, candidate: true }],
    ['candidate_error', live(1), candidate(1, errorType('400')), { baseline: false, candidate: true }],
    ['timeout', live(1), candidate(1, errorType('DeadlineExceeded')), { baseline: false, candidate: true }],
    ['baseline_error', live(1, failed), candidate(1), { baseline: true, candidate: false }],
    ['baseline_error', live(1, failed), candidate(1, failed), { baseline: true, candidate: true }],
    ['baseline_error', live(1, failed), candidate(1, errorType('422')), { baseline: true, candidate: false }],
    ['baseline_error', live(1, errorType('429')), candidate(1), { baseline: true, candidate: false }],
    ['baseline_error', live(1, errorType('400')), candidate(1), undefined],
    ['unparseable', live(undefined), candidate(1), undefined],
  ] as const)('is a %s (%#)', (result, baseline, other, errors) => {
    expect(tracedPair(route, baseline, other)).toMatchObject({ result, dropped: undefined })
    expect(tracedPair(route, baseline, other).errors).toEqual(errors)
  })

  it('is none where an answer is larger than is kept', () => {
    expect(tracedPair(route, live('x'.repeat(2 * KIB)), candidate(1))).toMatchObject({
      dropped: 'too_large',
      errors: undefined,
    })
    expect(tracedPair(route, live(1), candidate('x'.repeat(2 * KIB)))).toMatchObject({ dropped: 'too_large' })
  })
})

describe('a trace', () => {
  const versions = {
    '1.0.0': { traced: true, weight: 100 },
    '1.1.0': { traced: true, shadow: 100 },
    '2.0.0': { traced: true, shadow: 100 },
    '3.0.0': { traced: true },
  }
  const open = async (): Promise<PartialTrace> => {
    const many = await tracedRoute({ versions })
    const awaited = new Map(
      many.versions.filter(each => each.evidenceKey !== undefined).map(each => [each.version, each]),
    )
    return { route: many, baseline: undefined, awaited, early: new Map() }
  }
  const names = (joined: ReturnType<typeof join>) =>
    typeof joined === 'string' ? joined : joined.map(ready => ready.candidate.version)

  it('is a pair for each candidate, in whatever order its spans come', async () => {
    const trace = await open()
    expect(owed(trace)).toEqual([])
    expect(names(join(trace, '1.1.0', candidate(1)))).toEqual([])
    expect(
      owed(trace).map(each => each.version),
      'nothing is known of the other',
    ).toEqual(['1.1.0'])
    expect(names(join(trace, '1.0.0', live(1)))).toEqual(['1.1.0'])
    expect(owed(trace).map(each => each.version)).toEqual(['2.0.0'])
    expect(names(join(trace, '2.0.0', candidate(1)))).toEqual(['2.0.0'])
    expect(owed(trace)).toEqual([])
  })

  it('counts the first span of a version only', async () => {
    const trace = await open()
    join(trace, '1.1.0', candidate(1))
    expect(names(join(trace, '1.1.0', candidate(2)))).toBe('repeated')
    const [ready] = join(trace, '1.0.0', live(1)) as Exclude<ReturnType<typeof join>, string>
    expect(ready!.observed.outputs).toEqual({ json: { prediction: 1 } })
    expect(names(join(trace, '1.0.0', live(2)))).toBe('repeated')
    expect(names(join(trace, '1.1.0', candidate(3)))).toBe('repeated')
    expect(names(join(trace, '3.0.0', candidate(3))), 'it is no candidate').toBe('idle')
  })
})
