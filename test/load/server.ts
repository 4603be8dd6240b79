// A loopback server whose answers a test decides, and that counts what arrives.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface CountingServer {
  readonly url: string
  readonly requests: () => number
  readonly connections: () => number
  close(): Promise<void>
}

export async function serve(
  answer: (request: IncomingMessage, response: ServerResponse, index: number) => void,
): Promise<CountingServer> {
  let requests = 0
  let connections = 0
  const server = createServer((request, response) => {
    const index = requests++
    request.resume()
    request.on('end', () => answer(request, response, index))
  })
  server.on('connection', () => connections++)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    requests: () => requests,
    connections: () => connections,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
