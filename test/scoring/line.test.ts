import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type InLine, Line } from '../../src/scoring/line.ts'

class Item implements InLine<Item> {
  line: Line<Item> | undefined
  before: Item | undefined
  after: Item | undefined
  readonly name: number

  constructor(name: number) {
    this.name = name
  }
}

const namesOf = (items: Iterable<Item>) => Array.from(items, ({ name }) => name)

it('holds what joined and did not leave, in the order of joining', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9)), numbers => {
      const line = new Line<Item>()
      const items = Array.from({ length: 10 }, (_, name) => new Item(name))
      const expected = new Set<Item>()
      for (const number of numbers) {
        const item = items[number]!
        expect(line.leave(item)).toBe(expected.delete(item))
        if (number % 3 === 0) continue
        line.join(item)
        expected.add(item)
        expect(namesOf(line.all())).toEqual(namesOf(expected))
        expect(line.length).toBe(expected.size)
        expect(line.first).toBe([...expected][0])
      }
    }),
  )
})

it('lets nobody leave a line that stands in another', () => {
  const [one, other] = [new Line<Item>(), new Line<Item>()]
  const item = new Item(0)
  one.join(item)
  expect(other.leave(item)).toBe(false)
  expect(one.length).toBe(1)
})

it('leaves nothing in what has left that would keep the others alive', () => {
  const line = new Line<Item>()
  const items = [new Item(0), new Item(1), new Item(2)]
  for (const item of items) line.join(item)
  line.leave(items[1]!)
  expect(items[1]).toEqual(new Item(1))
  expect(namesOf(line.all())).toEqual([0, 2])
})
