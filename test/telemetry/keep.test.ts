import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CompareResult, type KeepFacts, keepRequest, keepsHead } from '../../src/telemetry/keep.ts'
import { newTraceId } from '../../src/telemetry/traceContext.ts'

const LOWEST = '0'.repeat(31).concat('1')
const HIGHEST = 'f'.repeat(32)
const ordinary: KeepFacts = { traceId: LOWEST, results: ['match'], failed: false, durationMs: 5 }
const policy = { ratio: 0.01, slowMs: 1000 }

describe('keeping spans', () => {
  it.each<[string, Partial<KeepFacts>, string]>([
    ['a mismatch', { results: ['match', 'mismatch'] }, 'mismatch'],
    ['a mismatch before an error', { results: ['timeout', 'mismatch'], failed: true }, 'mismatch'],
    ['a failed live answer', { failed: true }, 'error'],
    ['a failed live answer with no candidate', { failed: true, results: [] }, 'error'],
    ['a slow live answer', { durationMs: 1000 }, 'slow'],
    ...(['baseline_error', 'candidate_error', 'timeout', 'unparseable'] satisfies CompareResult[]).map(
      result => [result, { results: [result] }, 'error'] as [string, Partial<KeepFacts>, string],
    ),
  ])('always keeps %s, with weight 1', (_, facts, reason) => {
    expect(keepRequest({ ...ordinary, ...facts }, { ...policy, ratio: 0 })).toEqual({ reason, weight: 1 })
    // What would have been kept by ratio too still stands for itself only.
    expect(keepRequest({ ...ordinary, ...facts, traceId: HIGHEST }, policy)).toEqual({ reason, weight: 1 })
  })

  it('keeps the rest by ratio, each standing for 1/p', () => {
    expect(keepRequest({ ...ordinary, traceId: HIGHEST }, policy)).toEqual({ reason: 'head', weight: 100 })
    expect(keepRequest(ordinary, policy)).toBeUndefined()
    expect(keepRequest(ordinary, { ...policy, ratio: 1 })).toEqual({ reason: 'head', weight: 1 })
  })

  it('does not keep a request for being dropped from the comparison', () => {
    expect(keepRequest({ ...ordinary, results: ['dropped'] }, policy)).toBeUndefined()
  })

  it.each([0, -1, Number.NaN])('keeps none by a ratio of %d', ratio => {
    expect(keepsHead(HIGHEST, ratio)).toBe(false)
  })

  it('decides the same for the same trace, and keeps on keeping when the ratio grows', () => {
    const ratio = fc.double({ min: 0, max: 1, noNaN: true })
    const traceId = fc.bigInt({ min: 1n, max: 2n ** 128n - 1n }).map(id => id.toString(16).padStart(32, '0'))
    fc.assert(
      fc.property(traceId, ratio, ratio, (id, a, b) => {
        if (keepsHead(id, Math.min(a, b))) expect(keepsHead(id, Math.max(a, b))).toBe(true)
      }),
    )
  })

  it('keeps the share it is told, to four standard deviations', () => {
    const n = 100_000
    for (const ratio of [0.001, 0.01, 0.3]) {
      let kept = 0
      for (let i = 0; i < n; i++) if (keepsHead(newTraceId(), ratio)) kept += 1
      expect(Math.abs(kept - n * ratio)).toBeLessThan(4 * Math.sqrt(n * ratio * (1 - ratio)))
    }
  })
})
