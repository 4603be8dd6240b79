import { describe, expect, it } from 'vitest'
import { DROP_REASONS, FAIL_REASONS, MIRROR } from '../../src/evidence/accounting.ts'
import { SLOT } from '../../src/evidence/counters.ts'
import type { Evidence } from '../../src/gate/evidence.ts'
import { judge } from '../../src/gate/verdict.ts'
import {
  evidenceFile,
  evidenceJson,
  PolicyFile,
  policyInWords,
  policyJson,
  readCompared,
  readEvidence,
} from '../../src/report/evidenceFile.ts'
import { isKnownSlot } from '../../src/report/knownSlots.ts'
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

it('evidence of live answers that waited for their labels is read back whole', () => {
  const counters = new Map([
    ['arm.b.due', 40],
    ['arm.c.due', 30],
    ['arm.b.loss.0', 20],
    ['arm.c.loss.1019', 10],
    ['arm.c.loss.1019@origin=JFK', 4],
    ['record.c.n', 30],
    ['record.c.dropped.ring_full', 1],
  ])
  const { periods } = readEvidence(json({ periods: [{ stage: 'canary', counters: Object.fromEntries(counters) }] }))
  expect(periods[0]!.counters).toEqual(counters)
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

describe('the names of counters', () => {
  it.each([
    ...Object.values(SLOT),
    MIRROR.eligible,
    ...DROP_REASONS.map(MIRROR.dropped),
    ...FAIL_REASONS.map(MIRROR.failed),
    'plat.b.12',
    'lat.c.1208',
    'late.b.n',
    'late.p95.b',
    'late.p99.c.may',
    'pair.late.p50.minus',
    'diff.0',
    'diff.2441',
    'loss.-1158',
    'mean.7',
    'arm.b.loss.0',
    'score.0.9',
    'class.3|other',
    'block.more',
    'block.less',
    'class.a@b|@',
    'record.c.n',
    'record.b.dropped.ring_full',
    'pair.match@origin=JFK',
    'loss.5@note=a@b',
  ])('%s is known', slot => {
    expect(isKnownSlot(slot)).toBe(true)
  })

  it.each(['pair.mach', 'loss.x', 'score.10.1', 'late.p50', 'lat.d.1', 'diff.', '', '@origin=JFK', 'toString'])(
    '%s is not',
    slot => expect(isKnownSlot(slot)).toBe(false),
  )
})

it('what is exported holds waivers and the order of segments, and reads back as it was', () => {
  const full: Evidence = {
    ...evidence,
    periods: evidence.periods.map(period => ({ ...period, segments: ['origin=EWR', 'origin=JFK'] })),
    waiver: { metrics: ['arrival'], reason: 'labels come late', until: 1, expired: true },
  }
  const file = JSON.parse(
    JSON.stringify(evidenceFile(full, policy, [{ output: undefined, kind: 'number', tolerance: {} as never }])),
  )
  expect(readEvidence(file)).toEqual(full)
  expect(readCompared(file)).toEqual([{ output: undefined, kind: 'number', tolerance: {} }])
  expect(readCompared(file.evidence)).toBeUndefined()
})
