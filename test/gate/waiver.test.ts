import { describe, expect, it } from 'vitest'
import type { Waiver } from '../../src/gate/evidence.ts'
import { judge } from '../../src/gate/verdict.ts'
import { evidenceOf, period, policyOf } from './policy.ts'

const policy = policyOf({ gate: { exposure: { requests: 100, for: '0s' } } })
const waiver: Waiver = { metrics: ['disagreement'], reason: 'known', until: 1_796_083_200_000, expired: false }
/** Every tenth answer differs, which is ten times what is allowed; nothing else is wrong. */
const differing = (given?: Waiver) =>
  judge(
    evidenceOf([period({ counters: { 'pair.match': 9_000, 'pair.mismatch': 1_000, 'pair.ok': 10_000 } })], {
      mirrored: { eligible: 10_000, dropped: 0 },
      ...(given === undefined ? {} : { waiver: given }),
    }),
    policy,
  )

describe('an override of the metric that is at fault', () => {
  it('keeps the gate from aborting, and from withholding', () => {
    expect(differing().decision).toBe('abort')
    const { decision, reason } = differing(waiver)
    expect([decision, reason]).toEqual(['promote', expect.stringContaining('waived until')])
  })

  it('moves no traffic when its time is over: the metric withholds again and does not abort', () => {
    const { decision, guilty, metrics } = differing({ ...waiver, expired: true })
    expect(['continue', 'hold']).toContain(decision)
    expect(guilty).toEqual([])
    expect(metrics.find(({ metric }) => metric === 'disagreement')?.state).not.toBe('waived')
  })

  it('of another metric changes nothing', () => {
    for (const expired of [false, true])
      expect(differing({ ...waiver, metrics: ['latency.p50'], expired }).decision).toBe('abort')
  })
})
