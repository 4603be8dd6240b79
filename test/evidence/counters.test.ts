import fc from 'fast-check'
import { expect, it } from 'vitest'
import { count, mergeReplicas, splitSlot } from '../../src/evidence/counters.ts'

it('merges nothing to nothing', () => expect(mergeReplicas([])).toEqual(new Map()))

it('merges reports to the same counters however they are shuffled and repeated', () => {
  const report = fc.tuple(
    fc.constantFrom('a', 'b', 'c'),
    fc.array(fc.tuple(fc.constantFrom('x', 'y', 'z'), fc.nat(1000)), { maxLength: 4 }),
  )
  fc.assert(
    fc.property(fc.array(report, { maxLength: 8 }), fc.infiniteStream(fc.nat(100)), (reports, order) => {
      const keys = order.take(reports.length * 2)
      const shuffled = [...reports, ...reports]
        .map(entry => [keys.next().value ?? 0, entry] as const)
        .sort((p, q) => p[0] - q[0])
        .map(([, entry]) => entry)
      expect([...mergeReplicas(shuffled)].sort()).toEqual([...mergeReplicas(reports)].sort())
    }),
  )
})

it('takes the newest report of a replica and adds replicas', () => {
  const merged = mergeReplicas([
    ['a', [['n', 5]]],
    ['b', [['n', 2]]],
    ['a', [['n', 3]]],
  ])
  expect(merged).toEqual(new Map([['n', 7]]))
  count(merged, 'n')
  expect(merged.get('n')).toBe(8)
  expect(splitSlot('pair.match@origin=JFK')).toEqual(['pair.match', 'origin=JFK'])
  expect(splitSlot('arm.b.n')).toEqual(['arm.b.n', undefined])
})
