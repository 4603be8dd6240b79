// Keeps what is counted in admission epochs, and tells which epochs are settled: no request of theirs is still under way.

export interface Book<T> {
  readonly epoch: number
  readonly counts: T
  /** Requests admitted to the book that have not been settled. */
  underWay: number
}

/** Books by epoch; a new revision of the configuration starts a new book within the epoch. */
export class EpochLedger<T> {
  readonly #newCounts: () => T
  #books: Book<T>[] = []

  constructor(newCounts: () => T) {
    this.#newCounts = newCounts
  }

  /** The book of `epoch`, made when it is not there. */
  book(epoch: number): Book<T> {
    // The newest is asked for nearly always.
    for (let index = this.#books.length - 1; index >= 0; index--) {
      const book = this.#books[index]!
      if (book.epoch === epoch) return book
      if (book.epoch < epoch) break
    }
    const book: Book<T> = { epoch, counts: this.#newCounts(), underWay: 0 }
    this.#books.push(book)
    this.#books.sort((a, b) => a.epoch - b.epoch)
    return book
  }

  /**
   * Takes out, in order, the books of epochs up to `last`, stopping at the first with requests under way.
   * @returns the books and the newest settled epoch, at most `last`
   */
  takeSettled(last: number): { books: readonly Book<T>[]; settled: number } {
    let taken = 0
    let settled = last
    for (const book of this.#books) {
      if (book.epoch > last) break
      if (book.underWay > 0) {
        settled = book.epoch - 1
        break
      }
      taken++
    }
    const books = this.#books.slice(0, taken)
    this.#books = this.#books.slice(taken)
    return { books, settled }
  }

  /** Requests under way in all books. */
  underWay(): number {
    return this.#books.reduce((sum, book) => sum + book.underWay, 0)
  }
}
