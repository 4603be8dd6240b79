// A port at which nothing listens: the client's end of a connection that stays open, so nobody else can be given it.
import { type AddressInfo, connect, createServer } from 'node:net'

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1', () => {
    process.stdout.write(`${JSON.stringify({ port: socket.localPort })}\n`)
  })
  process.stdin.on('end', () => {
    socket.destroy()
    server.close()
  })
  process.stdin.resume()
})
