import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addAll, type Counters } from '../../src/evidence/counters.ts'
import { binsOf } from '../../src/evidence/histogram.ts'
import { isBin, KeptCounters } from '../../src/evidence/keptCounters.ts'
import { BINNED } from '../../src/evidence/slotHistogram.ts'

const bins = fc
  .constantFrom(...BINNED)
  .chain(([prefix, { least, most }]) =>
    fc
      .oneof(fc.integer({ min: least, max: most }), fc.integer({ min: Math.max(least, -12), max: 12 }))
      .map(bin => `${prefix}.${bin}`),
  )
/** What stands near the bins in the order of names, and what only looks like one. */
const plain = fc.constantFrom(
  'pair.match',
  'pair.ok',
  'late.b.n',
  'lat',
  'class.0|1',
  'arm.b.n',
  'score.3.4',
  'time.ms',
  'arm.c.due',
  'diff',
  'meanwhile',
)
const strays = fc.constantFrom('loss.01', 'loss.-0', 'loss.x', 'lat.b.-1', 'lat.b.9999', 'mean.1e2', 'arm.b.loss.-3')
const segments = fc.constantFrom('', '', '@origin=JFK', '@origin=J', '@origin=[0,5)', '@carrier=é')
const slots = fc.array(
  fc.tuple(
    fc.tuple(fc.oneof({ weight: 6, arbitrary: bins }, plain), segments).map(parts => parts.join('')),
    fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 2 ** 31, max: 2 ** 45 })),
  ),
  { maxLength: 200 },
)

describe('kept counters', () => {
  it('read like a map of the same additions, in the order of their names', () => {
    fc.assert(
      fc.property(slots, additions => {
        const map: Counters = new Map()
        addAll(map, additions)
        const kept = new KeptCounters()
        kept.addAll(additions)
        expect(kept.size).toBe(map.size)
        expect([...kept]).toEqual([...map].sort(([a], [b]) => (a < b ? -1 : 1)))
        expect([...kept.keys()]).toEqual([...map.keys()].sort())
        for (const [name, amount] of map) expect(kept.get(name)).toBe(amount)
        for (const prefix of BINNED.keys()) expect(binsOf(kept, prefix)).toEqual(binsOf(map, prefix))
      }),
    )
  })

  it('add up whichever way each of them is kept', () => {
    fc.assert(
      fc.property(slots, slots, (first, second) => {
        const map: Counters = new Map()
        addAll(map, [...first, ...second])
        const parts = [first, second].map(additions => {
          const part = new KeptCounters()
          part.addAll(additions)
          return part
        })
        expect(new Map(KeptCounters.sumOf(parts))).toEqual(map)
        expect(new Map(KeptCounters.sumOf([parts[0]!, new Map(parts[1])]))).toEqual(map)
        expect(KeptCounters.sumOf(parts).size).toBe(map.size)
      }),
    )
  })

  it('hold a name that only looks like a bin as it is', () => {
    fc.assert(
      fc.property(strays, fc.integer({ min: 0 }), (name, amount) => {
        const kept = KeptCounters.of(new Map([[name, amount]]))
        expect(isBin(name)).toBe(false)
        expect([...kept]).toEqual([[name, amount]])
        expect(kept.get(name)).toBe(amount)
      }),
    )
  })

  it('know no slot that was never counted', () => {
    const kept = KeptCounters.of(new Map([['loss.5', 1]]))
    for (const name of ['loss.4', 'loss.6', 'loss.-1000', 'loss.5@origin=JFK', 'mean.5', 'pair.ok', 'loss.x'])
      expect(kept.get(name)).toBeUndefined()
  })

  it('have another stamp after every addition, unlike that of any others', () => {
    const kept = [new KeptCounters(), new KeptCounters()]
    const seen = new Set(kept.map(({ stamp }) => stamp))
    for (const each of kept) {
      each.add('loss.5', 0)
      seen.add(each.stamp)
      each.addAll(new Map([['pair.ok', 1]]))
      seen.add(each.stamp)
    }
    expect(seen.size).toBe(6)
  })
})
