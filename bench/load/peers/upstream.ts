// A model server without a model: reads a V2 request and gives the same row for each row asked. Also the bare server of
// the figures. The first argument names its version, the second its probability. Counts what it is sent: `GET /received`.
import { rowsOf } from './rows.ts'
import { serveUntilParentEnds } from './server.ts'

const [version = '1.0.0', probability = '0.18230406939983368'] = process.argv.slice(2)
const answers = new Map<number, Buffer>()
const received = { requests: 0, rows: 0, bytes: 0 }

serveUntilParentEnds((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const answer = request.url === '/received' ? Buffer.from(JSON.stringify(received)) : answerOf(counted(chunks))
    response.writeHead(200, ['content-type', 'application/json', 'content-length', String(answer.length)])
    response.end(answer)
  })
})

function counted(chunks: readonly Buffer[]): number {
  const rows = rowsOf(chunks)
  received.requests++
  received.rows += rows
  for (const chunk of chunks) received.bytes += chunk.length
  return rows
}

function answerOf(rows: number): Buffer {
  let answer = answers.get(rows)
  if (answer === undefined) {
    const positive = Number(probability)
    const tensors = [
      { name: 'label', datatype: 'INT64', shape: [rows], data: new Array<number>(rows).fill(positive >= 0.5 ? 1 : 0) },
      {
        name: 'probability',
        datatype: 'FP32',
        shape: [rows, 2],
        data: Array.from({ length: rows }, () => [1 - positive, positive]).flat(),
      },
    ]
    answer = Buffer.from(JSON.stringify({ model_name: 'flight-delay', model_version: version, outputs: tensors }))
    answers.set(rows, answer)
  }
  return answer
}
