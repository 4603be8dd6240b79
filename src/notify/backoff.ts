// When a message that did not arrive is tried again, and when it is given up. Pure.

/** The first wait after a failure, ms; each further failure in a row doubles it. */
const FIRST_MS = 1_000
const LONGEST_MS = 600_000
/** A message is tried at least once, and again until it is this old: about 14 tries in an hour. */
export const GIVE_UP_AFTER_MS = 3_600_000

/**
 * The wait before the next try, ms, after `failures` ≥ 1 in a row: 1 s, 2 s, 4 s … 10 minutes, each between three
 * quarters and five quarters of that, so that gateways that failed together do not come back together.
 * @param random in [0, 1)
 */
export function backoffMs(failures: number, random: number): number {
  const wait = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 30))
  return wait * (0.75 + random / 2)
}

/** Whether a message that has just failed is given up. */
export function isGivenUp(ageMs: number): boolean {
  return ageMs >= GIVE_UP_AFTER_MS
}
