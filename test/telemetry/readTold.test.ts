import { AlwaysOnSampler, InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DROP_REASONS, FAIL_REASONS } from '../../src/evidence/accounting.ts'
import type { PairCount } from '../../src/evidence/pairCount.ts'
import type { RequestCount } from '../../src/evidence/requestCount.ts'
import type { EvidenceTerms, Told } from '../../src/evidence/told.ts'
import type { FinishedPair, FinishedRequest } from '../../src/telemetry/finished.ts'
import { readSpans } from '../../src/telemetry/readSpans.ts'
import { type Reading, readTold } from '../../src/telemetry/readTold.ts'
import { HandedIds, writeRequestSpans, writeTermsSpan } from '../../src/telemetry/spans.ts'
import { finishedRequest, START_MS, TRACE_ID } from './finishedRequest.ts'
import { writtenSpans } from './ownSpans.ts'

const throughJson = (write: Parameters<typeof writtenSpans>[0]): Reading[] =>
  readSpans(writtenSpans(write)).map(readTold)

const key = 'flight-delay/aaaaaaaaaaaaaaaa/bbbbbbbbbbbbbbbb/000001'
const keys = fc.uniqueArray(fc.constantFrom(key, `${key}2`, `${key}3`), { maxLength: 3 })
const ms = fc.double({ min: 0, max: 1e7, noNaN: true })
const figure = fc.double({ noNaN: true, noDefaultInfinity: true })

const requestCounts: fc.Arbitrary<RequestCount> = fc.record({
  arm: fc.constantFrom('b' as const, 'c' as const),
  arms: keys,
  failed: fc.boolean(),
  latencyMs: fc.option(ms, { nil: undefined }),
  cohorts: keys,
  label: fc.constantFrom('kept' as const, 'too_large' as const, 'incomplete' as const, undefined),
  mirrored: keys,
  notSampled: keys,
})

const sign = fc.constantFrom('plus', 'minus', 'zero')
const pairCounts: fc.Arbitrary<PairCount> = fc
  .record({
    result: fc.constantFrom('match' as const, 'mismatch' as const, 'dropped' as const, ...FAIL_REASONS),
    dropped: fc.constantFrom(...DROP_REASONS),
    errors: fc.option(fc.record({ baseline: fc.boolean(), candidate: fc.boolean() }), { nil: undefined }),
    unstable: fc.boolean(),
    differences: fc.array(fc.nat(2500), { maxLength: 40 }),
    mean: fc.option(fc.integer({ min: -1160, max: 1160 }), { nil: undefined }),
    deciles: fc.option(fc.tuple(fc.nat(9), fc.nat(9)), { nil: undefined }),
    classes: fc.option(fc.constantFrom('0|1', 'a b|c=d', 'été|other'), { nil: undefined }),
    segments: fc.uniqueArray(fc.constantFrom('origin=JFK', 'features[0]=[5,10)', 'a b=x, y'), { maxLength: 3 }),
    isTimed: fc.boolean(),
    late: fc.option(fc.tuple(sign, sign, sign), { nil: undefined }),
    sampled: fc.boolean(),
  })
  .map(({ mean, deciles, classes, isTimed, late, dropped, ...rest }) => ({
    ...rest,
    dropped: rest.result === 'dropped' ? dropped : undefined,
    answers: [
      ...(mean === undefined ? [] : [`mean.${mean}`]),
      ...(deciles === undefined ? [] : [`score.${deciles.join('.')}`]),
      ...(classes === undefined ? [] : [`class.${classes}`]),
    ],
    latency: isTimed ? ([2, 7] as const) : undefined,
    late: late === undefined ? [] : ['p50', 'p95', 'p99'].map((name, at) => `pair.late.${name}.${late[at]}`),
  }))

const predictions = fc.option(
  fc.tuple(...[0, 1].map(() => fc.oneof(figure, fc.string(), fc.array(figure, { maxLength: 4 }), fc.constant(null)))),
  { nil: undefined },
)

function requestOf(count: RequestCount, pair: Partial<FinishedPair> & { count: PairCount }): FinishedRequest {
  const base = finishedRequest()
  const told: FinishedPair = {
    key,
    stage: 'canary',
    share: 0.25,
    number: 12,
    again: undefined,
    predictions: undefined,
    scores: undefined,
    ...pair,
  }
  return {
    ...base,
    kept: { reason: 'head', weight: 4 },
    evidence: { epoch: 17, originMs: 1_790_000_000_000, ratio: 0.25, count },
    comparisons: [{ ...base.comparisons[0]!, result: told.count.result, evidence: told }],
  }
}

const NOTHING_COUNTED: RequestCount = {
  arm: 'b',
  arms: [],
  failed: false,
  latencyMs: undefined,
  cohorts: [],
  label: undefined,
  mirrored: [],
  notSampled: [],
}

const of = <K extends Told['kind']>(readings: readonly Reading[], kind: K) =>
  readings.find(each => typeof each === 'object' && each.kind === kind) as Extract<Told, { kind: K }>

describe('what spans tell', () => {
  it('of a request comes back as it was counted (property)', () => {
    fc.assert(
      fc.property(requestCounts, pairCounts, (count, pair) => {
        const readings = throughJson((tracer, ids) => writeRequestSpans(tracer, ids, requestOf(count, { count: pair })))
        expect(of(readings, 'request')).toEqual({
          kind: 'request',
          route: 'flight-delay',
          id: `${TRACE_ID}/aaaaaaaaaaaaaaaa`,
          startMs: expect.closeTo(START_MS, 2),
          endMs: expect.closeTo(START_MS + 4.5, 2),
          process: '/1790000000000',
          epoch: 17,
          originMs: 1_790_000_000_000,
          ratio: 0.25,
          weight: 4,
          isHead: false,
          count,
        })
      }),
      { numRuns: 100 },
    )
  })

  it('of a pair comes back as it was counted (property)', () => {
    const again = fc.constantFrom(true, false, undefined)
    fc.assert(
      fc.property(pairCounts, again, predictions, (count, differs, said) => {
        const told = { count, again: differs, predictions: said as FinishedPair['predictions'] }
        const readings = throughJson((tracer, ids) => writeRequestSpans(tracer, ids, requestOf(NOTHING_COUNTED, told)))
        const pair = of(readings, 'pair')
        expect(pair).toMatchObject({
          id: of(readings, 'request').id,
          requestId: 'req-1',
          key,
          number: 12,
          isCut: false,
        })
        expect({ ...pair.count, differences: pair.count.differences.toSorted() }).toEqual({
          ...count,
          differences: count.differences.toSorted(),
        })
        expect(pair.again).toBe(differs)
        expect(pair.predictions).toEqual(said === undefined ? undefined : JSON.parse(JSON.stringify(said)))
      }),
      { numRuns: 100 },
    )
  })

  it('of an evidence key comes back whole', () => {
    const terms: EvidenceTerms = {
      route: 'flight-delay',
      key,
      baseline: { version: '1.0.0', digest: 'b'.repeat(64) },
      candidate: { version: '1.1.0', digest: 'c'.repeat(64) },
      attempt: 2,
      candidates: 3,
      stage: 'canary',
      step: 5,
      share: 0.05,
      startedAt: START_MS,
      compareDigest: 'd'.repeat(64),
      holdback: true,
    }
    for (const each of [terms, { ...terms, holdback: false, step: 0, share: 0, stage: 'shadow' as const }]) {
      const readings = throughJson((tracer, ids) => writeTermsSpan(tracer, ids, each, START_MS))
      expect(readings).toEqual([
        { kind: 'terms', route: 'flight-delay', atMs: expect.closeTo(START_MS, 2), terms: each },
      ])
    }
  })

  it('is nothing where a span is another’s, or says no evidence', () => {
    const none = {
      name: 'x',
      kind: 2,
      startMs: 0,
      endMs: 1,
      parentSpanId: '',
      isError: false,
      service: '',
      instance: '',
    }
    const ids = { traceId: TRACE_ID, spanId: 'a'.repeat(16) }
    expect(readTold({ ...none, ...ids, attributes: {} })).toBe('foreign')
    expect(readTold({ ...none, ...ids, attributes: { 'understudy.route': 'r' } })).toBe('other')
    expect(readTold({ ...none, ...ids, attributes: { 'understudy.route': 'r', 'understudy.epoch': 'soon' } })).toBe(
      'other',
    )
    expect(readTold({ ...none, ...ids, name: 'evidence r', attributes: { 'understudy.route': 'r' } })).toBe('other')
    for (const reading of throughJson((tracer, ids) => writeRequestSpans(tracer, ids, finishedRequest())))
      expect(reading).toBe('other')
  })

  it('says so where a text was cut on the way', () => {
    const count: PairCount = { ...emptyPair, differences: [1, 2, 3, 3, 3] }
    const exporter = new InMemorySpanExporter()
    const ids = new HandedIds()
    const provider = new TracerProvider({
      sampler: new AlwaysOnSampler(),
      idGenerator: ids,
      spanLimits: { attributeValueLengthLimit: 3 },
      spanProcessors: [new SimpleSpanProcessor({ exporter })],
    })
    writeRequestSpans(provider.getTracer('test'), ids, requestOf(NOTHING_COUNTED, { count }))
    const span = exporter.getFinishedSpans().find(({ name }) => name.startsWith('compare'))!
    expect(span.attributes['understudy.compare.diff_bins']).toBe('1 2')
    const attributes = { ...span.attributes, 'understudy.compare.result': 'match', 'understudy.route': 'r' } as never
    const read = readTold({
      traceId: TRACE_ID,
      spanId: 'a'.repeat(16),
      parentSpanId: 'b'.repeat(16),
      name: 'compare r',
      kind: 1,
      startMs: 0,
      endMs: 0,
      isError: false,
      service: '',
      instance: '',
      attributes,
    })
    expect(read).toMatchObject({ kind: 'pair', isCut: true })
  })
})

const emptyPair: PairCount = {
  result: 'match',
  dropped: undefined,
  errors: { baseline: false, candidate: false },
  unstable: false,
  differences: [],
  answers: [],
  segments: [],
  latency: undefined,
  late: [],
  sampled: false,
}
