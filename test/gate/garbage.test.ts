// Evidence that nobody could have counted, and evidence that was merged in any order.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { METRICS } from '../../src/config/schema.ts'
import { type Counters, mergeReplicas } from '../../src/evidence/counters.ts'
import { differenceBin } from '../../src/evidence/histogram.ts'
import type { Evidence, Period, Policy } from '../../src/gate/evidence.ts'
import { judge } from '../../src/gate/verdict.ts'
import { evidenceOf, period, policyOf } from './policy.ts'

const policies: readonly Policy[] = [
  policyOf(),
  policyOf({ gate: { exposure: { requests: 0, for: '0s' }, difference: 1e-300 } }),
  policyOf({ expect: 'change', labels: { loss: 'brier', margin: 0 }, gate: { exposure: { requests: 0, for: '0s' } } }),
  policyOf({ expect: 'change', labels: { loss: 'brier', margin: 1 }, gate: { exposure: { requests: 0, for: '0s' } } }),
  policyOf({
    expect: 'change',
    labels: { loss: 'zero-one', margin: 0.01, affectedByAnswer: true },
    gate: { exposure: { requests: 0, for: '0s' }, blocks: '60s', disagreement: 0.999999, distribution: 0.999999 },
  }),
]

const slot = fc.oneof(
  fc.constantFrom(
    ...['pair.ok', 'pair.match', 'pair.mismatch', 'pair.unstable', 'pair.err.b', 'pair.err.c', 'pair.err.both'],
    ...['arm.b.n', 'arm.b.err', 'arm.c.n', 'arm.c.err', 'arm.k.n', 'arm.k.err', 'arm.b.due', 'arm.c.due'],
    ...['again.plus', 'again.minus', 'again.zero', 'again.differs', 'again.of', 'again.of.differs'],
    ...[
      'block.n',
      'block.plus',
      'block.minus',
      'block.squares',
      'block.more',
      'block.less',
      'time.ms',
      'late.b.n',
      'late.c.n',
    ],
    ...['late.p50.b', 'late.p50.c', 'late.p50.c.may', 'late.p99.b', 'late.p99.c', 'late.p99.c.may'],
    ...['pair.late.p50.plus', 'pair.late.p50.minus', 'lat.b.0', 'lat.c.1208', 'lat.c.9999', 'plat.b.5', 'plat.c.1e3'],
    ...['score.0.9', 'score.9.0', 'score.5.5', 'score.10.0', 'score.x', 'class.a|b', 'class.|', 'diff.3'],
    ...['loss.0', 'loss.-1159', 'loss.1159', 'loss.99999', 'mean.0', 'mean.900', 'mean.-900', 'mean.NaN'],
    ...[
      'arm.b.loss.0',
      'arm.c.loss.1159',
      'arm.c.loss.-3',
      'arm.b.loss.900',
      '',
      '.',
      '@',
      'constructor.1',
      '__proto__',
    ],
  ),
  fc.string(),
)
const name = fc.oneof(
  slot,
  fc.tuple(slot, fc.constantFrom('o=a', 'o=b', 'x', '')).map(([left, segment]) => `${left}@${segment}`),
)
const amount = fc.oneof(
  { weight: 5, arbitrary: fc.nat(20_000) },
  fc.constantFrom(0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER, 2 ** 60, 1e308),
)
const counters = fc.array(fc.tuple(name, amount), { maxLength: 40 }).map(entries => new Map(entries))
const anyPeriod = (amounts: fc.Arbitrary<Counters>): fc.Arbitrary<Period> =>
  fc.record({
    key: fc.constant('k'),
    stage: fc.constantFrom('shadow' as const, 'canary' as const, 'canary' as const, 'else' as never),
    step: fc.constantFrom(0, 5, 50, 100, Number.NaN, -1),
    share: fc.constantFrom(0, 0.05, 0.5, 1, 5e-324, 1e-12, 1 - 1e-16, Number.NaN, Number.POSITIVE_INFINITY, -0.5),
    counters: amounts,
    segments: fc.constantFrom([], ['o=b', 'o=a'], ['never=seen']),
  })
const waiver = fc.option(
  fc.record({
    metrics: fc.subarray([...METRICS]),
    reason: fc.constant('agreed'),
    until: fc.constantFrom(1_800_000_000_000, Number.NaN, 1e300),
    expired: fc.boolean(),
  }),
  { nil: undefined },
)
const anyEvidence = (amounts: fc.Arbitrary<Counters>) =>
  fc
    .tuple(
      fc.array(anyPeriod(amounts), { maxLength: 3 }),
      waiver,
      fc.constantFrom(0, 7_200_000, 1e12, Number.NaN, -5),
      fc.constantFrom(1, 1, 1, 0, 2, Number.NaN, 1e9),
    )
    .map(([periods, waived, stepElapsedMs, attempt]) =>
      evidenceOf(periods, { stepElapsedMs, attempt, ...(waived !== undefined && { waiver: waived }) }),
    )

describe('arbitrary garbage', () => {
  it('never throws, and never promotes', () => {
    fc.assert(
      fc.property(anyEvidence(counters), fc.constantFrom(...policies), (evidence, policy) => {
        const { decision, reason, metrics } = judge(evidence, policy)
        expect(decision).not.toBe('promote')
        expect(reason).not.toMatch(/undefined|NaN %|Infinity %/)
        if (decision !== 'invalid') {
          for (const row of metrics) {
            expect([row.logHarm, row.logHarmNeeded, row.logSafe ?? 0].some(Number.isNaN), row.what).toBe(false)
            expect(row.estimate).not.toBeNaN()
          }
        }
      }),
      { numRuns: 1500 },
    )
  })

  it('of counts that could be true: whatever is promoted has every proof that its stage asks for', () => {
    const sound = fc
      .record({
        ok: fc.nat(40_000),
        mismatch: fc.nat(40),
        errors: fc.nat(20),
        labels: fc.nat(20_000),
        n: fc.nat(40_000),
        late: fc.nat(40_000),
        due: fc.nat(20_000),
        block: fc.nat(300),
      })
      .map(({ ok, mismatch, errors, labels, n, late, due, block }) => {
        const differing = Math.min(ok, mismatch)
        return new Map([
          ['pair.ok', ok],
          ['pair.match', ok - differing],
          ['pair.mismatch', differing],
          ['pair.err.c', errors],
          [`loss.${differenceBin(-0.05)}`, labels],
          ['mean.0', ok],
          ['arm.b.n', n],
          ['arm.c.n', n],
          ['late.b.n', late],
          ['late.c.n', late],
          ['late.p50.b', late >> 1],
          ['late.p95.b', Math.floor(late / 20)],
          ['late.p99.b', Math.floor(late / 100)],
          ['arm.b.due', due],
          ['arm.c.due', due],
          ['arm.b.loss.0', due],
          ['arm.c.loss.0', due],
          ['block.n', block],
        ])
      })
    const required: Record<string, readonly string[]> = {
      same: ['disagreement', 'errors'],
      change: ['labels', 'errors'],
    }
    let promoted = 0
    fc.assert(
      fc.property(
        sound,
        fc.constantFrom<Partial<Omit<Period, 'counters'>>>(
          { stage: 'shadow' },
          { stage: 'canary' },
          { stage: 'canary', share: 1, step: 100 },
        ),
        fc.constantFrom(...policies),
        waiver,
        (amounts, settings, policy, waived) => {
          const evidence = evidenceOf([{ ...period(settings), counters: amounts }], {
            ...(waived !== undefined && { waiver: waived }),
          })
          const verdict = judge(evidence, policy)
          if (verdict.decision !== 'promote') return
          promoted += 1
          expect(settings.share).not.toBe(1)
          expect(waived?.expired).not.toBe(true)
          const live = settings.stage === 'canary' ? ['latency.p50', 'latency.p95', 'latency.p99'] : []
          const difference = policy.gate.difference === undefined ? [] : ['difference']
          let proofs = 0
          for (const metric of [...required[policy.expect]!, ...live, ...difference]) {
            if (waived?.metrics.includes(metric as never)) continue
            const rows = verdict.metrics.filter(
              row => row.metric === metric && row.logSafe !== Number.NEGATIVE_INFINITY,
            )
            expect(rows.length, metric).toBeGreaterThan(0)
            for (const row of rows) {
              proofs += 1
              expect(row.logSafe!).toBeGreaterThanOrEqual(row.logSafeNeeded)
              expect(row.n).toBeGreaterThan(0)
            }
          }
          expect(proofs).toBeGreaterThan(0)
        },
      ),
      { numRuns: 600 },
    )
    expect(promoted).toBeGreaterThan(20)
  })
})

describe('counters that went backwards', () => {
  const good = {
    ...{ 'pair.ok': 1000, 'pair.match': 990, 'pair.mismatch': 10, 'again.plus': 5, 'again.minus': 1, 'again.zero': 90 },
    ...{
      'again.differs': 2,
      'again.of': 900,
      'again.of.differs': 9,
      'mean.0': 1000,
      'arm.b.due': 10,
      'arm.b.loss.0': 10,
      'arm.c.due': 10,
      'arm.c.loss.0': 9,
    },
    ...{ 'block.n': 10, 'block.plus': 6, 'block.minus': 4, 'block.squares': 20, 'arm.k.n': 100, 'arm.k.err': 3 },
    ...{ 'block.more': 5, 'block.less': 2 },
    ...{ 'late.c.n': 9, 'late.p50.c': 3, 'late.p50.c.may': 4 },
  }
  const verdictOn = (counters: Record<string, number>) =>
    judge(evidenceOf([period({ stage: 'canary', counters })]), policies[0]!)

  it('are sound before', () => expect(verdictOn(good).decision).toBe('continue'))

  it('are sound where a candidate has a NaN beside what a mean is taken of, and it is aborted for that', () => {
    const { 'pair.ok': ok, ...rest } = good
    const counters = { ...rest, 'pair.ok': ok - 500, 'pair.err.c': 500, 'pair.match': 500, 'pair.mismatch': 500 }
    expect(verdictOn({ ...counters, 'pair.unstable': 500 }).decision).toBe('abort')
  })

  it.each([
    ['pair.ok', 980],
    ['pair.mismatch', 4],
    ['pair.match', 50],
    ['again.differs', 0],
    ['again.of', 8],
    ['arm.b.due', 9],
    ['arm.c.due', 8],
    ['block.n', 4],
    ['block.squares', 9],
    ['block.plus', 4],
    ['block.minus', 1],
    ['arm.k.n', 2],
    ['late.p50.c.may', 2],
    ['late.c.n', 3],
  ])('%s at %i, less than its parts: invalid, and it says which', (name, less) => {
    const { decision, reason } = verdictOn({ ...good, [name]: less })
    expect(decision).toBe('invalid')
    expect(reason).toMatch(/^the evidence cannot be judged: .*(exceed|differ)/)
  })
})

describe('blocks', () => {
  const decisionOn = (counters: Record<string, number>) =>
    judge(evidenceOf([period({ stage: 'canary', counters })]), policies[4]!).decision
  const blocksOf = (differences: readonly number[], signedFrom = 0) => {
    const signed = differences.slice(signedFrom)
    const sum = (of: (d: number) => number) => differences.reduce((total, d) => total + of(d), 0)
    return {
      'block.n': differences.length,
      'block.plus': sum(d => Math.max(d, 0)),
      'block.minus': sum(d => Math.max(-d, 0)),
      'block.squares': sum(d => d * d),
      'block.more': signed.filter(d => d > 0).length,
      'block.less': signed.filter(d => d < 0).length,
    }
  }

  it('of any differences are sound, however many of them are older than the counts of signs (property)', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -3000, max: 3000 }), { maxLength: 60 }), fc.nat(60), (ds, from) => {
        expect(decisionOn(blocksOf(ds, from))).not.toBe('invalid')
      }),
    )
  })

  it('are invalid where their signs do not fit their sums and squares', () => {
    // Nine blocks differ by one error, the tenth by 1,000 to the other side: it cannot with squares of 150,000.
    for (const sign of [1, -1]) {
      const counters = blocksOf([...Array.from({ length: 9 }, () => sign), -1000 * sign])
      expect(decisionOn(counters)).not.toBe('invalid')
      const less = { ...counters, 'block.squares': 150_000 }
      expect(decisionOn(less)).toBe('invalid')
      expect(decisionOn({ ...less, 'block.more': 0, 'block.less': 0 })).not.toBe('invalid')
      expect(decisionOn({ ...counters, [sign > 0 ? 'block.less' : 'block.more']: 2 })).toBe('invalid')
    }
  })
})

describe('replicas', () => {
  const whole = new Map<string, number>(
    Object.entries({
      ...{
        'pair.ok': 20_000,
        'pair.match': 19_900,
        'pair.mismatch': 100,
        'pair.match@o=a': 700,
        'pair.mismatch@o=a': 7,
      },
      ...{ 'loss.-927': 3000, 'loss.917': 2500, 'mean.5': 9000, 'mean.-5': 9000, 'score.3.4': 80, 'score.4.4': 900 },
      ...{ 'arm.b.n': 9000, 'arm.b.err': 40, 'arm.c.n': 9000, 'arm.c.err': 50, 'lat.b.500': 9000, 'lat.c.501': 9000 },
      ...{ 'late.b.n': 8000, 'late.c.n': 8000, 'late.p50.b': 4000, 'late.p50.c': 3000, 'late.p50.c.may': 3100 },
      ...{ 'again.plus': 10, 'again.zero': 900, 'again.minus': 3, 'again.differs': 4 },
    }),
  )
  const policy = policyOf({ labels: { loss: 'brier' }, gate: { difference: 0.1 } })
  const verdictOn = (counters: Counters) =>
    judge(
      { ...evidenceOf([]), periods: [{ ...period({ stage: 'canary' }), counters, segments: ['o=a'] }] } as Evidence,
      policy,
    )

  it('1 to 64 of them, shuffled, late and repeated: the identical verdict, its digest too', () => {
    const expected = verdictOn(whole)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.nat(1_000_000), (replicas, seed) => {
        let state = seed
        const random = (below: number) => {
          state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
          return (state >>> 8) % below
        }
        const reports: [string, Counters][] = Array.from({ length: replicas }, (_, index) => [`r${index}`, new Map()])
        for (const [slotName, total] of whole) {
          let left = total
          for (const [index, [, report]] of reports.entries()) {
            const part = index === replicas - 1 ? left : random(left + 1)
            if (part > 0) report.set(slotName, part)
            left -= part
          }
        }
        const stale = reports.map(
          ([replica, report]) => [replica, new Map([...report].map(([key, n]) => [key, random(n + 1)]))] as const,
        )
        const sent = [...reports, ...stale, ...reports].map(report => [random(1e6), report] as const)
        const merged = mergeReplicas(sent.sort((a, b) => a[0] - b[0]).map(([, report]) => report))
        expect(verdictOn(merged)).toEqual(expected)
      }),
      { numRuns: 60 },
    )
  })

  it('the same map judged again after it grew is judged by what it holds now', () => {
    const counters = new Map(whole)
    verdictOn(counters)
    counters.set('pair.err.c', 3000)
    counters.set('pair.match', 19_950)
    counters.set('pair.ok', 20_050)
    expect(verdictOn(counters)).toEqual(verdictOn(new Map(counters)))
    counters.delete('pair.err.c')
    counters.set('pair.err.b', 3000)
    expect(verdictOn(counters)).toEqual(verdictOn(new Map(counters)))
  })
})
