// The least that a proxy on Node can be: node:http in, undici's dispatch out, whole bodies, nothing decided or recorded.
// The argument is the upstream's origin.

import type { ServerResponse } from 'node:http'
import { type Dispatcher, Pool } from 'undici'
import { serveUntilParentEnds } from './server.ts'

const pool = new Pool(process.argv[2]!, { connections: 256, pipelining: 1 })
process.stdin.on('end', () => void pool.destroy())

serveUntilParentEnds((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
    pool.dispatch(
      { method: 'POST', path: request.url!, headers: ['content-type', 'application/json'], body },
      new Relay(response),
    )
  })
})

class Relay implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse
  readonly #chunks: Buffer[] = []
  #status = 0

  constructor(response: ServerResponse) {
    this.#response = response
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    const body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
    this.#response.writeHead(this.#status, ['content-type', 'application/json', 'content-length', String(body.length)])
    this.#response.end(body)
  }

  onResponseError(): void {
    this.#response.writeHead(502)
    this.#response.end()
  }
}
