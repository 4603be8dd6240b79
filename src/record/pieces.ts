// A body in the pieces that it came in, joined only for whoever must read it.
import { Buffer } from 'node:buffer'

/** Writing a piece of its own costs about as much as copying this many bytes. */
const WORTH_A_WRITE = 16 * 1024
/**
 * Up to so many bytes a body is written as a text of ISO 8859-1, together with its head: node writes texts up to 16 KiB from its
 * stack in one call, and gathers two buffers.
 */
export const MOST_AS_TEXT = 12 * 1024

/**
 * The bytes of a body. Passing them on and recording them needs no copy; a copy of a long body is memory that is soon
 * garbage, and V8 marks everything that lives for every few dozen of those.
 */
export class Pieces {
  readonly pieces: readonly Buffer[]
  /** Bytes in all. */
  readonly length: number
  #whole: Buffer | undefined

  constructor(pieces: readonly Buffer[], length = pieces.reduce((sum, piece) => sum + piece.length, 0)) {
    this.pieces = pieces
    this.length = length
  }

  static of(bytes: Uint8Array): Pieces {
    return new Pieces([Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)], bytes.length)
  }

  /** All of it in one piece, joined at the first call. */
  get whole(): Buffer {
    this.#whole ??= this.pieces.length === 1 ? this.pieces[0]! : Buffer.concat(this.pieces, this.length)
    return this.#whole
  }

  /** What to write to a socket: long pieces as they are, short ones joined. A client that sends byte by byte costs one write. */
  get writes(): readonly Buffer[] {
    const { pieces } = this
    return pieces.length < 2 || this.length >= pieces.length * WORTH_A_WRITE ? pieces : [this.whole]
  }

  /** Writes all of it to `bytes` from `at` on. */
  copyTo(bytes: Uint8Array, at: number): void {
    for (const piece of this.pieces) {
      // Not `set`: into shared memory that goes byte by byte where not both begin at a word (six times as long for 1 KB).
      piece.copy(bytes, at)
      at += piece.length
    }
  }
}

export const NO_PIECES = new Pieces([], 0)
