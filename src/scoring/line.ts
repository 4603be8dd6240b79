// A line of items that come and go with every request, in the order of their coming.

/** What stands in at most one line at a time. */
export interface InLine<Item extends InLine<Item>> {
  line: Line<Item> | undefined
  before: Item | undefined
  after: Item | undefined
}

/**
 * Instead of a Set: one that is added to and deleted from all the time is copied to a new table every few calls, V8's old
 * tables refer to the new ones and to all that was in them, and once one of them is old, everything that passes through
 * lives until the next full collection (measured: a quarter of what a serving thread allocates, instead of a hundredth).
 */
export class Line<Item extends InLine<Item>> {
  #first: Item | undefined
  #last: Item | undefined
  #length = 0

  get length(): number {
    return this.#length
  }

  get first(): Item | undefined {
    return this.#first
  }

  /** @param item in no line */
  join(item: Item): void {
    item.line = this
    item.before = this.#last
    if (this.#last === undefined) this.#first = item
    else this.#last.after = item
    this.#last = item
    this.#length++
  }

  /** @returns whether it stood here */
  leave(item: Item): boolean {
    if (item.line !== this) return false
    const { before, after } = item
    if (before === undefined) this.#first = after
    else before.after = after
    if (after === undefined) this.#last = before
    else after.before = before
    // An old item must keep no younger one alive.
    item.line = item.before = item.after = undefined
    this.#length--
    return true
  }

  /** Everybody, as of now. */
  all(): Item[] {
    const items: Item[] = []
    for (let item = this.#first; item !== undefined; item = item.after) items.push(item)
    return items
  }
}
