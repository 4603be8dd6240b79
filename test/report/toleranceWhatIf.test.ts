import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Counters, count, SLOT } from '../../src/evidence/counters.ts'
import { magnitudeBin } from '../../src/evidence/histogram.ts'
import type { Evidence } from '../../src/gate/evidence.ts'
import { judge } from '../../src/gate/verdict.ts'
import { judgeWithTolerance, type ToleranceAnswer } from '../../src/report/toleranceWhatIf.ts'
import type { ComparedOutput } from '../../src/rollout/snapshot.ts'
import { policyOf } from '../gate/policy.ts'

const policy = policyOf({ gate: { disagreement: 0.05, exposure: { requests: 100, for: '1s' } } })
const number = (absolute: number): ComparedOutput[] => [
  { output: 'y', kind: 'number', tolerance: { absolute } as ComparedOutput['tolerance'] },
]

/** One row a comparison, by |difference|; NaN is an answer whose only fault is a NaN of the candidate's own. */
function evidenceOf(differences: readonly number[], tolerance: number): Evidence {
  const counters: Counters = new Map()
  for (const difference of differences) {
    const isUnstable = Number.isNaN(difference)
    count(counters, SLOT.bothOk)
    count(counters, isUnstable || difference > tolerance ? SLOT.mismatch : SLOT.match)
    if (isUnstable) count(counters, SLOT.unstable)
    else count(counters, `diff.${magnitudeBin(difference)}`)
  }
  return {
    route: 'm',
    baseline: { version: '1.0.0', digest: 'a' },
    candidate: { version: '1.1.0', digest: 'b' },
    attempt: 1,
    candidates: 1,
    periods: [{ key: 'k', stage: 'shadow', step: 0, share: 0, counters }],
    stepElapsedMs: 60_000,
    mirrored: { eligible: differences.length, dropped: 0 },
  }
}

/** The counters that {@link evidenceOf} made. */
function slotsOf({ periods }: Evidence): Counters {
  return periods[0]!.counters as Counters
}

function answered(answer: ToleranceAnswer) {
  if ('refused' in answer) throw new Error(answer.refused)
  return answer
}
const many = (n: number, difference: number) => Array.from({ length: n }, () => difference)

describe('another tolerance', () => {
  const recorded = evidenceOf([...many(9_000, 0), ...many(500, 0.005), ...many(500, 0.5)], 0.001)

  it('is answered from the histogram of differences', () => {
    expect(judge(recorded, policy).decision).toBe('abort')
    const wide = answered(judgeWithTolerance(recorded, policy, number(0.001), 1))
    expect(wide.mismatches).toEqual({ atLeast: 0, atMost: 0 })
    expect(wide.verdict.decision).toBe('promote')
    expect(wide.compared).toBe(10_000)
    expect(answered(judgeWithTolerance(recorded, policy, number(0.001), 0.01)).mismatches).toEqual({
      atLeast: 500,
      atMost: 500,
    })
  })

  it('that is the one of then gives the verdict of then', () => {
    const same = answered(judgeWithTolerance(recorded, policy, number(0.001), 0.001))
    expect(same.mismatches).toEqual({ atLeast: 1000, atMost: 1000 })
    expect(same.verdict.decision).toBe('abort')
  })

  it('inside a bin gives no promotion that the true differences might not bear', () => {
    const difference = 0.0123
    const sharp = evidenceOf([...many(8_000, 0), ...many(2_000, difference)], 0)
    const { mismatches, verdict } = answered(judgeWithTolerance(sharp, policy, number(0), difference))
    expect(mismatches).toEqual({ atLeast: 0, atMost: 2_000 })
    expect(verdict.decision).toBe('continue')
    expect(verdict.reason).toMatch(/bins 2 % wide/)
    expect(verdict.guilty).toEqual([])
  })

  it('excuses no NaN', () => {
    const unstable = evidenceOf([...many(1000, 0), ...many(100, Number.NaN)], 0.001)
    expect(answered(judgeWithTolerance(unstable, policy, number(0.001), 1e9)).mismatches).toEqual({
      atLeast: 100,
      atMost: 100,
    })
  })

  it('excuses no NaN of an answer whose other values differ too', () => {
    const wide = evidenceOf([...many(1000, 0), ...many(100, 0.5)], 0.001)
    slotsOf(wide).set(SLOT.unstable, 100)
    expect(answered(judgeWithTolerance(wide, policy, number(0.001), 1)).mismatches).toEqual({
      atLeast: 100,
      atMost: 100,
    })
  })

  it('leaves segments out, whose differences were not counted', () => {
    const segment = evidenceOf(many(10_000, 0.5), 0.1)
    const counters = slotsOf(segment)
    counters.set(`${SLOT.mismatch}@origin=JFK`, 1000)
    const { verdict } = answered(judgeWithTolerance(segment, policy, number(0.1), 1))
    expect(verdict.decision).toBe('promote')
    expect(verdict.metrics.some(({ segment }) => segment !== undefined)).toBe(false)
    expect(counters.get(`${SLOT.mismatch}@origin=JFK`)).toBe(1000)
  })

  it('bounds the mismatches that there would have been, whatever the differences and both tolerances', () => {
    const size = fc.oneof(
      fc.constant(0),
      fc.constant(Number.NaN),
      fc.double({ min: 1e-12, max: 1e14, noNaN: true }),
      fc.constantFrom(0.001, 0.01, 0.1),
    )
    const tolerance = fc.oneof(fc.constantFrom(0, 0.001, 0.01, 0.1), fc.double({ min: 0, max: 1e13, noNaN: true }))
    fc.assert(
      fc.property(
        fc.array(size, { minLength: 1, maxLength: 60 }),
        tolerance,
        tolerance,
        (differences, before, after) => {
          const truth = differences.filter(difference => !(difference <= after)).length
          const { mismatches } = answered(
            judgeWithTolerance(evidenceOf(differences, before), policy, number(before), after),
          )
          expect(mismatches.atLeast).toBeLessThanOrEqual(truth)
          expect(mismatches.atMost).toBeGreaterThanOrEqual(truth)
        },
      ),
    )
  })

  it('bounds requests of several rows too', () => {
    const row = fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 10, noNaN: true }))
    const request = fc.array(row, { minLength: 1, maxLength: 4 })
    const tolerance = fc.double({ min: 0, max: 10, noNaN: true })
    fc.assert(
      fc.property(
        fc.array(request, { minLength: 1, maxLength: 30 }),
        tolerance,
        tolerance,
        (requests, before, after) => {
          const counters: Counters = new Map()
          for (const rows of requests) {
            count(counters, SLOT.bothOk)
            count(counters, Math.max(...rows) > before ? SLOT.mismatch : SLOT.match)
            for (const difference of rows) count(counters, `diff.${magnitudeBin(difference)}`)
          }
          const evidence = evidenceOf([], 0)
          const period = { ...evidence.periods[0]!, counters }
          const { mismatches } = answered(
            judgeWithTolerance({ ...evidence, periods: [period] }, policy, number(before), after),
          )
          const truth = requests.filter(rows => Math.max(...rows) > after).length
          expect(mismatches.atLeast).toBeLessThanOrEqual(truth)
          expect(mismatches.atMost).toBeGreaterThanOrEqual(truth)
        },
      ),
    )
  })
})

describe('no answer', () => {
  const recorded = evidenceOf(many(10, 0.5), 0.1)
  const compared = (change: Partial<ComparedOutput>): ComparedOutput[] => [{ ...number(0.1)[0]!, ...change }]
  const tolerance = (value: object) => ({ kind: undefined, tolerance: value as ComparedOutput['tolerance'] })

  it.each([
    ['where the file does not say how answers were compared', undefined, /does not say how answers were compared/],
    ['of several outputs', [...number(0.1), ...number(0.2)], /2 outputs were compared/],
    ['of a label', compared({ kind: 'label' }), /compared as a label/],
    ['of a ranking', compared({ kind: 'ranking' }), /compared as a ranking/],
    ['of a threshold', compared(tolerance({ threshold: 0.5 })), /by a threshold/],
    ['of the leading entries', compared(tolerance({ top: 3 })), /as a ranking/],
    ['of a relative tolerance', compared(tolerance({ absolute: 0.1, relative: 0.1 })), /relative part/],
    [
      'where no tolerance says that it was a number',
      compared(tolerance({})),
      /not known that the output was compared as a number/,
    ],
  ])('is given %s', (_what, spec, why) => {
    const answer = judgeWithTolerance(recorded, policy, spec, 1)
    expect('refused' in answer && answer.refused).toMatch(why)
  })

  it('is given where the mismatches do not follow from the differences', () => {
    const labels = evidenceOf(many(10, 0.5), 0.1)
    slotsOf(labels).set(SLOT.mismatch, 2).set(SLOT.match, 8)
    const answer = judgeWithTolerance(labels, policy, number(0.1), 1)
    expect('refused' in answer && answer.refused).toMatch(/do not follow from differences above 0\.1/)
  })

  it('is given where second runs were compared by the tolerance of then', () => {
    const again = evidenceOf(many(10, 0.5), 0.1)
    slotsOf(again).set(SLOT.againZero, 3)
    expect('refused' in judgeWithTolerance(again, policy, number(0.1), 1)).toBe(true)
  })
})
