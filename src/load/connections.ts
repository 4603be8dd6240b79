// Sends requests over a fixed number of kept-alive connections and tells how each ended. Knows no schedule.
import { type Dispatcher, Pool } from 'undici'

export interface ConnectionOptions {
  readonly url: string
  /** Asked in turn instead of the url's own path. */
  readonly paths?: readonly string[] | undefined
  readonly bodies: readonly string[]
  readonly headers: readonly string[]
  readonly connections: number
}

/** How a request ended: a status, or an error's code. */
export type Ended = (status: number, error: string | undefined) => void

/** Requests wait in the pool's queue when every connection is busy; nothing is retried. */
export class Connections {
  readonly #pool: Pool
  readonly #paths: readonly string[]
  readonly #headers: string[]
  readonly #bodies: readonly Buffer[]
  #turn = 0

  constructor({ url, paths, bodies, headers, connections }: ConnectionOptions) {
    const { origin, pathname, search } = new URL(url)
    this.#paths = paths ?? [pathname + search]
    this.#headers = [...headers]
    this.#bodies = bodies.map(body => Buffer.from(body))
    // Deadlines are the run's: undici's timers tick once in a second.
    this.#pool = new Pool(origin, { connections, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })
  }

  send(ended: Ended): void {
    const turn = this.#turn++
    const body = this.#bodies[turn % this.#bodies.length]!
    const path = this.#paths[turn % this.#paths.length]!
    this.#pool.dispatch({ method: 'POST', path, headers: this.#headers, body }, new Exchange(ended))
  }

  /** Ends every connection; requests under way end with an error. */
  close(): Promise<void> {
    return this.#pool.destroy()
  }
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #ended: Ended
  #status = 0

  constructor(ended: Ended) {
    this.#ended = ended
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status
  }

  onResponseData(): void {}

  onResponseEnd(): void {
    this.#ended(this.#status, undefined)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#ended(0, (error as { code?: string }).code ?? error.name)
  }
}
