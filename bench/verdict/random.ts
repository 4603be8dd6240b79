// Seeded randomness for the scenarios: xoshiro128** and what is drawn with it. The same seed gives the same stream.

/** 2³², one above the largest number of {@link Random.next}. */
const RANGE = 4_294_967_296

/**
 * xoshiro128** (Blackman & Vigna 2018), period 2¹²⁸ − 1, whose state is filled by splitmix32 as its authors advise, so that
 * neighbouring seeds give unrelated streams. Fields and not an array: a benchmark draws some 10¹⁰ numbers.
 */
export class Random {
  #a: number
  #b: number
  #c: number
  #d: number
  #spare: number | undefined

  /** @param seeds any integers; every one of them counts. */
  constructor(...seeds: readonly number[]) {
    let state = 0x9e3779b9
    for (const seed of seeds) state = mixed(state ^ mixed(seed))
    const word = () => {
      state = (state + 0x9e3779b9) | 0
      return mixed(state)
    }
    this.#a = word()
    this.#b = word()
    this.#c = word()
    // All zeros is the one state without an end.
    this.#d = word() | 1
  }

  /** A generator in exactly this state, not all zeros: for the reference vectors. */
  static inState(a: number, b: number, c: number, d: number): Random {
    const random = new Random()
    random.#a = a
    random.#b = b
    random.#c = c
    random.#d = d
    return random
  }

  /** A whole number from 0 to 2³² − 1. */
  next(): number {
    const product = Math.imul(this.#b, 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9)
    const shifted = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= shifted
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return result >>> 0
  }

  /** A number in [0, 1) with 32 bits. */
  uniform(): number {
    return this.next() / RANGE
  }

  /** Whether something of this probability happens. */
  chance(probability: number): boolean {
    return this.next() < probability * RANGE
  }

  /** Standard normal, by the polar method (Marsaglia & Bray 1964), in pairs. */
  normal(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare
      this.#spare = undefined
      return spare
    }
    for (;;) {
      const x = 2 * this.uniform() - 1
      const y = 2 * this.uniform() - 1
      const square = x * x + y * y
      if (square >= 1 || square === 0) continue
      const scale = Math.sqrt((-2 * Math.log(square)) / square)
      this.#spare = y * scale
      return x * scale
    }
  }
}

/** The finaliser of splitmix32 (lowbias32 constants, Wellons). */
function mixed(seed: number): number {
  let word = seed | 0
  word = Math.imul(word ^ (word >>> 16), 0x21f0aaad)
  word = Math.imul(word ^ (word >>> 15), 0x735a2d97)
  return word ^ (word >>> 15)
}

/** A number from a name, so that every scenario has streams of its own. FNV-1a. */
export function seedOf(name: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193)
  return hash >>> 0
}

/** Draws ranks 0 to count − 1 with probability ∝ (rank + 1)^−exponent. */
export function zipf(count: number, exponent: number): (random: Random) => number {
  const cumulative = new Float64Array(count)
  let sum = 0
  for (let rank = 0; rank < count; rank++) {
    sum += (rank + 1) ** -exponent
    cumulative[rank] = sum
  }
  return random => {
    const at = random.uniform() * sum
    let [low, high] = [0, count - 1]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (cumulative[middle]! > at) high = middle
      else low = middle + 1
    }
    return low
  }
}
