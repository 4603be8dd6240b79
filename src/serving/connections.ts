// Watches client connections: how many requests of one are under way, which ones stopped reading their answers, and which
// ones ask nothing any more.
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
  /** How long it may wait for its next request; 0: it does not wait. */
  idleLimitMs = 0
  /** 0: it was not looked at since it began to wait. */
  idleSinceMs = 0
  /** What had come by then. */
  idleFromBytes = 0

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
    // node's server asks for this when an answer is finished, and with 0 when a request comes: its own way makes a timer for each
    // request and takes it back, which is a thirtieth of what a prediction over HTTP costs. `closeOverdue` looks instead.
    const waits = (limitMs: number) => {
      connection.idleLimitMs = limitMs
      connection.idleSinceMs = 0
      return socket
    }
    socket.setTimeout = waits
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

  /**
   * Closes connections whose answers nobody reads, since node has no limit on how long a write may take, and those that have
   * waited for a request longer than they may. To be called a few times a second.
   */
  closeOverdue(nowMs: number): void {
    for (const [socket, connection] of this.#open) {
      if (isStalled(socket, connection, nowMs) || isIdle(socket, connection, nowMs)) socket.destroy()
    }
  }
}

function isStalled(socket: Socket, connection: Connection, nowMs: number): boolean {
  const left = leftToWrite(socket)
  const isLess = left === 0 || left < connection.left || connection.left === 0
  connection.left = left
  if (isLess) connection.leftSinceMs = nowMs
  return nowMs - connection.leftSinceMs > STALL_MS
}

function isIdle(socket: Socket, connection: Connection, nowMs: number): boolean {
  const { idleLimitMs, idleSinceMs } = connection
  if (idleLimitMs === 0 || (idleSinceMs > 0 && nowMs - idleSinceMs <= idleLimitMs)) return false
  // A request that has begun to come is node's, which has limits of its own for it.
  if (idleSinceMs > 0 && socket.bytesRead === connection.idleFromBytes) return true
  connection.idleSinceMs = nowMs
  connection.idleFromBytes = socket.bytesRead
  return false
}

/** Bytes not yet taken by the kernel. One large write counts as one until it is done, so libuv's queue is asked too. */
function leftToWrite(socket: Socket): number {
  // node keeps its handle to itself, and asks it the same thing for its own socket timeouts.
  const { _handle } = socket as unknown as { _handle?: { writeQueueSize?: number } | null }
  return socket.writableLength === 0 ? 0 : (_handle?.writeQueueSize ?? 0) + socket.writableLength
}
