import { describe, expect, it } from 'vitest'
import { judge } from '../../src/gate/verdict.ts'
import { evidenceJson, PolicyFile, policyInWords, policyJson, readEvidence } from '../../src/report/evidenceFile.ts'
import { evidence, policy, verdict } from './sample.ts'

const json = (change: object = {}) => JSON.parse(JSON.stringify({ ...evidenceJson(evidence), ...change })) as object

describe('evidence that cannot be read', () => {
  it.each([
    ['nothing', null, /expected a map/],
    ['a misspelt key', { ...json(), perods: [] }, /unknown key `perods`, did you mean `periods`/],
    ['a negative count', json({ mirrored: { eligible: -1, dropped: 0 } }), /mirrored\.eligible: expected at least 0/],
    [
      'half a count',
      json({ periods: [{ stage: 'shadow', counters: { 'pair.match': 0.5 } }] }),
      /periods\.0\.counters\.pair\.match/,
    ],
    ['a count as text', json({ periods: [{ stage: 'shadow', counters: { 'pair.match': '7' } }] }), /expected a number/],
    ['an unknown stage', json({ periods: [{ stage: 'later', counters: {} }] }), /shadow, canary/],
  ])('%s is refused by name', (_what, value, message) => {
    expect(() => readEvidence(value)).toThrow(message)
  })
})

it('evidence read back gives the same verdict', () => {
  expect(judge(readEvidence(json()), policy)).toEqual(verdict)
})

it('a policy in words parses to the policy that it was', () => {
  expect(PolicyFile.parse(policyJson(policy))).toEqual(policy)
  expect(policyJson(policy)).toMatchObject({
    gate: { exposure: { for: '10m', atMost: '7d' }, latency: { slack: '1ms' } },
  })
})

it('a parsed policy with milliseconds is put in words again', () => {
  expect(PolicyFile.parse(policyInWords(JSON.parse(JSON.stringify(policy))))).toEqual(policy)
  expect(policyInWords('nonsense')).toBe('nonsense')
})
