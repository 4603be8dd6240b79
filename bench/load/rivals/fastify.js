// A proxy of @fastify/http-proxy: two upstreams by weight. Runs in a folder that has the package; arguments: live, canary, percent to it.
import { createRequire } from 'node:module'

const require = createRequire(`${process.cwd()}/`)
const fastify = require('fastify')({ logger: false })
const [live, canary, percent] = process.argv.slice(2)
fastify.register(require('@fastify/http-proxy'), {
  upstream: '',
  undici: { connections: 256, pipelining: 1 },
  replyOptions: {
    getUpstream: () =>
      Math.random() * 100 < Number(percent) ? `http://127.0.0.1:${canary}` : `http://127.0.0.1:${live}`,
  },
})
await fastify.listen({ port: 0, host: '127.0.0.1' })
process.stdout.write(`${JSON.stringify({ port: fastify.server.address().port })}\n`)
process.stdin.on('end', () => fastify.close())
process.stdin.resume()
