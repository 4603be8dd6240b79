import { expect, test } from 'vitest'
import { Salts } from '../../src/control/salts.ts'
import { SeenUnits } from '../../src/control/seenUnits.ts'
import { UnderstudyError } from '../../src/errors.ts'
import { firstSight } from '../../src/serving/units.ts'
import { openMemoryStore } from '../../src/state/memory.ts'

const broken = {
  value: () => {
    throw new UnderstudyError('STATE_FAILED', 'input or output error')
  },
  commit: () => {
    throw new UnderstudyError('STATE_FAILED', 'input or output error')
  },
}

test('salts outlive the process, and are there while the store cannot be read', () => {
  const store = openMemoryStore()
  let failing = false
  const salts = new Salts({
    value: key => (failing ? broken.value() : store.value(key)),
    commit: batch => store.commit(batch),
  })
  const first = salts.of('m')
  expect(new Set(Object.values(first)).size).toBe(3)
  failing = true
  expect(salts.of('m')).toEqual(first)
  expect(() => salts.of('other')).toThrow('input or output error')
  expect(new Salts(store).of('m')).toEqual(first)
})

test('a unit that was counted is counted for a restarted gateway too', () => {
  const store = openMemoryStore()
  const before = new SeenUnits(store)
  expect(firstSight(before.of('m'), 'salt', 'user 1')).toBe(true)
  store.commit({ values: before.takeChanged() })
  expect(before.takeChanged()).toEqual([])
  const after = new SeenUnits(store)
  expect(firstSight(after.of('m'), 'salt', 'user 1')).toBe(false)
  expect(firstSight(after.of('m'), 'salt', 'user 2')).toBe(true)
  expect(after.takeChanged()).toHaveLength(1)
})

test('a record of units that is more than half full is noticed', () => {
  const units = new SeenUnits(openMemoryStore())
  const words = new Uint32Array(units.of('m'))
  words.fill(0xffff)
  units.takeChanged()
  expect(units.notice('m')).toBeUndefined()
  words[0] = 0xffffffff
  units.takeChanged()
  expect(units.notice('m')).toMatch('the record of counted users is half full')
  words.fill(0xffffff)
  units.takeChanged()
  expect(units.notice('m')).toMatch('75 % full')
  expect(units.notice('other')).toBeUndefined()
})
