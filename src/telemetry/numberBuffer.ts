// Numbers that are told to another thread: as objects, what thousands of routes have to tell would cost both more.

const FIRST = 256

export class NumberBuffer {
  #numbers = new Float64Array(FIRST)
  #length = 0

  push(value: number): void {
    if (this.#length === this.#numbers.length) {
      const longer = new Float64Array(2 * this.#length)
      longer.set(this.#numbers)
      this.#numbers = longer
    }
    this.#numbers[this.#length++] = value
  }

  /** What was pushed since the last call, in a buffer of its own, which may be transferred. */
  take(): Float64Array<ArrayBuffer> {
    const taken = this.#numbers.slice(0, this.#length)
    this.#length = 0
    return taken
  }
}
