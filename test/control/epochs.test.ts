import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EpochCollector } from '../../src/control/epochs.ts'
import type { EpochPost } from '../../src/evidence/epochPost.ts'

const post = (settled: number, epochs: Record<number, Record<string, number>> = {}): EpochPost => ({
  settled,
  epochs: Object.entries(epochs).map(([epoch, slots]) => ({
    epoch: Number(epoch),
    counters: new Map([['key', new Map(Object.entries(slots))]]),
    pending: [],
  })),
})
const shown = (collector: EpochCollector) =>
  collector.release().map(({ epoch, counters }) => [epoch, Object.fromEntries(counters.get('key') ?? [])])

describe('epochs', () => {
  it('of nobody are none', () => {
    expect(new EpochCollector().release()).toEqual([])
  })

  it('are released only when every thread has settled them, in order, added up, once', () => {
    const collector = new EpochCollector()
    collector.join('a', -1)
    collector.join('b', -1)
    collector.post('a', post(5, { 3: { n: 1 }, 5: { n: 10 } }))
    expect(shown(collector)).toEqual([])
    collector.post('b', post(4, { 3: { n: 2 } }))
    expect(shown(collector)).toEqual([[3, { n: 3 }]])
    expect(shown(collector)).toEqual([])
    collector.post('b', post(9, { 5: { n: 20 } }))
    expect(shown(collector)).toEqual([[5, { n: 30 }]])
  })

  it('wait for a thread that joined and has not said anything', () => {
    const collector = new EpochCollector()
    collector.join('a', -1)
    collector.post('a', post(5, { 5: { n: 1 } }))
    collector.join('late', 4)
    expect(shown(collector)).toEqual([])
    collector.post('late', post(5))
    expect(shown(collector)).toEqual([[5, { n: 1 }]])
  })

  it('that a thread took with it are lost whole: what others counted of them is half of pairs', () => {
    const collector = new EpochCollector()
    collector.join('serving', -1)
    collector.join('shadow', -1)
    collector.post('serving', post(2, { 2: { 'mirror.eligible': 5, 'arm.b.n': 5 } }))
    collector.post('shadow', post(4, { 2: { 'mirror.compared': 5 }, 3: { 'mirror.compared': 4 } }))
    expect(shown(collector)).toEqual([[2, { 'mirror.eligible': 5, 'arm.b.n': 5, 'mirror.compared': 5 }]])
    collector.died('serving', 4)
    collector.join('serving-2', 4)
    collector.post('shadow', post(9))
    collector.post('serving-2', post(9))
    const after = shown(collector)
    expect(after.map(([epoch]) => epoch)).toEqual([3, 4])
    expect(JSON.stringify(after)).not.toContain('compared')
  })

  it('that were open when the shadow thread died keep how many were eligible, as lost', () => {
    const collector = new EpochCollector()
    collector.join('serving', -1)
    collector.join('shadow', -1)
    collector.post('serving', post(6, { 5: { 'mirror.eligible': 7, 'mirror.not_sampled': 2 } }))
    collector.died('shadow', 6)
    expect(shown(collector).filter(([, slots]) => Object.keys(slots as object).length > 0)).toEqual([
      [5, { 'mirror.eligible': 7, 'mirror.lost': 7 }],
    ])
  })

  it('that were given up and released do not come back when the restarted shadow posts late for them', () => {
    const collector = new EpochCollector()
    collector.join('serving', -1)
    collector.join('shadow', -1)
    collector.post('serving', post(6, { 5: { 'mirror.eligible': 7 } }))
    collector.died('shadow', 6, true)
    expect(shown(collector).at(-2)).toEqual([5, { 'mirror.eligible': 7, 'mirror.lost': 7 }])
    // Whatever is newer waits for the next shadow thread, which finds its records in the rings.
    collector.post('serving', post(9, { 7: { n: 1 }, 8: { n: 1 } }))
    expect(shown(collector)).toEqual([])
    collector.join('shadow', 8)
    collector.post('shadow', post(6, { 5: { 'mirror.compared': 7 }, 6: { 'mirror.compared': 1 }, 7: { n: 1 } }))
    expect(shown(collector)).toEqual([])
    collector.post('shadow', post(9, { 8: { n: 1 } }))
    expect(shown(collector)).toEqual([
      [7, { n: 2 }],
      [8, { n: 2 }],
    ])
  })

  it('lose and double no count, whatever order the threads post in (property)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ thread: fc.constantFrom('a', 'b', 'c'), epochs: fc.integer({ min: 1, max: 4 }) }), {
          maxLength: 60,
        }),
        steps => {
          const collector = new EpochCollector()
          const at: Record<string, number> = { a: -1, b: -1, c: -1 }
          for (const thread of ['a', 'b', 'c']) collector.join(thread, -1)
          let posted = 0
          let released = 0
          let last = -1
          const take = () => {
            for (const { epoch, counters } of collector.release()) {
              expect(epoch).toBeGreaterThan(last)
              last = epoch
              released += counters.get('key')?.get('n') ?? 0
            }
          }
          const advance = (thread: string, to: number) => {
            const epochs: Record<number, Record<string, number>> = {}
            for (let epoch = at[thread]! + 1; epoch <= to; epoch++) {
              epochs[epoch] = { n: 1 }
              posted++
            }
            at[thread] = to
            collector.post(thread, post(to, epochs))
          }
          for (const { thread, epochs } of steps) {
            advance(thread, at[thread]! + epochs)
            take()
          }
          const end = Math.max(...Object.values(at))
          for (const thread of ['a', 'b', 'c']) advance(thread, end)
          take()
          expect(released).toBe(posted)
        },
      ),
      { seed: 41, numRuns: 200 },
    )
  })
})
