// A model server that answers 200 at once and never stops sending the answer's body. All answers share the first argument's
// bytes a second, as they would share a network: else it would take the processor of the live server on this machine.
import type { ServerResponse } from 'node:http'
import { serveUntilParentEnds } from './server.ts'

const TICK_MS = 10
const piece = Buffer.alloc(16 * 1024, ' ')
const piecesPerTick = Math.max(1, Math.round((Number(process.argv[2]) * TICK_MS) / 1000 / piece.length))
let open: ServerResponse[] = []

serveUntilParentEnds((request, response) => {
  request.resume()
  response.on('close', () => {
    open = open.filter(each => each !== response)
  })
  response.writeHead(200, ['content-type', 'application/json'])
  response.write('{"model_name":"m","outputs":[')
  open.push(response)
})

const timer = setInterval(() => {
  for (let piecesLeft = piecesPerTick; piecesLeft > 0; piecesLeft--) {
    const next = open.shift()
    if (next === undefined) return
    if (!next.writableNeedDrain) next.write(piece)
    open.push(next)
  }
}, TICK_MS)
process.stdin.on('end', () => clearInterval(timer))
