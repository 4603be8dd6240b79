import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isOpen, opensAt, parseWindow } from '../../src/config/window.ts'

const at = (text: string) => Date.parse(text)
const MINUTE = 60_000

describe('a window that cannot be read', () => {
  test.each([
    ['', 'days, hours and a time zone, got ""'],
    ['Mon-Fri 09:00-17:00', 'days, hours and a time zone'],
    ['Mon-Fri 09:00-17:00 Europe/Berlin x', 'days, hours and a time zone'],
    ['Mo-Fr 09:00-17:00 UTC', 'days are Mon, Tue, Wed, Thu, Fri, Sat, Sun or daily, got "Mo"'],
    ['Mon-Tue-Wed 09:00-17:00 UTC', 'got "Mon-Tue-Wed"'],
    ['Mon, 09:00-17:00 UTC', 'got ""'],
    ['Mon 9-17 UTC', 'hours such as 09:00-17:00, got 9-17'],
    ['Mon 09:60-17:00 UTC', 'hours from 00:00 to 24:00, got 09:60'],
    ['Mon 09:00-24:01 UTC', 'got 24:01'],
    ['Mon 09:00-17:00 Europe/Berln', 'a time zone such as Europe/Berlin or UTC, got Europe/Berln'],
  ])('%s', (text, message) => {
    expect(() => parseWindow(text)).toThrow(message)
  })
})

describe('a window', () => {
  const office = parseWindow('Mon-Fri 09:00-17:00 Europe/Berlin')

  test('is open from its start until just before its end, by the wall clock of its zone', () => {
    // 2026-11-23 is a Monday; Berlin is an hour ahead of UTC then.
    expect(isOpen(office, at('2026-11-23T08:00:00Z'))).toBe(true)
    expect(isOpen(office, at('2026-11-23T07:59:59.999Z'))).toBe(false)
    expect(isOpen(office, at('2026-11-23T15:59:59.999Z'))).toBe(true)
    expect(isOpen(office, at('2026-11-23T16:00:00Z'))).toBe(false)
    expect(isOpen(office, at('2026-11-22T12:00:00Z'))).toBe(false)
  })

  test('moves with summer time', () => {
    expect(isOpen(office, at('2026-07-06T07:00:00Z'))).toBe(true)
    expect(isOpen(office, at('2026-07-06T15:00:00Z'))).toBe(false)
    expect(isOpen(office, at('2026-12-07T07:00:00Z'))).toBe(false)
  })

  test('takes lists, ranges over the week’s end, single days and any case', () => {
    const days = (text: string) => parseWindow(`${text} 00:00-24:00 UTC`).days.map((open, day) => (open ? day : -1))
    expect(days('sat,SUN')).toEqual([0, -1, -1, -1, -1, -1, 6])
    expect(days('Fri-Mon')).toEqual([0, 1, -1, -1, -1, 5, 6])
    expect(days('Wed')).toEqual([-1, -1, -1, 3, -1, -1, -1])
    expect(days('Mon-Tue,Thu')).toEqual([-1, 1, 2, -1, 4, -1, -1])
    expect(days('daily')).toEqual([0, 1, 2, 3, 4, 5, 6])
  })

  test('over midnight belongs to the day on which it begins', () => {
    const night = parseWindow('Fri 22:00-04:00 UTC')
    expect(isOpen(night, at('2026-11-27T22:00:00Z'))).toBe(true)
    expect(isOpen(night, at('2026-11-28T03:59:00Z'))).toBe(true)
    expect(isOpen(night, at('2026-11-28T04:00:00Z'))).toBe(false)
    // The small hours of Friday belong to Thursday.
    expect(isOpen(night, at('2026-11-27T03:00:00Z'))).toBe(false)
    expect(isOpen(night, at('2026-11-28T22:00:00Z'))).toBe(false)
  })

  test('that ends where it starts is the whole day', () => {
    const day = parseWindow('Sun 00:00-00:00 UTC')
    expect(isOpen(day, at('2026-11-22T00:00:00Z'))).toBe(true)
    expect(isOpen(day, at('2026-11-22T23:59:59Z'))).toBe(true)
    expect(isOpen(day, at('2026-11-23T00:00:00Z'))).toBe(false)
  })

  test('in the hour that the clocks leave out opens when they have gone on, and in the one they repeat is open twice', () => {
    // Berlin: 2026-03-29 02:00 → 03:00 (01:00 UTC), 2026-10-25 03:00 → 02:00 (01:00 UTC).
    const early = parseWindow('Sun 02:15-02:45 Europe/Berlin')
    expect(isOpen(early, at('2026-03-29T01:00:00Z'))).toBe(false)
    expect(isOpen(early, at('2026-10-25T00:20:00Z'))).toBe(true)
    expect(isOpen(early, at('2026-10-25T00:50:00Z'))).toBe(false)
    expect(isOpen(early, at('2026-10-25T01:20:00Z'))).toBe(true)
    const over = parseWindow('Sun 02:30-06:00 Europe/Berlin')
    expect(opensAt(over, at('2026-03-28T12:00:00Z'))).toBe(at('2026-03-29T01:00:00Z'))
    expect(isOpen(over, at('2026-03-29T01:00:00Z'))).toBe(true)
    expect(isOpen(over, at('2026-03-29T00:59:00Z'))).toBe(false)
  })
})

describe('the next opening', () => {
  const office = parseWindow('Mon-Fri 09:00-17:00 Europe/Berlin')

  test('is now while it is open, this morning before it, and Monday after Friday', () => {
    const monday = at('2026-11-23T08:00:00Z')
    expect(opensAt(office, monday + 5)).toBe(monday + 5)
    expect(opensAt(office, monday - 1)).toBe(monday)
    expect(opensAt(office, at('2026-11-20T16:00:00Z'))).toBe(monday)
  })

  test('keeps the wall clock over a change of the clocks', () => {
    expect(opensAt(office, at('2026-03-27T17:00:00Z'))).toBe(at('2026-03-30T07:00:00Z'))
    expect(opensAt(office, at('2026-10-23T17:00:00Z'))).toBe(at('2026-10-26T08:00:00Z'))
  })

  test('is open, is not before the instant, and nothing between is open', () => {
    const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe')
    const time = fc.integer({ min: 0, max: 1439 })
    fc.assert(
      fc.property(
        fc.constantFrom('Mon', 'Fri-Mon', 'Sat,Sun', 'daily', 'Tue,Thu'),
        time,
        time,
        zone,
        fc.integer({ min: at('2026-01-01T00:00:00Z') / MINUTE, max: at('2027-01-01T00:00:00Z') / MINUTE }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (days, from, to, name, minute, between) => {
          const clock = (m: number) =>
            `${String(Math.floor(m / 60)).padStart(2, '0')}:${String(m % 60).padStart(2, '0')}`
          // A window that lies in an hour which is left out has no opening on that day.
          fc.pre(to <= from || to - from > 60)
          const window = parseWindow(`${days} ${clock(from)}-${clock(to)} ${name}`)
          const instant = minute * MINUTE
          const opens = opensAt(window, instant)
          expect(opens).toBeGreaterThanOrEqual(instant)
          expect(isOpen(window, opens)).toBe(true)
          // Clocks that go back open a window for a second time, in its middle.
          if (opens > instant && (name === 'UTC' || name === 'Asia/Kathmandu'))
            expect(isOpen(window, instant + Math.floor((opens - instant - 1) * between))).toBe(false)
        },
      ),
      { numRuns: 300 },
    )
  })
})
