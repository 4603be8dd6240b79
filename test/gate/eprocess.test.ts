import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Bet,
  bettingHarm,
  bettingSafe,
  confidenceSequence,
  dirichletMixture,
  HARM_RATIOS,
  LOSS_FRACTIONS,
  labelOddsHarm,
  labelOddsSafe,
  logMean,
  mix,
  observationsNeeded,
  shareHarm,
  splitMixture,
} from '../../src/gate/eprocess.ts'

const arm = (share: number, candidateEvents: number, baselineEvents: number, candidate = 0, baseline = 0) => ({
  share,
  candidateEvents,
  baselineEvents,
  candidate,
  baseline,
})
const value = (bets: readonly Bet[]) => Math.exp(logMean(bets))

describe('no data', () => {
  it('is no evidence in any test', () => {
    for (const bets of [
      labelOddsHarm([]),
      labelOddsHarm([arm(0.5, 0, 0)]),
      labelOddsSafe([], 1.5),
      bettingHarm([], 0),
      bettingSafe([[1, 0]], 0.01),
      shareHarm(0, 0, 0.01),
    ])
      expect(logMean(bets)).toBeCloseTo(0, 12)
    expect(splitMixture([])).toBe(0)
    expect(splitMixture([{ share: 0.3, candidate: 0, baseline: 0 }])).toBe(0)
    expect(confidenceSequence([], [], 0.05)).toEqual([-1, 1])
  })

  it('foresees nothing', () => {
    expect(observationsNeeded(bettingSafe([], 0.01), 3)).toBeNull()
    expect(observationsNeeded(labelOddsSafe([arm(0.5, 0, 3)], 1.5), 30)).toBeNull()
  })
})

describe('published and own vectors', () => {
  it('P1 with eight equal bets', () => {
    const eight = [1.15, 1.35, 1.7, 2.3, 3.5, 6, 12, 40].map(ratio => ({ ratio, weight: 1 / 8 }))
    expect(logMean(labelOddsHarm([arm(0.1, 20, 80)], [0], eight))).toBeCloseTo(3.017212342505, 10)
  })
  it('P2 harm', () =>
    expect(
      logMean(
        bettingHarm(
          [
            [1, 30],
            [-1, 10],
            [0, 960],
          ],
          0,
        ),
      ),
    ).toBeCloseTo(3.611685997835, 10))
  it('P2 safe', () =>
    expect(
      logMean(
        bettingSafe(
          [
            [1, 50],
            [-1, 50],
            [0, 4900],
          ],
          0.01,
        ),
      ),
    ).toBeCloseTo(9.509604737729, 10))
  it('P4', () => expect(splitMixture([{ share: 0.5, candidate: 600, baseline: 400 }])).toBeCloseTo(17.0989404165, 8))

  it('Dirichlet mixture of optimizely/ssrm', () => {
    const lnFactorial = (n: number) => Array.from({ length: n }, (_, i) => Math.log(i + 1)).reduce((a, b) => a + b, 0)
    let prior = [1, 1, 1]
    let log = 0
    const expected = [-7.0282014, -11.9478477, -15.471402, -19.9648452]
    for (const [index, batch] of [
      [20, 17, 9],
      [18, 21, 8],
      [4, 6, 4],
      [18, 19, 11],
    ].entries()) {
      // Theirs is the probability of counts, ours that of a sequence: they differ by the multinomial coefficient.
      log += lnFactorial(batch.reduce((a, b) => a + b)) - batch.reduce((sum, n) => sum + lnFactorial(n), 0)
      log += dirichletMixture(prior, batch)
      prior = prior.map((weight, category) => weight + batch[category]!)
      expect(log).toBeCloseTo(expected[index]!, 6)
    }
  })

  it('two-sided beta-binomial mixture of confseq (g = .2, h = .8, s = 10, v = 100)', () => {
    // v = g·h·n and s = h·n_c − g·n_b give n_c = 135, n_b = 490 at w = g/(g+h); r = best_rho(100, .05) − g·h.
    const r = 12.60056 - 0.16
    const log = splitMixture([{ share: 0.2, candidate: 135, baseline: 490 }], r / (0.2 * 0.8))
    expect(log).toBeCloseTo(-0.6941012, 5)
  })

  it('no error at a floor of 0.1 % is proved after about 5,950 candidate requests at α = 0.05', () => {
    const safe = (n: number) =>
      mix([
        [0.5, labelOddsSafe([arm(0.5, 0, 0, n, n)], 1.5)],
        [
          0.5,
          bettingSafe(
            [
              [1, 0],
              [0, n],
            ],
            0.001,
          ),
        ],
      ])
    expect(observationsNeeded(safe(100), Math.log(20))).toBeGreaterThan(5800)
    expect(logMean(safe(5900))).toBeLessThan(Math.log(20))
    expect(logMean(safe(6000))).toBeGreaterThan(Math.log(20))
  })
})

const share = fc.double({ min: 0.001, max: 0.999, noNaN: true })
const rate = fc.double({ min: 0, max: 1, noNaN: true })

describe('every bet has expectation at most 1 under every null (enumerated)', () => {
  /** E of one bet's value after one request that is the candidate's with probability w. */
  function oneRequest(
    w: number,
    rateCandidate: number,
    rateBaseline: number,
    bets: (period: ReturnType<typeof arm>) => Bet[],
  ) {
    const outcomes: [number, Bet[]][] = [
      [w * rateCandidate, bets(arm(w, 1, 0, 1, 0))],
      [w * (1 - rateCandidate), bets(arm(w, 0, 0, 1, 0))],
      [(1 - w) * rateBaseline, bets(arm(w, 0, 1, 0, 1))],
      [(1 - w) * (1 - rateBaseline), bets(arm(w, 0, 0, 0, 1))],
    ]
    return outcomes[0]![1].map((_, bet) => outcomes.reduce((sum, [p, all]) => sum + p * Math.exp(all[bet]!.log), 0))
  }

  it('P1 harm: any baseline rate, candidate at most as high, with and without bets on non-events', () => {
    fc.assert(
      fc.property(share, rate, rate, fc.constantFrom(0, 0.05, 0.15, 0.5), (w, a, b, p0) => {
        const [candidate, baseline] = a < b ? [a, b] : [b, a]
        for (const mean of oneRequest(w, candidate, baseline, period => labelOddsHarm([period], [p0])))
          expect(mean).toBeLessThanOrEqual(1 + 1e-9)
      }),
    )
  })

  it('P1 safe: candidate at least ρ0 times the baseline', () => {
    fc.assert(
      fc.property(share, rate, rate, fc.double({ min: 1.05, max: 3, noNaN: true }), (w, b, excess, ratio) => {
        const baseline = b / ratio
        const candidate = Math.min(1, baseline * ratio + excess * (1 - baseline * ratio))
        for (const mean of oneRequest(w, candidate, baseline, period => labelOddsSafe([period], ratio)))
          expect(mean).toBeLessThanOrEqual(1 + 1e-9)
      }),
    )
  })

  it('P1 safe on latency: null ratio 1 with bets on non-events', () => {
    fc.assert(
      fc.property(share, rate, rate, (w, a, b) => {
        const [baseline, candidate] = a < b ? [a, b] : [b, a]
        for (const mean of oneRequest(w, candidate, baseline, period => labelOddsSafe([period], 1, 0.5)))
          expect(mean).toBeLessThanOrEqual(1 + 1e-9)
      }),
    )
  })

  it('P2: any distribution on [−1, 1] whose mean is at the null or beyond', () => {
    const point = fc.double({ min: -1, max: 1, noNaN: true })
    const support = fc.array(fc.tuple(point, fc.double({ min: 0.01, max: 1, noNaN: true })), {
      minLength: 1,
      maxLength: 5,
    })
    fc.assert(
      fc.property(support, fc.double({ min: 0, max: 0.9, noNaN: true }), (points, slack) => {
        const total = points.reduce((sum, [, p]) => sum + p, 0)
        const mean = points.reduce((sum, [x, p]) => sum + (x * p) / total, 0)
        const expectation = (bets: (x: number) => Bet[]) =>
          bets(0).map((_, bet) => points.reduce((sum, [x, p]) => sum + (p / total) * Math.exp(bets(x)[bet]!.log), 0))
        const m = mean + slack
        if (m < 0.95 && m > -0.95)
          for (const e of expectation(x => bettingHarm([[x, 1]], m, LOSS_FRACTIONS)))
            expect(e).toBeLessThanOrEqual(1 + 1e-9)
        const delta = mean - slack
        if (delta < 0.95 && delta > -0.95)
          for (const e of expectation(x => bettingSafe([[x, 1]], delta, LOSS_FRACTIONS)))
            expect(e).toBeLessThanOrEqual(1 + 1e-9)
      }),
    )
  })

  it('P2 on shares: any share at most the limit, however small the limit', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-4, max: 0.9, noNaN: true }), rate, (limit, part) => {
        const p = limit * part
        const hit = shareHarm(1, 1, limit)
        for (const [bet, { log }] of shareHarm(0, 1, limit).entries()) {
          expect(p * Math.exp(hit[bet]!.log) + (1 - p) * Math.exp(log)).toBeLessThanOrEqual(1 + 1e-9)
        }
      }),
    )
  })

  it('P4: sums to 1 over all sequences of a length', () => {
    fc.assert(
      fc.property(share, fc.integer({ min: 1, max: 12 }), (w, n) => {
        let total = 0
        let choose = 1
        for (let candidate = 0; candidate <= n; candidate += 1) {
          const log = splitMixture([{ share: w, candidate, baseline: n - candidate }])
          total += choose * w ** candidate * (1 - w) ** (n - candidate) * Math.exp(log)
          choose = (choose * (n - candidate)) / (candidate + 1)
        }
        expect(total).toBeCloseTo(1, 9)
      }),
    )
  })
})

describe('drifting means', () => {
  it('P2 stays below 1 in expectation when only the running average obeys the null', () => {
    const means = fc.array(fc.double({ min: -0.9, max: 0.9, noNaN: true }), { minLength: 2, maxLength: 30 })
    fc.assert(
      fc.property(means, mus => {
        const m = mus.reduce((a, b) => a + b, 0) / mus.length
        // Independent X_i in {−1, 1} with mean μ_i: the expectation of a product of linear factors needs only the means.
        for (let k = 0; k < 6; k += 1) {
          const lambda = (0.9 * 2 ** -k) / (1 + m)
          const log = mus.reduce((sum, mu) => sum + Math.log1p(lambda * (mu - m)), 0)
          expect(log).toBeLessThanOrEqual(1e-9)
        }
      }),
    )
  })

  it('P2 crosses 1/α with chance at most α while the running average obeys the null, however the mean reacts', () => {
    // All 2^10 paths of X in {−1, 1}; after each prefix the mean is chosen anew, as an adversary would, from a table.
    const table = fc.array(fc.double({ min: -0.95, max: 0.95, noNaN: true }), { minLength: 64, maxLength: 64 })
    fc.assert(
      fc.property(table, fc.double({ min: -0.5, max: 0.5, noNaN: true }), (means, m) => {
        for (const level of [1.5, 2, 4]) {
          let crossing = 0
          const walk = (depth: number, ups: number, sum: number, chance: number, path: number): void => {
            const values = [
              [1, ups],
              [-1, depth - ups],
            ] as const
            if (depth > 0 && sum / depth <= m && logMean(bettingHarm(values, m)) >= Math.log(level)) {
              crossing += chance
              return
            }
            if (depth === 10) return
            const mu = means[(path * 7 + depth) % means.length]!
            walk(depth + 1, ups + 1, sum + mu, (chance * (1 + mu)) / 2, (path * 2 + 1) % 61)
            walk(depth + 1, ups, sum + mu, (chance * (1 - mu)) / 2, (path * 2) % 61)
          }
          walk(0, 0, 0, 1, 1)
          expect(crossing).toBeLessThanOrEqual(1 / level + 1e-9)
        }
      }),
      { numRuns: 20 },
    )
  })

  it('0.1 % at night and 2.9 % by day is within a budget of 1 % at midnight and no longer at the end of the day', () => {
    const night = [
      [1, 10],
      [0, 9990],
    ] as const
    const day = [
      [1, 290],
      [0, 9710],
    ] as const
    expect(logMean(bettingSafe(night, 0.01))).toBeGreaterThan(Math.log(40))
    expect(logMean(bettingSafe([...night, ...day], 0.01))).toBeLessThan(0)
    const [low] = confidenceSequence([...night, ...day], [...night, ...day], 0.05)
    expect(low).toBeGreaterThan(0.01)
  })

  it('the rejected budget is just the one above the confidence sequence: both are the same martingale', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 100, max: 5000 }), (events, n) => {
        const values = [
          [1, events],
          [0, n],
        ] as const
        const [low, high] = confidenceSequence(values, values, 0.05)
        const mean = events / (events + n)
        expect(low).toBeLessThanOrEqual(mean + 1e-9)
        expect(high).toBeGreaterThanOrEqual(mean - 1e-9)
      }),
    )
  })
})

describe('order and size', () => {
  it('adds over periods of different shares, bet by bet', () => {
    const [first, second] = [arm(0.01, 2, 100, 50, 9000), arm(0.5, 40, 38, 2000, 2000)]
    const both = labelOddsHarm([first, second])
    expect(both).toHaveLength(HARM_RATIOS.length)
    for (const [index, bet] of both.entries())
      expect(bet.log).toBeCloseTo(labelOddsHarm([first])[index]!.log + labelOddsHarm([second])[index]!.log, 9)
    expect(logMean(labelOddsHarm([second, first]))).toBeCloseTo(logMean(both), 9)
  })

  it('raw rates of a night at 1 % and a day at 50 % accuse nobody', () => {
    const night = arm(0.01, 5, 495, 1000, 99_000)
    const day = arm(0.5, 1000, 1000, 50_000, 50_000)
    expect(logMean(labelOddsHarm([night, day]))).toBeLessThan(Math.log(2))
  })

  it('does not overflow where e would', () => {
    expect(logMean(labelOddsHarm([arm(0.5, 1e6, 0, 1e6, 1e6)]))).toBeGreaterThan(5e5)
    expect(value(bettingHarm([[1, 10]], 0))).toBeGreaterThan(50)
  })

  it('needs as many observations as it says', () => {
    const at = (n: number) =>
      bettingSafe(
        [
          [1, 0.002 * n],
          [0, 0.998 * n],
        ],
        0.01,
      )
    const needed = observationsNeeded(at(1000), Math.log(40))!
    expect(logMean(at(1000 + needed))).toBeGreaterThanOrEqual(Math.log(40) - 1e-6)
    expect(logMean(at(1000 + needed - 5))).toBeLessThan(Math.log(40))
  })
})
