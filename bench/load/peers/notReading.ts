// A model server that accepts every connection and never reads from one.
import { type AddressInfo, createServer, type Socket } from 'node:net'

const sockets = new Set<Socket>()
const server = createServer({ pauseOnConnect: true }, socket => {
  sockets.add(socket)
  socket.on('error', () => {})
  socket.on('close', () => sockets.delete(socket))
})
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`)
})
process.stdin.on('end', () => {
  server.close()
  for (const socket of sockets) socket.destroy()
})
process.stdin.resume()
