import { describe, expect, it } from 'vitest'
import { OUTCOME } from '../../src/record/format.ts'
import { kindsOf } from '../../src/shadow/kinds.ts'
import type { CompareResult } from '../../src/telemetry/keep.ts'
import { recordOf } from './remembered.ts'

const SLOW_MS = 1_000

function kinds(changes: Parameters<typeof recordOf>[0], ...results: CompareResult[]) {
  const record = recordOf({ durationMs: 1, outcome: OUTCOME.ok, ...changes })
  return kindsOf({ record, servedOk: record.outcome === OUTCOME.ok }, results, SLOW_MS, undefined)
}

describe('the kinds of a request', () => {
  it('are that it is ordinary where all is well, nobody looked at it or all pairs were dropped', () => {
    expect([kinds({}, 'match'), kinds({}), kinds({}, 'dropped', 'match')]).toEqual([
      ['ordinary'],
      ['ordinary'],
      ['ordinary'],
    ])
  })

  it.each(['baseline_error', 'candidate_error', 'timeout', 'unparseable'] as const)('name a pair with %s', result => {
    expect(kinds({}, 'match', result)).toEqual(['shadow failed'])
  })

  it.each([
    ['failed', OUTCOME.failed],
    ['failed', OUTCOME.deadline],
    ['failed', OUTCOME.unreachable],
    ['failed', OUTCOME.clientError],
  ])('are that it %s without a prediction, whoever is to blame: outcome %s', (_, outcome) => {
    expect(kinds({ outcome })).toEqual(['failed'])
  })

  it('are all that it is of, the rarest first', () => {
    expect(kinds({ durationMs: SLOW_MS, outcome: OUTCOME.deadline }, 'mismatch', 'timeout')).toEqual([
      'failed',
      'slow',
      'shadow failed',
      'different',
    ])
    expect(kinds({ durationMs: SLOW_MS - 0.1 }, 'mismatch')).toEqual(['different'])
  })

  it('are that it was sampled where its spans were kept for nothing else', () => {
    const told = (reason: 'head' | 'mismatch', ...results: CompareResult[]) =>
      kindsOf({ record: recordOf({ durationMs: 1 }), servedOk: true }, results, SLOW_MS, { reason, weight: 1 })
    expect([told('head', 'match'), told('mismatch', 'mismatch')]).toEqual([['sampled'], ['different']])
  })
})
