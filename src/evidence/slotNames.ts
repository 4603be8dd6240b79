// Names of slots that are put together from parts, each made once: joining and hashing a text anew costs more than counting.

/** Slots of one prefix by their last part, a bin or a name; as many as there are, so whoever asks must bound them. */
export class SlotNames<Part extends number | string> {
  readonly #prefix: string
  readonly #names = new Map<Part, string>()

  /** @param prefix such as `diff.` */
  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** Such as `diff.12`. */
  of(part: Part): string {
    let name = this.#names.get(part)
    if (name === undefined) {
      name = `${this.#prefix}${part}`
      this.#names.set(part, name)
    }
    return name
  }
}
