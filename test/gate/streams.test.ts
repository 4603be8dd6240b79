import { describe, expect, it } from 'vitest'
import { differenceBin } from '../../src/evidence/histogram.ts'
import type { Evidence, MetricVerdict, Period, Policy, Verdict, Waiver } from '../../src/gate/evidence.ts'
import { judge } from '../../src/gate/verdict.ts'
import { evidenceOf, period, policyOf } from './policy.ts'

type Amounts = Record<string, number>
const shadow = (counters: Amounts, policy: Policy, settings: Partial<Evidence> = {}) =>
  judge(evidenceOf([period({ counters })], settings), policy)
const canary = (counters: Amounts, policy: Policy, settings: Partial<Evidence> = {}) =>
  judge(evidenceOf([period({ stage: 'canary', counters })], settings), policy)
const row = (verdict: Verdict, metric: MetricVerdict['metric'], what = /./): MetricVerdict => {
  const found = verdict.metrics.find(
    entry => entry.metric === metric && entry.segment === undefined && what.test(entry.what),
  )
  expect(found, `${metric} ${what}`).toBeDefined()
  return found!
}
const same = { 'pair.ok': 20_000, 'pair.match': 19_990, 'pair.mismatch': 10 }
const live = {
  ...{
    'arm.b.n': 20_000,
    'arm.b.err': 200,
    'arm.c.n': 20_000,
    'arm.c.err': 180,
    'late.b.n': 19_000,
    'late.c.n': 19_000,
  },
  ...{ 'late.p50.b': 9500, 'late.p50.c': 4000, 'late.p50.c.may': 4100, 'late.p95.b': 950, 'late.p95.c': 500 },
  ...{ 'late.p95.c.may': 520, 'late.p99.b': 190, 'late.p99.c': 60, 'late.p99.c.may': 70 },
}

describe('mean difference', () => {
  const limited = policyOf({ gate: { difference: 0.02 } })
  // D = difference / (10 · 0.02)
  const mean = (difference: number, amount: number) => ({ [`mean.${differenceBin(difference / 0.2)}`]: amount })

  it.each([1, -1])('aborts a candidate that answers %i·0.1 beyond a limit of 0.02', sign => {
    const verdict = shadow({ ...same, ...mean(sign * 0.1, 300), ...mean(0, 100) }, limited)
    expect(verdict.decision).toBe('abort')
    expect(verdict.guilty).toEqual([{ metric: 'difference' }])
    expect(verdict.reason).toMatch(/mean signed difference is -?0\.07\d+ \(limit 0\.02\) over 400 comparisons/)
  })

  it('asks for proof on both sides, in the unit of the output', () => {
    const off = shadow({ ...same, ...mean(0.019, 600) }, limited)
    expect(off.decision).toBe('continue')
    expect(off.missing.join()).toContain('difference: about')
    const near = shadow({ ...same, ...mean(0.004, 9000), ...mean(-0.004, 9000) }, limited)
    expect(near.decision).toBe('promote')
    const found = row(near, 'difference')
    expect(found).toMatchObject({ state: 'safe', setting: 'gate.difference', unit: 'comparisons', limit: 0.02 })
    expect(found.estimate).toBeCloseTo(0, 6)
    expect(found.interval![0]).toBeLessThan(0)
    expect(found.interval![1]).toBeLessThan(0.02)
  })

  it('withholds while nothing was measured', () => {
    expect(shadow(same, limited).missing).toContain('difference: no comparisons in this step yet')
  })

  it('is only shown without a limit', () => {
    const verdict = shadow({ ...same, 'mean.900': 15_000 }, policyOf())
    expect(verdict.decision).toBe('promote')
    expect(row(verdict, 'difference')).toMatchObject({ state: 'watched', logHarmNeeded: Number.POSITIVE_INFINITY })
    expect(row(verdict, 'difference').what).toContain('tolerances')
  })
})

describe('score distribution', () => {
  const diagonal = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`score.${i}.${i}`, 200]))

  it('aborts a candidate whose scores crowd into one decile', () => {
    const crowded = { ...diagonal, 'score.2.9': 200, 'score.3.9': 200, 'score.4.9': 200 }
    const verdict = shadow({ ...same, ...crowded }, policyOf())
    expect(verdict.decision).toBe('abort')
    expect(verdict.guilty).toEqual([{ metric: 'distribution' }])
    expect(row(verdict, 'distribution').estimate).toBeCloseTo(600 / 2600, 6)
  })

  it('leaves a candidate alone that moves within the margin, and never withholds', () => {
    const moved = { ...diagonal, 'score.2.3': 100, 'score.7.6': 100 }
    const verdict = shadow({ ...same, ...moved }, policyOf())
    expect(verdict.decision).toBe('promote')
    expect(row(verdict, 'distribution')).toMatchObject({ state: 'watched', logSafe: Number.NEGATIVE_INFINITY })
  })

  it('is shown only where change is expected, unless a limit is asked for', () => {
    const crowded = { ...diagonal, 'score.2.9': 200, 'score.3.9': 200, 'score.4.9': 200 }
    const change = { expect: 'change' as const }
    expect(row(shadow(crowded, policyOf(change)), 'distribution')).toMatchObject({ state: 'watched', limit: null })
    expect(shadow(crowded, policyOf({ ...change, gate: { distribution: 0.1 } })).decision).toBe('abort')
  })
})

describe('disagreement above live’s own noise', () => {
  const noisy = { 'pair.ok': 10_000, 'pair.match': 9000, 'pair.mismatch': 1000 }

  it('aborts 10 % that differ where nothing, or nothing different, was run twice', () => {
    expect(shadow(noisy, policyOf()).decision).toBe('abort')
    expect(shadow({ ...noisy, 'again.plus': 100, 'again.zero': 900 }, policyOf()).decision).toBe('abort')
  })

  it('does not while live differs from itself as often, and proves the candidate by the excess', () => {
    const again = { 'again.plus': 500, 'again.minus': 500, 'again.zero': 9000, 'again.differs': 1000 }
    const verdict = shadow({ ...noisy, ...again }, policyOf({ gate: { disagreement: 0.03 } }))
    expect(verdict.decision).toBe('promote')
    const found = row(verdict, 'disagreement')
    expect(found.what).toContain('noise')
    expect(found).toMatchObject({ estimate: 0, baseline: 0.1, n: 10_000 })
  })

  it('accuses no segment then, since its own noise is not known', () => {
    const segment = { 'pair.match@o=a': 100, 'pair.mismatch@o=a': 900, 'pair.ok@o=a': 1000 }
    expect(shadow({ ...noisy, ...segment }, policyOf()).guilty).toContainEqual({
      metric: 'disagreement',
      segment: 'o=a',
    })
    const twice = shadow({ ...noisy, ...segment, 'again.zero': 50, 'again.differs': 0 }, policyOf())
    expect(twice.decision).not.toBe('abort')
  })
})

describe('labels where the answer changes the outcome', () => {
  const policy = policyOf({
    expect: 'change',
    labels: { loss: 'zero-one', margin: 0.02, affectedByAnswer: true },
  })
  const labelled = (candidate: number, baseline: number, n = 20_000) => ({
    ...{ 'arm.b.due': n, 'arm.c.due': n },
    ...{ [`arm.b.loss.${differenceBin(1)}`]: n * baseline, 'arm.b.loss.0': n * (1 - baseline) },
    ...{ [`arm.c.loss.${differenceBin(1)}`]: n * candidate, 'arm.c.loss.0': n * (1 - candidate) },
  })

  it('hold a shadow until it has a share of live traffic, whatever its pairs say', () => {
    const verdict = shadow({ ...same, [`loss.${differenceBin(-1)}`]: 9000 }, policy)
    expect(verdict.decision).toBe('hold')
    expect(verdict.reason).toContain('gate.unproven')
    expect(row(verdict, 'labels').state).toBe('watched')
  })

  it('promote a canary whose losses are as low, and need them', () => {
    expect(canary({ ...same, ...live }, policy).missing).toContain(
      'live labels: no labels of the candidate in this step yet',
    )
    const verdict = canary({ ...same, ...live, ...labelled(0.1, 0.1) }, policy)
    expect(verdict.decision, verdict.reason).toBe('promote')
    expect(row(verdict, 'labels', /live/)).toMatchObject({ state: 'safe', estimate: 0.1, baseline: 0.1 })
    expect(row(verdict, 'labels', /live/).limit).toBeCloseTo(0.12, 12)
  })

  it('abort one whose losses are higher', () => {
    const verdict = canary({ ...same, ...live, ...labelled(0.2, 0.1, 5000) }, policy)
    expect(verdict.decision).toBe('abort')
    expect(verdict.guilty).toEqual([{ metric: 'labels' }])
    expect(verdict.reason).toContain('loss of live answers is 0.2 against 0.1')
  })

  it('abort nobody while records of live answers are dropped', () => {
    const dropping = { mirrored: { eligible: 40_000, dropped: 4_000 } }
    expect(canary({ ...same, ...live, ...labelled(0.2, 0.1, 5000) }, policy, dropping).decision).toBe('invalid')
  })

  it('do not abort by pairs', () => {
    expect(canary({ ...same, ...live, [`loss.${differenceBin(1)}`]: 9000 }, policy).decision).toBe('continue')
  })

  it('are invalid when they arrive for one arm more than for the other', () => {
    const uneven = { ...labelled(0.1, 0.1), 'arm.c.loss.0': 10_000 }
    const verdict = canary({ ...same, ...live, ...uneven }, policy)
    expect(verdict.decision).toBe('invalid')
    expect(verdict.reason).toContain('labels arrive unevenly')
    expect(row(verdict, 'arrival').logHarm).toBeGreaterThan(row(verdict, 'arrival').logHarmNeeded)
  })

  it('share the level of the split check with it, and only where they count by arms', () => {
    expect(row(canary(live, policy), 'split').logHarmNeeded).toBeCloseTo(Math.log(2000), 9)
    const plain = canary(live, policyOf())
    expect(row(plain, 'split').logHarmNeeded).toBeCloseTo(Math.log(1000), 9)
    expect(plain.metrics.some(({ metric }) => metric === 'arrival')).toBe(false)
  })
})

describe('errors by blocks', () => {
  const policy = policyOf({ gate: { blocks: '60s' } })
  // The candidate's arm failed as a whole in one block: 2,000 errors more than the baseline's.
  const outage = { ...live, 'arm.c.err': 2180 }

  it('an outage of one arm aborts by request and not by block', () => {
    const blocks = { 'block.n': 200, 'block.plus': 2010, 'block.minus': 12, 'block.squares': 2000 ** 2 + 22 }
    expect(canary({ ...same, ...outage, ...blocks }, policyOf()).decision).toBe('abort')
    expect(canary({ ...same, ...outage, ...blocks }, policy).decision).toBe('continue')
  })

  it('a candidate that fails more in block after block is aborted', () => {
    const blocks = { 'block.n': 200, 'block.plus': 2000, 'block.minus': 0, 'block.squares': 200 * 10 ** 2 }
    const verdict = canary({ ...same, ...outage, ...blocks }, policy)
    expect(verdict.decision).toBe('abort')
    expect(verdict.guilty).toEqual([{ metric: 'errors' }])
  })

  it('a candidate that fails more in most blocks is aborted although one outage outweighs them all', () => {
    const blocks = { 'block.n': 60, 'block.plus': 110, 'block.minus': 606, 'block.squares': 600 ** 2 + 260 }
    expect(canary({ ...same, ...outage, ...blocks, 'block.more': 50, 'block.less': 5 }, policy).decision).toBe('abort')
    expect(canary({ ...same, ...outage, ...blocks, 'block.more': 30, 'block.less': 25 }, policy).decision).toBe(
      'continue',
    )
    // Counted before signs were: judged by sizes alone.
    const verdict = canary({ ...same, ...outage, ...blocks }, policy)
    expect(verdict.decision).toBe('continue')
    expect(row(verdict, 'errors', /live/).logHarm).toBeLessThan(0)
  })

  it('bets on no sign where the candidate has the larger arm, and so perhaps more nodes that fail by themselves', () => {
    const blocks = { 'block.n': 60, 'block.plus': 110, 'block.minus': 606, 'block.squares': 600 ** 2 + 260 }
    const at = (step: number) => {
      const arm = { 'arm.c.n': (20_000 * step) / (100 - step) }
      const counters = { ...live, ...outage, ...arm, ...blocks, 'block.more': 50, 'block.less': 5 }
      return period({ stage: 'canary', step, counters })
    }
    const decisionOn = (...periods: Period[]) => judge(evidenceOf(periods), policy).decision
    expect([decisionOn(at(50)), decisionOn(at(60))]).toEqual(['abort', 'continue'])
    // What was seen with the smaller arm stays.
    expect(decisionOn(at(50), period({ stage: 'canary', step: 75 }))).toBe('abort')
  })

  it('promotes without blocks that accuse, and withholds while they do', () => {
    const even = { 'block.n': 200, 'block.plus': 9, 'block.minus': 9, 'block.squares': 18 }
    expect(canary({ ...same, ...live, ...even }, policy).decision).toBe('promote')
    const worse = { 'block.n': 200, 'block.plus': 18, 'block.minus': 0, 'block.squares': 18 }
    const verdict = canary({ ...same, ...live, ...worse }, policy)
    expect(verdict.decision).toBe('continue')
    expect(verdict.missing).toEqual(['live errors: its blocks have more errors than the control cohort'])
    expect(row(verdict, 'errors', /live/).state).toBe('open')
    // A single outage of the baseline hides twelve blocks that were worse from all but their signs.
    const often = { 'block.n': 200, 'block.plus': 12, 'block.minus': 100, 'block.squares': 10_012 }
    expect(canary({ ...same, ...live, ...often }, policy).decision).toBe('promote')
    expect(canary({ ...same, ...live, ...often, 'block.more': 12, 'block.less': 1 }, policy).missing).toEqual(
      verdict.missing,
    )
  })
})

describe('segments', () => {
  const counters = {
    ...same,
    ...Object.fromEntries(
      ['a', 'b', 'c'].flatMap(name => [
        [`pair.match@o=${name}`, 50],
        [`pair.ok@o=${name}`, 50],
      ]),
    ),
  }

  it('need more evidence the later they were seen, by the order that the periods give', () => {
    const needed = (segments: string[], name: string) =>
      judge(evidenceOf([{ ...period({ counters }), segments }]), policyOf()).metrics.find(
        entry => entry.segment === `o=${name}` && entry.metric === 'disagreement',
      )!.logHarmNeeded
    const [first, second] = [needed(['o=c', 'o=a', 'o=b'], 'c'), needed(['o=c', 'o=a', 'o=b'], 'a')]
    expect(second - first).toBeCloseTo(Math.log(9 / 8), 9)
    expect(needed(['o=a'], 'a')).toBeCloseTo(first, 9)
    // Not listed: after the listed ones, by name.
    expect(needed(['o=c'], 'a')).toBeCloseTo(second, 9)
    expect(needed([], 'a')).toBeCloseTo(first, 9)
  })

  it('keep their place when a later period has seen others first', () => {
    const later = { ...period({ counters }), segments: ['o=a', 'o=new'] }
    const verdict = judge(evidenceOf([{ ...period({ counters }), segments: ['o=b', 'o=a'] }, later]), policyOf())
    const needed = (segment: string) =>
      verdict.metrics.find(entry => entry.segment === segment && entry.metric === 'disagreement')!.logHarmNeeded
    expect(needed('o=b')).toBeLessThan(needed('o=a'))
  })
})

describe('an override', () => {
  const waiver = (metrics: Waiver['metrics'], expired = false): Waiver => ({
    metrics,
    reason: 'it rounds differently',
    until: Date.UTC(2026, 11, 2),
    expired,
  })
  const different = { 'pair.ok': 20_000, 'pair.match': 10_000, 'pair.mismatch': 10_000 }

  it('takes the abort and the proof from its metrics, and says so', () => {
    expect(shadow(different, policyOf()).decision).toBe('abort')
    const verdict = shadow(different, policyOf(), { waiver: waiver(['disagreement']) })
    expect(verdict.decision).toBe('promote')
    expect(verdict.reason).toContain('waived until 2026-12-01: disagreement; it rounds differently')
    expect(row(verdict, 'disagreement')).toMatchObject({ state: 'waived', needed: null })
  })

  it('leaves the shares of the other metrics as they are', () => {
    const needed = (verdict: Verdict) => row(verdict, 'errors').logHarmNeeded
    expect(needed(shadow(same, policyOf(), { waiver: waiver(['disagreement']) }))).toBe(
      needed(shadow(same, policyOf())),
    )
  })

  it('lifts the hold of a changed model without labels, and only by waiving labels', () => {
    const change = policyOf({ expect: 'change' })
    expect(shadow(different, change).decision).toBe('hold')
    expect(shadow(different, change, { waiver: waiver(['disagreement']) }).decision).toBe('hold')
    expect(shadow(different, change, { waiver: waiver(['labels']) }).decision).toBe('promote')
  })

  it('that is over withholds again, and raises nothing', () => {
    const over = shadow(different, policyOf(), { waiver: waiver(['disagreement'], true) })
    // No traffic moves at midnight: it withholds again, and aborts once the override is taken out.
    expect(over.decision).toBe('continue')
    expect(over.missing.join()).toContain('disagreement: not within the limit')
    const proved = shadow(same, policyOf(), { waiver: waiver(['disagreement'], true) })
    expect(proved.decision).toBe('hold')
    expect(proved.reason).toContain('the time of its override is over (2026-12-01')
    expect(shadow({}, policyOf(), { waiver: waiver(['disagreement'], true) }).decision).toBe('continue')
  })

  it('that waives everything proves nothing', () => {
    const verdict = shadow(same, policyOf(), { waiver: waiver(['disagreement', 'errors', 'labels', 'latency.p50']) })
    expect(verdict.decision).toBe('hold')
    expect(verdict.reason).toContain('waives everything')
  })

  it('of the split check lets an uneven split pass, and no other override does', () => {
    const uneven = { ...same, ...live, 'arm.c.n': 25_000 }
    expect(canary(uneven, policyOf(), { waiver: waiver(['stability']) }).decision).toBe('invalid')
    const verdict = canary(uneven, policyOf(), { waiver: waiver(['split']) })
    expect(verdict.decision).not.toBe('invalid')
    expect(row(verdict, 'split').state).toBe('waived')
  })
})

describe('a policy that cannot be satisfied', () => {
  it('holds at once, with the reason', () => {
    const verdict = shadow(same, policyOf({ gate: { exposure: { for: '15d', atMost: '14d' } } }))
    expect(verdict.decision).toBe('hold')
    expect(verdict.reason).toContain('gate.exposure asks for 15 days in a step and allows 14 days')
  })

  it('a margin of 0 asks for a candidate that is really better', () => {
    const policy = policyOf({ expect: 'change', labels: { loss: 'brier', margin: 0 } })
    const equal = { ...same, [`loss.${differenceBin(0.1)}`]: 5000, [`loss.${differenceBin(-0.1)}`]: 5000 }
    expect(shadow(equal, policy).missing.join()).toContain('labels: not within the limit as it looks now')
    const better = { ...same, [`loss.${differenceBin(0.1)}`]: 2000, [`loss.${differenceBin(-0.1)}`]: 8000 }
    expect(shadow(better, policy).decision).toBe('promote')
  })
})

describe('what decides how long it takes', () => {
  it('is named with the unit that it is counted in', () => {
    const verdict = canary({ ...same, ...live }, policyOf())
    expect(row(verdict, 'errors', /live/)).toMatchObject({ unit: 'candidate requests', setting: 'gate.errors.ratio' })
    expect(row(canary({ ...same, 'arm.b.n': 500, 'arm.c.n': 500 }, policyOf()), 'errors', /live/).setting).toBe(
      'gate.errors.floor',
    )
    expect(row(verdict, 'latency.p99').setting).toBe('gate.latency.p99')
    expect(row(verdict, 'disagreement').setting).toBe('gate.disagreement')
    expect(row(verdict, 'stability').setting).toBeUndefined()
  })
})
