// Starts @portkey-ai/gateway of the folder that this runs in, with its own arguments. It listens on every interface and has
// no option against it, so here listening itself is kept to the loopback interface.
import { Server } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const { listen } = Server.prototype
Server.prototype.listen = function (port, _host, done) {
  return listen.call(this, port, '127.0.0.1', done)
}
await import(pathToFileURL(join(process.cwd(), 'node_modules/@portkey-ai/gateway/build/start-server.js')).href)
