// A request whose body can be read whole past the stream that node makes of it: its states, listeners and ticks cost a
// short body more than all that is done with it. Where nobody asks for that it is node's own.
import { IncomingMessage } from 'node:http'
import { UnderstudyError } from '../errors.ts'
import { Pieces } from '../record/pieces.ts'

export interface WholeReader {
  read(body: Pieces): void
  /** Instead of `read`: TOO_LARGE, or CLIENT_GONE when the client breaks off. */
  failed(error: unknown): void
}

/** For `createServer`'s option `IncomingMessage`: node's parser pushes what comes of a body. */
export class WholeRequest extends IncomingMessage {
  #reader: WholeReader | undefined
  #limitBytes = 0
  #pieces: Buffer[] = []
  #length = 0
  #isRead = false

  /** To be called before any of the body has come. What comes after it was too large is the stream's again. */
  readWhole(limitBytes: number, reader: WholeReader): void {
    this.#reader = reader
    this.#limitBytes = limitBytes
    // Or node would throw away what nobody reads.
    this._read(0)
  }

  override push(piece: Buffer | null): boolean {
    const reader = this.#reader
    if (reader === undefined) return super.push(piece)
    if (piece === null) {
      this.#reader = undefined
      this.#isRead = true
      reader.read(new Pieces(this.#pieces, this.#length))
      return false
    }
    this.#length += piece.length
    if (this.#length <= this.#limitBytes) {
      this.#pieces.push(piece)
      return true
    }
    this.#reader = undefined
    this.#pieces = []
    reader.failed(tooLarge(this.#limitBytes))
    return false
  }

  // @ts-expect-error In node it is an accessor, in its types a field. The server asks it whether it may forget this request.
  override get readableEnded(): boolean {
    // @ts-expect-error The same.
    return this.#isRead || super.readableEnded
  }

  override _destroy(error: Error | null, destroyed: (error?: Error | null) => void): void {
    const reader = this.#reader
    this.#reader = undefined
    super._destroy(error, destroyed)
    reader?.failed(gone(error ?? undefined))
  }
}

export function gone(cause?: unknown): UnderstudyError {
  return new UnderstudyError('CLIENT_GONE', 'the client broke off its request', { cause })
}

export function tooLarge(limitBytes: number): UnderstudyError {
  return new UnderstudyError('TOO_LARGE', `the request body is larger than ${limitBytes} bytes`)
}
