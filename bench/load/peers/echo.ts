// A model server without a model that gives back what it was sent: what the wire costs in both directions.
import { serveUntilParentEnds } from './server.ts'

serveUntilParentEnds((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
    response.writeHead(200, ['content-type', 'application/json', 'content-length', String(body.length)])
    response.end(body)
  })
})
