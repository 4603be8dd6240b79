import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Canary, latencyTable } from '../../bench/verdict/canary.ts'
import { LinearBets, ledgersOf, moved, Watch } from '../../bench/verdict/linear.ts'
import { armsOf, liveErrorGroups, liveErrors, policyOf, shareBets } from '../../bench/verdict/model.ts'
import { Random } from '../../bench/verdict/random.ts'
import { errorOddsHarm, logMean, shareHarm } from '../../src/gate/eprocess.ts'
import { ALPHA_ABORT } from '../../src/gate/levels.ts'

const table = latencyTable(p => 10 * (1 - p) ** (-1 / 1.5))

/** The first request at which the error stream alone reaches ln 1/α, computed by the gate's functions every time. */
function crossing(outcomes: readonly number[], share: number, alpha: number): number | undefined {
  const counts = [0, 0, 0, 0]
  for (const [index, outcome] of outcomes.entries()) {
    counts[outcome]!++
    const arms = armsOf(share, counts)
    const floor = policyOf().gate.errors.floor
    const log = Math.min(
      logMean(errorOddsHarm([arms])),
      logMean(shareHarm(arms.candidateEvents, arms.candidate, floor)),
    )
    if (log >= -Math.log(alpha)) return index
  }
  return undefined
}

describe('a watch that skips looks', () => {
  it('crosses at the request at which a look after every request does', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.constantFrom(0.05, 0.3, 0.5),
        fc.constantFrom(0.02, 0.2, 0.6),
        fc.constantFrom(1, 2, 1.4),
        (seed, share, base, ratio) => {
          const random = new Random(seed)
          const outcomes = Array.from({ length: 800 }, () => {
            const isCandidate = random.chance(share)
            const isError = random.chance(isCandidate ? ratio * base : base)
            return (isCandidate ? 0 : 1) + (isError ? 0 : 2)
          })
          const stream = liveErrors(policyOf(), share, 1)
          const watch = new Watch([stream], 1 / 0.2)
          const [odds, guards] = [moved(stream.ledgers), moved(stream.guard!)]
          let found: number | undefined
          for (const [index, outcome] of outcomes.entries()) {
            for (const ledger of odds[outcome]!) watch.add(ledger, outcome)
            if (outcome % 2 === 0) for (const ledger of guards[outcome / 2]!) watch.add(ledger, outcome / 2)
            if (found === undefined && watch.isDue && watch.look()) found = index
          }
          expect(found).toBe(crossing(outcomes, share, 0.2))
          expect(watch.looks).toBeLessThan(outcomes.length)
        },
      ),
      { numRuns: 60, seed: 3 },
    )
  })

  it('is never late where a single bet grows as fast as it can, nor where a second side holds it back', () => {
    const fast = () =>
      new LinearBets(2, ([events = 0, quiet = 0]) => [{ weight: 1, log: 0.4 * events - 0.1 * quiet, rate: 0 }])
    const slow = () =>
      new LinearBets(2, ([events = 0, quiet = 0]) => [{ weight: 1, log: 0.3 * quiet - 0.1 * events, rate: 0 }])
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0, 1), { minLength: 30, maxLength: 300 }),
        fc.boolean(),
        (outcomes, guarded) => {
          const stream = { weight: 1, ledgers: ledgersOf([fast()]), ...(guarded && { guard: ledgersOf([slow()]) }) }
          const watch = new Watch([stream], 20)
          let [odds, held] = [0, 0]
          for (const outcome of outcomes) {
            for (const ledger of [...stream.ledgers, ...(stream.guard ?? [])]) watch.add(ledger, outcome)
            odds += outcome === 0 ? 0.4 : -0.1
            held += outcome === 0 ? -0.1 : 0.3
            const log = guarded ? Math.min(odds, held) : odds
            const crossed = watch.isDue && watch.look()
            // Sums of tenths: a crossing by rounding alone is either's.
            if (Math.abs(log - Math.log(20)) > 1e-9) expect(crossed).toBe(log >= Math.log(20))
          }
        },
      ),
      { seed: 8 },
    )
  })

  it('carries what was seen at another share', () => {
    const ledgers = ledgersOf(liveErrorGroups(0.1))
    const later = liveErrorGroups(0.5)
    for (const ledger of ledgers) ledger.counts.set([3, 20, 90, 700])
    for (const [index, ledger] of ledgers.entries()) ledger.change(later[index]!)
    for (const ledger of ledgers) ledger.counts.set([9, 5, 400, 410])
    const expected = logMean(errorOddsHarm([armsOf(0.1, [3, 20, 90, 700]), armsOf(0.5, [9, 5, 400, 410])]))
    expect(Watch.logOf({ weight: 1, ledgers })).toBeCloseTo(expected, 9)
  })

  it('refuses bets that are not linear in their counts', () => {
    const crooked = (counts: readonly number[]) => [{ weight: 1, log: Math.sqrt(counts[0]!), rate: 0 }]
    expect(() => new LinearBets(1, crooked)).toThrow(/not linear/)
    const early = () => [{ weight: 1, log: 0.1, rate: 0 }]
    expect(() => new LinearBets(1, early)).toThrow(/without observations/)
  })

  it('knows a share of events by its two outcomes', () => {
    const bets = shareBets(0.01)
    const log = logMean(
      ledgersOf([bets]).flatMap(ledger => {
        ledger.counts.set([7, 200])
        return ledger.present()
      }),
    )
    expect(log).toBeCloseTo(logMean(shareHarm(7, 207, 0.01)), 9)
  })
})

describe('a simulated canary', () => {
  const settings = { policy: policyOf(), shares: [0.1, 0.5], withLatency: true }

  it("has the gate's own logarithms for every metric, over shares, pairs and epochs of latency", () => {
    const canary = new Canary(settings)
    for (const seed of [1, 2, 3]) {
      const random = new Random(seed)
      canary.start()
      for (let request = 0; request < 6_000; request++) {
        if (request === 2_500) canary.share(0.5)
        const isCandidate = random.chance(request < 2_500 ? 0.1 : 0.5)
        const isError = random.chance(isCandidate ? 0.012 : 0.01)
        canary.request(isCandidate, isError, table[random.next() >>> 16]!)
        if (isCandidate && random.chance(0.1)) canary.pair(isError, random.chance(0.01), random.chance(0.01))
        // Throws where they differ.
        if (request % 1_000 === 999) expect(canary.verdict().decision).not.toBe('invalid')
      }
    }
  })

  it('aborts at the request at which the gate, asked after every one, aborts', () => {
    for (const seed of [5, 6]) {
      const canary = new Canary({ ...settings, shares: [0.5], withLatency: false })
      canary.start()
      const random = new Random(seed)
      for (let request = 0; request < 2_000; request++) {
        const isCandidate = random.chance(0.5)
        canary.request(isCandidate, random.chance(isCandidate ? 0.2 : 0.01), 0)
        const aborts = canary.judgeOf(canary.evidence()).decision === 'abort'
        expect(canary.isAborted).toBe(aborts)
        if (aborts) break
        expect(request).toBeLessThan(1_999)
      }
    }
    expect(ALPHA_ABORT).toBe(0.01)
  })
})
