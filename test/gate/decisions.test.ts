import { describe, expect, it } from 'vitest'
import { differenceBin } from '../../src/evidence/histogram.ts'
import type { Period } from '../../src/gate/evidence.ts'
import { judge } from '../../src/gate/verdict.ts'
import { evidenceOf, period, policyOf, uniform } from './policy.ts'

const change = policyOf({ expect: 'change', labels: { loss: 'zero-one', margin: 0.02 } })

/** A canary at `share` that fails at `rate`; a verdict every `every` requests until it is `until` or `most` requests. */
function run(seed: number, share: number, baselineRate: number, candidateRate: number, most: number, every: number) {
  const next = uniform(seed)
  const counters = new Map<string, number>()
  const add = (slot: string) => counters.set(slot, (counters.get(slot) ?? 0) + 1)
  const now: Period = { ...period({ stage: 'canary', step: share * 100, share }), counters }
  for (let request = 1; request <= most; request += 1) {
    const arm = next() < share ? 'c' : 'b'
    add(`arm.${arm}.n`)
    if (next() < (arm === 'c' ? candidateRate : baselineRate)) add(`arm.${arm}.err`)
    // A pair and its label for one request in four; both are wrong equally often.
    if (request % 4 === 0) {
      add('pair.ok')
      const [b, c] = [next() < 0.2, next() < 0.2]
      add(`loss.${differenceBin(Number(c) - Number(b))}`)
    }
    if (request % every === 0 && judge(evidenceOf([now]), change).decision === 'abort') return request
  }
  return undefined
}

describe('decisions on simulated traffic (seeded)', () => {
  it('aborts at most a few of 100 A/A runs that are looked at 40 times each', () => {
    const aborted = Array.from({ length: 100 }, (_, seed) =>
      run(seed, [0.05, 0.25, 0.5][seed % 3]!, 0.02, 0.02, 12_000, 300),
    )
    // Expected at most 1 %; 5 or more of 100 would be a chance of 0.3 %.
    expect(aborted.filter(request => request !== undefined).length).toBeLessThan(5)
  })

  it('aborts a canary that fails at 2 % where the baseline fails at 1 %, within 60,000 requests', () => {
    const aborted = Array.from({ length: 10 }, (_, seed) => run(seed + 500, 0.5, 0.01, 0.02, 60_000, 500))
    expect(aborted.every(request => request !== undefined)).toBe(true)
    expect(aborted.toSorted((a, b) => a! - b!)[5]).toBeLessThan(25_000)
  })
})
