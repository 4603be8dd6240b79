import { expect, it } from 'vitest'
import { differenceBin } from '../../src/evidence/histogram.ts'
import { judge } from '../../src/gate/verdict.ts'
import { evidenceOf, period, policyOf } from './policy.ts'

const change = policyOf({ expect: 'change', labels: { loss: 'zero-one', margin: 0.01 } })
const [worse, equal, better] = [1, 0, -1].map(d => `loss.${differenceBin(d)}`) as [string, string, string]

it('an abort that a segment brought about names its figures first, since the whole looks fine', () => {
  const counters = {
    [worse]: 60,
    [equal]: 1380,
    [better]: 60,
    [`${worse}@digit=8`]: 60,
    [`${equal}@digit=8`]: 90,
  }
  const verdict = judge(evidenceOf([period({ counters })]), change)
  expect(verdict.decision).toBe('abort')
  expect(verdict.reason).toBe(
    "1.1.0 is worse than 1.0.0: mean zero-one loss above the baseline's at digit=8 is 0.4 (limit 0.01) over 150 labels; over all it is 0",
  )
})

it('an abort of the whole names the whole', () => {
  const verdict = judge(evidenceOf([period({ counters: { [worse]: 200, [equal]: 1300 } })]), change)
  expect(verdict.reason).toBe(
    "1.1.0 is worse than 1.0.0: mean zero-one loss above the baseline's is 0.133 (limit 0.01) over 1,500 labels",
  )
})
