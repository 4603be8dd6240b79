// Sends one HTTP request over a few kept connections, with a deadline. Knows nothing of models.
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { text } from 'node:stream/consumers'

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** From the first byte sent to the last one read. */
  readonly elapsedMs: number
}

export interface HttpClient {
  /** @throws the socket's error, or a timeout */
  send(
    method: 'GET' | 'POST',
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: string,
  ): Promise<HttpAnswer>
  close(): void
}

const DEADLINE_MS = 15_000

/** @param connections sockets at most; further requests wait for one */
export function httpClient(url: string, connections: number): HttpClient {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const { hostname, port } = new URL(url)
  return {
    async send(method, path, headers, body) {
      const startMs = performance.now()
      const signal = AbortSignal.timeout(DEADLINE_MS)
      const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>()
      const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
      const sent = request(
        { agent, hostname, port, method, path, headers: { ...headers, ...length }, signal },
        response => {
          text(response).then(
            read =>
              resolve({
                status: response.statusCode ?? 0,
                headers: response.headers,
                text: read,
                elapsedMs: performance.now() - startMs,
              }),
            reject,
          )
        },
      )
      sent.on('error', reject)
      sent.end(body)
      return promise
    },
    close: () => agent.destroy(),
  }
}
