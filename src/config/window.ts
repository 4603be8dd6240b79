// When automatic raises may happen: reads `Mon-Fri 09:00-17:00 Europe/Berlin` and says whether an instant lies in it. Takes no clock.

/** Hours of the week in a time zone. */
export interface Window {
  /** As it was written. */
  readonly text: string
  /** By day on which an opening begins, 0 Sunday to 6 Saturday. */
  readonly days: readonly boolean[]
  /** Minutes after midnight, wall time; `to` at or before `from` is on the next day. */
  readonly from: number
  readonly to: number
  /** IANA name. */
  readonly zone: string
}

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const
const DAY_MS = 86_400_000
const MINUTE_MS = 60_000
const EXPECTED = 'expected a window such as `Mon-Fri 09:00-17:00 Europe/Berlin`'

/**
 * Days (`Mon`, `Mon-Fri`, `Fri-Mon`, `Sat,Sun`, `daily`), hours `HH:MM-HH:MM` (24:00 is midnight at the end; an end at or
 * before the start is on the next day, so `00:00-00:00` is the whole day), and an IANA zone. The days are those on which
 * an opening begins.
 * @throws Error with a sentence about what is wrong
 */
export function parseWindow(text: string): Window {
  const parts = text.trim().split(/\s+/)
  const [days, hours, zone] = parts
  if (parts.length !== 3 || days === undefined || hours === undefined || zone === undefined)
    throw new Error(`${EXPECTED}: days, hours and a time zone, got ${JSON.stringify(text)}`)
  const [, from, to] = /^(\d{1,2}:\d{2})-(\d{1,2}:\d{2})$/.exec(hours) ?? []
  if (from === undefined || to === undefined) throw new Error(`${EXPECTED}: hours such as 09:00-17:00, got ${hours}`)
  return { text, days: daysOf(days), from: minutesOf(from), to: minutesOf(to), zone: zoneOf(zone) }
}

/** Whether a raise may happen at this instant, ms since the Unix epoch. The start is inside, the end is not. */
export function isOpen(window: Window, instant: number): boolean {
  const { date, minute } = wallOf(window.zone, instant)
  const startsOn = (day: number) => window.days[((day % 7) + 7) % 7] === true
  const weekday = new Date(date).getUTCDay()
  if (window.to > window.from) return startsOn(weekday) && minute >= window.from && minute < window.to
  return (startsOn(weekday) && minute >= window.from) || (startsOn(weekday - 1) && minute < window.to)
}

/**
 * The first instant at or after this one at which the window is open, ms since the Unix epoch. An opening that falls into
 * an hour which the clocks leave out begins when they have gone on.
 */
export function opensAt(window: Window, instant: number): number {
  if (isOpen(window, instant)) return instant
  const { date } = wallOf(window.zone, instant)
  for (let ahead = 0; ahead <= 8; ahead++) {
    const day = date + ahead * DAY_MS
    if (!window.days[new Date(day).getUTCDay()]) continue
    const opening = instantsOf(window.zone, day + window.from * MINUTE_MS).find(each => each > instant)
    if (opening !== undefined) return opening
  }
  // Seven days hold every opening, since at least one day has one.
  throw new Error(`the window ${window.text} never opens`)
}

function daysOf(text: string): boolean[] {
  if (text.toLowerCase() === 'daily') return DAYS.map(() => true)
  const open = DAYS.map(() => false)
  for (const part of text.split(',')) {
    const [first, last = first, ...more] = part.split('-').map(dayOf)
    if (first === undefined || last === undefined || more.length > 0)
      throw new Error(`${EXPECTED}: days such as Mon-Fri or Sat,Sun, got ${JSON.stringify(part)}`)
    for (let day = first; ; day = (day + 1) % 7) {
      open[day] = true
      if (day === last) break
    }
  }
  return open
}

function dayOf(name: string): number {
  const at = (DAYS as readonly string[]).indexOf(name.toLowerCase())
  if (at < 0)
    throw new Error(`${EXPECTED}: days are Mon, Tue, Wed, Thu, Fri, Sat, Sun or daily, got ${JSON.stringify(name)}`)
  return at
}

function minutesOf(text: string): number {
  const [hours, minutes] = text.split(':').map(Number) as [number, number]
  if (minutes > 59 || hours * 60 + minutes > 24 * 60)
    throw new Error(`${EXPECTED}: hours from 00:00 to 24:00, got ${text}`)
  return hours * 60 + minutes
}

const formats = new Map<string, Intl.DateTimeFormat>()

function zoneOf(zone: string): string {
  try {
    formatOf(zone)
    return zone
  } catch {
    throw new Error(`${EXPECTED}: a time zone such as Europe/Berlin or UTC, got ${zone}`)
  }
}

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'gregory',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    })
    formats.set(zone, format)
  }
  return format
}

/** Wall time in a zone: its date as midnight UTC, ms, and minutes after midnight. */
function wallOf(zone: string, instant: number): { date: number; minute: number } {
  const part: Record<string, number> = {}
  for (const { type, value } of formatOf(zone).formatToParts(instant)) part[type] = Number(value)
  const { year, month, day, hour, minute } = part as Record<'year' | 'month' | 'day' | 'hour' | 'minute', number>
  return { date: Date.UTC(year, month - 1, day), minute: hour * 60 + minute }
}

/**
 * The instants at which the wall shows this time (given as if it were UTC), in order: two where the clocks repeat it. Where
 * they leave it out, the one at which they have gone on.
 */
function instantsOf(zone: string, wall: number): number[] {
  const shown = (instant: number) => {
    const { date, minute } = wallOf(zone, instant)
    return date + minute * MINUTE_MS
  }
  // Zones change by less than a day and their changes lie further apart, so a day to each side shows both offsets.
  const offsets = [shown(wall - DAY_MS) - (wall - DAY_MS), shown(wall + DAY_MS) - (wall + DAY_MS)]
  const exact = [...new Set(offsets.map(offset => wall - offset))].filter(instant => shown(instant) === wall)
  if (exact.length > 0) return exact.sort((a, b) => a - b)
  // The clocks jump over it: both candidates miss, and the change lies between them.
  let [low, high] = [
    Math.min(...offsets.map(offset => wall - offset)),
    Math.max(...offsets.map(offset => wall - offset)),
  ]
  while (high - low > MINUTE_MS) {
    const middle = Math.floor((low + high) / 2 / MINUTE_MS) * MINUTE_MS
    if (shown(middle) >= wall) high = middle
    else low = middle
  }
  return [high]
}
