import { describe, expect, it } from 'vitest'
import { Judged } from '../../src/control/judged.ts'
import { SLOT } from '../../src/evidence/counters.ts'
import { KeptCounters } from '../../src/evidence/keptCounters.ts'
import type { Evidence } from '../../src/gate/evidence.ts'
import { judge } from '../../src/gate/verdict.ts'
import { policyOf } from '../gate/policy.ts'

const policy = policyOf({ gate: { disagreement: 0.05 } })

function evidenceOf(counters: Evidence['periods'][number]['counters'], stepElapsedMs = 60_000): Evidence {
  return {
    route: 'm',
    baseline: { version: '1.0.0', digest: 'a' },
    candidate: { version: '1.1.0', digest: 'b' },
    attempt: 1,
    candidates: 1,
    periods: [{ key: 'k', stage: 'shadow', step: 0, share: 0, counters }],
    stepElapsedMs,
    mirrored: { eligible: 100, dropped: 0 },
  }
}

const counted = () =>
  KeptCounters.of(
    new Map([
      [SLOT.bothOk, 100],
      [SLOT.match, 100],
    ]),
  )

describe('a verdict that was asked for before', () => {
  it('is given again while the evidence and the policy are the same', () => {
    const judged = new Judged()
    const counters = counted()
    const first = judged.judge(evidenceOf(counters), policy)
    expect(first).toEqual(judge(evidenceOf(counters), policy))
    expect(judged.judge(evidenceOf(counters), { ...policy })).toBe(first)
  })

  it('is made anew when something was counted, time has passed, or drops are known', () => {
    const judged = new Judged()
    const counters = counted()
    const ask = (evidence: Evidence) => {
      const verdict = judged.judge(evidence, policy)
      expect(verdict).toEqual(judge(evidence, policy))
      return verdict
    }
    const before = ask(evidenceOf(counters))
    counters.add(SLOT.bothOk, 1)
    counters.add(SLOT.mismatch, 1)
    const after = ask(evidenceOf(counters))
    expect(after.evidenceDigest).not.toBe(before.evidenceDigest)
    expect(ask(evidenceOf(counters, 61_000)).exposure.elapsedMs).toBe(61_000)
    expect(ask({ ...evidenceOf(counters, 61_000), mirrored: { eligible: 100, dropped: 50 } }).decision).toBe('invalid')
    expect(ask(evidenceOf(counted())).evidenceDigest).toBe(before.evidenceDigest)
  })

  it('is not that of another policy, and each of them is kept', () => {
    const judged = new Judged()
    const evidence = evidenceOf(counted())
    const other = policyOf({ gate: { disagreement: 0.5 } })
    const [first, second] = [judged.judge(evidence, policy), judged.judge(evidence, other)]
    expect(second).toEqual(judge(evidence, other))
    expect(judged.judge(evidence, policy)).toBe(first)
    expect(judged.judge(evidence, other)).toBe(second)
  })

  it('is forgotten with its candidate, and never kept of counters that do not say when they change', () => {
    const judged = new Judged()
    const evidence = evidenceOf(counted())
    const first = judged.judge(evidence, policy)
    judged.keep(new Set(['m/2.0.0']))
    expect(judged.judge(evidence, policy)).not.toBe(first)
    const plain = new Map(evidence.periods[0]!.counters)
    const before = judged.judge(evidenceOf(plain), policy)
    plain.set(SLOT.bothOk, 200)
    expect(judged.judge(evidenceOf(plain), policy).evidenceDigest).not.toBe(before.evidenceDigest)
  })
})
