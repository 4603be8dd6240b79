import { describe, expect, it } from 'vitest'
import { EPOCH_MS, epochAt, monotonicMs } from '../../src/record/clock.ts'
import { EpochLedger } from '../../src/record/epochs.ts'

describe('a ledger of epochs', () => {
  it('without books is settled up to the epoch asked for', () => {
    expect(new EpochLedger(() => 0).takeSettled(9)).toEqual({ books: [], settled: 9 })
  })

  it('gives a book only when the last of its requests is done, and none behind it before', () => {
    const ledger = new EpochLedger(() => ({ n: 0 }))
    const three = ledger.book(3)
    const four = ledger.book(4)
    three.underWay++
    expect(ledger.takeSettled(9)).toEqual({ books: [], settled: 2 })
    expect(ledger.underWay()).toBe(1)
    three.underWay--
    expect(ledger.takeSettled(9)).toEqual({ books: [three, four], settled: 9 })
    expect(ledger.takeSettled(9)).toEqual({ books: [], settled: 9 })
  })

  it('keeps books of epochs that have not ended', () => {
    const ledger = new EpochLedger(() => 0)
    const five = ledger.book(5)
    expect(ledger.takeSettled(4)).toEqual({ books: [], settled: 4 })
    expect(ledger.book(5)).toBe(five)
    expect(ledger.takeSettled(5).books).toEqual([five])
  })

  it('gives books in order, also those that were opened late', () => {
    const ledger = new EpochLedger(() => 0)
    for (const epoch of [7, 3, 5, 4, 6]) ledger.book(epoch)
    expect(ledger.takeSettled(10).books.map(({ epoch }) => epoch)).toEqual([3, 4, 5, 6, 7])
  })

  it('never gives the same book twice', () => {
    const ledger = new EpochLedger(() => 0)
    expect(ledger.book(1)).toBe(ledger.book(1))
    expect(ledger.takeSettled(1).books).toHaveLength(1)
    expect(ledger.book(1).underWay).toBe(0)
    expect(ledger.takeSettled(1).books).toHaveLength(1)
  })
})

describe('the clock of epochs', () => {
  it('never goes back and counts whole epochs from its origin', () => {
    let last = monotonicMs()
    for (let look = 0; look < 1000; look++) {
      const now = monotonicMs()
      expect(now).toBeGreaterThanOrEqual(last)
      last = now
    }
    expect(epochAt(1000, 1000)).toBe(0)
    expect(epochAt(1000 + EPOCH_MS - 0.001, 1000)).toBe(0)
    expect(epochAt(1000 + EPOCH_MS, 1000)).toBe(1)
    expect(epochAt(999.9, 1000)).toBe(-1)
  })
})
