// Where a value stands on an axis, and which values an axis names. Knows nothing of SVG.

/** From a value to a place, 0 to 1 within its range; values outside the range lie outside. */
export type Place = (value: number) => number

export interface Axis {
  readonly place: Place
  /** Values to name, in order, all within the range. */
  readonly ticks: readonly number[]
}

/** A linear axis whose range is widened to nothing less than it holds. @param count about how many ticks */
export function linearAxis(low: number, high: number, count = 4): Axis {
  const [from, to] = orderly(low, high)
  return { place: value => (value - from) / (to - from), ticks: linearTicks(from, to, count) }
}

/** A logarithmic axis over positive values; at least half a decade wide. */
export function logAxis(low: number, high: number): Axis {
  const bottom = Number.isFinite(low) && low > 0 ? low : 1
  const top = Number.isFinite(high) && high > bottom ? high : bottom
  // One value alone stands in the middle of half a decade.
  const spread = Math.max(0, 10 ** 0.25 / Math.sqrt(top / bottom))
  const [from, to] = spread > 1 ? [bottom / spread, top * spread] : [bottom, top]
  const [a, b] = [Math.log10(from), Math.log10(to)]
  return { place: value => (Math.log10(value) - a) / (b - a), ticks: logTicks(from, to) }
}

/** Round values (1, 2 or 5 times a power of ten apart) from `low` to `high`. */
export function linearTicks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / Math.max(1, count)
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map(factor => factor * power).find(each => each >= rough * 0.999) ?? 10 * power
  const first = Math.ceil(low / step - 1e-9)
  const last = Math.floor(high / step + 1e-9)
  const ticks: number[] = []
  // Multiples, not sums: 0.1 + 0.2 is 0.30000000000000004.
  for (let index = first; index <= last && ticks.length < 50; index += 1) ticks.push(clean(index * step))
  return ticks
}

/** Powers of ten, with 2 and 5 between them where there are few, thinned where there are many. */
function logTicks(from: number, to: number): number[] {
  const [low, high] = [Math.floor(Math.log10(from)), Math.ceil(Math.log10(to))]
  const decades = high - low
  const factors = decades <= 2 ? [1, 2, 5] : [1]
  const every = Math.max(1, Math.ceil(decades / 6))
  const ticks: number[] = []
  for (let power = low; power <= high; power += 1) {
    if (power % every !== 0) continue
    for (const factor of factors) {
      const value = clean(factor * 10 ** power)
      if (value >= from * 0.999 && value <= to * 1.001) ticks.push(value)
    }
  }
  return ticks
}

function orderly(low: number, high: number): [number, number] {
  // Half of the largest number there is, so that their difference is one too.
  const cut = (value: number) => Math.min(Math.max(value, -1e300), 1e300)
  const a = Number.isFinite(low) ? cut(low) : 0
  const b = Number.isFinite(high) ? cut(high) : a
  const [from, to] = a <= b ? [a, b] : [b, a]
  // A range of nothing, or one that is lost in rounding, gets room on both sides.
  const least = Math.max(Math.abs(from) * 1e-9, Math.abs(to) * 1e-9, 1e-300)
  if (to - from > least) return [from, to]
  const room = Math.max(Math.abs(from) * 0.1, 1e-6)
  return [from - room, to + room]
}

function clean(value: number): number {
  const rounded = Number(value.toPrecision(12))
  return rounded === 0 ? 0 : rounded
}
