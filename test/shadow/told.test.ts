import { describe, expect, it } from 'vitest'
import { droppedPair } from '../../src/evidence/pairCount.ts'
import { OUTCOME, type RequestRecord } from '../../src/record/format.ts'
import type { SnapshotPeriod, SnapshotRoute, SnapshotVersion } from '../../src/rollout/snapshot.ts'
import type { Ended } from '../../src/shadow/pair.ts'
import { Task } from '../../src/shadow/task.ts'
import { requestCountOf, termsOf } from '../../src/shadow/told.ts'

const period: SnapshotPeriod = {
  attempt: 2,
  stage: 'canary',
  step: 10,
  share: 0.1,
  startedAt: 5,
  compareDigest: 'd',
  holdback: false,
}
const version = (name: string, weight: number, percent: number, key?: string) =>
  ({
    version: name,
    digest: `of ${name}`,
    weight,
    shadow: { percent },
    evidenceKey: key,
    ...(key !== undefined && { period: { ...period, holdback: name === '1.2.0' } }),
  }) as unknown as SnapshotVersion
// Live, a canary that is a shadow too, a holdback, a shadow, and one that does not load.
const route = {
  name: 'risk',
  live: '1.0.0',
  versions: [
    version('1.0.0', 80, 0),
    version('1.1.0', 10, 50, 'k1'),
    version('1.2.0', 10, 0, 'k2'),
    version('2.0.0', 0, 100, 'k3'),
    version('3.0.0', 0, 100),
  ],
} as unknown as SnapshotRoute
const nothing = { version: 0, outcome: OUTCOME.ok, candidates: 0, cohorts: 0, inferMs: 3 }
const countOf = (record: Partial<RequestRecord>, ...ended: string[]) =>
  requestCountOf(
    new Task({ ...nothing, counted: true, ...record } as unknown as RequestRecord, route),
    ended.map((name): Ended => {
      const candidate = route.versions.find(({ version }) => version === name)!
      const count = droppedPair('queue_full')
      return {
        version: candidate,
        observation: undefined,
        pair: undefined,
        count,
        number: undefined,
        isReversed: false,
      }
    }),
  )

describe('what is told of a request', () => {
  it('is the arm of every canary where live answered, and whom it could be mirrored to', () => {
    expect(countOf({}, '2.0.0')).toEqual({
      arm: 'b',
      arms: ['k1', 'k2'],
      failed: false,
      latencyMs: undefined,
      cohorts: [],
      label: undefined,
      mirrored: ['k3'],
      notSampled: ['k1'],
    })
  })

  it('is the arm of a canary alone where that answered, and its pair where it was in the sample', () => {
    expect(countOf({ version: 1 })).toMatchObject({ arm: 'c', arms: ['k1'], mirrored: [], notSampled: [] })
    expect(countOf({ version: 1, paired: true }, '1.1.0')).toMatchObject({ mirrored: ['k1'], notSampled: [] })
    expect(countOf({ version: 1, paired: true })).toMatchObject({ mirrored: [], notSampled: ['k1'] })
  })

  it('is nothing that counts where a tester picked the version, or a unit was counted before', () => {
    expect(countOf({ forced: true, counted: false })).toMatchObject({ arms: [], mirrored: [], notSampled: [] })
    expect(countOf({ counted: false })).toMatchObject({ arms: [], notSampled: ['k1', 'k3'] })
  })

  it('blames nobody for what the client got wrong, and mirrors it to nobody', () => {
    expect(countOf({ outcome: OUTCOME.clientError })).toMatchObject({
      failed: false,
      arms: ['k1', 'k2'],
      notSampled: [],
    })
    for (const outcome of [OUTCOME.failed, OUTCOME.deadline, OUTCOME.unreachable])
      expect(countOf({ outcome }).failed).toBe(true)
  })

  it('is the time, the cohorts and the label that the serving thread counted', () => {
    expect(countOf({ timed: true, cohorts: 0b110, labelled: true })).toMatchObject({
      latencyMs: 3,
      cohorts: ['k1', 'k2'],
      label: 'kept',
    })
    expect(countOf({ version: 2, cohorts: 0b100, labelled: true, withheld: 'too_large' })).toMatchObject({
      cohorts: ['k2'],
      label: 'too_large',
    })
  })
})

describe('what is told of an evidence key', () => {
  it('is what it stands for, and how many are judged with it: a holdback is not', () => {
    expect(termsOf(route, route.versions[1]!)).toEqual({
      route: 'risk',
      key: 'k1',
      baseline: { version: '1.0.0', digest: 'of 1.0.0' },
      candidate: { version: '1.1.0', digest: 'of 1.1.0' },
      candidates: 2,
      ...period,
    })
    expect(termsOf(route, route.versions[0]!)).toBeUndefined()
    expect(termsOf(route, route.versions[4]!)).toBeUndefined()
  })
})
