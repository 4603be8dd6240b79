// What the servers beside the gateway have in common: a port of their own choice, and an end with their parent.
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Listens on a free loopback port, prints `{"port":…}`, and ends when standard input does. */
export function serveUntilParentEnds(listener: RequestListener): void {
  const server = createServer({ keepAliveTimeout: 65_000, noDelay: true }, listener)
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`)
  })
  process.stdin.on('end', () => {
    server.close()
    server.closeAllConnections()
  })
  process.stdin.resume()
}
