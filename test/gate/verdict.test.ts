import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Counters, mergeReplicas } from '../../src/evidence/counters.ts'
import { differenceBin } from '../../src/evidence/histogram.ts'
import type { Evidence } from '../../src/gate/evidence.ts'
import { judge } from '../../src/gate/verdict.ts'
import { evidenceOf, period, policyOf } from './policy.ts'

const loss = (difference: number) => `loss.${differenceBin(difference)}`
const change = policyOf({ expect: 'change', labels: { loss: 'brier', margin: 0.002 } })
const shadowed = (counters: Record<string, number>, settings: Partial<Evidence> = {}) =>
  evidenceOf([period({ counters })], settings)

describe('without evidence', () => {
  it.each([
    ['no period', []],
    ['an empty period', [period()]],
    ['a canary without requests', [period({ stage: 'canary' })]],
    ['a candidate with all the traffic', [period({ stage: 'canary', step: 100, share: 1 })]],
  ])('%s: continues, says what is missing, and never promotes', (_, periods) => {
    for (const policy of [policyOf(), change, policyOf({ gate: { exposure: { requests: 0, for: '0s' } } })]) {
      const verdict = judge(evidenceOf(periods), policy)
      expect(verdict.decision).toBe('continue')
      expect(verdict.missing).not.toEqual([])
    }
  })

  it('holds at the end of the time allowed', () => {
    const verdict = judge(evidenceOf([], { stepElapsedMs: 15 * 86_400_000 }), policyOf())
    expect(verdict.decision).toBe('hold')
    expect(verdict.reason).toMatch(/^not decided within 14 days in the shadow: .+/)
  })
})

describe('evidence that cannot be true', () => {
  const good = { 'pair.ok': 10, 'pair.match': 10 }
  it.each<[string, Evidence]>([
    ['a negative count', shadowed({ ...good, 'pair.mismatch': -1 })],
    ['a fraction', shadowed({ ...good, 'arm.b.n': 0.5 })],
    ['NaN', shadowed({ ...good, 'arm.b.n': Number.NaN })],
    ['an unsafe integer', shadowed({ ...good, 'arm.b.n': 2 ** 60 })],
    ['more errors than requests', shadowed({ 'arm.c.n': 3, 'arm.c.err': 4 })],
    ['more comparisons than pairs', shadowed({ 'pair.ok': 3, 'pair.match': 4 })],
    ['more late answers than answers', shadowed({ 'late.c.n': 3, 'late.p50.c': 4 })],
    ['a segment larger than the whole', shadowed({ ...good, 'pair.match@origin=JFK': 11 })],
    ['a segment of nothing', shadowed({ 'pair.match@origin=JFK': 1 })],
    ['a bin that no loss has', shadowed({ 'loss.99999': 1 })],
    ['a share of 0', evidenceOf([period({ stage: 'canary', share: 0 })])],
    ['a share above 1', evidenceOf([period({ stage: 'canary', share: 1.2 })])],
    ['a share that is NaN', evidenceOf([period({ stage: 'canary', share: Number.NaN })])],
    ['attempt 0', shadowed(good, { attempt: 0 })],
    ['half a candidate', shadowed(good, { candidates: 0.5 })],
    ['more drops than requests', shadowed(good, { mirrored: { eligible: 1, dropped: 2 } })],
    ['time that ran backwards', shadowed(good, { stepElapsedMs: -1 })],
  ])('%s is invalid', (_, evidence) => {
    const verdict = judge(evidence, policyOf())
    expect(verdict.decision).toBe('invalid')
    expect(verdict.reason).toMatch(/^the evidence cannot be judged: .+/)
  })

  it('is never promoted, whatever the counters are', () => {
    const slot = fc.constantFrom(
      'pair.ok',
      'pair.match',
      'pair.mismatch',
      'arm.c.n',
      'arm.b.n',
      'loss.0',
      'junk',
      'loss.5@x=1',
    )
    fc.assert(
      fc.property(fc.dictionary(slot, fc.double()), counters => {
        const { decision } = judge(shadowed(counters), change)
        expect(['invalid', 'continue', 'abort']).toContain(decision)
      }),
    )
  })
})

describe('cases', () => {
  const folder = new URL('../cases/', import.meta.url)
  interface Case {
    readonly name: string
    readonly policy: Record<string, unknown>
    readonly evidence: Omit<Partial<Evidence>, 'periods'>
    readonly periods: Parameters<typeof period>[0][]
    readonly decision: string
    readonly guilty?: Evidence[]
    readonly reason?: string
    readonly missing?: string
  }
  for (const file of readdirSync(folder).filter(name => name.startsWith('gate-') && name.endsWith('.json'))) {
    const cases = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Case[]
    it.each(cases.map(entry => [entry.name, entry] as const))('%s', (_, entry) => {
      const verdict = judge(evidenceOf(entry.periods.map(period), entry.evidence), policyOf(entry.policy))
      expect(verdict.decision, verdict.reason).toBe(entry.decision)
      if (entry.guilty !== undefined) expect(verdict.guilty).toEqual(entry.guilty)
      if (entry.reason !== undefined) expect(verdict.reason).toContain(entry.reason)
      if (entry.missing !== undefined) expect(verdict.missing.join('; ')).toContain(entry.missing)
    })
  }
})

describe('the verdict', () => {
  const safe = {
    'pair.ok': 20_000,
    'pair.match': 14_000,
    'pair.mismatch': 6000,
    [loss(-0.1)]: 3000,
    [loss(0.09)]: 2500,
  }

  it('does not depend on order of counting, replicas, or repeated reports', () => {
    const counters = new Map<string, number>(Object.entries({ ...safe, 'pair.match@o=a': 70, 'pair.mismatch@o=a': 7 }))
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 0, max: 1000 }), (replicas, salt) => {
        const reports: [string, Counters][] = Array.from({ length: replicas }, (_, index) => [`r${index}`, new Map()])
        for (const [slot, amount] of counters) {
          const part = Math.floor(amount / replicas)
          for (const [index, [, report]] of reports.entries())
            report.set(slot, index === salt % replicas ? amount - part * (replicas - 1) : part)
        }
        const stale = reports.map(
          ([name, report]) => [name, new Map([...report].map(([slot, n]) => [slot, n >> 1]))] as const,
        )
        const merged = mergeReplicas([...reports.toReversed(), ...stale, ...reports])
        expect(judge({ ...evidenceOf([period()]), periods: [{ ...period(), counters: merged }] }, change)).toEqual(
          judge({ ...evidenceOf([period()]), periods: [{ ...period(), counters }] }, change),
        )
      }),
      { numRuns: 20 },
    )
  })

  it('digests counters and policy, not the clock', () => {
    const digest = (evidence: Evidence, policy = change) => judge(evidence, policy).evidenceDigest
    expect(digest(shadowed(safe))).toMatch(/^[0-9a-f]{64}$/)
    expect(digest(shadowed(safe, { stepElapsedMs: 5 }))).toBe(digest(shadowed(safe)))
    expect(digest(shadowed({ ...safe, 'time.ms': 7_200_000 }))).toBe(digest(shadowed(safe)))
    expect(digest(shadowed({ ...safe, 'pair.ok': 20_001 }))).not.toBe(digest(shadowed(safe)))
    expect(digest(shadowed(safe), policyOf())).not.toBe(digest(shadowed(safe)))
  })

  it('survives JSON except for infinite limits', () => {
    const verdict = judge(shadowed(safe), change)
    expect(JSON.parse(JSON.stringify(verdict)).decision).toBe(verdict.decision)
  })

  it('asks more of a second attempt and of candidates judged together', () => {
    const needed = (settings: Partial<Evidence>) =>
      judge(shadowed(safe, settings), change).metrics.find(row => row.metric === 'labels')!.logSafeNeeded
    expect(needed({})).toBeCloseTo(Math.log(2 / 0.05))
    expect(needed({ attempt: 2 })).toBeCloseTo(Math.log(6 / 0.05))
    expect(needed({ candidates: 3 })).toBeCloseTo(Math.log(6 / 0.05))
  })

  it('counts down to the promotion that it foresees', () => {
    const at = (n: number) =>
      shadowed({
        'pair.ok': 50_000,
        'pair.match': 50_000,
        [loss(-0.1)]: Math.round(0.5 * n),
        [loss(0.09)]: n - Math.round(0.5 * n),
      })
    const first = judge(at(500), change)
    const row = first.metrics.find(metric => metric.metric === 'labels')!
    expect(first.decision).toBe('continue')
    expect(first.missing.join()).toMatch(/^labels: about [\d,]+ more$/)
    expect(row.needed).toBeGreaterThan(0)
    expect(judge(at(500 + row.needed! + 20), change).decision).toBe('promote')
    expect(judge(at(500 + row.needed! - 50), change).decision).toBe('continue')
  })

  it('reads safe evidence of the present step only, harm of all', () => {
    const before = period({ counters: safe })
    const now = period({ stage: 'canary', counters: { 'pair.ok': 5, 'pair.match': 5 } })
    const verdict = judge(evidenceOf([before, now]), change)
    expect(verdict.decision).toBe('continue')
    expect(verdict.metrics.find(row => row.metric === 'labels')).toMatchObject({ n: 0, state: 'open' })
    const bad = period({ counters: { 'pair.ok': 9000, [loss(0.3)]: 400 } })
    expect(judge(evidenceOf([bad, now]), change).decision).toBe('abort')
  })
})
