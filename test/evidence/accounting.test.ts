import { describe, expect, it } from 'vitest'
import { MIRROR, RECORD, worstIntake } from '../../src/evidence/accounting.ts'

const counters = (slots: Record<string, number>) => new Map(Object.entries(slots))

describe('the intake that a verdict looks at', () => {
  it('is empty without periods, and without anything in them', () => {
    expect(worstIntake([])).toEqual({ eligible: 0, dropped: 0 })
    expect(worstIntake([new Map()])).toEqual({ eligible: 0, dropped: 0 })
  })

  it('is that of the pairs over all periods, lost ones with the dropped', () => {
    const one = counters({ [MIRROR.eligible]: 100, [MIRROR.dropped('stalled')]: 2, [MIRROR.lost]: 1 })
    expect(worstIntake([one, one])).toEqual({ eligible: 200, dropped: 6 })
  })

  it('is that of the arm whose labelled answers were dropped most, however small the arm', () => {
    const slots = counters({
      [MIRROR.eligible]: 1_000,
      [MIRROR.dropped('ring_full')]: 1,
      [RECORD.all('b')]: 10_000,
      [RECORD.dropped('b', 'ring_full')]: 50,
      [RECORD.all('c')]: 100,
      [RECORD.dropped('c', 'too_large')]: 10,
    })
    expect(worstIntake([slots])).toEqual({ eligible: 100, dropped: 10 })
  })

  it('keeps drops without eligible requests, which are an error that the verdict must see', () => {
    expect(worstIntake([counters({ [MIRROR.dropped('stalled')]: 2 })])).toEqual({ eligible: 0, dropped: 2 })
  })
})
