import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SLOT } from '../../src/evidence/counters.ts'
import type { Evidence } from '../../src/gate/evidence.ts'
import { judge } from '../../src/gate/verdict.ts'
import { looser, settingOf, settingText, withSetting } from '../../src/report/settings.ts'
import { type Rates, timeToVerdict, whatIf } from '../../src/report/timeToVerdict.ts'
import { dominatesText, neededText, rateText, waitText } from '../../src/report/waitText.ts'
import { period, policyOf } from '../gate/policy.ts'

const MINUTE = 60_000
const base = {
  route: 'm',
  baseline: { version: '1.0.0', digest: 'a' },
  candidate: { version: '1.1.0', digest: 'b' },
  attempt: 1,
  candidates: 1,
  mirrored: { eligible: 0, dropped: 0 },
}
const pairs = (n: number, differ = 0) => ({ [SLOT.bothOk]: n, [SLOT.match]: n - differ, [SLOT.mismatch]: differ })
const shadow = (counters: Record<string, number>, stepElapsedMs = 10 * MINUTE): Evidence => ({
  ...base,
  periods: [period({ counters })],
  stepElapsedMs,
})
const policy = policyOf({ gate: { exposure: { requests: 1000, for: '1h', atMost: '7d' } } })
const RATES: Rates = { comparisons: 2, labels: 0, requests: 0 }
const timed = (evidence: Evidence, rates = RATES, by = policy) =>
  timeToVerdict(evidence, by, judge(evidence, by), rates)!

describe('the time to a verdict', () => {
  it('is told for each metric that is open, the longest first, and the sum of nothing is nothing', () => {
    const { waits, secondsToVerdict, dominates } = timed(shadow(pairs(900)))
    const lengths = waits.map(wait => wait.secondsToVerdict!)
    expect(lengths).toEqual(lengths.toSorted((a, b) => b - a))
    expect(waits.map(({ what }) => what).sort()).toEqual(['errors', 'exposure', 'time'])
    expect(waits.find(({ what }) => what === 'exposure')).toMatchObject({ needed: 100, secondsToVerdict: 50 })
    expect(waits.find(({ what }) => what === 'time')).toMatchObject({
      secondsToVerdict: 3000,
      setting: 'gate.exposure.for',
    })
    expect(secondsToVerdict).toBe(lengths[0])
    expect(dominates!.what).toBe(waits[0]!.what)
  })

  it('agrees with the verdict on how much is needed', () => {
    const evidence = shadow(pairs(900))
    const verdict = judge(evidence, policy)
    for (const { row, needed, perSecond, secondsToVerdict } of timed(evidence).waits) {
      if (row === undefined) continue
      expect(needed).toBe(verdict.metrics[row]!.needed)
      expect(secondsToVerdict).toBeCloseTo(needed! / perSecond!)
    }
  })

  it('is unknown while nothing has come, and where the metric is not within its limit', () => {
    const nothing = timed(shadow({}), { comparisons: 0, labels: 0, requests: 0 })
    expect(nothing.secondsToVerdict).toBeNull()
    expect(nothing.waits[0]).toMatchObject({ perSecond: null, secondsToVerdict: null })
    expect(neededText(nothing.waits[0]!)).toBe('comparisons: none yet')
    expect(dominatesText(nothing)).toEqual([
      expect.stringMatching(/^the verdict waits for \w+: nothing comes for it yet, so no time can be said$/),
    ])
    const beyond = timed(shadow(pairs(300, 5)))
    const wait = beyond.waits.find(({ what }) => what === 'disagreement')!
    expect([wait.needed, wait.secondsToVerdict]).toEqual([null, null])
    expect(neededText(wait)).toBe('not within the limit as it looks now')
    expect(beyond.waits[0]!.secondsToVerdict).toBeNull()
    expect(dominatesText(beyond)[0]).toMatch(
      /^the verdict waits for disagreement: no time can be said; `gate.disagreement` \(0\.01\)/,
    )
  })

  it('takes the mean of the step where the last minute saw too little', () => {
    const few = timed(shadow(pairs(60), 60 * MINUTE), { comparisons: 0, labels: 0, requests: 0 })
    const wait = few.waits.find(({ what }) => what === 'exposure')!
    expect(wait).toMatchObject({ rateOf: 'step', perSecond: 60 / 3600 })
    expect(waitText(wait)).toBe('about 16 hours at 1/min, the mean of this step')
    expect(
      timed(shadow(pairs(60)), { ...RATES, comparisons: 0.6 }).waits.every(({ rateOf }) => rateOf !== 'step'),
    ).toBe(true)
  })

  it('counts only the part of the comparisons that a metric takes', () => {
    const again = { [SLOT.againZero]: 96, [SLOT.againPlus]: 3, [SLOT.againMinus]: 1, [SLOT.againDiffers]: 2 }
    const { waits } = timed(shadow({ ...pairs(1000, 20), ...again }))
    const wait = waits.find(({ what }) => what === 'disagreement')
    expect(wait?.perSecond).toBeCloseTo(0.2)
  })

  it.each([
    ['abort', shadow(pairs(2000, 400))],
    ['invalid', shadow({ [SLOT.match]: 5 })],
  ])('is not told of %s, which waits for nothing', (decision, evidence) => {
    const verdict = judge(evidence, policy)
    expect(verdict.decision).toBe(decision)
    expect(timeToVerdict(evidence, policy, verdict, RATES)).toBeUndefined()
  })

  it('says when the verdict would be hold before that', () => {
    const slow = timed(shadow(pairs(60), 6.9 * 24 * 60 * MINUTE), { comparisons: 0.01, labels: 0, requests: 0 })
    expect(dominatesText(slow).at(-1)).toMatch(
      /in about 2\.4 hours `gate.exposure.atMost` is over and the verdict is hold$/,
    )
  })
})

describe('the setting that decides', () => {
  it('is judged with another value on the same evidence, and that is what is told', () => {
    const evidence = shadow(pairs(900), 2 * 60 * MINUTE)
    const { dominates } = timed(evidence)
    expect(dominates).toMatchObject({
      what: 'errors',
      setting: 'gate.errors.floor',
      value: 0.001,
      at: { value: 0.002 },
    })
    const then = whatIf(evidence, policy, { setting: 'gate.errors.floor', value: 0.002 })
    const own = Math.max(...then.metrics.filter(({ state }) => state === 'open').map(({ needed }) => needed! / 2))
    expect(dominates!.at!.secondsToVerdict).toBeCloseTo(Math.max(own, 50))
    expect(dominates!.at!.secondsToVerdict).toBeLessThan(dominates!.secondsToVerdict!)
    expect(dominatesText(timed(evidence))[0]).toMatch(
      /^the verdict waits for errors: about .* at this rate; `gate.errors.floor` \(0\.001\) decides that; at 0\.002 it would be about /,
    )
  })

  it('may be the clock of the step', () => {
    const { dominates } = timed(shadow(pairs(20_000)))
    expect(dominates).toMatchObject({
      what: 'time',
      setting: 'gate.exposure.for',
      value: 60 * MINUTE,
      at: { value: 30 * MINUTE },
    })
    expect(dominates!.at!.secondsToVerdict).toBeCloseTo(1200)
  })

  it('offers no other value where something else takes about as long', () => {
    const by = policyOf({ gate: { exposure: { requests: 200_000, for: '13h' } } })
    const { dominates, waits } = timed(shadow(pairs(100_000), 0), { comparisons: 2.2, labels: 0, requests: 0 }, by)
    expect(waits.map(({ what }) => what).slice(0, 2)).toEqual(['time', 'exposure'])
    expect(dominates).toEqual({
      what: 'time',
      secondsToVerdict: 46_800,
      setting: 'gate.exposure.for',
      value: 46_800_000,
    })
  })

  it('is changed without touching the policy that serves', () => {
    const before = structuredClone(policy)
    expect(withSetting(policy, 'gate.errors.floor', 0.5).gate.errors.floor).toBe(0.5)
    expect(policy).toEqual(before)
    expect(withSetting(policy, 'gate.nothing.here', 1)).toEqual(policy)
    expect(settingOf(policy, 'gate.__proto__.x')).toBeUndefined()
  })

  it('never offers what routes.yaml would refuse, or what counters cannot answer', () => {
    expect([looser('gate.disagreement', 0.6), looser('gate.latency.p95', 1.1), looser('gate.difference', 1)]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(looser('gate.errors.ratio', 1.5)).toBe(2)
    expect([settingText('gate.exposure.for', 1_800_000), settingText('gate.exposure.requests', 2000)]).toEqual([
      '30 minutes',
      '2,000',
    ])
  })
})

it('never says a negative or unreal time, whatever was counted', () => {
  const count = fc.integer({ min: 0, max: 5000 })
  fc.assert(
    fc.property(
      count,
      count,
      count,
      fc.double({ min: 0, max: 1000, noNaN: true }),
      fc.integer({ min: 0, max: 1e9 }),
      (ok, differ, failed, rate, elapsed) => {
        const counters = { ...pairs(ok + differ, differ), [SLOT.candidateError]: failed }
        const evidence = shadow(counters, elapsed)
        const time = timeToVerdict(evidence, policy, judge(evidence, policy), {
          comparisons: rate,
          labels: rate,
          requests: rate,
        })
        for (const { secondsToVerdict } of [...(time?.waits ?? []), ...(time?.dominates ? [time.dominates] : [])]) {
          expect(secondsToVerdict === null || (secondsToVerdict >= 0 && Number.isFinite(secondsToVerdict))).toBe(true)
        }
      },
    ),
    { numRuns: 100 },
  )
})

it('a rate is told in the unit that leaves a figure', () => {
  expect([3.2, 0.03, 0.0003].map(rateText)).toEqual(['3.2/s', '1.8/min', '1.08/h'])
})
