// Six significant digits of a number, for display. Every pair has some, so they are not found by way of a text. Pure.

/** So near to a tie the product may have been rounded across it: the text decides. */
const NEAR_TIE = 0.4999

/** `Number(value.toPrecision(6))`, at a tenth of its cost for common sizes. `value` is finite. */
export function shortNumber(value: number): number {
  const size = Math.abs(value)
  if (size < 1e-9 || size >= 1e6) return Number(value.toPrecision(6))
  let scale = 1
  while (size * scale < 1e5) scale *= 10
  const scaled = value * scale
  const digits = Math.round(scaled)
  // Both are whole numbers below 2^53, so their quotient is the double that is nearest to the decimal.
  return Math.abs(scaled - digits) < NEAR_TIE ? digits / scale : Number(value.toPrecision(6))
}
