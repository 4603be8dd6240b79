// Run as a thread of its own: writes spans for a collector that does not answer, then gives up by a deadline.
import { parentPort } from 'node:worker_threads'
import { openTracing } from '../../src/telemetry/otlp.ts'
import { finishedRequest } from './finishedRequest.ts'

const tracing = await openTracing({ log: { info: () => {}, warn: () => {} } })
for (let i = 0; i < 200; i++) tracing?.request(finishedRequest())
await tracing?.shutdown(100)
parentPort?.postMessage(tracing?.takeDrops())
