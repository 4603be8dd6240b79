// The least that a proxy on Node can be: node:http in, undici's dispatch out, whole bodies, nothing decided or recorded.
// The first argument is the upstream's origin; with `fields` as the second it passes header fields on in both directions and
// adds as many as a gateway must: what no gateway on Node can be cheaper than.
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Dispatcher, Pool } from 'undici'
import { serveUntilParentEnds } from './server.ts'

const [origin, mode] = process.argv.slice(2)
const passesFields = mode === 'fields'
const JSON_TYPE = ['content-type', 'application/json']
const pool = new Pool(origin!, { connections: 256, pipelining: 1 })
process.stdin.on('end', () => void pool.destroy())

serveUntilParentEnds((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
    const id = passesFields ? randomUUID() : ''
    const headers = passesFields ? requestFields(request, id) : JSON_TYPE
    pool.dispatch({ method: 'POST', path: request.url!, headers, body }, new Relay(response, id))
  })
})

const NOT_SENT = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'keep-alive'])
const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00'

function requestFields({ rawHeaders }: IncomingMessage, id: string): string[] {
  const fields: string[] = []
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!.toLowerCase()
    if (!NOT_SENT.has(name)) fields.push(name, rawHeaders[index + 1]!)
  }
  fields.push('via', '1.1 proxy', 'x-request-id', id, 'x-role', 'live', 'traceparent', PARENT)
  return fields
}

function answerFields(headers: Readonly<Record<string, string | string[] | undefined>>, id: string): string[] {
  const fields: string[] = []
  for (const name in headers) if (!NOT_SENT.has(name)) fields.push(name, String(headers[name]))
  fields.push('x-request-id', id, 'x-version', '1.0.0')
  return fields
}

class Relay implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse
  readonly #chunks: Buffer[] = []
  readonly #id: string
  #status = 0
  #fields: readonly string[] = JSON_TYPE

  constructor(response: ServerResponse, id: string) {
    this.#response = response
    this.#id = id
  }

  onRequestStart(): void {}

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    this.#status = status
    if (passesFields) this.#fields = answerFields(headers, this.#id)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    const body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
    this.#response.writeHead(this.#status, [...this.#fields, 'content-length', String(body.length)])
    this.#response.end(body)
  }

  onResponseError(): void {
    this.#response.writeHead(502)
    this.#response.end()
  }
}
