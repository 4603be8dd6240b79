import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { judge } from '../../src/gate/verdict.ts'
import { PolicyFile } from '../../src/report/evidenceFile.ts'
import { Recount, type RecountOptions } from '../../src/report/recount.ts'
import { estimatesOf } from '../../src/report/tracesEstimates.ts'
import { candidatesIn, tracedEvidence, tracesReport } from '../../src/report/tracesEvidence.ts'
import { EVERY, KEY, ORIGIN_MS, pair, request, terms } from './told.ts'

const limits = { p50: 1.1, p95: 1.1, p99: 1.25, slack: 0 }
const recountOf = (told: Iterable<Parameters<Recount['take']>[0]>, options: Partial<RecountOptions> = {}) => {
  const recount = new Recount({ route: 'risk', limits, blocksMs: undefined, ...options })
  for (const each of told) recount.take(each)
  recount.end()
  return recount
}
const countersOf = (recount: Recount) => Object.fromEntries([...recount.countersOf(KEY)].sort())
const evidenceOf = (recount: Recount) => tracedEvidence(recount, '1.1.0', () => undefined)
const notesOf = (recount: Recount) =>
  tracesReport(recount, evidenceOf(recount)!, { hasLabels: false, wantsLabels: false, ofArms: false }).notes

describe('a recount', () => {
  it('of nothing has no candidates and no evidence', () => {
    const recount = recountOf([])
    expect([recount.keys, candidatesIn(recount), evidenceOf(recount)]).toEqual([[], [], undefined])
    expect(recount.tally).toMatchObject({ requests: 0, sampled: 0, lost: 0 })
  })

  it('takes one route and leaves the others', () => {
    const recount = recountOf([
      { ...request(1), route: 'other' },
      { ...pair(1), route: 'other' },
    ])
    expect([recount.keys, recount.tally.requests]).toEqual([[], 0])
  })

  it('knows a key that no span describes, and has no evidence of it', () => {
    const recount = recountOf([request(1), pair(1)])
    expect(recount.keys).toEqual([KEY])
    expect([candidatesIn(recount), evidenceOf(recount)]).toEqual([[], undefined])
    const described = recountOf([request(1), pair(1), terms(), pair(2, {}, EVERY, { key: 'risk/x/y/000001' })])
    expect(notesOf(described).join()).toContain('no span says what 1 evidence keys stand for (risk/x/y/000001)')
  })

  it('judges no holdback', () => {
    const recount = recountOf([terms({ holdback: true }), request(1), pair(1)])
    expect([candidatesIn(recount), evidenceOf(recount)]).toEqual([[], undefined])
  })

  it('counts a request and its pair', () => {
    const recount = recountOf([terms(), request(7), pair(7, { result: 'mismatch', segments: ['a=1'] })])
    expect(countersOf(recount)).toEqual({
      'diff.0': 1,
      'mirror.compared': 1,
      'mirror.eligible': 1,
      'pair.mismatch': 1,
      'pair.mismatch@a=1': 1,
      'pair.ok': 1,
      'pair.ok@a=1': 1,
      'time.ms': 1,
    })
  })

  it('counts what was delivered twice once, in whatever order spans come (property)', () => {
    const told = Array.from({ length: 40 }, (_, n) => {
      const segments = [`s=${n % 5}`]
      const latency = [1 + (n % 7), 2] as const
      return [request(n, { arms: [KEY], latencyMs: 1 + n }), pair(n, { segments, latency })]
    }).flat()
    const once = recountOf([terms(), ...told])
    const order = fc.shuffledSubarray([...told, ...told], { minLength: 160, maxLength: 160 })
    fc.assert(
      fc.property(order, shuffled => {
        const recount = recountOf([...shuffled, terms()])
        expect(countersOf(recount)).toEqual(countersOf(once))
        expect(recount.segmentsOf(KEY)).toEqual(once.segmentsOf(KEY))
        expect(recount.tally.repeated).toBe(80)
      }),
      { numRuns: 30 },
    )
  })

  it('counts pairs that a request speaks of and that are not there as lost, which can make a verdict invalid', () => {
    const told = Array.from({ length: 200 }, (_, n) => [request(n), ...(n < 20 ? [] : [pair(n)])]).flat()
    const recount = recountOf([terms(), ...told])
    const { evidence } = evidenceOf(recount)!
    expect(recount.tally.lost).toBe(20)
    expect(evidence.mirrored).toEqual({ eligible: 200, dropped: 20 })
    expect(judge(evidence, PolicyFile.parse({})).decision).toBe('invalid')
    expect(notesOf(recount).join()).toContain('20 pairs are missing')
  })

  it('keeps the account even where request spans are missing, and says so', () => {
    const recount = recountOf([terms(), request(1), pair(1), pair(2)])
    expect(countersOf(recount)).toMatchObject({ 'mirror.eligible': 2, 'mirror.compared': 2 })
    expect(recount.tally.orphaned).toBe(1)
    expect(notesOf(recount).join()).toContain('1 pairs have no request span')
  })

  it('keeps few requests in memory, and then takes what comes later for what has been there', () => {
    const told = Array.from({ length: 30 }, (_, n) => request(n))
    const recount = recountOf([terms(), ...told, ...told.map((_, n) => pair(29 - n))], { mostOpen: 10 })
    expect(recount.tally).toMatchObject({ lost: 20, repeated: 20, orphaned: 0 })
  })

  it('counts a file and its copy once, however long after each other they come, and says so', () => {
    const told = Array.from({ length: 30 }, (_, n) => [request(n), pair(n)]).flat()
    const once = recountOf([terms(), ...told], { mostOpen: 10 })
    const twice = recountOf([terms(), ...told, ...told], { mostOpen: 10 })
    expect(twice.tally).toMatchObject({ requests: 30, repeated: 60, lost: 0 })
    expect(twice.keys.map(key => twice.countersOf(key))).toEqual(once.keys.map(key => once.countersOf(key)))
    expect(notesOf(twice).join()).toContain('60 spans were there before: each counts once')
  })

  it('adds the periods of the last attempt up, in order, and leaves earlier attempts out', () => {
    const at = (attempt: string, period: number) => `risk/cccccccccccccccc/${attempt.repeat(16)}/00000${period}`
    const keyed = (key: string, number: number) => [
      request(number, { mirrored: [key] }),
      pair(number, {}, EVERY, { key }),
    ]
    const [old, first, second] = [at('0', 1), at('1', 2), at('1', 3)]
    const told = [
      terms({ key: second, startedAt: ORIGIN_MS + 200, stage: 'canary', step: 5, share: 0.05 }),
      terms({ key: old, attempt: 1 }),
      terms({ key: first, attempt: 2, startedAt: ORIGIN_MS + 100 }),
      ...keyed(old, 1),
      ...keyed(second, 201),
      ...keyed(first, 101),
      ...keyed(first, 102),
    ]
    const { evidence } = evidenceOf(recountOf(told))!
    expect(evidence.periods.map(({ key, step, counters }) => [key, step, counters.get('pair.match')])).toEqual([
      [first, 0, 2],
      [second, 5, 1],
    ])
  })

  it('counts serving time by process: none in between', () => {
    const later = (number: number) => ({ ...request(number), process: 'q', startMs: ORIGIN_MS + 1e6 + number })
    const ends = [request(0), request(500), later(1_000_000), { ...later(1_000_001), endMs: ORIGIN_MS + 2_000_101 }]
    const recount = recountOf([terms(), ...ends.map(each => ({ ...each, endMs: each.startMs + 100 }))])
    expect(recount.countersOf(KEY).get('time.ms')).toBe(600 + 101)
  })

  it('learns the limits of live latency from earlier epochs, as the gateway does', () => {
    const arm = (number: number, of: 'b' | 'c', ms: number) =>
      request(number, { arm: of, arms: [KEY], latencyMs: ms, mirrored: [] })
    const base = Array.from({ length: 300 }, (_, n) => arm(n, 'b', 10))
    const slow = Array.from({ length: 50 }, (_, n) => arm(300 + n, 'c', 100))
    const told = [terms({ stage: 'canary', step: 50, share: 0.5 }), ...base, ...slow]
    const counters = countersOf(recountOf(told))
    expect(counters).toMatchObject({ 'late.c.n': 50, 'late.p50.c': 50, 'late.p99.c': 50 })
    // Epochs 0 and 1 have the first 200 answers: only those after them can exceed.
    expect(counters['late.b.n']).toBe(100)
    expect(countersOf(recountOf(told.toReversed()))).toEqual(counters)
  })

  it('joins the first label of a request, once, and not one that fits nothing', () => {
    const predictions = [0.9, 0.1] as const
    const told = [1, 2, 3, 4].flatMap(n => [request(n), pair(n, { segments: ['s=1'] }, EVERY, { predictions })])
    const repeated = pair(9, {}, EVERY, { predictions, requestId: 'id-1' })
    const byId = new Map([
      ['id-1', 1],
      ['id-2', Number.NaN],
      ['id-8', 1],
    ])
    const recount = recountOf([terms(), ...told, repeated], { labels: { byId, spec: { loss: 'brier', clip: 1 } } })
    const losses = [...recount.countersOf(KEY)].filter(([slot]) => slot.startsWith('loss.'))
    expect(losses.map(([slot, n]) => [slot.includes('@'), n])).toEqual([
      [false, 1],
      [true, 1],
    ])
    expect(recount.tally.labelled).toBe(1)
  })
})

/** A generator of its own, so that a run repeats (mulberry32). */
function uniform(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A gateway's spans at a ratio: mismatches always, the rest where the trace id says so. */
function keptOf(mismatches: readonly boolean[], ratio: number, next: () => number) {
  return mismatches.flatMap((differs, n) => {
    const isHead = next() < ratio
    if (!isHead && !differs) return []
    const kept = { isHead, ratio, weight: differs ? 1 : 1 / ratio }
    return [request(n, {}, kept), pair(n, { result: differs ? 'mismatch' : 'match' }, kept)]
  })
}

describe('a sample of requests', () => {
  const policy = PolicyFile.parse({ gate: { disagreement: 0.02, exposure: { requests: 100, for: '0s' } } })

  it('licenses what its own requests license, and neither weights nor mismatches that were kept on purpose count', () => {
    const total = 8_000
    const next = uniform(1)
    const differs = Array.from({ length: total }, () => false)
    const whole = evidenceOf(recountOf([terms(), ...keptOf(differs, 1, next)]))!.evidence
    expect(judge(whole, policy).decision, 'with every request').toBe('promote')
    const recount = recountOf([terms(), ...keptOf(differs, 0.02, next)])
    const { evidence } = evidenceOf(recount)!
    const counted = evidence.periods[0]!.counters.get('pair.match')!
    expect(counted).toBe(recount.tally.sampled)
    expect(counted).toBeLessThan(200)
    expect(judge(evidence, policy).decision).toBe('continue')
    // What weights would make of the same spans: a promotion that nobody has seen the requests for.
    const { sum } = recount.weightedOf(KEY)
    const counters = new Map([...sum].map(([slot, n]) => [slot, Math.round(n)]))
    expect(judge({ ...evidence, periods: [{ ...evidence.periods[0]!, counters }] }, policy).decision).toBe('promote')
  })

  it('accuses nobody because all mismatches are kept', () => {
    const next = uniform(2)
    // At the limit: with every mismatch and a tenth of the matches nine tenths of what is kept would differ.
    const differs = Array.from({ length: 5_000 }, () => next() < 0.02)
    const spans = keptOf(differs, 0.01, next)
    const { evidence } = evidenceOf(recountOf([terms(), ...spans]))!
    expect(judge(evidence, policy).decision).toBe('continue')
    const biased = spans.map(each => ({ ...each, isHead: true }))
    expect(judge(evidenceOf(recountOf([terms(), ...biased]))!.evidence, policy).decision).toBe('abort')
  })

  it('estimates the share that differs without bias, within its interval as often as it says', () => {
    const runs = 400
    let [covered, sampleSum, weightedSum, truthSum] = [0, 0, 0, 0]
    for (let run = 0; run < runs; run++) {
      const next = uniform(1_000 + run)
      const differs = Array.from({ length: 1_000 }, () => next() < 0.1)
      const truth = differs.filter(Boolean).length / differs.length
      const recount = recountOf([terms(), ...keptOf(differs, 0.2, next)], { mostOpen: 2_000 })
      const sample = recount.countersOf(KEY)
      const [total, share] = estimatesOf([recount.weightedOf(KEY)], sample, 0.2)
      expect([total!.what, share!.what]).toEqual(['pairs compared', 'differ'])
      const [low, high] = share!.interval!
      if (low <= truth && truth <= high) covered++
      truthSum += truth
      weightedSum += share!.estimate!
      sampleSum += share!.sample!
    }
    // Binomial(400, 0.95): five standard deviations are 22.
    expect(covered).toBeGreaterThan(0.95 * runs - 22)
    expect(Math.abs(weightedSum - truthSum) / runs).toBeLessThan(0.005)
    expect(Math.abs(sampleSum - truthSum) / runs).toBeLessThan(0.01)
  })

  it('is empty at a ratio of 0, and says that there is no verdict', () => {
    const spans = keptOf([true, false, true], 0, uniform(3))
    const recount = recountOf([terms(), ...spans])
    const { evidence } = evidenceOf(recount)!
    expect(evidence.periods[0]!.counters.get('pair.mismatch')).toBeUndefined()
    expect(judge(evidence, policy).decision).toBe('continue')
    expect(notesOf(recount).join()).toContain('without a sample there is no verdict')
  })
})
