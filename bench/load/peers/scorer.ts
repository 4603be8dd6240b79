// The least that serving an ONNX model on Node can be: node:http, JSON.parse, session.run, JSON. Nothing checked, decided
// or recorded. GET /loop?ms=N runs the session alone, over what was posted so far: the limit. The argument is the model.
import { readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { serveUntilParentEnds } from './server.ts'

interface V2Tensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly data: readonly (number | string)[]
}

type Feeds = Record<string, Tensor>

// As src/scoring/onnx.ts has them.
const session = await InferenceSession.create(readFileSync(process.argv[2]!), {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  logSeverityLevel: 4,
})
const posted: Feeds[] = []
const MOST_POSTED = 64

serveUntilParentEnds((request, response) => {
  if (request.method === 'GET') {
    void loop(Number(new URL(request.url!, 'http://localhost').searchParams.get('ms')), response)
    return
  }
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
    const { inputs } = JSON.parse(body.toString()) as { inputs: readonly V2Tensor[] }
    void score(inputs, response)
  })
})

async function score(inputs: readonly V2Tensor[], response: ServerResponse): Promise<void> {
  const feeds: Feeds = {}
  for (const { name, datatype, shape, data } of inputs) {
    feeds[name] =
      datatype === 'BYTES'
        ? new Tensor('string', data as string[], shape)
        : new Tensor('float32', Float32Array.from(data as number[]), shape)
  }
  if (posted.length < MOST_POSTED) posted.push(feeds)
  const { label, probability } = (await session.run(feeds)) as { label: Tensor; probability: Tensor }
  const outputs = [
    { name: 'label', datatype: 'INT64', shape: label.dims, data: Array.from(label.data as BigInt64Array, Number) },
    {
      name: 'probability',
      datatype: 'FP32',
      shape: probability.dims,
      data: Array.from(probability.data as Float32Array),
    },
  ]
  answer(response, JSON.stringify({ model_name: 'flight-delay', model_version: '1.0.0', outputs }))
}

async function loop(ms: number, response: ServerResponse): Promise<void> {
  const startedAt = performance.now()
  let runs = 0
  while (performance.now() - startedAt < ms) await session.run(posted[runs++ % posted.length]!)
  answer(response, JSON.stringify({ runs, seconds: (performance.now() - startedAt) / 1000 }))
}

function answer(response: ServerResponse, text: string): void {
  const body = Buffer.from(text)
  response.writeHead(200, ['content-type', 'application/json', 'content-length', String(body.length)])
  response.end(body)
}
