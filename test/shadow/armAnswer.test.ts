import { describe, expect, it } from 'vitest'
import { OUTCOME, type RequestRecord } from '../../src/record/format.ts'
import type { SnapshotRoute } from '../../src/rollout/snapshot.ts'
import { armPendingOf } from '../../src/shadow/armAnswer.ts'
import { Task } from '../../src/shadow/task.ts'

const version = (name: string, weight: number, evidenceKey?: string) => ({ version: name, weight, evidenceKey })
const route = {
  live: '1.0.0',
  versions: [
    version('1.0.0', 70),
    version('1.1.0', 20, 'key of 1.1.0'),
    version('1.2.0', 5, 'key of 1.2.0'),
    version('1.3.0', 0, 'key of a shadow'),
    version('0.9.0', 5),
  ],
  limits: { body: 1 << 20, depth: 64, elements: 1000 },
  segments: ['country'],
  compare: [{ output: 'p', kind: undefined, tolerance: {} }],
} as unknown as SnapshotRoute

const request = Buffer.from(
  JSON.stringify({
    inputs: [{ name: 'country', datatype: 'BYTES', shape: [1], data: ['FR'] }],
  }),
)
const answer = Buffer.from(
  JSON.stringify({ model_name: 'm', outputs: [{ name: 'p', datatype: 'FP32', shape: [1], data: [0.25] }] }),
)
const task = (index: number, change: object = {}) =>
  new Task(
    {
      ...{ request, answer, outcome: OUTCOME.ok, version: index, protocol: 'v2', requestForm: '', answerForm: '' },
      ...change,
    } as unknown as RequestRecord,
    route,
  )
const same = (_: unknown, __: string, segment: string) => segment

describe('a live answer that waits for its label', () => {
  it("is in the baseline arm of every canary's evidence when live gave it", () => {
    expect(armPendingOf(task(0), same)).toEqual({
      arms: [
        ['key of 1.1.0', 'b'],
        ['key of 1.2.0', 'b'],
      ],
      p: 0.25,
      s: ['country=FR'],
    })
  })

  it("is in the candidate arm of its own when a canary gave it, and in nobody's from a version that is not judged", () => {
    expect(armPendingOf(task(2), same).arms).toEqual([['key of 1.2.0', 'c']])
    expect(armPendingOf(task(4), same).arms).toEqual([])
  })

  it('has no prediction where the version failed or cannot be read', () => {
    expect(armPendingOf(task(1, { outcome: OUTCOME.deadline }), same).p).toBeNull()
    expect(armPendingOf(task(1, { answer: Buffer.from('no JSON') }), same).p).toBeNull()
  })

  it('has one segment name, within the bounds of each evidence key', () => {
    const asked: string[] = []
    const full = (_: unknown, key: string, segment: string) => {
      asked.push(`${key}: ${segment}`)
      return key === 'key of 1.1.0' ? 'country=other' : segment
    }
    expect(armPendingOf(task(0), full).s).toEqual(['country=other'])
    expect(asked).toEqual(['key of 1.1.0: country=FR', 'key of 1.2.0: country=other'])
  })
})
