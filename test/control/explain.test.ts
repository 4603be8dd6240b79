import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type ExplainParts, explainRequest } from '../../src/control/explain.ts'
import { Questions } from '../../src/control/questions.ts'
import { UnderstudyError } from '../../src/errors.ts'
import type { Found } from '../../src/shadow/explanation.ts'
import { explanation, found } from '../report/explained.ts'

describe('a question to the shadow thread', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('is answered by its number, in whichever order', async () => {
    const sent: unknown[][] = []
    const questions = new Questions((...asked) => sent.push(asked))
    const first = questions.ask('a', undefined)
    const second = questions.ask('b', 'churn')
    expect(sent).toEqual([
      [1, 'a', undefined],
      [2, 'b', 'churn'],
    ])
    const none = { ...found, explanations: [] }
    questions.answered(2, found)
    questions.answered(1, none)
    expect([await first, await second]).toEqual([none, found])
    // Too late, or never asked.
    questions.answered(1, found)
    questions.answered(9, undefined)
  })

  it('is given up at its deadline, by name', async () => {
    const asked = new Questions(() => {}, 2_000).ask('a', undefined)
    const ends = expect(asked).rejects.toMatchObject({
      code: 'OVERLOADED',
      message: expect.stringMatching(/within 2 s/),
    })
    await vi.advanceTimersByTimeAsync(2_000)
    await ends
  })

  it('is given up at once when the thread ends, and fails where it cannot be explained', async () => {
    const questions = new Questions(() => {})
    const asked = questions.ask('a', undefined)
    questions.down()
    await expect(asked).rejects.toMatchObject({ code: 'OVERLOADED', message: expect.stringMatching(/has just ended/) })
    const broken = questions.ask('b', undefined)
    questions.answered(2, undefined)
    await expect(broken).rejects.toMatchObject({ code: 'INTERNAL' })
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is refused while too many are open', async () => {
    const questions = new Questions(() => {})
    const open = Array.from({ length: 16 }, () => questions.ask('a', undefined))
    await expect(questions.ask('b', undefined)).rejects.toMatchObject({ code: 'OVERLOADED' })
    const ends = Promise.allSettled(open)
    questions.down()
    expect((await ends).every(({ status }) => status === 'rejected')).toBe(true)
  })
})

describe('what the control thread adds', () => {
  const held = [{ version: '1.1.0', key: 'weight', wanted: 9, allowed: 1, reason: 'no evidence', missing: [] }]
  const remembered: Found = {
    ...found,
    explanations: [{ ...explanation, label: null, assignment: { ...explanation.assignment, held: null } }],
  }
  const nothing: Found = { ...found, explanations: [], seen: 0 }
  const parts = (changes: { found?: Found; revision?: number; stateOf?: ExplainParts['labels']['stateOf'] }) =>
    ({
      ask: async () => changes.found ?? remembered,
      labels: { stateOf: changes.stateOf ?? (() => 'joined') },
      standing: () => ({
        change: {
          loaded: { config: { routes: { 'flight-delay': {} } } },
          resolutions: { 'flight-delay': { held } },
        },
        snapshot: { revision: changes.revision ?? 3 },
      }),
    }) as unknown as ExplainParts

  it('is what the lock holds, of the revision that stands and of no other, and what is known of the label', async () => {
    const { explanations } = await explainRequest(parts({}), 'order-17', undefined)
    expect(explanations[0]).toMatchObject({ label: 'joined', assignment: { held } })
    const older = await explainRequest(parts({ revision: 4 }), 'order-17', undefined)
    expect(older.explanations[0]!.assignment.held).toBeNull()
  })

  it('is nothing of the label while the store fails: the rest is told all the same', async () => {
    const stateOf = () => {
      throw new UnderstudyError('STATE_FAILED', 'the disk is full')
    }
    const { explanations } = await explainRequest(parts({ stateOf }), 'order-17', undefined)
    expect(explanations[0]).toMatchObject({ requestId: 'order-17', label: null })
  })

  it('is what is kept, of a request that is not, or that there is no such route', async () => {
    const unknown = explainRequest(parts({ found: nothing }), 'order-18', 'flight-delay')
    await expect(unknown).rejects.toMatchObject({
      code: 'UNKNOWN_REQUEST',
      message: expect.stringMatching(
        /^request "order-18" is not kept\. Kept are the newest 10,000 \(64 MiB at most; 1 now, back to 2026-01-01T00:00:01\.250Z\)/,
      ),
    })
    const memory = { ...found.memory, requests: 0, since: null, passedOver: 12_345 }
    await expect(explainRequest(parts({ found: { ...nothing, memory } }), 'x', undefined)).rejects.toThrow(
      /none now.*12,345 were passed over: of one kind 2,000 are kept at once, then 1,000 a second/,
    )
    await expect(explainRequest(parts({ found: nothing }), 'x', 'nope')).rejects.toMatchObject({
      code: 'UNKNOWN_MODEL',
    })
  })
})
