// Watches client connections: how many requests of one are under way, and which ones stopped reading their answers.
import type { Socket } from 'node:net'
import { type InLine, Line } from '../scoring/line.ts'

/** Pipelined requests of one connection that may be under way at once; clients that do not pipeline have one. */
const MOST_UNDER_WAY = 128
/** A client that takes nothing of its answers for this long is closed. */
const STALL_MS = 15_000

/** A request that is not answered yet. */
export interface UnderWay extends InLine<UnderWay> {
  clientGone(): void
}

export class Connection {
  readonly underWay = new Line<UnderWay>()
  /** What is left to write, and since when it has not become less. */
  left = 0
  leftSinceMs = 0

  /** A further request is to be refused. */
  get isFull(): boolean {
    return this.underWay.length >= MOST_UNDER_WAY
  }
}

export class Connections {
  readonly #open = new Map<Socket, Connection>()

  opened(socket: Socket): void {
    const connection = new Connection()
    this.#open.set(socket, connection)
    socket.once('close', () => {
      this.#open.delete(socket)
      // When node's own listeners have heard it too, and responses say that they are destroyed.
      queueMicrotask(() => {
        for (const request of connection.underWay.all()) request.clientGone()
      })
    })
  }

  of(socket: Socket): Connection {
    return this.#open.get(socket) ?? new Connection()
  }

  /** Closes connections whose answers nobody reads: node has no limit on how long a write may take. */
  closeStalled(nowMs: number): void {
    for (const [socket, connection] of this.#open) {
      const left = leftToWrite(socket)
      if (left === 0 || left < connection.left || connection.left === 0) connection.leftSinceMs = nowMs
      else if (nowMs - connection.leftSinceMs > STALL_MS) socket.destroy()
      connection.left = left
    }
  }
}

/** Bytes not yet taken by the kernel. One large write counts as one until it is done, so libuv's queue is asked too. */
function leftToWrite(socket: Socket): number {
  // node keeps its handle to itself, and asks it the same thing for its own socket timeouts.
  const { _handle } = socket as unknown as { _handle?: { writeQueueSize?: number } | null }
  return socket.writableLength === 0 ? 0 : (_handle?.writeQueueSize ?? 0) + socket.writableLength
}
