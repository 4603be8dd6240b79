import { describe, expect, it } from 'vitest'
import { changePolicy } from '../../src/report/policyWhatIf.ts'
import { policyOf } from '../gate/policy.ts'

const policy = policyOf({ labels: { loss: 'brier' } })
const change = (setting: string, value: unknown) => changePolicy(policy, [{ setting, value }])

describe('a setting that is asked about', () => {
  it('is written as in routes.yaml, and nothing else changes', () => {
    const { policy: changed, problems } = changePolicy(policy, [
      { setting: 'gate.disagreement', value: 0.02 },
      { setting: 'gate.exposure.for', value: '30m' },
      { setting: 'labels.margin', value: 0.01 },
      { setting: 'expect', value: 'change' },
    ])
    expect(problems).toEqual([])
    expect(changed).toEqual({
      ...policy,
      expect: 'change',
      labels: { ...policy.labels, margin: 0.01 },
      gate: { ...policy.gate, disagreement: 0.02, exposure: { ...policy.gate.exposure, for: 1_800_000 } },
    })
  })

  it.each([
    ['gate.disagrement', 0.1, /^gate\.disagrement: unknown key `disagrement`, did you mean `disagreement`\?$/],
    ['gate.errors.flor', 0.1, /did you mean `floor`/],
    ['gate.disagreement', 2, /^gate\.disagreement: expected less than 1, got 2$/],
    ['gate.disagreement', 'much', /expected a number/],
    ['gate.exposure.for', 3600, /expected a duration/],
    ['gate.errors.floor', null, /expected a number/],
    ['expect', 'maybe', /same, change|got "maybe"/],
    ['gate.disagreement.deep', 1, /gate\.disagreement\.deep/],
    ['gate.__proto__.polluted', 1, /unknown key/],
    ['gate.constructor', 1, /unknown key/],
    ['gate.', 1, /unknown key/],
    ['rollout.steps', [1], /reads `expect`, `labels` and `gate` only$/],
    ['compare.tolerance.absolute', 1e-3, /--tolerance/],
  ])('%s = %s is refused with what is wrong', (setting, value, message) => {
    const { policy: same, problems } = change(setting, value)
    expect(same).toEqual(policy)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(message)
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })

  it.each([
    ['gate.latency.p95', 1.5],
    ['gate.latency.slack', '5ms'],
    ['gate.difference', 0.5],
    ['gate.blocks', '5m'],
    ['labels.loss', 'zero-one'],
    ['labels.clip', 2],
    ['labels.within', '1d'],
    ['gate.unproven', 5],
    ['gate.paired', 5],
  ])('%s is refused, because the counters cannot answer for another value', (setting, value) => {
    expect(change(setting, value).problems).toEqual([
      expect.stringMatching(/cannot be asked about|needs the predictions|does not depend/),
    ])
  })

  it('may need a key that is not there', () => {
    const bare = policyOf()
    expect(changePolicy(bare, [{ setting: 'labels.margin', value: 0.1 }]).problems[0]).toMatch(/loss/)
  })
})
