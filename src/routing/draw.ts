// Numbers that no client can foresee: a version is drawn with one where a request has no key of its own.
import { randomFillSync } from 'node:crypto'

const DRAW_BYTES = 6
// One call to the system's generator for a thousand numbers: a call for each would cost more than all else about it.
const random = Buffer.alloc(DRAW_BYTES * 1024)
let used = random.length

/** Uniform in [0, 1), 48 bits. */
export function draw(): number {
  if (used === random.length) {
    randomFillSync(random)
    used = 0
  }
  const value = random.readUIntLE(used, DRAW_BYTES) / 2 ** 48
  used += DRAW_BYTES
  return value
}
